"""HAProxy as a layer, from its Debian package.

It passes the caller's `traceparent` on as it came, and logs it, with the termination state, in the format that
`docs/logs.md` recommends. Its `retries` are those of the layer. Without a limit of the connection there is no retry:
its second behind a refused one is of real time, whatever the clock is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import Driver
from whocut.path.gateways.haproxy_own import own_haproxy
from whocut.trace.logs.haproxy import CAPTURES, LOG_FORMAT
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

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
    retries {again}
    timeout http-keep-alive {keepalive}
frontend callers
    bind 127.0.0.1:{port} backlog 4096
    {captures}
    {log_format}
    default_backend next
backend next
    server next {next}
"""


class Haproxy(Driver):
    """How HAProxy is configured and started."""

    program = "haproxy"
    install = "sudo apt-get install haproxy"
    out = ACCESS

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The configuration, with the layer's limits as directives."""
        text = _CONFIG.format(
            abort="    option abortonclose\n" if layer.notices_abort else "",
            never=_NEVER,
            again=max(layer.retries.tries, layer.retries.connects if TimerKind.CONNECT in layer.timers else 1)
            - 1,
            port=site.port,
            next=site.next,
            captures=CAPTURES,
            log_format=LOG_FORMAT,
            connect=site.time(layer, TimerKind.CONNECT, none=_NEVER),
            server=site.time(layer, TimerKind.IDLE, none=_NEVER),
            keepalive=site.time(layer, TimerKind.KEEPALIVE, none=_NEVER),
        )
        return {"haproxy.cfg": text}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's haproxy.cfg, changed where it must be."""
        return own_haproxy(config, site, layer.line)

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the file
        """In the foreground; its log is its standard output."""
        return [program, "-db", "-f", str(site.folder / "haproxy.cfg")]


GATEWAY = Haproxy()
