"""The caller's view alone: which layer's page this is, or at least whose limit the elapsed time is.

Order of trust: body > header > status > elapsed (also divided by the layer's own tries) > way of ending. The
answer is an inference and never more; what else it could have been is given beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.verdict.fingerprints import Ended, Fingerprint, fingerprints
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.chain.layers import Layer

_NEAR_SHARE: Final = 0.025  # how far an elapsed time may lie from a limit and still be it
_NEAR_S: Final = 0.5
_COMMON: Final = frozenset(
    {"cache-control", "connection", "content-type", "retry-after"}
)  # no layer's signature
_BETWEEN_TAGS: Final = re.compile(r">\s+<")
_SPACE: Final = re.compile(r"\s+")
_FEW: Final = 120  # characters that a `*` of a row may be, with what stands around it


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the caller has in hands. `whole`: the body is the body, and not a text it is quoted in."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: str | None = None
    whole: bool = True
    elapsed_s: float | None = None
    silence_s: float | None = None  # how long nothing had come when it ended

    @property
    def in_body(self) -> bool:
        """Whether a response had begun, and was no error page."""
        return self.status is not None and self.status < 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Which layer it was, by the caller's view alone. `layer` None: only the alternatives can be named."""

    layer: str | None
    title: str | None
    directive: str
    timer: TimerKind | None
    phase: Phase | None
    ended: Ended
    why: tuple[str, ...]
    alternatives: tuple[str, ...] = ()
    verified: bool = True
    limit_s: float | None = None
    grade: Grade = Grade.INFERRED


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well one row fits, best first when compared by `rank`."""

    row: Fingerprint
    body: bool
    headers: int
    status: bool
    times: float | None  # the elapsed time is that many limits
    limit_s: float | None
    why: tuple[str, ...]

    @property
    def rank(self) -> tuple[bool, int, int, bool, bool]:
        return (self.body, self.headers, int(self.row.depth), self.times is not None, self.row.verified)


def infer(seen: Seen, chain: Sequence[Layer] = ()) -> Inference | None:
    """The best reading of what the caller saw; None where nothing fits.

    `chain` narrows it: its layers are the likelier ones, and its own limits count instead of the defaults.
    """
    signed = by_signature(seen, chain)
    if signed is not None:
        return signed
    return by_limits(seen, chain) if chain else _by_elapsed(_fits(seen, chain), seen)


def by_signature(seen: Seen, chain: Sequence[Layer] = ()) -> Inference | None:
    """The layer whose page this is, by its body or by its headers and status; None where it is no known page."""
    signed = [
        fit
        for fit in _fits(seen, chain)
        # Words that any server may answer, like "Internal Server Error", are a layer's only with its time.
        if (fit.body and (fit.row.headers or fit.row.body or fit.times is not None))
        or (fit.headers and fit.status)
    ]
    return _by_signature(signed, seen, chain) if signed else None


def _fits(seen: Seen, chain: Sequence[Layer]) -> list[_Fit]:
    return [fit for row in fingerprints() if (fit := _fit(row, seen, chain)) is not None]


# --- by the page ------------------------------------------------------------------------------------------


def _fit(row: Fingerprint, seen: Seen, chain: Sequence[Layer]) -> _Fit | None:
    if seen.status is not None and row.status and seen.status not in row.status:
        return None
    body = _body_fits(row, seen)
    if body is False:
        return None
    headers = [
        name
        for name, begins in row.headers
        if name not in _COMMON and _header_fits(name, begins, seen.headers)
    ]
    limits_s = _limits_of(row, chain)
    times, limit_s = _elapsed_fits(seen.elapsed_s, limits_s, row.tries)
    why = []
    if body:
        quoted = "empty" if row.whole == "" else f"'{row.whole or _found(row, seen)}'"
        why.append(f"the body is {row.title}'s: {quoted}")
    if headers:
        why.append(f"the headers {', '.join(headers)} are {row.title}'s")
    if times is not None and seen.elapsed_s is not None:
        several = f"{times:g} × " if times > 1 else ""
        why.append(f"it took {seen.elapsed_s:g} s: {several}its limit of {limit_s:g} s")
    return _Fit(row, bool(body), len(headers), seen.status is not None, times, limit_s, tuple(why))


def _body_fits(row: Fingerprint, seen: Seen) -> bool | None:
    """Whether this is the row's body; None where either says nothing of a body."""
    if seen.body is None or not (row.body or row.whole is not None):
        return None
    if row.whole is not None:
        if seen.whole:
            # An empty body is no layer's signature without the headers to go with it.
            same = seen.body.strip() == row.whole
            return (None if _all_headers(row, seen) else False) if same and not row.whole else same
        found = row.quoted and bool(_phrase(row.whole).search(seen.body))
    else:
        found = bool(_found(row, seen)) and not any(text in _normal(seen.body) for text in row.without)
        if found and row.without and _ends_early(seen.body):
            return None  # what is missing may have been cut off
    # A text that quotes no page says nothing against it; a body that is another page does.
    return found or (False if seen.whole else None)


