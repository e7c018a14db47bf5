"""NGINX as a layer, from its Debian package.

One process without a master, so that one signal ends it. It passes the caller's `traceparent` on as it came, and
logs it in the format that `docs/logs.md` recommends.

Its timers are lazy: a byte that comes less than 300 ms of real time after a timer was set does not set it
anew (NGX_TIMER_LAZY_DELAY in ngx_event_timer.h; seen with 1.22.1). In a clock scaled 1:100 an idle limit of
60 s may so fire 30 s early on a stream that never fell silent: scale such a run so that limits stay well
above 300 ms of real time.
"""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver
from whocut.path.gateways.nginx_own import own_nginx
from whocut.trace.logs.in_run import ACCESS, ERROR
from whocut.trace.logs.nginx import LOG_FORMAT

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_NEVER = "365d"  # nginx knows no "off" for its proxy timers

_CONFIG = """\
daemon off;
master_process off;
{user}pid {folder}/nginx.pid;
error_log {folder}/logs/{error_log} info;
events {{ worker_connections 8192; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    keepalive_timeout {keepalive};
    {log_format}
    access_log {folder}/logs/{access_log} whocut;
    upstream next {{
        server {next} max_fails=0;
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_connect_timeout {connect};
            proxy_read_timeout {read};
            proxy_send_timeout {send};
        }}
    }}
}}
"""


class Nginx(Driver):
    """How nginx is configured and started."""

    program = "nginx"
    install = "sudo apt-get install nginx-light"
    out = START

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The configuration, with the layer's limits as directives."""
        silence = site.time(layer, TimerKind.IDLE, none=_NEVER)
        text = _CONFIG.format(
            user=f"user {getpass.getuser()};\n" if os.geteuid() == 0 else "",
            folder=site.folder,
            access_log=ACCESS,
            error_log=ERROR,
            log_format=LOG_FORMAT,
            port=site.port,
            next=site.next,
            connect=site.time(layer, TimerKind.CONNECT, none=_NEVER),
            read=silence,
            send=silence,
            keepalive=site.time(layer, TimerKind.KEEPALIVE, none=_NEVER),
        )
        return {"nginx.conf": text}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's nginx.conf with its includes, changed where it must be."""
        return own_nginx(config, site, (layer.file, layer.line))

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the file
        """In the foreground, with everything in its own folder."""
        return [
            program,
            *("-e", str(site.logs / ERROR)),
            *("-p", str(site.folder)),
            *("-c", str(site.folder / "nginx.conf")),
        ]


GATEWAY = Nginx()
