"""What is wrong with a chain as it is written, before any request: a table of rules over limits and manners.

The profile says how long generations take; "enough" is what 999 of 1,000 of them need. Each finding carries
the fix as the vendor's own configuration line wherever the catalogue knows it. All fixes agree: a knob has one new
value (`targets`), whichever rule asks for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from whocut.chain.layers import Buffering
from whocut.chain.profiles import FIRST_PARTIAL_S
from whocut.chain.targets import enough_s, patience, targets, too_short
from whocut.chain.timers import TimerKind
from whocut.words import format_duration, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.profiles import Profile
    from whocut.chain.targets import Targets
    from whocut.chain.timers import Timer

NEVER_S = math.inf
BEYOND = "limit-above-cap"
_MOST_PARTIALS = 3
_KEEPALIVE_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: where, why, and the line that mends it.

    `fix` is a line to paste; where `pastes` is False it is words, for there is no line that helps. `or_else` is
    another way, in words. `to_s` is the limit that the line sets. `file` and `line` are the place in the user's own
    file, of the limit or of the layer.
    """

    code: str
    layer: str
    directive: str
    why: str
    fix: str
    pastes: bool = True
    to_s: float | None = None
    or_else: str = ""
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What the rules look at: a chain, how long its generations take, and the new value of each knob."""

    topology: Topology
    profile: Profile
    targets: Targets


@dataclass(frozen=True, slots=True)
class AuditRule:
    """One kind of mistake."""

    code: str
    says: str
    find: Callable[[Audited], Iterator[Finding]]


def audit(topology: Topology, profile: Profile, need_s: float | None = None) -> tuple[Finding, ...]:
    """Everything the rules find, in the order of the rules and of the layers.

    `need_s` is the limit that is enough, where more than this profile has to pass.
    """
    seen = Audited(topology=topology, profile=profile, targets=targets(topology, need_s or enough_s(profile)))
    return tuple(_placed(topology, finding) for rule in RULES for finding in rule.find(seen))


def _placed(topology: Topology, finding: Finding) -> Finding:
    """The finding with its place: that of the limit, or of the layer where no file has the limit."""
    layer = topology.layer(finding.layer)
    if finding.file or layer is None:
        return finding
    return replace(finding, file=layer.file, line=layer.line)


def largest_gap_s(profile: Profile, partials: int) -> float:
    """The longest silence in a stream of a slow generation (the 95th percentile)."""
    if not partials:
        return profile.upper_s
    if profile.partials == "observed-2026":
        return profile.upper_s * 26 / 35
    first_s = FIRST_PARTIAL_S[0]
    return max(first_s, (profile.upper_s - first_s) / partials)


# --- the rules ------------------------------------------------------------------------------------


def _beyond_its_cap(seen: Audited) -> Iterator[Finding]:
    for layer in seen.topology.layers:
        for timer in _knobs(layer):
            if timer.most_s is not None and timer.is_beyond:
                most = _about(timer.most_s)
                doubt = "" if timer.most_sure else ", as far as is known"
                yield _finding(
                    BEYOND,
                    layer,
                    timer,
                    f"{layer.title} allows at most {most}{doubt}: a limit of {_about(timer.limit_s)} is refused or "
                    "cut down there",
                    timer.set_to(timer.most_s),
                    to_s=timer.most_s,
                )


def _limit_below_generation(seen: Audited) -> Iterator[Finding]:
    profile = seen.profile
    for layer in seen.topology.layers:
        timer = patience(layer)
        if timer and timer.kind is not TimerKind.TOTAL and too_short(timer, profile):
            yield _raise(
                "limit-below-generation",
                seen,
                layer,
                timer,
                f"{layer.title} waits {_about(timer.limit_s)} for an answer in one piece; "
                f"{_longer(profile, timer)} of generations take longer (p95 {_about(profile.upper_s)})",
            )


def _total_kills_stream(seen: Audited) -> Iterator[Finding]:
    profile = seen.profile
    for layer in seen.topology.layers:
        timer = layer.timers.get(TimerKind.TOTAL)
        if timer and too_short(timer, profile):
            yield _raise(
                "total-kills-stream",
                seen,
                layer,
                timer,
                f"{layer.title} ends every answer after {_about(timer.limit_s)}, streamed or not; "
                f"{_longer(profile, timer)} of generations take longer (p95 {_about(profile.upper_s)})",
            )


def _idle_below_gap(seen: Audited) -> Iterator[Finding]:
    profile = seen.profile
    gap_s = largest_gap_s(profile, 2)
    for layer in seen.topology.layers:
        timer = layer.timers.get(TimerKind.IDLE)
        if timer is None or timer.limit_s >= gap_s:
            continue
        enough = [n for n in range(1, _MOST_PARTIALS + 1) if largest_gap_s(profile, n) < timer.limit_s]
        yield _raise(
            "idle-below-gap",
            seen,
            layer,
            timer,
            f"two partial images leave silences of up to {_about(gap_s)}, and {layer.title} allows "
            f"{_about(timer.limit_s)} between two bytes",
            f"stream with partial_images={enough[0]}" if enough else "send an SSE comment every 15 s",
        )


def _inverted_budget(seen: Audited) -> Iterator[Finding]:
    """Named is the layer whose knob is to be turned: the inner one, where it can go below the outer."""
    layers = seen.topology.layers
    for place, inner in enumerate(layers[1:], start=1):
        mine = patience(inner)
        outer = min((layer for layer in layers[:place] if patience(layer)), key=_patience_s, default=None)
        if mine is None or outer is None or _patience_s(outer) >= mine.limit_s:
            continue
        theirs = patience(outer)
        assert theirs is not None
        why = (
            f"{outer.title} gives up after {_about(theirs.limit_s)} ({theirs.directive}), before {inner.title} "
            f"inside it answers by itself ({mine.directive}, {_about(mine.limit_s)}): its caller never learns who "
            "was slow"
        )
        lower_s = seen.targets.get((inner.name, mine.directive))
        if lower_s is not None and lower_s < mine.limit_s:
            yield _finding("inverted-budget", inner, mine, why, mine.set_to(lower_s), to_s=lower_s)
        else:
            yield _raise("inverted-budget", seen, outer, theirs, why)


def _retries_above_budget(seen: Audited) -> Iterator[Finding]:
    layers = seen.topology.layers
    for place, inner in enumerate(layers[1:], start=1):
        mine = patience(inner)
        retries = inner.retries
        if mine is None or retries.tries == 1 or not (retries.post and retries.on_timeout):
            continue
        budget_s = min((_patience_s(outer) for outer in layers[:place]), default=NEVER_S)
        if mine.limit_s * retries.tries > budget_s:
            yield _finding(
                "retries-above-budget",
                inner,
                mine,
                f"{retries.tries} tries of {_about(mine.limit_s)} take {_about(mine.limit_s * retries.tries)}, and "
                f"a layer outside waits {_about(budget_s)}: the last try is paid for and never delivered",
                _once(inner),
                pastes="retries" in inner.knobs,
            )


def _retries_post(seen: Audited) -> Iterator[Finding]:
    for layer in seen.topology.layers:
        retries = layer.retries
        if retries.tries > 1 and retries.post and retries.on_timeout and _may_be_cut(seen):
            yield Finding(
                code="retries-post",
                layer=layer.name,
                directive="retries",
                why=f"{layer.title} sends a POST up to {retries.tries} times when its outcome is unknown; each one "
                "starts and bills a generation of its own",
                fix=_once(layer),
                pastes="retries" in layer.knobs,
            )


def _tries_without_effect(seen: Audited) -> Iterator[Finding]:
    """Tries that a file asks for, and that a slow answer to a POST never gets."""
    for layer in seen.topology.layers:
        retries = layer.retries
        if not retries.file or retries.tries == 1 or (retries.post and retries.on_timeout):
            continue
        if not retries.post:
            because, wanted = "it sends no POST again", "post: true, on_timeout: true"
        elif retries.needs:
            because, wanted = f"no {retries.needs} is set, and its other timers end the whole request", ""
        else:
            because, wanted = "it does not try again after a timer of its own", "on_timeout: true"
        yield Finding(
            code="tries-without-effect",
            layer=layer.name,
            directive="retries",
            why=f"{retries.tries} tries of {layer.title} have no effect on an answer that is too slow: {because}",
            fix=f"retries: {{tries: {retries.tries}, {wanted}}}"
            if wanted
            else f"set {retries.needs} (first_byte)",
            pastes=bool(wanted),
            or_else="take `tries` away, if the layer does not try again",
            file=retries.file,
            line=retries.line,
        )


def _buffered_stream(seen: Audited) -> Iterator[Finding]:
    for layer in seen.topology.hops:
        if layer.buffering is Buffering.ALL:
            yield Finding(
                code="buffered-stream",
                layer=layer.name,
                directive="buffering",
                why=f"{layer.title} holds a response until it is complete: no byte of a stream reaches the layers "
                "before it, and their idle limits run through",
                fix=layer.knobs.get("buffering") or f"{layer.title} cannot stream",
                pastes="buffering" in layer.knobs,
                or_else="" if "buffering" in layer.knobs else "go round it, or answer as a job",
            )


def _keepalive_race(seen: Audited) -> Iterator[Finding]:
    layers = seen.topology.layers
    for outer, inner in pairwise(layers):
        pool, server = outer.timers.get(TimerKind.KEEPALIVE), inner.timers.get(TimerKind.KEEPALIVE)
        if pool and server and server.limit_s < pool.limit_s:
            longer_s = _longer_than(seen, (outer, pool), (inner, server))
            again = f"let {outer.title} use a connection again only before {inner.title} closes it"
            yield _finding(
                "keepalive-race",
                inner,
                server,
                f"{inner.title} closes idle connections after {_about(server.limit_s)}, {outer.title} uses them "
                f"again up to {_about(pool.limit_s)}: a request sent into the close is lost (502)",
                again if longer_s is None else server.set_to(longer_s),
                pastes=longer_s is not None,
                to_s=longer_s,
            )


def _longer_than(seen: Audited, outer: tuple[Layer, Timer], inner: tuple[Layer, Timer]) -> float | None:
    """The limit that lets a server keep connections longer than the pool before it, by each knob's new value."""
    (before, pool), (behind, server) = outer, inner
    above_s = seen.targets.get((before.name, pool.directive), pool.limit_s) + _KEEPALIVE_MARGIN_S
    new_s = seen.targets.get((behind.name, server.directive), above_s)
    if new_s < above_s or (server.most_s is not None and above_s > server.most_s):
        return None
    return new_s