def _ends_early(body: str) -> bool:
    """Whether a page was cut off in quoting: one that begins and does not end."""
    lower = body.lower()
    return "<html" in lower and "</html" not in lower


def _all_headers(row: Fingerprint, seen: Seen) -> bool:
    return all(_header_fits(name, begins, seen.headers) for name, begins in row.headers)


def _phrase(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")


def _found(row: Fingerprint, seen: Seen) -> str | None:
    body = _normal(seen.body or "")
    return next((text for text in row.body if _holds(text, body)), None)


def _holds(text: str, body: str) -> bool:
    """Whether a body holds a row's text; `*` in it is a few words."""
    first, *rest = text.split("*")
    at = body.find(first)
    for part in rest:
        at = body.find(part, at, at + _FEW) if at >= 0 else at
    return at >= 0


@lru_cache(maxsize=1)
def _normal(body: str) -> str:
    """A body as the rows are held to it. All rows ask for the same one's, in turn."""
    return _SPACE.sub(" ", _BETWEEN_TAGS.sub("><", body))


def _header_fits(name: str, begins: str, headers: Mapping[str, str]) -> bool:
    if name.endswith("*"):
        return any(known.startswith(name[:-1]) for known in headers)
    return name in headers and headers[name].lower().startswith(begins)


def _by_signature(signed: list[_Fit], seen: Seen, chain: Sequence[Layer]) -> Inference:
    best = max(signed, key=lambda fit: fit.rank)
    row = best.row
    relayed = _relays(seen, row)
    why = [*best.why]
    if relayed:
        why.append(f"relayed by {', '.join(relayed)}, whose own page this is not")
    others = [fit.row.title for fit in signed if fit.body == best.body and fit.row.layer != row.layer]
    found = Inference(
        layer=row.layer,
        title=row.title,
        directive=row.directive,
        timer=row.timer,
        phase=row.phase,
        ended=row.ended,
        why=tuple(why),
        alternatives=tuple(dict.fromkeys(title for title in others if title not in relayed)),
        verified=row.verified,
        limit_s=best.limit_s,
    )
    if row.or_upstream:
        found = _or_upstream(found, seen, best)
    return _in_chain(found, seen, chain) if chain else found


def _or_upstream(found: Inference, seen: Seen, best: _Fit) -> Inference:
    """A page that its layer writes for its own timeout and for a dead upstream: the time tells, or nothing."""
    if seen.elapsed_s is None:
        return replace(found, alternatives=(*found.alternatives, f"whatever is behind {found.title}"))
    if best.times is not None or not best.row.elapsed_s:
        return found
    why = f"{seen.elapsed_s:g} s is not its limit, and it writes the same page where its upstream ended"
    return replace(found, ended=Ended.UPSTREAM, timer=None, directive="", limit_s=None, why=(*found.why, why))


def _in_chain(found: Inference, seen: Seen, chain: Sequence[Layer]) -> Inference:
    """The same, as the chain has it: its name for the layer, and the timer whose limit it took."""
    ours = [layer for layer in chain if _is(layer, found.layer or "")]
    if not ours:
        return replace(found, why=(*found.why, f"{found.title} is not in the chain that was given"))
    fired = [one for layer in ours for one in _fired(layer, seen)] if found.ended is Ended.LAYER else []
    if len({one.layer.name for one in fired}) > 1 or (not fired and len(ours) > 1):
        names = [one.layer.name for one in fired] or [layer.name for layer in ours]
        return _nobody_in_particular("; ".join(found.why), dict.fromkeys(names))
    if not fired:
        return replace(found, layer=ours[0].name, title=ours[0].title)
    one = next((one for one in fired if one.kind is found.timer), fired[0])
    timer = one.layer.timers[one.kind]
    return replace(
        found,
        layer=one.layer.name,
        title=one.layer.title,
        directive=timer.directive,
        timer=one.kind,
        limit_s=one.limit_s,
    )


def _relays(seen: Seen, inner: Fingerprint) -> tuple[str, ...]:
    """Layers further out that have put their headers on an answer which is not theirs."""
    found = (
        row.title
        for row in fingerprints()
        if row.depth < inner.depth and row.headers and _header_fits(*row.headers[0], seen.headers)
    )
    return tuple(dict.fromkeys(found))


# --- by the time it took ----------------------------------------------------------------------------------


def _by_elapsed(fits: list[_Fit], seen: Seen) -> Inference | None:
    """Whose default limit the elapsed time is: one layer by name, or several to choose from."""
    timed = [fit for fit in fits if fit.times is not None and fit.row.ended is Ended.LAYER]
    if seen.status is None:
        timed = [fit for fit in timed if not fit.row.status] or timed
    if not timed or seen.elapsed_s is None:
        return None
    once = [fit for fit in timed if fit.times == 1] or timed
    titles = tuple(dict.fromkeys(fit.row.title for fit in once))
    if len(titles) > 1:
        return _nobody_in_particular(f"{seen.elapsed_s:g} s is a default limit of several layers", titles)
    one = once[0]
    return Inference(
        layer=one.row.layer,
        title=one.row.title,
        directive=one.row.directive,
        timer=one.row.timer,
        phase=one.row.phase,
        ended=Ended.LAYER,
        why=one.why,
        limit_s=one.limit_s,
    )


@dataclass(frozen=True, slots=True)
class _Fired:
    """A timer of a chain whose limit is the time it took."""

    layer: Layer
    kind: TimerKind
    limit_s: float
    took_s: float


def by_limits(seen: Seen, chain: Sequence[Layer]) -> Inference | None:
    """Whose limit of this very chain the elapsed time, or the silence before the end, is; only if it is one's."""
    fired = [one for layer in chain for one in _fired(layer, seen)]
    if not fired:
        return None
    if len({one.layer.name for one in fired}) > 1:
        names = dict.fromkeys(one.layer.name for one in fired)
        return _nobody_in_particular("the time it took is a limit of several layers of this chain", names)
    one = fired[0]
    return Inference(
        layer=one.layer.name,
        title=one.layer.title,
        directive=one.layer.timers[one.kind].directive,
        timer=one.kind,
        phase=Phase.STREAM if seen.in_body else Phase.WAIT,
        ended=Ended.LAYER,
        why=(f"it ended after {one.took_s:.1f} s: in this chain the limit of {one.layer.title} alone",),
        limit_s=one.limit_s,
    )


def _fired(layer: Layer, seen: Seen) -> list[_Fired]:
    """The timers of a layer that can have fired when it ended."""
    took_s = {TimerKind.TOTAL: seen.elapsed_s}
    if seen.in_body:
        took_s[TimerKind.IDLE] = seen.silence_s
    else:
        took_s[TimerKind.CONNECT] = seen.elapsed_s
        if layer.waiting is not None:
            took_s[layer.waiting.kind] = seen.elapsed_s
    again = layer.retries.tries if layer.retries.on_timeout else 1
    fired = []
    for kind, timer in layer.timers.items():
        tries = max(again, layer.retries.connects) if kind is TimerKind.CONNECT else again
        times, limit_s = _elapsed_fits(took_s.get(kind), (timer.limit_s,), tries)
        if times is not None and limit_s is not None:
            fired.append(_Fired(layer, kind, limit_s, took_s[kind] or 0.0))
    return fired


def _nobody_in_particular(why: str, alternatives: Iterable[str]) -> Inference:
    return Inference(
        layer=None,
        title=None,
        directive="",
        timer=None,
        phase=None,
        ended=Ended.LAYER,
        why=(why,),
        alternatives=tuple(alternatives),
    )


def _limits_of(row: Fingerprint, chain: Sequence[Layer]) -> tuple[float, ...]:
    layer = next((layer for layer in chain if _is(layer, row.layer)), None)
    limit_s = layer.limit_s(row.timer) if layer and row.timer else None
    return (limit_s,) if limit_s is not None else row.elapsed_s


def _is(layer: Layer, known: str) -> bool:
    """Whether a layer of a chain is the one a row speaks of: by its preset, a plan of it, or its name."""
    return any(name == known or name.startswith(f"{known}-") for name in (layer.preset, layer.name))


def _elapsed_fits(
    elapsed_s: float | None, limits_s: Iterable[float], tries: int
) -> tuple[int | None, float | None]:
    """How many limits in a row the elapsed time is, the fewest first and the nearest among those."""
    if elapsed_s is None:
        return None, None
    near = [
        (times, abs(elapsed_s - times * limit_s), limit_s)
        for times in range(1, tries + 1)
        for limit_s in limits_s
        if abs(elapsed_s - times * limit_s) <= max(_NEAR_S, _NEAR_SHARE * times * limit_s)
    ]
    if not near:
        return None, None
    times, _, limit_s = min(near)
    return times, limit_s
