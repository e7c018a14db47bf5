# ruff: noqa: ASYNC220, ASYNC240, S108, S603  # a tool run by hand, one gateway after the other
"""Real log lines and error pages of real gateways, captured on loopback into ``tests/data``.

Usage: python tools/capture_logs.py [GATEWAY…]

An upstream here misbehaves. Each gateway that is installed is started with timers of one second in front of it, and
asked once for each path of `CASES`; the path is the truth about what happened, and the tests hold readers to it.
Debian has nginx, haproxy, apache2 and caddy; envoy and traefik are taken from PATH.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from whocut.trace.logs import apache, envoy, haproxy, nginx  # noqa: E402

OUT = HERE / "tests" / "data" / "logs"
PAGES = HERE / "tests" / "data" / "pages"  # the 5xx pages that came with them
# The path says what happens: how the upstream behaves, and after how many seconds the caller leaves.
CASES: dict[str, float | None] = {
    "/ok": None,
    "/timeout": None,
    "/cut": None,
    "/left-waiting": 0.4,
    "/left-streaming": 0.4,
    "/reset": None,
    "/reset-body": None,
    "/closed": None,
    "/relayed-504": None,
}
LIMIT_S = 1


@dataclass
class Gateway:
    """How one gateway is started, and which of its files are kept under which names."""

    argv: list[str]
    config: str
    keep: dict[str, str]
    names: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


def gateways(port: int, upstream: int, refused: int, folder: Path) -> dict[str, Gateway]:
    """Every gateway's configuration: one second for each of its timers."""
    at = f"{folder}"
    return {
        "nginx": Gateway(
            ["nginx", "-e", f"{at}/error.log", "-c", f"{at}/config"],
            f"""daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log info;
events {{}}
http {{
  {nginx.LOG_FORMAT}
  client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u;
  scgi_temp_path {at}/s;
  access_log {at}/access.log whocut; access_log {at}/combined.log combined;
  server {{ listen 127.0.0.1:{port}; proxy_buffering off; proxy_http_version 1.1; proxy_read_timeout {LIMIT_S}s;
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
    location /refused {{ proxy_pass http://127.0.0.1:{refused}; }} }}
}}
""",
            {"access.log": "nginx.log", "combined.log": "nginx-combined.log", "error.log": "nginx-error.log"},
        ),
        "haproxy": Gateway(
            ["haproxy", "-f", f"{at}/config"],
            f"""global
  log stdout format raw local0
defaults
  mode http
  timeout connect {LIMIT_S}s
  timeout client 10s
  timeout server {LIMIT_S}s
frontend default
  bind 127.0.0.1:{port}
  log global
  option httplog
  use_backend refused if {{ path /refused }}
  default_backend up
frontend recommended
  bind 127.0.0.1:{port + 1}
  log global
  {haproxy.CAPTURES}
  {haproxy.LOG_FORMAT}
  use_backend refused if {{ path /refused }}
  default_backend up
backend up
  server one 127.0.0.1:{upstream}
backend refused
  retries 0
  server none 127.0.0.1:{refused}
""",
            {"stdout": "haproxy.log"},
        ),
        "envoy": Gateway(
            ["envoy", "-c", f"{at}/config.yaml", "--log-level", "error", "--use-dynamic-base-id"],
            "",
            {"access.log": "envoy.log", "default.log": "envoy-default.log"},
            extra={"config.yaml": _envoy(port, upstream, refused, at)},
        ),
        "caddy": Gateway(
            ["caddy", "run", "--adapter", "caddyfile", "--config", f"{at}/config"],
            f"""{{
  admin off
  auto_https off
  persist_config off
  log default {{
    output file {at}/caddy.log
    format json
  }}
}}
:{port} {{
  bind 127.0.0.1
  log
  handle /refused {{
    reverse_proxy 127.0.0.1:{refused}
  }}
  handle {{
    reverse_proxy 127.0.0.1:{upstream} {{
      flush_interval -1
      transport http {{
        response_header_timeout {LIMIT_S}s
        read_timeout {LIMIT_S}s
      }}
    }}
  }}
}}
""",
            {"caddy.log": "caddy.log"},
        ),
        "traefik": Gateway(
            ["traefik", f"--configfile={at}/config.yaml"],
            "",
            {"access.log": "traefik.log"},
            extra=_traefik(port, upstream, refused, at, "json"),
        ),
        "traefik-clf": Gateway(
            ["traefik", f"--configfile={at}/config.yaml"],
            "",
            {"access.log": "traefik-clf.log"},
            extra=_traefik(port, upstream, refused, at, "common"),
        ),
        "apache": Gateway(
            ["apache2", "-D", "FOREGROUND", "-f", f"{at}/config"],
            f"""ServerRoot {at}
ServerName localhost
PidFile {at}/pid
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
ErrorLog {at}/error.log
LogLevel warn
{apache.LOG_FORMAT}
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog {at}/access.log whocut
CustomLog {at}/combined.log combined
ProxyTimeout {LIMIT_S}
ProxyPass /refused http://127.0.0.1:{refused}/refused
ProxyPass / http://127.0.0.1:{upstream}/
""",
            {
                "access.log": "apache.log",
                "combined.log": "apache-combined.log",
                "error.log": "apache-error.log",
            },
        ),
    }


