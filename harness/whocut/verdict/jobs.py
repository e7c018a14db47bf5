"""The result of a job that was made and came to no one: which of the job's own clocks ended it, and in whose hands.

A job has a submit, polls and callbacks, and a layer on the way sees each of them alone. What holds them together is
the upstream's ledger, so a verdict of this kind is `testified` by it, and never more. A submit whose answer was
cut is an attempt that was cut: the layers' own edges tell of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import JobTimer
from whocut.trace.generations import CANCELLED
from whocut.trace.records import Outcome
from whocut.verdict.verdict import Evidence, Grade

if TYPE_CHECKING:
    from whocut.chain.layers import Topology
    from whocut.verdict.evidence import AttemptEvidence

RECEIVER: Final = "receiver"
_CLIENT, _UPSTREAM = "client", "upstream"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to lose a result: in which hands, by which clock, and what the ledger saw. `how` is for no clock."""

    by: str
    timer: JobTimer | None
    fact: str
    how: str = ""


WAYS: Final = {
    "poll_gave_up": Way(_CLIENT, JobTimer.POLL, "the last poll came before the image was there"),
    "poll_answer_lost": Way(
        _CLIENT, JobTimer.POLL, "the last poll came when the image was there, and its answer did not bring it"
    ),
    "never_told": Way(
        _UPSTREAM,
        None,
        "each answer to a poll after its end said that it still runs",
        how="by never saying that it was over",
    ),
    "job_restarted": Way(
        _UPSTREAM,
        None,
        "its worker died with the image, which was made again",
        how="by a restart of the job's worker",
    ),
    "never_asked": Way(_CLIENT, JobTimer.POLL, "no poll ever came"),
    "result_expired": Way(
        _UPSTREAM, JobTimer.EXPIRY, "the caller knew that it was over, and did not fetch it while it was kept"
    ),
    "callback_redirected": Way(
        RECEIVER, JobTimer.CALLBACK, "the callback was redirected, which accepts nothing"
    ),
    "callback_refused": Way(RECEIVER, JobTimer.CALLBACK, "the callback was refused"),
    "callback_gone": Way(RECEIVER, JobTimer.CALLBACK, "the receiver said that it is gone for good"),
    "callback_unanswered": Way(RECEIVER, JobTimer.CALLBACK, "the callback was not answered in time"),
    "callback_unreachable": Way(RECEIVER, JobTimer.CALLBACK, "the receiver could not be reached"),
    "callback_never_sent": Way(_UPSTREAM, JobTimer.CALLBACK, "no callback was sent, and no poll came"),
    CANCELLED: Way(_CLIENT, None, "the job was cancelled while it ran", how="by a cancel while the work ran"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What is known of a lost result; `after_s` counts from the submit."""

    layer: str
    title: str
    timer: JobTimer | None
    reason: str
    after_s: float | None
    at_s: float | None
    rests_on: tuple[Evidence, ...]
    grade: Grade = Grade.TESTIFIED


def how_lost(evidence: AttemptEvidence, topology: Topology) -> Lost | None:
    """How the result behind an accepted submit was lost; None where it was not, or the ledger does not say."""
    if evidence.outcome != Outcome.ACCEPTED or evidence.generation is None:
        return None
    made = (evidence.generation, *evidence.earlier)
    generation = next((one for one in made if one.lost is not None), None)
    if generation is None or generation.lost is None:
        return None
    way = WAYS.get(generation.lost)
    if way is None:
        return None
    layer, title = _named(way.by, topology)
    at_s = generation.lost_s
    return Lost(
        layer=layer,
        title=title,
        timer=way.timer,
        reason=way.how,
        after_s=None if at_s is None else max(0.0, at_s - generation.start_s),
        at_s=at_s,
        rests_on=(Evidence(topology.upstream.name, way.fact, Grade.TESTIFIED, at_s),),
    )


def _named(by: str, topology: Topology) -> tuple[str, str]:
    if by == _CLIENT:
        return topology.client.name, topology.client.title
    if by == _UPSTREAM:
        return topology.upstream.name, "the upstream"
    return RECEIVER, "the receiver of callbacks"
