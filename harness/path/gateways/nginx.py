"""NGINX as a layer, from its Debian package.

One process without a master, so that one signal ends it. Its log is JSON with the W3C ids: nginx mints a span
id of its own from `$request_id` and makes it the parent of what comes next.

Its timers are lazy: a byte that comes less than 300 ms of real time after a timer was set does not set it
anew (NGX_TIMER_LAZY_DELAY in ngx_event_timer.h; seen with 1.22.1). In a clock scaled 1:100 an idle limit of
60 s may so fire 30 s early on a stream that never fell silent: scale such a run so that limits stay well
above 300 ms of real time.
"""

from __future__ import annotations

import getpass
import os
import signal
from typing import TYPE_CHECKING

from harness.chain.timers import TimerKind
from harness.errors import BadInput
from harness.path.gateways.process import milliseconds

if TYPE_CHECKING:
    from pathlib import Path

    from harness.chain.layers import Layer
    from harness.clock import Clock

_NEVER = "365d"  # nginx knows no "off" for its proxy timers

_CONFIG = """\
daemon off;
master_process off;
{user}pid {folder}/nginx.pid;
error_log {folder}/error.log info;
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
    map $http_traceparent $whocut_trace {{
        "~^[0-9a-f][0-9a-f]-(?<came>[0-9a-f]{{32}})-" $came;
        default $request_id;
    }}
    map $http_traceparent $whocut_parent {{
        "~^[0-9a-f][0-9a-f]-[0-9a-f]{{32}}-(?<caller>[0-9a-f]{{16}})-" $caller;
        default "";
    }}
    map $request_id $whocut_span {{
        "~^(?<half>.{{16}})" $half;
    }}
    log_format whocut escape=json
        '{{"trace":"$whocut_trace","parent":"$whocut_parent","span":"$whocut_span","at":"$msec",'
        '"took":"$request_time","method":"$request_method","path":"$uri","status":"$status",'
        '"bytes":"$body_bytes_sent","completion":"$request_completion","upstream_status":"$upstream_status",'
        '"upstream_connect":"$upstream_connect_time","upstream_header":"$upstream_header_time",'
        '"upstream_response":"$upstream_response_time"}}';
    access_log {folder}/access.log whocut;
    upstream next {{
        server {host}:{upstream_port} max_fails=0;
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
            proxy_set_header traceparent "00-$whocut_trace-$whocut_span-01";
            proxy_connect_timeout {connect};
            proxy_read_timeout {read};
            proxy_send_timeout {send};
        }}
    }}
}}
"""


class Nginx:
    """How nginx is configured, started and ended."""

    program = "nginx"
    package = "nginx-light"
    stop_signal = signal.SIGTERM

    def config(
        self, layer: Layer, *, clock: Clock, upstream: tuple[str, int], port: int, folder: Path
    ) -> str:
        """The configuration, with the layer's limits as directives.

        Raises:
            BadInput: nginx has one knob for the first byte and for silence, and no total.
        """
        first_byte_s, idle_s = layer.limit_s(TimerKind.FIRST_BYTE), layer.limit_s(TimerKind.IDLE)
        if layer.limit_s(TimerKind.TOTAL) is not None:
            raise BadInput(f"{layer.name}: nginx has no timer for the whole response; take `total` away")
        if first_byte_s != idle_s:
            raise BadInput(
                f"{layer.name}: nginx's proxy_read_timeout is `first_byte` and `idle` at once; make them one"
            )
        return _CONFIG.format(
            user=f"user {getpass.getuser()};\n" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            host=upstream[0],
            upstream_port=upstream[1],
            connect=milliseconds(layer.limit_s(TimerKind.CONNECT), clock, _NEVER),
            read=milliseconds(idle_s, clock, _NEVER),
            send=milliseconds(idle_s, clock, _NEVER),
            keepalive=milliseconds(layer.limit_s(TimerKind.KEEPALIVE), clock, _NEVER),
        )

    def command(self, program: str, config: Path, folder: Path) -> list[str]:
        """In the foreground, with everything in its own folder."""
        return [program, "-e", str(folder / "start.log"), "-p", str(folder), "-c", str(config)]
