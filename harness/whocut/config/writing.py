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

_CONNECT, _IDLE, _TOTAL = TimerKind.CONNECT, TimerKind.IDLE, TimerKind.TOTAL


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as text, and what it cannot say of the layers."""

    text: str
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Limits:
    """What several layers come to: the shortest limit of each kind, in seconds; None is no timer."""

    connect_s: float | None
    silence_s: float | None
    total_s: float | None
    tries: int

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> _Limits:
        def shortest(*kinds: TimerKind) -> float | None:
            limits = [layer.limit_s(kind) for layer in layers for kind in kinds]
            return min((limit_s for limit_s in limits if limit_s is not None), default=None)

        return cls(
            connect_s=shortest(_CONNECT),
            silence_s=shortest(_IDLE, TimerKind.FIRST_BYTE),
            total_s=shortest(_TOTAL),
            tries=max((layer.retries.tries for layer in layers if layer.retries.post), default=1),
        )

    @property
    def retried(self) -> tuple[str, ...]:
        """That a POST was tried again is not carried over: each try is billed."""
        return (f"a POST was tried up to {self.tries} times; here it is sent once",) if self.tries > 1 else ()


def _seconds(limit_s: float) -> str:
    return f"{limit_s:g}s" if limit_s >= 1 else f"{limit_s * 1000:g}ms"


def _gateway_api(limits: _Limits) -> Written:
    total = _seconds(limits.total_s) if limits.total_s else "0s"
    lost = [*limits.retried]
    if limits.silence_s:
        lost.append(
            f"HTTPRoute has no limit between two bytes: the {_seconds(limits.silence_s)} of silence is lost"
        )
    if limits.connect_s:
        lost.append("HTTPRoute has no limit on connecting")
    return Written(
        f"# under each of the route's rules; 0s is no limit\ntimeouts:\n  request: {total}\n", tuple(lost)
    )


def _envoy_gateway(limits: _Limits) -> Written:
    total = _seconds(limits.total_s) if limits.total_s else "0s"
    http = [f"      requestTimeout: {total}"]
    if limits.silence_s:
        http.append(f"      streamIdleTimeout: {_seconds(limits.silence_s)}")
    tcp = f"    tcp:\n      connectTimeout: {_seconds(limits.connect_s)}\n" if limits.connect_s else ""
    text = (
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata:\n  name: images\nspec:\n"
        "  targetRefs:\n    - group: gateway.networking.k8s.io\n      kind: HTTPRoute\n      name: images\n"
        "  timeout:\n" + tcp + "    http:\n" + "\n".join(http) + "\n"
    )
    return Written(text, limits.retried)


def _nginx(limits: _Limits) -> Written:
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


def _haproxy(limits: _Limits) -> Written:
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


TARGETS: Final[dict[str, Callable[[_Limits], Written]]] = {
    "gateway-api": _gateway_api,
    "envoy-gateway": _envoy_gateway,
    "nginx": _nginx,
    "haproxy": _haproxy,
}


def target_of(name: str) -> Callable[[_Limits], Written]:
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
    write = target_of(to)
    unknown = [f"{knob} of {layer.name}" for layer in layers for knob in layer.unknown.values()]
    if unknown:
        raise BadInput(f"the limit is not known, and cannot be written: {', '.join(dict.fromkeys(unknown))}")
    return write(_Limits.of(layers))
