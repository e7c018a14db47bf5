"""Envoy as a layer, from its package for Python.

It passes the caller's `traceparent` on as it came, since tracing is off. Its circuit breakers are opened: by
default they let 1,024 requests through at once and answer 503 to the others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver
from whocut.path.gateways.envoy_own import own_envoy
from whocut.trace.logs.envoy import JSON_FORMAT
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_TYPE = "type.googleapis.com/envoy.extensions"
_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANY = 1_000_000
_LONGEST = "86400s"  # a cluster waits five seconds for a connection unless its configuration says more


class Envoy(Driver):
    """How Envoy is configured and started."""

    program = "envoy"
    install = "pip install 'whocut[gateways]'"
    out = START

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The configuration as JSON, which is YAML as well, with the layer's limits in it."""
        config = {
            "static_resources": {"listeners": [_listener(layer, site)], "clusters": [_cluster(layer, site)]}
        }
        return {"envoy.yaml": json.dumps(config, indent=2)}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's configuration, changed where it must be."""
        return own_envoy(config, layer, site)

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the file
        """In the foreground, with one worker, and apart from any other Envoy of this machine."""
        return [
            program,
            *("-c", str(site.folder / "envoy.yaml")),
            *("--concurrency", "1"),
            *("--log-level", "warning"),
            "--disable-hot-restart",
        ]


def _listener(layer: Layer, site: Site) -> dict[str, Any]:
    route: dict[str, Any] = {"cluster": "next", "timeout": _time(layer, site, TimerKind.TOTAL, none="0s")}
    if layer.limit_s(TimerKind.FIRST_BYTE) is not None:
        limit = _time(layer, site, TimerKind.FIRST_BYTE, none="")
        route["retry_policy"] = {"num_retries": 0, "per_try_timeout": limit}
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "callers",
        "stream_idle_timeout": _time(layer, site, TimerKind.IDLE, none="0s"),
        "common_http_protocol_options": {"idle_timeout": _time(layer, site, TimerKind.KEEPALIVE, none="0s")},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
                    "path": str(site.logs / ACCESS),
                    "log_format": {"json_format": JSON_FORMAT},
                },
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": "callers",
        "address": _address("127.0.0.1", site.port),
        "tcp_backlog_size": 4096,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _cluster(layer: Layer, site: Site) -> dict[str, Any]:
    many = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _MANY)
    protocol = {
        "@type": f"type.googleapis.com/{_PROTOCOL}",
        "common_http_protocol_options": {"idle_timeout": _time(layer, site, TimerKind.KEEPALIVE, none="0s")},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": "next",
        "type": "STATIC",
        "connect_timeout": _time(layer, site, TimerKind.CONNECT, none=_LONGEST),
        "circuit_breakers": {"thresholds": [many]},
        "typed_extension_protocol_options": {_PROTOCOL: protocol},
        "load_assignment": {
            "cluster_name": "next",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*site.upstream)}}]}],
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _time(layer: Layer, site: Site, kind: TimerKind, *, none: str) -> str:
    """A limit as Envoy writes it: decimal seconds."""
    limit_ms = site.milliseconds(layer, kind)
    return none if limit_ms is None else f"{limit_ms / 1000:.3f}s"


GATEWAY = Envoy()
