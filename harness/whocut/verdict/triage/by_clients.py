"""What a client raised: whose timer fired, whose knob it is, or how the other side ended it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.prefixes import container_of
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.coincidence import coincidences
from whocut.verdict.triage.endings import NOTHING_SENT, By, EndedBy, Retry
from whocut.verdict.triage.facts import Facts, best_of, tries_of
from whocut.verdict.triage.lexicon import Role, find, speakers
from whocut.verdict.triage.products import MEANT_BY_NOBODY, watch
from whocut.verdict.triage.sides import side_of, what_to_do
from whocut.verdict.triage.statuses import How
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.verdict.triage.lexicon import Said, Speaker
    from whocut.verdict.triage.statuses import Status

# Frames of a traceback that tell how far the response had come.
_FRAMES: Final = (
    ("_receive_response_body", Phase.STREAM),
    ("read_body_0", Phase.STREAM),
    ("iter_content", Phase.STREAM),
    ("read_chunked", Phase.STREAM),
    ("chunkedinputstream", Phase.STREAM),
    ("meteredstream", Phase.STREAM),
    ("iter_raw", Phase.STREAM),
    ("http1codec$chunkedsource", Phase.STREAM),
    ("http1exchangecodec$chunkedsource", Phase.STREAM),
    ("http1codec$fixedlengthsource", Phase.STREAM),
    ("http1exchangecodec$fixedlengthsource", Phase.STREAM),
    ("http2stream$framingsource", Phase.STREAM),
    ("_receive_response_headers", Phase.WAIT),
    ("read_status_line", Phase.WAIT),
    ("_read_status", Phase.WAIT),
)
_IN_BODY: Final = re.compile(r"with ([1-9]\d{0,12})(?: out of [\w-]{1,20})? bytes received")


def a_client_raised(facts: Facts) -> Triage | None:
    """What a client raised, unless a response says in the same text that the client's timers had not fired."""
    rows = [one for one in facts.said if one.speaker.role is Role.CLIENT and one.tells >= 2]
    best = best_of(rows)
    if best is None:
        return None
    gateway = _gateway_of(best, facts)
    if facts.status is not None and not _outranks(best, facts.status, gateway):
        return None
    return _from_client(best, facts, gateway)


def _outranks(best: Said, status: Status, gateway: Speaker | None) -> bool:
    """Whether a client's words say more than a status in the same text: a status means that an answer came."""
    if gateway is not None and best.tells >= 3:
        return True
    if status.how is How.ANSWERED:
        return False
    if best.row.ending.by is By.UPSTREAM or best.row.kind in NOTHING_SENT:
        return best.tells >= 3
    return best.tells >= 5 or (best.tells >= 4 and status.how is not How.SAID)


def _gateway_of(best: Said, facts: Facts) -> Speaker | None:
    """The gateway that speaks of its own call in a client's words, if one names itself."""
    return next(
        (
            one
            for one in facts.names
            if one.role is Role.LAYER
            and (best.speaker.name in one.sets or _reaches(one, best.speaker.name))
            and not _is_of_another(one, best, facts)
        ),
        None,
    )


def _is_of_another(speaker: Speaker, best: Said, facts: Facts) -> bool:
    """Whether the words are of a container, by its collector, that never has the speaker's name."""
    lines = facts.pasted.levels[0].lower().split("\n")
    named = [(name, line) for line in lines if (name := container_of(line))]
    containers = {name for name, line in named if find(line, best.words) >= 0}
    own = [line for name, line in named if name in containers]
    return bool(containers) and not any(find(line, mark) >= 0 for line in own for mark in speaker.marks)