def _work_left_running(seen: Audited) -> Iterator[Finding]:
    for layer in seen.topology.layers:
        timer = patience(layer)
        if layer.leaves_work and timer and too_short(timer, seen.profile):
            yield _raise(
                "work-left-running",
                seen,
                layer,
                timer,
                f"behind a cut by {layer.title} the work runs on: {layer.work_behind}",
                "keep the result, and hand it out when asked again: a job",
            )


def _blind_to_abort(seen: Audited) -> Iterator[Finding]:
    layers = seen.topology.layers
    for outer, layer in pairwise(layers):
        if not layer.notices_abort:
            yield Finding(
                code="blind-to-abort",
                layer=layer.name,
                directive="abort",
                why=f"{layer.title} does not notice that {outer.title} has left, and holds what is behind it: "
                f"{layer.work_behind}",
                fix=layer.knobs.get("abort") or f"no switch is known; let {layer.title}'s own limit end it",
                pastes="abort" in layer.knobs,
            )


def _unverified(seen: Audited) -> Iterator[Finding]:
    for layer in seen.topology.layers:
        for timer in _knobs(layer):
            if not timer.verified:
                yield _finding(
                    "unverified-limit",
                    layer,
                    timer,
                    f"{_about(timer.limit_s)} is known from memory alone ({timer.source})",
                    f"look it up, and write what you find into the chain file, as `{timer.kind}` under `timers`",
                    pastes=False,
                )


