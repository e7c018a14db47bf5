"""Apache httpd as a layer, from its Debian package.

Its timers count whole seconds: ``ProxyTimeout 600ms`` is accepted and is no limit of 600 ms (measured on 2.4.71).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.apache_own import COPY, own_apache
from whocut.path.gateways.driver import START, Driver
from whocut.trace.logs.apache import LOG_FORMAT
from whocut.trace.logs.in_run import ACCESS, ERROR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_NEVER_S = 365 * 24 * 3600
_MODULES = "/usr/lib/apache2/modules"
_LOADED = ("mpm_event", "authz_core", "proxy", "proxy_http")

_RUN = """\
ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
ListenBacklog 4096
{modules}
{user}ServerLimit 1
StartServers 1
ThreadLimit 1024
ThreadsPerChild 1024
MaxRequestWorkers 1024
MinSpareThreads 1
MaxSpareThreads 1024
LogLevel warn
ErrorLog {folder}/logs/{error_log}
{log_format}
CustomLog {folder}/logs/{access_log} whocut
"""
_CONFIG = """\
MaxKeepAliveRequests 0
KeepAliveTimeout {keepalive}
Timeout {never}
ProxyPreserveHost On
ProxyTimeout {read}
ProxyPass / http://{next}/ connectiontimeout={connect} timeout={read}
"""
# Modules of which a user's own configuration may speak, where they are here.
_USUAL = (
    *(
        "headers",
        "rewrite",
        "setenvif",
        "env",
        "mime",
        "dir",
        "alias",
        "deflate",
        "filter",
        "status",
        "reqtimeout",
    ),
    *("proxy_balancer", "slotmem_shm", "lbmethod_byrequests", "lbmethod_bytraffic", "lbmethod_bybusyness"),
    *("authz_host", "authn_core", "proxy_wstunnel", "expires", "remoteip", "unique_id"),
)
_ITS_OWN_S = 60.0  # Timeout, where nothing is written
FILE = "apache.conf"


class Apache(Driver):
    """How Apache is configured and started."""

    program = "apache2"
    install = "sudo apt-get install apache2-bin"
    out = START

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The configuration, with the layer's limits as directives."""
        limits = _CONFIG.format(
            next=site.next,
            never=_NEVER_S,
            keepalive=_seconds(layer, site, TimerKind.KEEPALIVE),
            connect=_seconds(layer, site, TimerKind.CONNECT),
            read=_seconds(layer, site, TimerKind.IDLE),
        )
        return {FILE: _run(site, _LOADED) + limits}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's configuration below a file that says how it is run, changed where it must be."""
        there = [name for name in _USUAL if Path(f"{_MODULES}/mod_{name}.so").is_file()]
        types = "TypesConfig /dev/null\n" if "mime" in there else ""
        timeout = f"Timeout {max(1, round(site.clock.real_s(_ITS_OWN_S)))}\n" if site.clock.scale != 1 else ""
        main = f"{_run(site, (*_LOADED, *there))}{types}{timeout}Include {site.folder / COPY}\n"
        return own_apache(config, layer, site, main, FILE)

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the file
        """In the foreground."""
        return [program, "-D", "FOREGROUND", "-f", str(site.folder / FILE)]


def _run(site: Site, modules: Sequence[str]) -> str:
    """How the process is run, where it listens and where it logs."""
    return _RUN.format(
        folder=site.folder,
        port=site.port,
        modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in modules),
        user="User nobody\nGroup nogroup\n" if os.geteuid() == 0 else "",
        log_format=LOG_FORMAT,
        access_log=ACCESS,
        error_log=ERROR,
    )


def _seconds(layer: Layer, site: Site, kind: TimerKind) -> int:
    real_s = site.real_s(layer, kind)
    return _NEVER_S if real_s is None else max(1, round(real_s))


GATEWAY = Apache()
