"""A gateway that is started from its user's own configuration: what is changed, what is not, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.excused import unless_it_stood_still
from tests.path.fakes import BODY, FIN, FakeUpstream, call, ok, request, send, wait
from tests.path.gateways import needed
from tests.path.test_in_person import ASKS, MARGIN_REAL_S, judged, same_verdicts, topology
from tests.worlds.world import World
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, run_real
from whocut.config.sources import read_chain
from whocut.errors import BadInput, ChildDied
from whocut.path.gateways import start_gateway
from whocut.path.gateways.own import DIFF

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]

NGINX = """user www-data;
worker_processes 4;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log warn;
events { worker_connections 1024; }
http {
    include mime.types;
    log_format mine '$remote_addr "$request" $status';
    access_log /var/log/nginx/access.log mine;
    upstream images {
        server img-1.internal:8000;
        keepalive 16;
    }
    server {
        listen 80 default_server;
        listen [::]:80;
        server_name _;
        return 301 https://$host$request_uri;
    }
    include sites/*.conf;
}
"""
SITE = """server {
    listen 443 ssl http2;
    server_name img.example.com;
    ssl_certificate /etc/ssl/img.pem;
    ssl_certificate_key /etc/ssl/img.key;
    add_header X-Served-By img;
    location /v1/images/ {
        proxy_pass http://images;  # the block above
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_connect_timeout 100s;
        proxy_read_timeout 100s;
        proxy_send_timeout 100s;
    }
    location / {
        proxy_pass https://app.internal:8443;
        proxy_read_timeout 30s;
    }
}
server {
    listen 443 ssl;
    server_name other.example.com;
    add_header X-Served-By other;
    location / { proxy_pass http://10.0.0.9; }
}
"""
HAPROXY = """global
    daemon
    user haproxy
    log /dev/log local0
    stats socket /run/haproxy/admin.sock mode 660
defaults
    mode http
    log global
    option httplog
    option abortonclose
    timeout client 400s
    timeout connect 100s
    timeout server 100s
    default-server check inter 2s
frontend plain
    bind :80
    http-request redirect scheme https unless { ssl_fc }
    default_backend images
frontend tls
    bind :443 ssl crt /etc/haproxy/img.pem alpn h2,http/1.1
    http-response set-header X-Served-By img
    default_backend images
backend images
    server one img-1.internal:8443 check ssl verify none sni str(img) maxconn 500
"""
CHAIN = "layers:\n  - gateway: {name}\n    config: {config}\nhost: img.example.com\npath: /v1/images/generations\n"
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}
NAMES = sorted(FILES)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations as they lie on a server, and chain files that name them."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "mime.types").write_text("types { image/png png; }\n")
    (tmp_path / "nginx.conf").write_text(NGINX)
    (tmp_path / "sites" / "img.conf").write_text(SITE)
    (tmp_path / "haproxy.cfg").write_text(HAPROXY)
    for name, config in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(CHAIN.format(name=name, config=f"./{config}"))
    monkeypatch.chdir(tmp_path)


def own(name: str) -> Layer:
    """The layer of the chain file, to be started from its configuration."""
    (layer,) = read_chain(f"{name}.yaml").hops
    return layer


@pytest.mark.parametrize("name", NAMES)
def test_the_layer_has_the_limits_of_its_file(name: str) -> None:
    """And is the real thing, from that file."""
    layer = own(name)

    assert (layer.gateway, layer.config) == (name, FILES[name])
    assert layer.limit_s(TimerKind.IDLE) == 100


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_as_it_is_and_serves_the_route_that_is_meant(name: str, tmp_path: Path) -> None:
    """Behind TLS in life and without it here; its own header is proof that its own file is at work."""
    needed(name)

    async def main() -> bytes:
        async with FakeUpstream((BODY, send(ok(b"a picture")))) as upstream:
            gateway = await start_gateway(
                name, own(name), upstream=upstream.address, clock=Clock(), logs=tmp_path / "logs"
            )
            async with gateway:
                caller = await call(gateway.port, request())
                got = await caller.response()
                caller.transport.abort()
            return bytes(got)

    got = run_real(main())

    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"x-served-by: img\r\n" in got.lower()
    assert got.endswith(b"a picture")


@pytest.mark.parametrize("name", NAMES)
def test_its_own_timer_fires_on_a_scaled_clock(name: str, tmp_path: Path) -> None:
    """A hundred seconds of the file are one here, and the page is the product's."""
    needed(name)

    async def main() -> tuple[float, bytes]:
        clock = Clock(100.0)
        async with FakeUpstream((BODY, wait(20.0), FIN)) as upstream:
            gateway = await start_gateway(
                name, own(name), upstream=upstream.address, clock=clock, logs=tmp_path / "logs"
            )
            async with gateway:
                begun_s = clock.now_s()
                caller = await call(gateway.port, request())
                got = await caller.response()
                took_s = clock.now_s() - begun_s
                caller.transport.abort()
            return took_s, bytes(got)

    took_s, got = run_real(main())

    assert took_s >= 99
    assert got.startswith(b"HTTP/1.1 504 ")


@pytest.mark.parametrize("name", NAMES)
def test_the_diff_shows_what_was_changed_and_nothing_else_was(name: str, tmp_path: Path) -> None:
    """Each line of the user's that is gone speaks of an address, TLS, a path, how it is run, or a scaled timer."""
    needed(name)

    async def main(scale: float, logs: Path) -> str:
        async with FakeUpstream((BODY, send(ok()))) as upstream:
            gateway = await start_gateway(
                name, own(name), upstream=upstream.address, clock=Clock(scale), logs=logs
            )
            async with gateway:
                return (logs / DIFF).read_text()

    def gone(diff: str) -> set[str]:
        lines = [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
        return {" ".join(line[1:].split()[:2]).rstrip(";") for line in lines}

    real, fast = gone(run_real(main(1.0, tmp_path / "real"))), gone(run_real(main(50.0, tmp_path / "fast")))

    timers = fast - real
    assert {line.split()[0] for line in timers} <= {
        *("proxy_connect_timeout", "proxy_read_timeout", "proxy_send_timeout", "timeout"),
    }
    assert timers
    changed = {
        "nginx": {
            *("user www-data", "pid /run/nginx.pid", "error_log /var/log/nginx/error.log", "http {"),
            *("include mime.types", "include sites/*.conf", "access_log /var/log/nginx/access.log"),
            *("server img-1.internal:8000", "listen 80", "listen [::]:80", "listen 443"),
            *("ssl_certificate /etc/ssl/img.pem", "ssl_certificate_key /etc/ssl/img.key"),
            *("proxy_pass https://app.internal:8443", "location /"),
        },
        "haproxy": {
            *("daemon", "user haproxy", "log /dev/log", "stats socket", "default-server check", "bind :80"),
            *("http-request redirect", "bind :443", "server one"),
        },
    }
    assert real == changed[name]


MISTAKES = {
    "nginx": ("sites/img.conf", "proxy_read_timeout", 'unknown directive "proxy_read_timeoutx"', 12),
    "haproxy": ("haproxy.cfg", "option httplog", "unknown option 'httplogx'", 9),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_told_by_the_product_itself_with_the_user_s_file_and_line(
    name: str, tmp_path: Path
) -> None:
    """Exit 3: the copy that the product was given is not named."""
    needed(name)
    file, right, says, line = MISTAKES[name]
    path = tmp_path / file
    path.write_text(path.read_text().replace(right, f"{right}x", 1))

    async def main() -> None:
        await start_gateway(name, own(name), upstream=("127.0.0.1", 9), clock=Clock())

    with pytest.raises(ChildDied) as died:
        run_real(main())

    assert died.value.exit_code == 3
    assert says in str(died.value)
    assert f"{file}:{line}" in str(died.value)
    assert "/whocut-" not in str(died.value)


@pytest.mark.parametrize("name", NAMES)
def test_one_configuration_has_one_verdict_emulated_and_in_person(name: str, tmp_path: Path) -> None:
    """Layer, timer, phase and grade of each ending are the same, and proven, with the user's own file at work."""
    needed(name)
    # The world asks for paths of its own.
    site = SITE.replace("location / {\n        proxy_pass https", "location /v2/ {\n        proxy_pass https")
    (tmp_path / "sites" / "img.conf").write_text(site.replace("location /v1/images/ {", "location / {"))
    world = World(topology(replace(own(name), name=name)), ASKS, settles_s=60)

    emulated = judged(world)
    with unless_it_stood_still(MARGIN_REAL_S):
        real = judged(world, tmp_path / "run")
        same_verdicts(emulated, real)


def test_a_product_whose_driver_cannot_says_so() -> None:
    """Before it starts anything."""
    layer = replace(own("nginx"), gateway="varnish", config="default.vcl")

    async def main() -> None:
        await start_gateway("varnish", layer, upstream=("127.0.0.1", 9), clock=Clock())

    needed("varnish")
    with pytest.raises(BadInput, match="varnish cannot be started from a configuration of your own yet"):
        run_real(main())


def test_an_include_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the line that asks for it."""
    path = tmp_path / "nginx.conf"
    path.write_text(NGINX.replace("include mime.types;", "include gone.conf;"))

    async def main() -> None:
        await start_gateway("nginx", own("nginx"), upstream=("127.0.0.1", 9), clock=Clock())

    needed("nginx")
    with pytest.raises(BadInput, match=r"nginx\.conf:7: include: the included file gone\.conf is not there"):
        run_real(main())
