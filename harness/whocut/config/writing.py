"""Layers that were read, as another product's configuration: what keeps alive what they let live, or why it cannot.

A limit between two bytes stays one where the target has such a limit. Where it has none, the target's own limits on
the whole are switched off, for a total of any length would end streams that lived. What is lost is said beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whocut.chain.layers import Layer

_MOST: Final = 99_999  # five digits
_UNITS_MS: Final = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_CONNECT, _IDLE, _TOTAL = TimerKind.CONNECT, TimerKind.IDLE, TimerKind.TOTAL


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as text, and what it cannot say of the layers."""

    text: str
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests are held to, in seconds, and how often a POST is sent; None is no timer."""

    connect_s: float | None
    silence_s: float | None
    total_s: float | None
    tries: int

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Limits:
        """What several layers come to: the shortest limit of each kind.

        Raises:
            BadInput: a limit of the layers is not known.
        """
        unknown = [f"{knob} of {layer.name}" for layer in layers for knob in layer.unknown.values()]
        if unknown:
            raise BadInput(
                f"the limit is not known, and cannot be written: {', '.join(dict.fromkeys(unknown))}"
            )

        def shortest(*kinds: TimerKind) -> float | None:
            limits = [layer.limit_s(kind) for layer in layers for kind in kinds]
            return min((limit_s for limit_s in limits if limit_s is not None), default=None)

        return cls(
            connect_s=shortest(_CONNECT),
            silence_s=shortest(_IDLE, TimerKind.FIRST_BYTE),
            total_s=shortest(_TOTAL),
            tries=max((layer.retries.tries for layer in layers if layer.retries.post), default=1),
        )

    @classmethod
    def loosest(cls, several: Sequence[Limits]) -> Limits:
        """The limits under which every request lives that lives under one of these."""

        def longest(limits: Sequence[float | None]) -> float | None:
            known = [limit_s for limit_s in limits if limit_s is not None]
            return max(known) if len(known) == len(limits) else None

        return cls(
            connect_s=longest([one.connect_s for one in several]),
            silence_s=longest([one.silence_s for one in several]),
            total_s=longest([one.total_s for one in several]),
            tries=max(one.tries for one in several),
        )

    @property
    def retried(self) -> tuple[str, ...]:
        """That a POST was tried again is not carried over: each try is billed."""
        return (f"a POST was tried up to {self.tries} times; here it is sent once",) if self.tries > 1 else ()


def _seconds(limit_s: float) -> str:
    """As nginx and HAProxy take it: a whole number of one unit."""
    return f"{limit_s:.0f}s" if limit_s == round(limit_s) else f"{limit_s * 1000:.0f}ms"


def gateway_time(limit_s: float | None) -> str:
    """As Gateway API takes it: whole numbers of at most five digits, the unit behind each; ``0s`` is no limit."""
    if limit_s is None:
        return "0s"
    left_ms = min(max(1, round(limit_s * 1000)), _MOST * _UNITS_MS["h"])
    if left_ms % _UNITS_MS["s"] == 0 and left_ms // _UNITS_MS["s"] <= _MOST:
        return f"{left_ms // _UNITS_MS['s']}s"
    parts = []
    for unit, unit_ms in _UNITS_MS.items():
        count, left_ms = divmod(left_ms, unit_ms)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def lost_in_a_route(limits: Limits) -> tuple[str, ...]:
    """What an HTTPRoute alone cannot say."""
    lost = [*limits.retried]
    if limits.silence_s:
        lost.append(
            f"HTTPRoute has no limit between two bytes: the {_seconds(limits.silence_s)} of silence is lost"
        )
    if limits.connect_s:
        lost.append("HTTPRoute has no limit on connecting")
    return tuple(lost)


def _gateway_api(limits: Limits) -> Written:
    total = gateway_time(limits.total_s)
    return Written(
        f"# under each of the route's rules; 0s is no limit\ntimeouts:\n  request: {total}\n",
        lost_in_a_route(limits),
    )


def backend_timeouts(limits: Limits) -> dict[str, dict[str, str]]:
    """`timeout` of a BackendTrafficPolicy."""
    tcp = {"tcp": {"connectTimeout": gateway_time(limits.connect_s)}} if limits.connect_s else {}
    http = {"requestTimeout": gateway_time(limits.total_s)}
    if limits.silence_s:
        http["streamIdleTimeout"] = gateway_time(limits.silence_s)
    return {**tcp, "http": http}


def _envoy_gateway(limits: Limits) -> Written:
    text = (
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata:\n  name: images\nspec:\n"
        "  targetRefs:\n    - group: gateway.networking.k8s.io\n      kind: HTTPRoute\n      name: images\n"
        "  # a rule's own timeouts come before these: take them out of the HTTPRoute\n"
        "  timeout:\n"
    )
    for part, times in backend_timeouts(limits).items():
        text += f"    {part}:\n" + "".join(f"      {name}: {time}\n" for name, time in times.items())
    return Written(text, limits.retried)


def _nginx(limits: Limits) -> Written:
    lines = []
    if limits.connect_s:
        lines.append(f"proxy_connect_timeout {_seconds(limits.connect_s)};")
    silence = _seconds(limits.silence_s) if limits.silence_s else "365d"
    lines += [f"proxy_read_timeout {silence};", f"proxy_send_timeout {silence};", "proxy_buffering off;"]
    lines.append("proxy_next_upstream off;")
    lost = [*limits.retried]
    if limits.total_s:
        lost.append(f"nginx has no limit on the whole answer: the {_seconds(limits.total_s)} in all are lost")
    return Written("# in the route's location\n" + "\n".join(lines) + "\n", tuple(lost))


def _haproxy(limits: Limits) -> Written:
    silence = _seconds(limits.silence_s) if limits.silence_s else "24d"
    lines = [f"    timeout server {silence}", "    retries 0"]
    if limits.connect_s:
        lines.insert(0, f"    timeout connect {_seconds(limits.connect_s)}")
    lost = [*limits.retried]
    if limits.total_s:
        lost.append(
            f"HAProxy has no limit on the whole answer: the {_seconds(limits.total_s)} in all are lost"
        )
    return Written("# in the route's backend\n" + "\n".join(lines) + "\n", tuple(lost))


TARGETS: Final[dict[str, Callable[[Limits], Written]]] = {
    "gateway-api": _gateway_api,
    "envoy-gateway": _envoy_gateway,
    "nginx": _nginx,
    "haproxy": _haproxy,
}


def target_of(name: str) -> Callable[[Limits], Written]:
    """The writer of that name.

    Raises:
        BadInput: the name is unknown; names the nearest one.
    """
    if name not in TARGETS:
        raise BadInput(
            f"there is no target '{name}'{nearest(name, TARGETS)}; there are {', '.join(TARGETS)}", field="to"
        )
    return TARGETS[name]


def written(layers: Sequence[Layer], to: str) -> Written:
    """The layers' limits as another product writes them.

    Raises:
        BadInput: there is no writer for the product, or a limit of the layers is not known.
    """
    return target_of(to)(Limits.of(layers))