def _envoy(port: int, upstream: int, refused: int, at: str) -> str:
    def cluster(name: str, to: int) -> dict[str, object]:
        endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": to}}}}
        return {
            "name": name,
            "connect_timeout": f"{LIMIT_S}s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }

    log = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    manager = {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "in",
        "access_log": [
            {
                "name": "json",
                "typed_config": {
                    "@type": log,
                    "path": f"{at}/access.log",
                    "log_format": {"json_format": envoy.JSON_FORMAT},
                },
            },
            {"name": "text", "typed_config": {"@type": log, "path": f"{at}/default.log"}},
        ],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/refused"}, "route": {"cluster": "refused"}},
                        {"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": f"{LIMIT_S}s"}},
                    ],
                }
            ]
        },
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    clusters = [cluster("up", upstream), cluster("refused", refused)]
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})


def _traefik(port: int, upstream: int, refused: int, at: str, form: str) -> dict[str, str]:
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"web": {"address": f"127.0.0.1:{port}"}},
        "log": {"level": "DEBUG", "filePath": f"{at}/traefik.log", "format": "json"},
        "accessLog": {
            "filePath": f"{at}/access.log",
            "format": form,
            "fields": {
                "headers": {
                    "defaultMode": "drop",
                    "names": {"X-Request-Id": "keep", "Traceparent": "keep"},
                }
            },
        },
        "providers": {"file": {"filename": f"{at}/dynamic.yaml"}},
        "serversTransport": {"forwardingTimeouts": {"responseHeaderTimeout": f"{LIMIT_S}s"}},
    }
    dynamic = {
        "http": {
            "routers": {
                "up": {"rule": "PathPrefix(`/`)", "service": "up", "entryPoints": ["web"]},
                "refused": {"rule": "PathPrefix(`/refused`)", "service": "refused", "entryPoints": ["web"]},
            },
            "services": {
                "up": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{upstream}"}]}},
                "refused": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{refused}"}]}},
            },
        }
    }
    return {"config.yaml": json.dumps(static), "dynamic.yaml": json.dumps(dynamic)}


# --- the upstream, and its caller -------------------------------------------------------------------------


async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what the path says, on every request of a connection."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            for line in head.splitlines():
                if line.lower().startswith("content-length:"):
                    await reader.readexactly(int(line.split(":")[1]))
            if not await _answer(path, writer):
                break
    writer.close()


