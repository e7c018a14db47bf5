"""HAProxy as a layer, from its Debian package.

It passes the caller's `traceparent` on as it came, and logs it, with the termination state, in the format that
`docs/logs.md` recommends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.process import milliseconds
from whocut.trace.logs.haproxy import CAPTURES, LOG_FORMAT
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.clock import Clock

_NEVER = "24d"  # HAProxy's longest; without a line it warns and waits for ever

_CONFIG = """\
global
    log stdout format raw local0
    maxconn 8192
defaults
    mode http
    log global
    option http-no-delay
    option dontlognull
{abort}    timeout client {never}
    timeout connect {connect}
    timeout server {server}
    timeout http-keep-alive {keepalive}
frontend callers
    bind 127.0.0.1:{port} backlog 4096
    {captures}
    {log_format}
    default_backend next
backend next
    server next {host}:{upstream_port}
"""


class Haproxy:
    """How HAProxy is configured and started."""

    program = "haproxy"
    package = "haproxy"
    out = ACCESS

    def config(
        self,
        layer: Layer,
        *,
        clock: Clock,
        upstream: tuple[str, int],
        port: int,
        folder: Path,  # noqa: ARG002  # it writes nothing into its folder
    ) -> str:
        """The configuration, with the layer's limits as directives."""
        return _CONFIG.format(
            abort="    option abortonclose\n" if layer.notices_abort else "",
            never=_NEVER,
            port=port,
            host=upstream[0],
            upstream_port=upstream[1],
            captures=CAPTURES,
            log_format=LOG_FORMAT,
            connect=milliseconds(layer.limit_s(TimerKind.CONNECT), clock, _NEVER),
            server=milliseconds(layer.limit_s(TimerKind.IDLE), clock, _NEVER),
            keepalive=milliseconds(layer.limit_s(TimerKind.KEEPALIVE), clock, _NEVER),
        )

    def command(self, program: str, config: Path, folder: Path) -> list[str]:  # noqa: ARG002  # as above
        """In the foreground; its log is its standard output."""
        return [program, "-db", "-f", str(config)]


GATEWAY = Haproxy()
