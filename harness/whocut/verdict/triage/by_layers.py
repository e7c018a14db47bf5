"""What a layer on the way says: in its log's words, by its page, or by a bare status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.verdict import inference
from whocut.verdict.fingerprints import Ended, fingerprints
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.by_apis import CLOUDFLARES_OWN, by_client_error
from whocut.verdict.triage.coincidence import coincidences, is_its_limit, with_chain
from whocut.verdict.triage.endings import NOTHING_SENT, By, Cause, EndedBy, Retry
from whocut.verdict.triage.facts import Facts, best_of, tries_of
from whocut.verdict.triage.lexicon import Role
from whocut.verdict.triage.products import (
    PASSERS_BY,
    directive_of,
    family_of,
    first_timer_of,
    knob_of,
    named_in,
    title_of,
)
from whocut.verdict.triage.sides import side_of, what_to_do
from whocut.verdict.triage.statuses import How
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.verdict.inference import Inference
    from whocut.verdict.triage.lexicon import Said
    from whocut.verdict.triage.statuses import Status

# Words of a page by which the connection ended, not the work of what is behind it.
_CONNECTION: Final = ("closed the connection", "disconnect/reset before headers")
_BY_STATUS: Final = {
    525: ("the TLS handshake with the origin failed", None, Phase.CONNECT, Retry.SAFE),
    526: ("the origin's certificate is not valid", None, Phase.CONNECT, Retry.USELESS),
    530: ("the origin's name was not resolved, or its tunnel is down", None, Phase.CONNECT, Retry.SAFE),
}


def a_layer_says(facts: Facts) -> Triage | None:
    """A layer's own words: its log, or an answer of its own."""
    rows = [one for one in facts.said if one.speaker.role is Role.LAYER and one.tells >= 2]
    if not rows:
        return None
    best = best_of(rows)
    assert best is not None
    page = facts.page
    its_own = page is not None and page.layer == best.speaker.name and facts.code is None
    exact = best.row.ending.by is By.SELF or best.row.kind in NOTHING_SENT
    says_more = (
        page is not None and page.ended is Ended.UPSTREAM and page.phase is not Phase.CONNECT and exact
    )
    if page is not None and not best.row.log and not its_own and not says_more:
        return None  # the whole page tells more than words of it
    if best.row.log and best.tells < 4 and facts.page is not None:
        return None
    if best.row.kind == "failed" and _a_library_timed_out(facts):
        return None  # a gateway that quotes why its own call failed: what it quotes tells more
    return _from_layer(best, facts)


def _a_library_timed_out(facts: Facts) -> bool:
    """Whether a library that is named says of a timer of its own that it fired."""
    return any(
        one.speaker.role is Role.CLIENT
        and one.row.sure
        and one.row.timer is not None
        and one.row.ending.by is By.SELF
        for one in facts.said
    )


def _from_layer(best: Said, facts: Facts) -> Triage:
    ending, row, speaker = best.row.ending, best.row, best.speaker
    name = family_of(speaker.name, facts)
    title = title_of(name)
    ours = ending.by is By.SELF
    library = speaker.name == "litellm" and ours and not _is_proxy(facts)
    ended_by = EndedBy.CLIENT if library else side_of(ending.by, Role.LAYER)
    phase = row.phase
    grade = Grade.TESTIFIED if (row.log and row.sure) or library else Grade.INFERRED
    directive = row.directive
    if name != speaker.name and ours:
        directive = knob_of(name, row.timer) or directive
    return Triage(
        cause=ending.cause,
        name=f"{title}: {ending.says}",
        layer=advice.known(name) if ours or (row.kind in NOTHING_SENT and not row.log) else None,
        product=title,
        directive=directive if ours else None,
        timer=row.timer if ours else None,
        phase=phase,
        grade=grade,
        status=facts.code or row.status,
        ended_by=ended_by,
        retry=ending.retry,
        do=what_to_do(best, name, title, directive, ended_by),
        why=(f"{title} says: {best.words}", *tries_of(facts)),
    )


def _is_proxy(facts: Facts) -> bool:
    return facts.status is not None or "model group" in facts.lower or "litellm proxy" in facts.lower


def a_page_says(facts: Facts) -> Triage | None:
    """The layer whose page, or whose headers, the response has."""
    found = facts.page
    if found is None or found.layer is None:
        return None
    best = best_of([one for one in facts.said if one.speaker.role is Role.CLIENT and one.tells >= 4])
    body = any(reason.startswith("the body") for reason in found.why)
    if best is not None and not body and facts.status is not None and facts.status.how < How.SAID:
        return None
    return from_inference(found, facts)


