"""What layers say of themselves, put in the order of the chain: who ended it first, by their own accounts.

Walk from the caller inward. The first layer that says "I cut", or "my caller left", decides: had anything further
in ended it before, that layer would have said "my upstream ended". Further in, a layer that is blind to its
caller's leaving may say later that it cut, too; that is no contradiction, for it cut too late.

Logs lie in known ways, so that nothing here is ever proven.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.records import EndedBy
from whocut.trace.records import DownstreamEnd, UpstreamEnd
from whocut.verdict import phrases
from whocut.verdict.verdict import Cascade, Grade, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.records import LayerRecord
    from whocut.verdict.evidence import AttemptEvidence, Statement

SOON_S = 0.05  # two durations nearer to each other than this do not tell which was first


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One layer's view of how it ended, from its edges or from its testimony."""

    position: int
    layer: str
    ended_by: EndedBy
    phase: Phase | None = None
    timer: TimerKind | None = None
    directive: str | None = None
    duration_s: float | None = None
    end_s: float | None = None
    status: int | None = None
    said: Statement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The layer that ended it, by all accounts together. `position` None: no layer did, or it is unknown."""

    nobody: bool = False  # no layer ended it
    position: int | None = None  # len(hops) + 1 is the upstream
    view: View | None = None
    grade: Grade = Grade.UNATTRIBUTED
    why: str = ""
    by_caller: bool = False
    contradictions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    cascade: tuple[Cascade, ...] = field(default=())


def views(evidence: AttemptEvidence) -> list[View]:
    """Every layer that reported, from the caller inward; where a layer has both, its edges."""
    found = {said.position: _from_testimony(said) for said in evidence.testimony}
    found |= {edges.position: _from_edges(edges) for edges in evidence.layers}
    return [found[position] for position in sorted(found)]


def who_ended_it(evidence: AttemptEvidence, topology: Topology) -> Said | None:
    """What the accounts say together; None where there is no testimony."""
    if not evidence.testimony:
        return None
    seen = views(evidence)
    deciding = next((view for view in seen if view.ended_by in {EndedBy.LAYER, EndedBy.CLIENT}), None)
    if deciding is None:
        return _nobody_owns_up(seen, topology)
    outside = [view for view in seen if view.position < deciding.position]
    if deciding.ended_by is EndedBy.LAYER:
        return _it_cut(deciding, seen, evidence, topology)
    return _its_caller_left(deciding, outside, seen, topology)


def told_by(evidence: AttemptEvidence, topology: Topology) -> Statement | None:
    """The statement whose instants a verdict on testimony has, where it has any."""
    said = who_ended_it(evidence, topology)
    return said.view.said if said is not None and said.view is not None else None


def cut_earlier(inner_s: float, outer_s: float) -> bool:
    """Whether a layer that cut after so long must have cut before one further out that did after so long."""
    return inner_s + SOON_S < outer_s


def rivals(testimony: Sequence[Statement]) -> list[tuple[Statement, Statement]]:
    """Of statements alone, those that each say that they cut, further in and the one that decides.

    How long these took is all that a verdict on statements alone takes from the times of an attempt.
    """
    cutters = [said for said in testimony if said.account.ended_by is EndedBy.LAYER]
    return [(said, cutters[0]) for said in cutters[1:]]


def _it_cut(view: View, seen: list[View], evidence: AttemptEvidence, topology: Topology) -> Said:
    contradictions = [
        f"{other.layer} says it cut after {other.duration_s:.1f} s, {view.layer} after {view.duration_s:.1f} s"
        for other in seen
        if other.position > view.position
        and other.ended_by is EndedBy.LAYER
        and other.duration_s is not None
        and view.duration_s is not None
        and cut_earlier(other.duration_s, view.duration_s)
    ]
    account = view.said.account if view.said else None
    silent = _silent(range(view.position), seen, evidence, topology)
    caveat = account.caveat if account and silent else ""
    missing = tuple(f"a log or a span of {name}" + (f": {caveat}" if caveat else "") for name in silent)
    grade = view.said.grade if view.said else Grade.TESTIFIED
    return Said(
        position=view.position,
        view=view,
        grade=Grade.INFERRED if contradictions else grade,
        contradictions=tuple(contradictions),
        missing=missing if caveat else (),
        cascade=_cascade(seen, view.position),
    )


def _its_caller_left(view: View, outside: list[View], seen: list[View], topology: Topology) -> Said:
    """The layer next to it, towards the caller, let go first: the one that is silent there, or has lied."""
    before = max((other.position for other in outside), default=0)
    silent = range(before + 1, view.position) if outside else range(view.position)
    nearest = outside[-1] if outside else None
    if len(silent) == 1:
        return Said(
            position=silent[0],
            view=View(
                position=silent[0],
                layer=topology.layers[silent[0]].name,
                ended_by=EndedBy.LAYER,
                phase=view.phase,
                duration_s=view.duration_s,
                end_s=view.end_s,
                said=view.said,
            ),
            grade=Grade.INFERRED if silent[0] else _grade_of(view),
            why=f"{view.layer} says that its caller left, and the layer before it is silent",
            by_caller=silent[0] == 0,
            cascade=_cascade(seen, silent[0]),
        )
    if not silent and nearest and nearest.ended_by is EndedBy.NONE and view.phase is Phase.STREAM:
        return Said(
            position=nearest.position,
            view=View(
                position=nearest.position,
                layer=nearest.layer,
                ended_by=EndedBy.LAYER,
                phase=Phase.STREAM,
                duration_s=nearest.duration_s,
                end_s=nearest.end_s,
                said=nearest.said,
            ),
            grade=Grade.INFERRED,
            why=f"{view.layer} says that {nearest.layer} left in mid-response",
            contradictions=(
                f"{nearest.layer} says that it went through whole, {view.layer} that its caller left",
            ),
            cascade=_cascade(seen, nearest.position),
        )
    names = [topology.layers[position].name for position in silent]
    contradictions = (
        (f"{nearest.layer} says its upstream ended, {view.layer} that its caller left",)
        if nearest and not silent
        else ()
    )
    return Said(
        why=f"{view.layer} says that its caller left first",
        contradictions=contradictions,
        missing=tuple(f"a log or a span of {name}" for name in names),
    )


def _nobody_owns_up(seen: list[View], topology: Topology) -> Said:
    innermost = seen[-1]
    if all(view.ended_by is EndedBy.NONE for view in seen):
        grade = min((_grade_of(view) for view in seen), key=_strength)
        caveats = [view.said.account.caveat if view.said else "" for view in seen]
        if all(caveats):  # no layer of them could have told
            return Said(
                nobody=True, grade=Grade.INFERRED, why=f"a log says so, and cannot tell: {caveats[0]}"
            )
        return Said(nobody=True, grade=grade)
    if innermost.ended_by is EndedBy.UPSTREAM and innermost.position == len(topology.hops):
        return Said(
            position=innermost.position + 1,
            view=innermost,
            grade=_grade_of(innermost),
            cascade=_cascade(seen, innermost.position + 1),
        )
    unsaid = [view for view in seen if view.ended_by is EndedBy.UNSAID]
    if unsaid and unsaid[-1] is innermost:
        said = unsaid[-1].said.account.says if unsaid[-1].said else ""
        return Said(
            why=f"{innermost.layer} does not say who ended it: {said}",
            missing=(f"the error log, or the recommended format, of {innermost.layer} (docs/logs.md)",),
        )
    further = topology.layers[innermost.position + 1 :]
    name = further[0].name if further else topology.upstream.name
    if innermost.ended_by is EndedBy.UPSTREAM:
        return Said(
            why=f"{innermost.layer} says that its upstream ended it",
            missing=(f"a log or a span of {name}",),
        )
    return Said(
        why="the accounts do not fit together",
        contradictions=tuple(f"{view.layer} says {view.ended_by}" for view in seen),
        missing=(f"a log or a span of {name}",),
    )


def _silent(positions: range, seen: list[View], evidence: AttemptEvidence, topology: Topology) -> list[str]:
    known = {view.position for view in seen} | set(evidence.reported)
    return [topology.layers[position].name for position in positions if position not in known]


def _strength(grade: Grade) -> int:
    return -list(Grade).index(grade)


def _grade_of(view: View) -> Grade:
    return view.said.grade if view.said else Grade.TESTIFIED


def _cascade(seen: list[View], position: int) -> tuple[Cascade, ...]:
    """What followed in the other layers."""
    return tuple(Cascade(view.layer, _followed(view)) for view in seen if view.position != position)


def _followed(view: View) -> str:
    if view.ended_by is EndedBy.UPSTREAM:
        return phrases.upstream_ended(view.status)
    return {
        EndedBy.LAYER: phrases.fired_later(view.directive),
        EndedBy.CLIENT: phrases.LEFT,
        EndedBy.NONE: phrases.SAW_NOTHING,
        EndedBy.UNSAID: phrases.DOES_NOT_SAY,
    }[view.ended_by]


def _from_testimony(said: Statement) -> View:
    account = said.account
    return View(
        position=said.position,
        layer=account.layer,
        ended_by=account.ended_by,
        phase=account.phase,
        timer=account.timer,
        directive=account.directive,
        duration_s=account.duration_s,
        end_s=account.end_s,
        status=account.status,
        said=said,
    )


def _from_edges(edges: LayerRecord) -> View:
    ended = _ended(edges)
    return View(
        position=edges.position,
        layer=edges.layer,
        ended_by=ended,
        phase=edges.cut.phase if edges.cut else None,
        timer=edges.cut.timer if edges.cut else None,
        directive=edges.cut.directive if edges.cut else None,
        duration_s=edges.end_s - edges.start_s,
        end_s=edges.end_s,
        status=edges.status,
    )


def _ended(edges: LayerRecord) -> EndedBy:
    if edges.downstream is DownstreamEnd.LEFT or edges.upstream is UpstreamEnd.ABANDONED:
        return EndedBy.CLIENT
    if edges.cut is not None or edges.fell is not None:
        return EndedBy.LAYER
    if edges.upstream.by_them or (edges.status is not None and edges.status >= 500):
        return EndedBy.UPSTREAM
    return EndedBy.NONE


# --- testimony held against edges -------------------------------------------------------------------------


def contradictions(evidence: AttemptEvidence, verdict: Verdict) -> tuple[str, ...]:
    """Where a layer's log says otherwise than the edges: the edges win, and this is printed."""
    cutters = set(verdict.tie) or {verdict.layer or ""}
    by_layer = {edges.position: edges for edges in evidence.layers}
    found = []
    for said in evidence.testimony:
        account, edges = said.account, by_layer.get(said.position)
        words = f"{account.layer}'s {account.signal} ({account.place})"
        if account.ended_by is EndedBy.LAYER and account.layer not in cutters:
            left = edges is not None and (edges.caller_went_first or edges.caller_left_s is not None)
            why = (
                "its caller had left before" if left else f"{' and '.join(map(str, cutters))} had cut before"
            )
            found.append(f"{words} says it cut; {why}, as the edges show")
        elif account.layer in cutters and account.ended_by is not EndedBy.LAYER and verdict.timer:
            found.append(f"{words} says {_in_words(account.ended_by)}; the edges show that it cut")
        elif account.ended_by is EndedBy.NONE and edges is not None and _ended(edges) is not EndedBy.NONE:
            found.append(f"{words} says it went through whole; its edges show otherwise")
    return tuple(found)


def _in_words(ended_by: EndedBy) -> str:
    return {
        EndedBy.NONE: "that it went through whole",
        EndedBy.CLIENT: "that its caller left",
        EndedBy.UPSTREAM: "that its upstream ended it",
    }.get(ended_by, "nothing of it")


def testified_before(evidence: AttemptEvidence, position: int) -> bool:
    """Whether a layer further out than `position` shows no edges, and says in its log that it was first."""
    return any(
        said.position < position
        and said.position not in evidence.reported
        and said.account.ended_by in {EndedBy.LAYER, EndedBy.CLIENT}
        for said in evidence.testimony
    )


def with_testimony(verdict: Verdict, evidence: AttemptEvidence) -> Verdict:
    """A verdict on edges keeps its grade; what logs say for it and against it is beside."""
    if verdict.kind is Kind.UNATTRIBUTED or any(
        said.evidence in verdict.evidence for said in evidence.testimony
    ):
        return verdict
    beside = tuple(said.evidence for said in evidence.testimony if said.account.layer == verdict.layer)
    against = contradictions(evidence, verdict) if verdict.kind is Kind.CUT else ()
    return replace(
        verdict, evidence=(*verdict.evidence, *beside), contradictions=(*verdict.contradictions, *against)
    )