def _unknown(seen: Audited) -> Iterator[Finding]:
    for layer in seen.topology.layers:
        for directive in dict.fromkeys(layer.unknown.values()):
            kinds = ", ".join(f"`{kind}`" for kind, knob in layer.unknown.items() if knob == directive)
            yield Finding(
                code="unknown-limit",
                layer=layer.name,
                directive=directive,
                why=f"{layer.title} may have such a timer, and its limit is not known: nothing is forecast of it",
                fix=f"measure it, and write what you find into the chain file, as {kinds} under `timers`",
                pastes=False,
            )


RULES = (
    AuditRule(BEYOND, "a limit is above the highest that its vendor allows", _beyond_its_cap),
    AuditRule(
        "limit-below-generation",
        "a limit on silence is shorter than a plain answer takes",
        _limit_below_generation,
    ),
    AuditRule(
        "total-kills-stream", "a limit on the whole answer is shorter than a generation", _total_kills_stream
    ),
    AuditRule(
        "idle-below-gap",
        "a limit between bytes is shorter than the gap between partial images",
        _idle_below_gap,
    ),
    AuditRule("buffered-stream", "a layer holds a stream until it is complete", _buffered_stream),
    AuditRule("inverted-budget", "an outer layer gives up before an inner one", _inverted_budget),
    AuditRule(
        "retries-above-budget",
        "a layer's tries together take longer than its caller waits",
        _retries_above_budget,
    ),
    AuditRule("retries-post", "a layer sends a POST again though the first may be worked on", _retries_post),
    AuditRule(
        "tries-without-effect", "tries are asked for that a slow answer never gets", _tries_without_effect
    ),
    AuditRule("work-left-running", "a layer lets the work behind its cut run on", _work_left_running),
    AuditRule("blind-to-abort", "a layer does not notice that its caller has left", _blind_to_abort),
    AuditRule(
        "keepalive-race", "an inner server closes connections that an outer pool still uses", _keepalive_race
    ),
    AuditRule("unverified-limit", "a limit that is known from memory alone", _unverified),
    AuditRule("unknown-limit", "a limit that could not be found out", _unknown),
)


