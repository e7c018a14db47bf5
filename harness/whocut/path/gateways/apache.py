"""Apache httpd as a layer, from its Debian package.

Its timers count whole seconds: ``ProxyTimeout 600ms`` is accepted and is no limit of 600 ms (measured on 2.4.71).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver
from whocut.trace.logs.apache import LOG_FORMAT
from whocut.trace.logs.in_run import ACCESS, ERROR

if TYPE_CHECKING:
    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site

_NEVER_S = 365 * 24 * 3600
_MODULES = "/usr/lib/apache2/modules"
_LOADED = ("mpm_event", "authz_core", "proxy", "proxy_http")

_CONFIG = """\
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
MaxKeepAliveRequests 0
KeepAliveTimeout {keepalive}
Timeout {never}
LogLevel warn
ErrorLog {folder}/logs/{error_log}
{log_format}
CustomLog {folder}/logs/{access_log} whocut
ProxyPreserveHost On
ProxyTimeout {read}
ProxyPass / http://{next}/ connectiontimeout={connect} timeout={read}
"""


class Apache(Driver):
    """How Apache is configured and started."""

    program = "apache2"
    install = "sudo apt-get install apache2-bin"
    out = START

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The configuration, with the layer's limits as directives."""
        text = _CONFIG.format(
            folder=site.folder,
            port=site.port,
            next=site.next,
            modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED),
            user="User nobody\nGroup nogroup\n" if os.geteuid() == 0 else "",
            never=_NEVER_S,
            keepalive=_seconds(layer, site, TimerKind.KEEPALIVE),
            connect=_seconds(layer, site, TimerKind.CONNECT),
            read=_seconds(layer, site, TimerKind.IDLE),
            log_format=LOG_FORMAT,
            access_log=ACCESS,
            error_log=ERROR,
        )
        return {"apache.conf": text}

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the file
        """In the foreground."""
        return [program, "-D", "FOREGROUND", "-f", str(site.folder / "apache.conf")]


def _seconds(layer: Layer, site: Site, kind: TimerKind) -> int:
    real_s = site.real_s(layer, kind)
    return _NEVER_S if real_s is None else max(1, round(real_s))


GATEWAY = Apache()