def _from_client(best: Said, facts: Facts, gateway: Speaker | None) -> Triage:
    ending, row = best.row.ending, best.row
    owner, directive = _owner(best, facts)
    if gateway is not None and ending.by is By.SELF:
        owner, directive = gateway, gateway.knobs.get(watch(row.timer), row.directive)
    witness = _outermost(best, facts) if ending.by is not By.SELF else owner
    title = (
        witness.title
        if best.speaker.out == 0 and best.speaker.name in MEANT_BY_NOBODY
        else _on(witness, best)
    )
    ours = ending.by is By.SELF
    phase = _phase(best, facts)
    nobody = row.kind in {"abort", "program", "some_timer"} or owner.name in {"os", "any"} or not row.sure
    names_a_layer = ours and not nobody and row.kind != "trust"
    layer = advice.known(_preset_name(owner)) if names_a_layer else None
    ended_by = side_of(ending.by, owner.role if ours else Role.CLIENT)
    if row.kind == "os_connect":
        ended_by = EndedBy.CLIENT
    directive = directive if ours and row.kind not in {"abort", "some_timer", "trust"} else None
    retry = Retry.PAYS_AGAIN if ending.retry is Retry.UNKNOWN and phase is Phase.STREAM else ending.retry
    nothing_sent = row.kind in NOTHING_SENT
    grade = (
        Grade.TESTIFIED
        if (ours and row.sure and not (nobody and not directive)) or nothing_sent
        else Grade.UNATTRIBUTED
    )
    if row.shared and grade is Grade.TESTIFIED and owner is best.speaker and owner not in facts.names:
        grade = Grade.INFERRED
    return Triage(
        cause=ending.cause,
        name=f"{title}: {ending.says}" if ours and not nobody else ending.says,
        layer=layer,
        product=title if witness.name not in {"os", "any"} else None,
        directive=directive,
        timer=TimerKind.IDLE if phase is Phase.STREAM and row.timer is TimerKind.FIRST_BYTE else row.timer,
        phase=phase,
        grade=grade,
        status=_status(facts, owner),
        ended_by=ended_by,
        retry=retry,
        do=what_to_do(best, _preset_name(owner), title, directive, ended_by),
        why=(f"{best.words}: {ending.says}", *tries_of(facts)),
        alternatives=coincidences(facts) if layer is None and not nothing_sent and not ours else (),
    )


def _status(facts: Facts, owner: Speaker) -> int | None:
    """The answer's status, if the text has one that was not made up by its library."""
    made_up = {code for one in facts.names for code in one.fakes} | owner.fakes
    return None if facts.code in made_up else facts.code


def _outermost(best: Said, facts: Facts) -> Speaker:
    """The program that the words are of: the outermost that names itself and is built on the one that says them."""
    over = [one for one in facts.names if one.role is Role.CLIENT and _reaches(one, best.speaker.name)]
    return max(over, key=lambda one: one.out, default=best.speaker)


def _on(witness: Speaker, best: Said) -> str:
    """A program by name, and what it is built on where the words are of that."""
    inner = best.speaker
    if inner.name == witness.name or inner.name in MEANT_BY_NOBODY or inner.role is not Role.CLIENT:
        return witness.title
    return f"{witness.title} (on {inner.title})"


def _owner(best: Said, facts: Facts) -> tuple[Speaker, str | None]:
    """Whose knob it is: of the outermost speaker that sets the timers of the one whose words these are."""
    setters = [
        one
        for one in facts.names
        if one.out > best.speaker.out and _reaches(one, best.speaker.name) and one.role is Role.CLIENT
    ]
    if setters and best.row.ending.by is By.SELF and best.row.kind not in {"abort", "program"}:
        owner = max(setters, key=lambda one: one.out)
        knob = owner.knobs.get(watch(best.row.timer))
        if knob is not None:
            return owner, knob
    knob = best.row.directive or best.speaker.knobs.get(watch(best.row.timer))
    if best.speaker.name == "openai-sdk":
        for name in ("openai-python", "openai-node"):
            if any(one.name == name for one in facts.names):
                return next(one for one in speakers() if one.name == name), knob
    return best.speaker, knob


def _reaches(one: Speaker, name: str, depth: int = 0) -> bool:
    """Whether a speaker sets the timers of another, also through a third."""
    if name in one.sets:
        return True
    return depth < 4 and any(
        _reaches(inner, name, depth + 1)
        for inner in speakers()
        if inner.name in one.sets and inner.name != one.name
    )


def _preset_name(speaker: Speaker) -> str:
    """The preset's name: the SDK of either language has none of its own."""
    return {"httpcore": "httpx", "curl-command": "curl", "openai-sdk": ""}.get(speaker.name, speaker.name)


def _phase(best: Said, facts: Facts) -> Phase | None:
    row = best.row
    if row.ending.phase is Phase.CONNECT:
        return Phase.CONNECT
    if row.ending.by is By.SELF and (match := _IN_BODY.search(facts.pasted.text)):
        return Phase.STREAM if int(match[1]) else Phase.WAIT
    if facts.exchange is not None and facts.exchange.seen.in_body and row.phase is Phase.WAIT:
        return Phase.STREAM
    if row.kind in {"read", "closed", "reset", "some_timer"}:
        return next((phase for words, phase in _FRAMES if find(facts.lower, words) >= 0), row.phase)
    return row.phase
