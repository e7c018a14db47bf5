"""Changes of a gateway's configuration as its users make them: an answer in the API's envelope, gzip, a retry.

Each is an edit of what the driver writes for the product's limits. A product without a row cannot do it by its
configuration alone, and its cell is passed over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Gateway, Site

ENVELOPE = json.dumps(
    {"error": {"message": "The server is overloaded.", "type": "server_error", "param": None, "code": None}}
)


class Varied:
    """A driver whose files are edited before the product is started with them."""

    def __init__(self, of: Gateway, edit: Callable[[str, Site], str]) -> None:
        self.program = of.program
        self.install = of.install
        self.out = of.out
        self.ready = of.ready
        self.logs_requests = of.logs_requests
        self.starts_within_real_s = of.starts_within_real_s
        self.missing = of.missing
        self.command = of.command
        self.own = of.own
        self.writes_log = of.writes_log
        self._of = of
        self._edit = edit

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The product's files, each of them edited."""
        return {name: self._edit(text, site) for name, text in self._of.files(layer, site).items()}


def _nginx_envelope(text: str, site: Site) -> str:
    del site
    page = f"location @house {{ internal; default_type application/json; return 503 '{ENVELOPE}'; }}"
    return text.replace(
        "location / {", f"{page}\n        location / {{\n            error_page 504 = @house;"
    )


def _nginx_gzip(text: str, site: Site) -> str:
    del site
    return text.replace(
        "    upstream next {",
        "    gzip on; gzip_proxied any; gzip_min_length 1; gzip_http_version 1.0;\n"
        "    gzip_types application/json text/event-stream;\n    upstream next {",
    )


def _nginx_retry(text: str, site: Site) -> str:
    again = f"server {site.next} max_fails=0;"
    text = text.replace(again, f"{again} {again}")
    return text.replace(
        "proxy_http_version", "proxy_next_upstream error non_idempotent;\n            proxy_http_version"
    )


def _haproxy_envelope(text: str, site: Site) -> str:
    page = site.folder / "house.http"
    body = ENVELOPE.encode()
    head = b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    page.write_bytes(head % len(body) + body)
    return text.replace("frontend callers", f"    errorfile 504 {page}\nfrontend callers")


def _haproxy_gzip(text: str, site: Site) -> str:
    del site
    kinds = "compression type application/json text/event-stream"
    return text.replace("\nbackend next\n", f"\nbackend next\n    compression algo gzip\n    {kinds}\n")


def _haproxy_retry(text: str, site: Site) -> str:
    del site
    return text.replace(
        "\nbackend next\n",
        "\nbackend next\n    option http-buffer-request\n    retries 1\n    retry-on conn-failure empty-response\n",
    )


def _envoy(change: Callable[[dict[str, Any]], None]) -> Callable[[str, Site], str]:
    def edit(text: str, site: Site) -> str:
        del site
        config = json.loads(text)
        listener = config["static_resources"]["listeners"][0]
        change(listener["filter_chains"][0]["filters"][0]["typed_config"])
        return json.dumps(config)

    return edit


def _envoy_envelope(manager: dict[str, Any]) -> None:
    timed_out = {
        "status_code_filter": {
            "comparison": {"op": "EQ", "value": {"default_value": 504, "runtime_key": "whocut"}}
        }
    }
    manager["local_reply_config"] = {
        "mappers": [{"filter": timed_out, "status_code": 503, "body": {"inline_string": "x"}}],
        "body_format": {"json_format": json.loads(ENVELOPE), "content_type": "application/json"},
    }


def _envoy_gzip(manager: dict[str, Any]) -> None:
    kind = "type.googleapis.com/envoy.extensions"
    compressor = {
        "name": "envoy.filters.http.compressor",
        "typed_config": {
            "@type": f"{kind}.filters.http.compressor.v3.Compressor",
            "response_direction_config": {
                "common_config": {
                    "min_content_length": 30,
                    "content_type": ["application/json", "text/event-stream"],
                }
            },
            "compressor_library": {
                "name": "gzip",
                "typed_config": {"@type": f"{kind}.compression.gzip.compressor.v3.Gzip"},
            },
        },
    }
    manager["http_filters"].insert(0, compressor)