def from_inference(found: Inference, facts: Facts) -> Triage:
    """A page as an answer: what is behind its layer, or that layer itself."""
    by_upstream = found.ended is Ended.UPSTREAM
    name = family_of(found.layer or "", facts) if not facts.chain else found.layer
    directive = found.directive or None
    if name != found.layer:
        directive = knob_of(name, found.timer) or directive
    title = found.title or "" if name == found.layer else title_of(name)
    connecting = found.timer is TimerKind.CONNECT or found.phase is Phase.CONNECT
    unsure = any(one.startswith("whatever is behind") for one in found.alternatives)
    why = found.why if found.verified else (*found.why, "this page is known from memory: unverified")
    if by_upstream:
        do = f"Look into the log of what is behind {title}: it closed the connection, or refused it, first."
    elif found.ended is Ended.CALLER:
        do = f"The request came in too slowly for {found.directive} of {title}: send a smaller upload, or raise it."
    else:
        do = advice.against_own_timer(name, title, directive, found.timer, EndedBy.LAYER)
    if unsure:
        do = (
            f"Look into {title}'s error log: it says whether its own timer fired or what is "
            f"behind it closed. {do}"
        )
    broken = by_upstream and any(words in facts.lower for words in _CONNECTION)
    retry = Retry.SAFE if connecting else Retry.UNKNOWN if by_upstream or unsure else Retry.PAYS_AGAIN
    if found.ended is Ended.CALLER:
        retry = Retry.SAFE
    return Triage(
        cause=(
            Cause.CONNECTION
            if connecting or broken
            else Cause.UPSTREAM
            if by_upstream
            else Cause.TIMEOUT_CHAIN
        ),
        name=f"what is behind {title} ended it" if by_upstream else f"{title} gave up",
        layer=found.layer if facts.chain else advice.known(name),
        product=title,
        directive=directive,
        timer=found.timer,
        phase=found.phase,
        grade=found.grade,
        status=facts.code,
        ended_by=(
            EndedBy.UPSTREAM
            if by_upstream
            else EndedBy.CLIENT
            if found.ended is Ended.CALLER
            else EndedBy.UNKNOWN
            if unsure
            else EndedBy.LAYER
        ),
        retry=retry,
        do=do,
        why=why,
        alternatives=found.alternatives if name == found.layer else (),
    )


def a_status_says(facts: Facts) -> Triage | None:
    """What a status says alone."""
    status = facts.status
    if status is None:
        return None
    code = status.code
    if code in CLOUDFLARES_OWN:
        return _by_cloudflare(code, facts)
    if code >= 500 or code in {408, 499, 460}:
        return _by_gateway_status(status, facts)
    if status.how < How.SAID:
        return None
    return by_client_error(code, facts)


def _by_cloudflare(code: int, facts: Facts) -> Triage | None:
    row = next((row for row in fingerprints() if code in row.status and row.layer == "cloudflare"), None)
    title = title_of("cloudflare")
    if row is None:
        says, timer, phase, retry = _BY_STATUS.get(
            code, ("the origin failed", None, Phase.CONNECT, Retry.SAFE)
        )
        return Triage(
            cause=Cause.CONNECTION,
            name=f"{title}: {says}",
            layer="cloudflare",
            product=title,
            timer=timer,
            phase=phase,
            grade=Grade.INFERRED,
            status=code,
            ended_by=EndedBy.LAYER,
            retry=retry,
            do=f"Look at the origin behind Cloudflare: {says}.",
            why=(f"{code} is Cloudflare's own number",),
        )
    found = inference.Inference(
        layer=row.layer,
        title=row.title,
        directive=row.directive,
        timer=row.timer,
        phase=row.phase,
        ended=row.ended,
        why=(f"{code} is Cloudflare's own number",),
    )
    return from_inference(found, facts)


def _by_gateway_status(status: Status, facts: Facts) -> Triage:
    code = status.code
    if code in {499, 460}:
        return Triage(
            cause=Cause.CALLER_LEFT,
            name="its caller left before the answer",
            phase=Phase.WAIT,
            grade=Grade.TESTIFIED if status.how is not How.WORDS else Grade.INFERRED,
            status=code,
            ended_by=EndedBy.CLIENT,
            retry=Retry.PAYS_AGAIN,
            do=advice.ENDINGS["left"],
            why=(f"{code} is what a gateway logs when its caller goes first",),
        )
    name = named_in(facts)
    title = title_of(name) if name else "a layer that does not give its name"
    passing = [title_of(one.name) for one in facts.names if one.name in PASSERS_BY and one.name != name]
    why: tuple[str, ...] = (
        f"{code} is what {title} answered"
        if name
        else f"a {code} comes from a layer or a server, not from a timer of the client",
    )
    why += tuple(f"{one} only passes it on" for one in dict.fromkeys(passing))
    timed_out = code in {504, 408, 598} or is_its_limit(name, first_timer_of(name), facts)
    timer = first_timer_of(name) if timed_out and name else None
    ended_by = EndedBy.LAYER if timed_out and not passing else EndedBy.UPSTREAM
    if timed_out and name:
        ended_by = EndedBy.LAYER
    return with_chain(
        Triage(
            cause=Cause.TIMEOUT_CHAIN if timed_out else Cause.UPSTREAM,
            name=f"{title} gave up waiting ({code})"
            if timed_out
            else f"what is behind {title} failed ({code})",
            layer=advice.known(name) if timed_out else None,
            product=title if name else None,
            directive=directive_of(name, timer) if timer else None,
            timer=timer,
            phase=Phase.WAIT,
            grade=Grade.INFERRED if name else Grade.UNATTRIBUTED,
            status=code,
            ended_by=ended_by,
            retry=Retry.PAYS_AGAIN if timed_out else Retry.UNKNOWN,
            do=(
                advice.against_own_timer(name, title, directive_of(name, timer), timer, EndedBy.LAYER)
                if timed_out and name
                else "Look at the response's headers and body (`curl -sv`): server, via and the "
                "page's footer name the layer "
                "that wrote it; say how long it took (--after), and read its log with `whocut attribute`."
            ),
            why=(*why, *tries_of(facts)),
            alternatives=coincidences(facts) if not name else (),
        ),
        facts,
    )
