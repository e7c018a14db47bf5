"""What is wrong with a chain as it is written, before any request: a table of rules over limits and manners.

The profile says how long generations take; "enough" is what 999 of 1,000 of them need. Each finding carries
the fix as the vendor's own configuration line wherever the catalogue knows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.durations import format_duration
from whocut.chain.layers import Buffering
from whocut.chain.profiles import FIRST_PARTIAL_S
from whocut.chain.timers import TimerKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.profiles import Profile
    from whocut.chain.timers import Timer

NEVER_S = math.inf
_ROUND_S = 30.0
_MOST_PARTIALS = 3
_RARE = 0.001  # a share of generations that nobody need plan for
_KEEPALIVE_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: where, why, and the line that mends it."""

    code: str
    layer: str
    directive: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of mistake."""

    code: str
    says: str
    find: Callable[[Topology, Profile], Iterator[Finding]]


def audit(topology: Topology, profile: Profile) -> tuple[Finding, ...]:
    """Everything the rules find, in the order of the rules and of the layers."""
    return tuple(finding for rule in RULES for finding in rule.find(topology, profile))


def enough_s(profile: Profile) -> float:
    """A round limit above what 999 of 1,000 generations take."""
    return math.ceil(profile.at(0.999) / _ROUND_S) * _ROUND_S


def patience(layer: Layer) -> Timer | None:
    """The timer that ends a silent request in this layer."""
    wait = layer.timers.get(TimerKind.FIRST_BYTE) or layer.timers.get(TimerKind.IDLE)
    both = [timer for timer in (wait, layer.timers.get(TimerKind.TOTAL)) if timer]
    return min(both, key=lambda timer: timer.limit_s, default=None)


def largest_gap_s(profile: Profile, partials: int) -> float:
    """The longest silence in a stream of a slow generation (the 95th percentile)."""
    if not partials:
        return profile.upper_s
    if profile.partials == "observed-2026":
        return profile.upper_s * 26 / 35
    first_s = FIRST_PARTIAL_S[0]
    return max(first_s, (profile.upper_s - first_s) / partials)


def raised(timer: Timer, limit_s: float) -> str:
    """The line that raises a limit so far, or what to do where the vendor does not allow it."""
    if timer.most_s is not None and limit_s > timer.most_s:
        most = format_duration(timer.most_s)
        way_out = "answer as a job (async), or take this layer out of the way"
        if timer.most_s > timer.limit_s:
            return f"{timer.line(timer.most_s)}  # {most} is the most there is; for more {way_out}"
        return f"cannot be raised above {most}: {way_out}"
    return timer.line(limit_s)


# --- the rules ------------------------------------------------------------------------------------


def _limit_below_generation(topology: Topology, profile: Profile) -> Iterator[Finding]:
    for layer in topology.layers:
        timer = patience(layer)
        if timer and timer.kind is not TimerKind.TOTAL and profile.longer_than(timer.limit_s) > _RARE:
            yield _finding(
                "limit-below-generation",
                layer,
                timer,
                f"{layer.title} waits {_about(timer.limit_s)} for an answer in one piece; "
                f"{_share(profile, timer)} of generations take longer (p95 {_about(profile.upper_s)})",
                raised(timer, enough_s(profile)),
            )


def _total_kills_stream(topology: Topology, profile: Profile) -> Iterator[Finding]:
    for layer in topology.layers:
        timer = layer.timers.get(TimerKind.TOTAL)
        if timer and profile.longer_than(timer.limit_s) > _RARE:
            yield _finding(
                "total-kills-stream",
                layer,
                timer,
                f"{layer.title} ends every answer after {_about(timer.limit_s)}, streamed or not; "
                f"{_share(profile, timer)} of generations take longer (p95 {_about(profile.upper_s)})",
                raised(timer, enough_s(profile)),
            )


def _idle_below_gap(topology: Topology, profile: Profile) -> Iterator[Finding]:
    for layer in topology.layers:
        timer = layer.timers.get(TimerKind.IDLE)
        if timer is None or timer.limit_s >= largest_gap_s(profile, 2):
            continue
        gap_s = largest_gap_s(profile, 2)
        enough = [n for n in range(1, _MOST_PARTIALS + 1) if largest_gap_s(profile, n) < timer.limit_s]
        other = (
            f" (or stream with partial_images={enough[0]})"
            if enough
            else " (or send an SSE comment every 15 s)"
        )
        yield _finding(
            "idle-below-gap",
            layer,
            timer,
            f"two partial images leave silences of up to {_about(gap_s)}, and {layer.title} allows "
            f"{_about(timer.limit_s)} between two bytes",
            raised(timer, math.ceil(gap_s / _ROUND_S) * _ROUND_S) + other,
        )


def _inverted_budget(topology: Topology, profile: Profile) -> Iterator[Finding]:
    del profile
    for place, inner in enumerate(topology.layers[1:], start=1):
        mine = patience(inner)
        outer = min(
            (layer for layer in topology.layers[:place] if patience(layer)), key=_patience_s, default=None
        )
        if mine is None or outer is None or _patience_s(outer) >= mine.limit_s:
            continue
        theirs = patience(outer)
        assert theirs is not None
        yield _finding(
            "inverted-budget",
            outer,
            theirs,
            f"{outer.title} gives up after {_about(theirs.limit_s)}, before {inner.title} inside it would answer "
            f"by itself ({mine.directive}, {_about(mine.limit_s)}): its caller never learns who was slow",
            f"{raised(theirs, mine.limit_s + _ROUND_S)} "
            f"(or inside, below it: {mine.line(max(1.0, theirs.limit_s - 5))})",
        )


def _retries_above_budget(topology: Topology, profile: Profile) -> Iterator[Finding]:
    del profile
    for place, inner in enumerate(topology.layers[1:], start=1):
        mine = patience(inner)
        retries = inner.retries
        if mine is None or retries.tries == 1 or not (retries.post and retries.on_timeout):
            continue
        budget_s = min((_patience_s(outer) for outer in topology.layers[:place]), default=NEVER_S)
        if mine.limit_s * retries.tries > budget_s:
            yield _finding(
                "retries-above-budget",
                inner,
                mine,
                f"{retries.tries} tries of {_about(mine.limit_s)} take {_about(mine.limit_s * retries.tries)}, and "
                f"a layer outside waits {_about(budget_s)}: the last try is paid for and never delivered",
                inner.knobs.get("retries") or mine.line(math.floor(budget_s / retries.tries)),
            )


def _retries_post(topology: Topology, profile: Profile) -> Iterator[Finding]:
    for layer in topology.layers:
        retries = layer.retries
        if retries.tries > 1 and retries.post and retries.on_timeout and _may_be_cut(topology, profile):
            yield Finding(
                code="retries-post",
                layer=layer.name,
                directive="retries",
                why=f"{layer.title} sends a POST up to {retries.tries} times when its outcome is unknown; each one "
                "starts and bills a generation of its own",
                fix=layer.knobs.get("retries") or f"no retries of POST in {layer.title}",
            )


def _buffered_stream(topology: Topology, profile: Profile) -> Iterator[Finding]:
    del profile
    for layer in topology.hops:
        if layer.buffering is Buffering.ALL:
            yield Finding(
                code="buffered-stream",
                layer=layer.name,
                directive="buffering",
                why=f"{layer.title} holds a response until it is complete: no byte of a stream reaches whoever "
                "stands before it, and their idle limits run through",
                fix=layer.knobs.get("buffering")
                or f"{layer.title} cannot stream; go round it, or answer as a job",
            )


def _keepalive_race(topology: Topology, profile: Profile) -> Iterator[Finding]:
    del profile
    for outer, inner in zip(topology.layers, topology.layers[1:], strict=False):
        pool, server = outer.timers.get(TimerKind.KEEPALIVE), inner.timers.get(TimerKind.KEEPALIVE)
        if pool and server and server.limit_s < pool.limit_s:
            yield _finding(
                "keepalive-race",
                inner,
                server,
                f"{inner.title} closes idle connections after {_about(server.limit_s)}, {outer.title} uses them "
                f"again up to {_about(pool.limit_s)}: a request sent into the close is lost (502)",
                server.line(pool.limit_s + _KEEPALIVE_MARGIN_S),
            )


def _work_left_running(topology: Topology, profile: Profile) -> Iterator[Finding]:
    for layer in topology.layers:
        timer = patience(layer)
        if layer.leaves_work and timer and profile.longer_than(timer.limit_s) > _RARE:
            yield _finding(
                "work-left-running",
                layer,
                timer,
                f"behind a cut by {layer.title} the work goes on: {layer.work_behind}",
                f"{raised(timer, enough_s(profile))} (or keep the result, and hand it out when asked again: a job)",
            )


def _blind_to_abort(topology: Topology, profile: Profile) -> Iterator[Finding]:
    del profile
    for outer, layer in zip(topology.layers, topology.layers[1:], strict=False):
        if not layer.notices_abort:
            yield Finding(
                code="blind-to-abort",
                layer=layer.name,
                directive="abort",
                why=f"{layer.title} does not notice that {outer.title} has left, and holds what is behind it: "
                f"{layer.work_behind}",
                fix=layer.knobs.get("abort") or f"no switch is known; let {layer.title}'s own limit end it",
            )


def _unverified(topology: Topology, profile: Profile) -> Iterator[Finding]:
    del profile
    for layer in topology.layers:
        seen = set()
        for timer in layer.timers.values():
            if not timer.verified and timer.directive not in seen:
                seen.add(timer.directive)
                yield _finding(
                    "unverified-limit",
                    layer,
                    timer,
                    f"{_about(timer.limit_s)} is known from memory alone ({timer.source})",
                    f"look it up, and write it into the chain file: timers: {{{timer.kind}: {timer.limit_s:g}s}}",
                )


RULES = (
    Rule(
        "limit-below-generation",
        "a limit on silence is shorter than a plain answer takes",
        _limit_below_generation,
    ),
    Rule(
        "total-kills-stream", "a limit on the whole answer is shorter than a generation", _total_kills_stream
    ),
    Rule(
        "idle-below-gap",
        "a limit between bytes is shorter than the gap between partial images",
        _idle_below_gap,
    ),
    Rule("buffered-stream", "a layer holds a stream until it is complete", _buffered_stream),
    Rule("inverted-budget", "an outer layer gives up before an inner one", _inverted_budget),
    Rule(
        "retries-above-budget",
        "a layer's tries together take longer than its caller waits",
        _retries_above_budget,
    ),
    Rule("retries-post", "a layer sends a POST again though the first may be worked on", _retries_post),
    Rule("work-left-running", "a layer lets the work behind its cut run on", _work_left_running),
    Rule("blind-to-abort", "a layer does not notice that its caller has left", _blind_to_abort),
    Rule(
        "keepalive-race", "an inner server closes connections that an outer pool still uses", _keepalive_race
    ),
    Rule("unverified-limit", "a limit that nobody has looked up", _unverified),
)


def _finding(code: str, layer: Layer, timer: Timer, why: str, fix: str) -> Finding:
    return Finding(code=code, layer=layer.name, directive=timer.directive, why=why, fix=fix)


def _patience_s(layer: Layer) -> float:
    timer = patience(layer)
    return timer.limit_s if timer else NEVER_S


def _may_be_cut(topology: Topology, profile: Profile) -> bool:
    return any(_patience_s(layer) < profile.at(0.999) for layer in topology.layers)


def _share(profile: Profile, timer: Timer) -> str:
    return f"{profile.longer_than(timer.limit_s) * 100:.3g} %"


def _about(seconds: float) -> str:
    return format_duration(float(f"{seconds:.3g}") if seconds < 1000 else round(seconds))
