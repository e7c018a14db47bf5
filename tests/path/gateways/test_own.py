"""A gateway that is started from its user's own configuration: what is changed, what is not, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.excused import unless_it_stood_still
from tests.path.fakes import BODY, FIN, FakeUpstream, call, image, image_request, send, wait
from tests.path.gateways import marks_of, needed
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
ENVOY = """admin: { address: { socket_address: { address: 0.0.0.0, port_value: 9901 } } }
static_resources:
  listeners:
  - name: plain
    address: { socket_address: { address: 0.0.0.0, port_value: 80 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": FILTERS.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, redirect: { https_redirect: true } }] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": FILTERS.http.router.v3.Router }
  - name: tls
    address: { socket_address: { address: 0.0.0.0, port_value: 443 } }
    listener_filters:
    - name: envoy.filters.listener.tls_inspector
      typed_config: { "@type": FILTERS.listener.tls_inspector.v3.TlsInspector }
    filter_chains:
    - filter_chain_match: { server_names: [img.example.com] }
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": SOCKETS.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - { certificate_chain: { filename: /etc/img.pem }, private_key: { filename: /etc/img.key } }
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": FILTERS.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: tls
          stream_idle_timeout: 100s
          route_config:
            response_headers_to_add: [{ header: { key: x-served-by, value: img } }]
            virtual_hosts:
            - name: img
              domains: ["*"]
              routes:
              - match: { prefix: /v1/images }
                route: { cluster: images, timeout: 0s }
              - match: { prefix: / }
                route: { cluster: images }
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": FILTERS.http.router.v3.Router }
  clusters:
  - name: images
    type: STRICT_DNS
    connect_timeout: 2s
    health_checks:
    - { timeout: 1s, interval: 5s, unhealthy_threshold: 2, healthy_threshold: 1, http_health_check: { path: / } }
    load_assignment:
      cluster_name: images
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: img-1.internal, port_value: 8443 } } }
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config: { "@type": SOCKETS.UpstreamTlsContext, sni: img }
"""
ENVOY = ENVOY.replace("FILTERS", "type.googleapis.com/envoy.extensions.filters").replace(
    "SOCKETS", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
)
CADDY = """{
	email me@example.com
	servers {
		timeouts {
			idle 2m
		}
	}
}
(patient) {
	transport http {
		tls
		dial_timeout 5s
		response_header_timeout 80s
		read_timeout 100s
	}
}
other.example.com {
	reverse_proxy 10.0.0.9:80
}
img.example.com {
	tls /etc/img.pem /etc/img.key
	header X-Served-By img
	log {
		output file /var/log/caddy/img.log
	}
	handle /v1/images/* {
		reverse_proxy https://img-1.internal:8443 https://img-2.internal:8443 {
			health_uri /health
			import patient
		}
	}
	handle {
		reverse_proxy app:3000
	}
}
"""
TRAEFIK = """entryPoints:
  web:
    address: ":80"
    http: { redirections: { entryPoint: { to: websecure, scheme: https } } }
  websecure:
    address: ":443"
    http: { tls: { certResolver: le } }
certificatesResolvers: { le: { acme: { email: a@b.c, storage: /acme.json } } }
providers:
  docker: { exposedByDefault: false }
  file: { filename: /etc/traefik/dynamic.yml }
accessLog: { filePath: /var/log/traefik/access.log }
"""
DYNAMIC = """http:
  routers:
    img:
      rule: Host(`img.example.com`) && PathPrefix(`/v1`)
      entryPoints: [websecure]
      service: img
      middlewares: [served]
      tls: { certResolver: le }
    other:
      rule: Host(`other.example.com`)
      service: img
  middlewares:
    served: { headers: { customResponseHeaders: { X-Served-By: img } } }
  services:
    img:
      loadBalancer:
        serversTransport: slow
        healthCheck: { path: /health }
        servers: [{ url: "https://img-1.internal:8443" }]
  serversTransports:
    slow: { serverName: img, forwardingTimeouts: { responseHeaderTimeout: 100s, dialTimeout: 5s } }
"""
APACHE = """Listen 443
<VirtualHost *:80>
    ServerName img.example.com
    Redirect permanent / https://img.example.com/
</VirtualHost>
<VirtualHost *:443>
    ServerName img.example.com
    SSLEngine on
    SSLCertificateFile /etc/ssl/img.pem
    ErrorLog ${APACHE_LOG_DIR}/error.log
    CustomLog ${APACHE_LOG_DIR}/access.log combined
    Header always set X-Served-By img
    ProxyPreserveHost On
    ProxyTimeout 100
    ProxyPass /v1/images https://img-1.internal:8443/v1/images
    ProxyPassReverse /v1/images https://img-1.internal:8443/v1/images
    ProxyPass / http://app:80/ timeout=200
</VirtualHost>
"""
VARNISH = """vcl 4.1;
import std;
probe health { .url = "/health"; .interval = 5s; }
backend default { .host = "app.internal"; .port = "8080"; .probe = health; }
backend images {
    .host = "img-1.internal";
    .port = "8443";
    .first_byte_timeout = 80s;
    .between_bytes_timeout = 100s;
    .probe = { .url = "/health"; .timeout = 2s; }
}
sub vcl_recv {
    if (req.url ~ "^/v1/images") { set req.backend_hint = images; return (pass); }
}
sub vcl_deliver { set resp.http.X-Served-By = "img"; }
"""
LITELLM = """model_list:
  - model_name: painter
    litellm_params:
      model: openai/gpt-image-2
      api_base: https://img-1.internal:8443/v1
      api_key: sk-of-the-user-1234567890
      timeout: 100
    model_info: { id: img, mode: image_generation }
  - model_name: talker
    litellm_params: { model: azure/gpt-5, api_base: os.environ/AZURE_BASE, api_key: os.environ/AZURE_KEY }
router_settings:
  num_retries: 0
  redis_host: redis.internal
litellm_settings:
  success_callback: [langfuse]
  callbacks: [prometheus]
general_settings:
  master_key: sk-of-the-callers-1234567890
  database_url: postgresql://litellm:secret@db.internal/litellm
environment_variables: { LANGFUSE_SECRET_KEY: sk-lf-1234567890 }
"""
CHAIN = "layers:\n  - gateway: {name}\n    config: {config}\nhost: img.example.com\npath: /v1/images/generations\n"
FILES = {
    "apache": "site.conf",
    "caddy": "Caddyfile",
    "envoy": "envoy.yaml",
    "haproxy": "haproxy.cfg",
    "litellm": "config.yaml",
    "nginx": "nginx.conf",
    "traefik": "traefik.yml",
    "varnish": "default.vcl",
}
NAMES = sorted(FILES)
EACH = [pytest.param(name, marks=marks_of(name)) for name in NAMES]
DAILY = [pytest.param(name, marks=marks_of(name, daily=True)) for name in NAMES]
# LiteLLM's tries are more than one, and their pauses real seconds: `test_in_person` has its verdicts.
RELAYS = [name for name in NAMES if name != "litellm"]
SERVED = {"litellm": b"x-litellm-model-id: img\r\n"}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations as they lie on a server, and chain files that name them."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "mime.types").write_text("types { image/png png; }\n")
    (tmp_path / "nginx.conf").write_text(NGINX)
    (tmp_path / "sites" / "img.conf").write_text(SITE)
    (tmp_path / "haproxy.cfg").write_text(HAPROXY)
    (tmp_path / "envoy.yaml").write_text(ENVOY)
    (tmp_path / "Caddyfile").write_text(CADDY)
    (tmp_path / "traefik.yml").write_text(TRAEFIK)
    (tmp_path / "dynamic.yml").write_text(DYNAMIC)
    (tmp_path / "site.conf").write_text(APACHE)
    (tmp_path / "default.vcl").write_text(VARNISH)
    (tmp_path / "config.yaml").write_text(LITELLM)
    for name, config in FILES.items():
        (tmp_path / f"{name}-chain.yaml").write_text(CHAIN.format(name=name, config=f"./{config}"))
    monkeypatch.chdir(tmp_path)


def own(name: str) -> Layer:
    """The layer of the chain file, to be started from its configuration."""
    (layer,) = read_chain(f"{name}-chain.yaml").hops
    return layer


@pytest.mark.parametrize("name", NAMES)
def test_the_layer_has_the_limits_of_its_file(name: str) -> None:
    """And is the real thing, from that file."""
    layer = own(name)

    assert (layer.gateway, layer.config) == (name, FILES[name])
    assert layer.limit_s(TimerKind.FIRST_BYTE if name == "traefik" else TimerKind.IDLE) == 100


@pytest.mark.parametrize("name", DAILY)
def test_it_starts_as_it_is_and_serves_the_route_that_is_meant(name: str, tmp_path: Path) -> None:
    """Behind TLS in life and without it here; its own header is proof that its own file is at work."""
    needed(name)

    async def main() -> bytes:
        async with FakeUpstream((BODY, send(image()))) as upstream:
            gateway = await start_gateway(
                name, own(name), upstream=upstream.address, clock=Clock(), logs=tmp_path / "logs"
            )
            async with gateway:
                caller = await call(gateway.port, image_request())
                got = await caller.response()
                caller.transport.abort()
            return bytes(got)

    got = run_real(main())

    assert got.startswith(b"HTTP/1.1 200 ")
    assert SERVED.get(name, b"x-served-by: img\r\n") in got.lower()
    assert b"aGVsbG8=" in got


@pytest.mark.parametrize("name", EACH)
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
                caller = await call(gateway.port, image_request())
                got = await caller.response()
                took_s = clock.now_s() - begun_s
                caller.transport.abort()
            return took_s, bytes(got)

    took_s, got = run_real(main())

    assert took_s >= (own(name).limit_s(TimerKind.FIRST_BYTE) or 0) - 1
    assert got.startswith(b"HTTP/1.1 %d " % {"apache": 502, "litellm": 408, "varnish": 503}.get(name, 504))


@pytest.mark.parametrize("name", EACH)
def test_the_diff_shows_what_was_changed_and_nothing_else_was(name: str, tmp_path: Path) -> None:
    """Each line of the user's that is gone speaks of an address, TLS, a path, how it is run, or a scaled timer."""
    needed(name)

    async def main(scale: float, logs: Path) -> str:
        async with FakeUpstream((BODY, send(image()))) as upstream:
            gateway = await start_gateway(
                name, own(name), upstream=upstream.address, clock=Clock(scale), logs=logs
            )
            async with gateway:
                return (logs / DIFF).read_text()

    real, fast = gone(run_real(main(1.0, tmp_path / "real"))), gone(run_real(main(50.0, tmp_path / "fast")))

    timers = fast - real
    assert {line.split()[0] for line in timers} <= TIMERS
    assert timers
    assert real == CHANGED[name]


def gone(diff: str) -> set[str]:
    """The first words of each line of the user's that is no more; of JSON the field."""
    kept = {line[1:].strip().rstrip(",") for line in diff.splitlines() if line.startswith("+")}
    lines = [
        line[1:].strip()
        for line in diff.splitlines()
        if line.startswith("-")
        and not line.startswith("---")
        and line[1:].strip().rstrip(",") not in kept
        and line[1:].strip(" []{},")
    ]
    return {
        line.partition(":")[0].strip('",') if line.startswith('"') else " ".join(line.split()[:2]).rstrip(";")
        for line in lines
    }


TIMERS = {
    *("proxy_connect_timeout", "proxy_read_timeout", "proxy_send_timeout", "timeout"),  # nginx, HAProxy
    *("stream_idle_timeout", "connect_timeout"),  # Envoy
    *("dial_timeout", "response_header_timeout", "read_timeout", "idle_timeout"),  # Caddy
    *("responseHeaderTimeout", "dialTimeout"),  # Traefik
    *("ProxyTimeout", "ProxyPass"),  # Apache
    *(".first_byte_timeout", ".between_bytes_timeout"),  # Varnish
    *("timeout", "request_timeout"),  # LiteLLM
}
CHANGED = {
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
    # Of these three the fields of JSON: an address, TLS, what knocks at an upstream, a path that is written to.
    "envoy": {
        *("admin", "address", "socket_address", "port_value", "name", "@type", "type", "img.example.com"),
        *("listener_filters", "filter_chain_match", "server_names", "transport_socket", "common_tls_context"),
        *("tls_certificates", "certificate_chain", "private_key", "filename", "sni"),
        *("health_checks", "http_health_check", "interval", "timeout", "path"),
        *("healthy_threshold", "unhealthy_threshold"),
    },
    "caddy": {
        *("", "host", "match", "img.example.com", "other.example.com", "dial"),
        *("tls", "tls_connection_policies", "certificate_selection", "certificates", "certificate", "key"),
        *("any_tag", "tags", "cert0", "load_files", "sni", "automation", "policies", "subjects", "issuers"),
        *("ca", "email", "module", "skip_hosts"),
        *("health_checks", "active", "uri"),
        *("logs", "log0", "logger_names", "include", "exclude", "http.log.access.log0", "filename"),
    },
    "traefik": {
        *("address", "rule", "url", "tls", "certResolver", "certificatesResolvers", "le", "acme", "email"),
        *("storage", "serverName", "http", "redirections", "entryPoint", "to", "scheme"),
        *("docker", "exposedByDefault", "filename", "filePath", "healthCheck", "path"),
    },
    "apache": {
        *("Listen 443", "<VirtualHost *:80>", "<VirtualHost *:443>", "ProxyPass /v1/images", "ProxyPass /"),
        *("SSLEngine on", "SSLCertificateFile /etc/ssl/img.pem"),
        *("ErrorLog ${APACHE_LOG_DIR}/error.log", "CustomLog ${APACHE_LOG_DIR}/access.log"),
    },
    # Addresses, keys (both are redacted, and look alike), and what speaks to other machines.
    "litellm": {
        *("api_base", "redis_host", "success_callback", "prometheus", "langfuse", "master_key"),
        *("database_url", "LANGFUSE_SECRET_KEY", "environment_variables"),
    },
    "varnish": {"probe health", "backend default", ".host =", ".port =", ".probe ="},
}


# The file, what is misspelled in it, what the product says of that, and the place that it names.
MISTAKES = {
    "nginx": ("sites/img.conf", "proxy_read_timeout", 'unknown directive "proxy_read_timeoutx"', "{file}:12"),
    "haproxy": ("haproxy.cfg", "option httplog", "unknown option 'httplogx'", "{file}:9"),
    "envoy": ("envoy.yaml", "stream_idle_timeout", "stream_idle_timeoutx", "{file}:37"),
    "caddy": ("Caddyfile", "response_header_timeout", "response_header_timeoutx", "{file}:13"),
    "traefik": ("traefik.yml", "address", "field not found, node: addressx", "{file}:3"),
    "apache": ("site.conf", "ProxyPreserveHost", "Invalid command 'ProxyPreserveHostx'", "line 13 of {file}"),
    "litellm": ("config.yaml", "      model", "KeyError: 'model'", "{file}:3"),
    "varnish": ("default.vcl", "first_byte_timeout", "first_byte_timeoutx", "{file}' Line 8 "),
}


@pytest.mark.parametrize("name", EACH)
def test_a_mistake_is_told_by_the_product_itself_with_the_user_s_file_and_line(
    name: str, tmp_path: Path
) -> None:
    """Exit 3: the copy that the product was given is not named."""
    needed(name)
    file, right, says, place = MISTAKES[name]
    path = tmp_path / file
    path.write_text(path.read_text().replace(right, f"{right}x", 1))

    async def main() -> None:
        await start_gateway(name, own(name), upstream=("127.0.0.1", 9), clock=Clock())

    with pytest.raises(ChildDied) as died:
        run_real(main())

    assert died.value.exit_code == 3
    assert says in str(died.value)
    told = str(died.value).replace(f"{tmp_path}/", "")
    assert place.format(file=file) in told
    assert "/whocut-" not in str(died.value)


# The file, and what makes one route of all.
WHOLE = {
    "nginx": [
        (
            "sites/img.conf",
            "location / {\n        proxy_pass https",
            "location /v2/ {\n        proxy_pass https",
        ),
        ("sites/img.conf", "location /v1/images/ {", "location / {"),
    ],
    "caddy": [
        ("Caddyfile", "handle {", "handle /v2/* {"),
        ("Caddyfile", "handle /v1/images/* {", "handle {"),
    ],
    "envoy": [
        ("envoy.yaml", "match: { prefix: / }\n", "match: { prefix: /v2 }\n"),
        ("envoy.yaml", "prefix: /v1/images", "prefix: /"),
    ],
    "traefik": [("dynamic.yml", "PathPrefix(`/v1`)", "PathPrefix(`/`)")],
    "apache": [
        ("site.conf", "ProxyPass / ", "ProxyPass /v2/ "),
        ("site.conf", "ProxyPass /v1/images ", "ProxyPass / "),
    ],
    "varnish": [("default.vcl", "^/v1/images", "^/")],
}


@pytest.mark.parametrize("name", RELAYS)
def test_one_configuration_has_one_verdict_emulated_and_in_person(name: str, tmp_path: Path) -> None:
    """Layer, timer, phase and grade of each ending are the same, and proven, with the user's own file at work."""
    needed(name)
    for file, route, whole in WHOLE.get(name, ()):  # the world asks for paths of its own
        path = tmp_path / file
        path.write_text(path.read_text().replace(route, whole))
    world = World(topology(replace(own(name), name=name)), ASKS, settles_s=60)

    emulated = judged(world)
    with unless_it_stood_still(MARGIN_REAL_S):
        real = judged(world, tmp_path / "run")
        same_verdicts(emulated, real)


def test_a_product_whose_driver_cannot_says_so() -> None:
    """Before it starts anything."""
    layer = replace(own("nginx"), gateway="http-proxy-middleware", config="server.js")

    async def main() -> None:
        await start_gateway("http-proxy-middleware", layer, upstream=("127.0.0.1", 9), clock=Clock())

    needed("http-proxy-middleware")
    with pytest.raises(BadInput, match="cannot be started from a configuration of your own yet"):
        run_real(main())


def test_a_product_that_a_program_configures_says_the_way_out(tmp_path: Path) -> None:
    """Its limits are what the program computes: they are written as timers, or the program runs between taps."""
    (tmp_path / "chain.yaml").write_text(CHAIN.format(name="http-proxy-middleware", config="./server.js"))

    with pytest.raises(
        BadInput, match=r"chain\.yaml:3: .*write them as `timers`; .*between two `whocut tap`s"
    ):
        read_chain("chain.yaml")


def test_an_include_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the line that asks for it."""
    path = tmp_path / "nginx.conf"
    path.write_text(NGINX.replace("include mime.types;", "include gone.conf;"))

    async def main() -> None:
        await start_gateway("nginx", own("nginx"), upstream=("127.0.0.1", 9), clock=Clock())

    needed("nginx")
    with pytest.raises(BadInput, match=r"nginx\.conf:7: include: the included file gone\.conf is not there"):
        run_real(main())