def _envoy_retry(text: str, site: Site) -> str:
    del site
    config = json.loads(text)
    resources = config["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    route["retry_policy"] |= {"retry_on": "reset,connect-failure", "num_retries": 1}
    for cluster in resources["clusters"]:
        # By default no more than three requests are asked again at once, and all others fail.
        cluster["circuit_breakers"] = {"thresholds": [{"max_retries": 1024}]}
    return json.dumps(config)


def _caddy_envelope(text: str, site: Site) -> str:
    del site
    page = (
        "    handle_errors 504 {\n        header Content-Type application/json\n"
        f"        respond `{ENVELOPE}` 503\n    }}\n"
    )
    return text.replace("    log\n    reverse_proxy", f"    log\n{page}    reverse_proxy")


def _caddy_gzip(text: str, site: Site) -> str:
    del site
    matched = "encode gzip {\n        minimum_length 1\n        match header Content-Type *\n    }"
    return text.replace("    log\n    reverse_proxy", f"    log\n    {matched}\n    reverse_proxy")


def _caddy_retry(text: str, site: Site) -> str:
    del site
    return text.replace(
        "        transport http {",
        "        lb_retries 1\n        lb_retry_match method POST\n        request_buffers 1MB\n"
        "        transport http {",
    )


def _traefik_middleware(name: str, middleware: dict[str, Any]) -> Callable[[str, Site], str]:
    def edit(text: str, site: Site) -> str:
        del site
        config = json.loads(text)
        if "http" in config:
            config["http"]["middlewares"] = {name: middleware}
            config["http"]["routers"]["all"]["middlewares"] = [name]
        return json.dumps(config)

    return edit


def _apache_envelope(text: str, site: Site) -> str:
    del site
    return f"{text}ErrorDocument 502 '{ENVELOPE}'\n"


def _apache_gzip(text: str, site: Site) -> str:
    del site
    modules = "/usr/lib/apache2/modules"
    return (
        f"LoadModule filter_module {modules}/mod_filter.so\nLoadModule deflate_module {modules}/mod_deflate.so\n"
        f"{text}SetOutputFilter DEFLATE\n"
    )


def _varnish_envelope(text: str, site: Site) -> str:
    del site
    return text + (
        'sub vcl_backend_error {\n    set beresp.http.Content-Type = "application/json";\n'
        f'    set beresp.body = {{"{ENVELOPE}"}};\n    return (deliver);\n}}\n'
    )


def _varnish_gzip(text: str, site: Site) -> str:
    del site
    return text + "sub vcl_backend_response {\n    set beresp.do_gzip = true;\n}\n"


def _varnish_retry(text: str, site: Site) -> str:
    del site
    std = "import std;\n"
    return (
        text.replace("vcl 4.1;\n", f"vcl 4.1;\n{std}").replace(
            "    return (pass);", "    std.cache_req_body(1MB);\n    return (pass);"
        )
        + "sub vcl_backend_error {\n    if (bereq.retries == 0) {\n        return (retry);\n    }\n}\n"
    )


def _hpm_envelope(text: str, site: Site) -> str:
    del site
    answer = f"res.writeHead(503, {{ 'content-type': 'application/json' }}); res.end({json.dumps(ENVELOPE)});"
    return text.replace(" }));", f", on: {{ error: (err, req, res) => {{ {answer} }} }} }}));")


VARIANTS: dict[str, dict[str, Callable[[str, Site], str]]] = {
    "envelope": {
        "nginx": _nginx_envelope,
        "haproxy": _haproxy_envelope,
        "envoy": _envoy(_envoy_envelope),
        "caddy": _caddy_envelope,
        "apache": _apache_envelope,
        "varnish": _varnish_envelope,
        "http-proxy-middleware": _hpm_envelope,
    },
    "gzip": {
        "nginx": _nginx_gzip,
        "haproxy": _haproxy_gzip,
        "envoy": _envoy(_envoy_gzip),
        "caddy": _caddy_gzip,
        "traefik": _traefik_middleware(
            "gzip",
            {
                "compress": {
                    "minResponseBodyBytes": 1,
                    "includedContentTypes": ["application/json", "text/event-stream"],
                }
            },
        ),
        "apache": _apache_gzip,
        "varnish": _varnish_gzip,
    },
    "retry": {
        "nginx": _nginx_retry,
        "haproxy": _haproxy_retry,
        "envoy": _envoy_retry,
        "caddy": _caddy_retry,
        "varnish": _varnish_retry,
    },
}