def _finding(
    code: str,
    layer: Layer,
    timer: Timer,
    why: str,
    fix: str,
    *,
    pastes: bool = True,
    or_else: str = "",
    to_s: float | None = None,
) -> Finding:
    return Finding(
        code=code,
        layer=layer.name,
        directive=timer.directive,
        why=why,
        fix=fix,
        pastes=pastes,
        to_s=to_s,
        or_else=or_else,
        file=timer.file,
        line=timer.line,
    )


def _raise(code: str, seen: Audited, layer: Layer, timer: Timer, why: str, other: str = "") -> Finding:
    """The finding that a limit is too short, with the line that raises it as far as its vendor allows."""
    limit_s = seen.targets.get((layer.name, timer.directive))
    most_s = timer.most_s
    if most_s is None or (limit_s is not None and limit_s < most_s):
        return _finding(
            code, layer, timer, why, timer.set_to(limit_s or timer.limit_s), or_else=other, to_s=limit_s
        )
    most = format_duration(most_s)
    way_out = ", ".join(
        way for way in (other, "answer as a job (async)", "take this layer out of the way") if way
    )
    if limit_s is not None:
        more = f"{most} is the most there is; for more: {way_out}"
        return _finding(code, layer, timer, why, timer.set_to(limit_s), or_else=more, to_s=limit_s)
    return _finding(code, layer, timer, why, f"cannot be raised above {most}", pastes=False, or_else=way_out)


def _knobs(layer: Layer) -> list[Timer]:
    """The layer's timers, one of each knob."""
    knobs: dict[str, Timer] = {}
    for timer in layer.timers.values():
        knobs.setdefault(timer.directive, timer)
    return list(knobs.values())


def _once(layer: Layer) -> str:
    return layer.knobs.get("retries") or f"one try of a POST in {layer.title}"


def _patience_s(layer: Layer) -> float:
    timer = patience(layer)
    return timer.limit_s if timer else NEVER_S


def _may_be_cut(seen: Audited) -> bool:
    waiting = [timer for timer in map(patience, seen.topology.layers) if timer]
    return any(timer.limit_s < seen.profile.at(0.999) for timer in waiting)


def _longer(profile: Profile, timer: Timer) -> str:
    return percent(profile.longer_than(timer.limit_s))


def _about(seconds: float) -> str:
    return format_duration(float(f"{seconds:.3g}") if seconds < 1000 else round(seconds))
