"""Varnish as a layer, from its Debian package. It compiles its configuration with gcc, which takes a second.

It keeps its log in memory; before it ends, varnishncsa reads it there and writes it to a file.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver
from whocut.path.gateways.varnish_own import own_varnish
from whocut.trace.logs.in_run import ACCESS
from whocut.trace.logs.varnish import LOG_FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_NEVER_S = 365 * 24 * 3600.0
# Of a user's own configuration what it does not write is Varnish's own, in seconds.
_ITS_OWN_S = {
    "timeout_idle": 5.0,
    "send_timeout": 600.0,
    "connect_timeout": 3.5,
    "first_byte_timeout": 60.0,
    "between_bytes_timeout": 60.0,
}
_CONFIG = """\
vcl 4.1;
backend next {{
    .host = "{host}";
    .port = "{port}";
    .connect_timeout = {connect}s;
    .first_byte_timeout = {first_byte}s;
    .between_bytes_timeout = {idle}s;
}}
sub vcl_recv {{
    return (pass);
}}
"""


class Varnish(Driver):
    """How Varnish is configured and started."""

    program = "varnishd"
    install = "sudo apt-get install varnish"
    out = START

    def missing(self) -> bool:
        """It needs a compiler at run time, and the program that reads its log."""
        return shutil.which("gcc") is None or shutil.which("varnishncsa") is None

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The VCL, with the layer's limits in it."""
        text = _CONFIG.format(
            host=site.upstream[0],
            port=site.upstream[1],
            connect=_seconds(layer, site, TimerKind.CONNECT),
            first_byte=_seconds(layer, site, TimerKind.FIRST_BYTE),
            idle=_seconds(layer, site, TimerKind.IDLE),
        )
        return {"varnish.vcl": text}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:  # noqa: ARG002  # all is in the file
        """The user's VCL, changed where it must be."""
        return own_varnish(config, site)

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:
        """In the foreground, unprivileged, with threads for a thousand requests: each takes two."""
        own = {name: f"{site.clock.real_s(limit_s):.3f}" for name, limit_s in _ITS_OWN_S.items()}
        parameters = {
            "timeout_idle": _seconds(layer, site, TimerKind.KEEPALIVE, most=3600.0),
            "send_timeout": "1000000",
            **(own if layer.config else {}),
            "thread_pool_min": "50",
            "thread_pool_max": "2000",
            "listen_depth": "4096",
        }
        return [
            *(program, "-F"),
            *("-n", str(_memory(site))),
            *("-j", "none"),
            *("-a", f"127.0.0.1:{site.port}"),
            *("-f", str(site.folder / "varnish.vcl")),
            *("-s", "malloc,64m"),
            *(word for name, value in parameters.items() for word in ("-p", f"{name}={value}")),
        ]

    def writes_log(self, site: Site) -> Sequence[str]:
        """All that Varnish remembers of its requests towards the upstream."""
        memory, log = str(_memory(site)), str(site.logs / ACCESS)
        return ["varnishncsa", "-b", "-d", "-n", memory, "-w", log, "-F", LOG_FORMAT]


def _memory(site: Site) -> object:
    return site.folder / "memory"


def _seconds(layer: Layer, site: Site, kind: TimerKind, most: float = _NEVER_S) -> str:
    limit_ms = site.milliseconds(layer, kind)
    return f"{most if limit_ms is None else min(most, limit_ms / 1000):.3f}"


GATEWAY = Varnish()