async def _answer(path: str, writer: asyncio.StreamWriter) -> bool:
    begun = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"5\r\nhello\r\n" * 3
    )
    if path == "/ok":
        writer.write(begun + b"0\r\n\r\n")
        return True
    if path == "/relayed-504":
        writer.write(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 5\r\n\r\nrelay")
        return True
    if path in {"/timeout", "/left-waiting"}:
        await asyncio.sleep(2.5 * LIMIT_S)
        return False
    if path in {"/cut", "/left-streaming"}:
        writer.write(begun)
        await asyncio.sleep(2.5 * LIMIT_S)
        return False
    await asyncio.sleep(0.1)
    if path == "/reset-body":
        writer.write(begun)
        await writer.drain()
        await asyncio.sleep(0.1)
    if path.startswith("/reset"):
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    return False


async def ask(port: int, path: str, leave_s: float | None, number: int) -> bytes:
    """One request and all that came back; the caller leaves after `leave_s`."""
    answer = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: capture/1\r\nContent-Length: 2\r\n"
        f"traceparent: 00-{number:032x}-{number:016x}-01\r\nX-Request-Id: request-{number}\r\n"
        "Connection: close\r\n\r\n{}".encode()
    )
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(leave_s or 4 * LIMIT_S):
            while data := await reader.read(65536):
                answer += data
    writer.close()
    return answer


async def capture(name: str, upstream: int, refused: int) -> None:
    """Start one gateway, ask everything, keep its logs."""
    PAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        port = free_port()
        gateway = gateways(port, upstream, refused, folder)[name]
        for file, text in {"config": gateway.config, **gateway.extra}.items():
            (folder / file).write_text(text)
        program = shutil.which(gateway.argv[0])
        if program is None:
            say(f"{name}: {gateway.argv[0]} is not installed; skipped")
            return
        with (folder / "stdout").open("wb") as stdout:
            process = subprocess.Popen([program, *gateway.argv[1:]], stdout=stdout, stderr=stdout, cwd=folder)
        try:
            await listening(port, process, folder)
            await asyncio.sleep(LIMIT_S)  # Traefik listens before it knows its routes
            ports = (port, port + 1) if name == "haproxy" else (port,)
            number = 0
            for listens in ports:
                for path, leave_s in {**CASES, "/refused": None}.items():
                    number += 1
                    answer = await ask(listens, path, leave_s, number)
                    if answer[9:10] == b"5" and path != "/relayed-504" and name != "traefik-clf":
                        (PAGES / f"{name}{path.replace('/', '-')}.txt").write_bytes(answer)
                    await asyncio.sleep(2.2 * LIMIT_S if leave_s else 0.1)
            await asyncio.sleep(11 if name == "envoy" else 0.5)  # Envoy writes its file every ten seconds
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        OUT.mkdir(parents=True, exist_ok=True)
        for file, kept in gateway.keep.items():
            lines = (folder / file).read_text().replace(str(folder), "/tmp/capture").splitlines(keepends=True)
            text = "".join(line for line in lines if " OS: " not in line)
            (OUT / kept).write_text(text)
            say(f"{name}: {kept}, {len(text.splitlines())} lines")


async def listening(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the gateway takes connections."""
    for _ in range(100):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
    raise SystemExit(f"it did not start:\n{(folder / 'stdout').read_text()[-2000:]}")


def free_port() -> int:
    """A port nobody listens on, nor on the next one."""
    for port in range(18_400, 30_000, 2):
        with socket.socket() as one, socket.socket() as two, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 1))
            return port
    raise SystemExit("no two free ports in a row")


def say(sentence: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"{sentence}\n")


async def main() -> None:
    """Capture what was asked for, or everything."""
    server = await asyncio.start_server(misbehave, "127.0.0.1", 0)
    upstream, refused = server.sockets[0].getsockname()[1], 1  # nobody listens on port 1
    names = sys.argv[1:] or list(gateways(1, 1, 1, Path()))
    for name in names:
        await capture(name, upstream, refused)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
