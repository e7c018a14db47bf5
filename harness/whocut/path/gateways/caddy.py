"""Caddy as a layer, from its package for Python or from Debian's.

It passes the caller's `traceparent` on as it came; its JSON log has all headers of the request.

Its `read_timeout` counts from the last byte on the connection to the upstream, and so while the connection waits
for a request, too: after an idle second a limit of three seconds is one of two (measured on 2.11.7). So it keeps no
connections to the upstream where that timer is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.caddy_own import FILE, own_caddy
from whocut.path.gateways.driver import START, Driver
from whocut.path.gateways.process import program_of
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_CONFIG = """\
{{
    admin off
    persist_config off
    auto_https off
    storage file_system {folder}/caddy
    log {{
        output file {folder}/logs/{access_log} {{
            roll_disabled
        }}
        format json
    }}
    servers {{
        timeouts {{
            idle {idle}
        }}
    }}
}}
:{port} {{
    bind 127.0.0.1
    log
    reverse_proxy {next} {{
        transport http {{
            {timers}
        }}
    }}
}}
"""
_NEVER = "8760h"
_TIMERS = {
    TimerKind.CONNECT: "dial_timeout",
    TimerKind.FIRST_BYTE: "response_header_timeout",
    TimerKind.IDLE: "read_timeout",
}


class Caddy(Driver):
    """How Caddy is configured and started."""

    program = "caddy"
    install = "pip install 'whocut[gateways]'"
    out = START

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The Caddyfile, with the layer's limits as directives."""
        timers = [
            f"{directive} {site.milliseconds(layer, kind)}ms"
            for kind, directive in _TIMERS.items()
            if layer.limit_s(kind) is not None
        ]
        if layer.limit_s(TimerKind.CONNECT) is None:
            timers.append("dial_timeout 0")
        if layer.limit_s(TimerKind.IDLE) is not None:
            timers.append("keepalive off")
        text = _CONFIG.format(
            folder=site.folder,
            access_log=ACCESS,
            port=site.port,
            next=site.next,
            idle=site.time(layer, TimerKind.KEEPALIVE, none=_NEVER),
            timers="\n            ".join(timers),
        )
        return {"Caddyfile": text}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's configuration as JSON, changed where it must be."""
        return own_caddy(config, layer, site, program_of(self))

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:
        """In the foreground."""
        if layer.config:
            return [program, "run", "--config", str(site.folder / FILE)]
        return [program, "run", "--adapter", "caddyfile", "--config", str(site.folder / "Caddyfile")]


GATEWAY = Caddy()
