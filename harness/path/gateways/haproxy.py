"""HAProxy as a layer, from its Debian package.

Its log is JSON with the W3C ids and the termination state; HAProxy mints a span id of its own from a UUID and
makes it the parent of what comes next.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from harness.chain.timers import TimerKind
from harness.errors import BadInput
from harness.path.gateways.process import milliseconds

if TYPE_CHECKING:
    from pathlib import Path

    from harness.chain.layers import Layer
    from harness.clock import Clock

_NEVER = "24d"  # HAProxy's longest; without a line it warns and waits for ever

_CONFIG = """\
global
    log stdout format raw local0
    maxconn 8192
defaults
    mode http
    log global
    option http-no-delay
{abort}    timeout client {never}
    timeout connect {connect}
    timeout server {server}
    timeout http-keep-alive {keepalive}
frontend callers
    bind 127.0.0.1:{port} backlog 4096
    http-request set-var(txn.trace) req.hdr(traceparent),field(2,-)
    http-request set-var(txn.parent) req.hdr(traceparent),field(3,-)
    http-request set-var(txn.trace) uuid(4),regsub(-,,g) unless {{ var(txn.trace) -m len 32 }}
    http-request set-var(txn.span) uuid(4),regsub(-,,g),bytes(0,16)
    http-request set-header traceparent 00-%[var(txn.trace)]-%[var(txn.span)]-01
    log-format '{{"trace":"%[var(txn.trace)]","parent":"%[var(txn.parent)]","span":"%[var(txn.span)]",\
"at":"%Ts.%ms","took_ms":"%Ta","status":"%ST","bytes":"%B","state":"%tsc","connect_ms":"%Tc",\
"response_ms":"%Tr","data_ms":"%Td"}}'
    default_backend next
backend next
    server next {host}:{upstream_port}
"""


class Haproxy:
    """How HAProxy is configured, started and ended."""

    program = "haproxy"
    package = "haproxy"
    stop_signal = signal.SIGTERM

    def config(
        self,
        layer: Layer,
        *,
        clock: Clock,
        upstream: tuple[str, int],
        port: int,
        folder: Path,  # noqa: ARG002  # it writes nothing into its folder
    ) -> str:
        """The configuration, with the layer's limits as directives.

        Raises:
            BadInput: HAProxy has one knob for the first byte and for silence, and no total.
        """
        first_byte_s, idle_s = layer.limit_s(TimerKind.FIRST_BYTE), layer.limit_s(TimerKind.IDLE)
        if layer.limit_s(TimerKind.TOTAL) is not None:
            raise BadInput(f"{layer.name}: HAProxy has no timer for the whole response; take `total` away")
        if first_byte_s != idle_s:
            raise BadInput(
                f"{layer.name}: HAProxy's `timeout server` is `first_byte` and `idle` at once; make them one"
            )
        return _CONFIG.format(
            abort="    option abortonclose\n" if layer.notices_abort else "",
            never=_NEVER,
            port=port,
            host=upstream[0],
            upstream_port=upstream[1],
            connect=milliseconds(layer.limit_s(TimerKind.CONNECT), clock, _NEVER),
            server=milliseconds(idle_s, clock, _NEVER),
            keepalive=milliseconds(layer.limit_s(TimerKind.KEEPALIVE), clock, _NEVER),
        )

    def command(self, program: str, config: Path, folder: Path) -> list[str]:  # noqa: ARG002  # as above
        """In the foreground."""
        return [program, "-db", "-f", str(config)]
