"""A user's own Envoy configuration, made to run here: where it listens, what it dials, where it logs; no more.

Changed are the listening addresses and TLS towards the caller, and the clusters' endpoints with what looks them up
and knocks at them. So are the admin page and, on a scaled clock, the timers. One access log more is kept.
Kubernetes' HTTPRoutes are first made into the configuration that Envoy Gateway makes of them.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from whocut.errors import BadFile
from whocut.path.gateways.envoy_routes import are_routes, envoy_of
from whocut.path.gateways.own import Own, read_own
from whocut.path.gateways.own_trees import OwnTree, each, scale_times, scaled_time
from whocut.trace.logs.envoy import JSON_FORMAT
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site

FILE: Final = "envoy.yaml"
_FILE_LOG: Final = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_TIMER: Final = re.compile(r"(?:^|_)(?:timeout|duration|interval)$")
_NO_HOST: Final = "no-name.invalid"
# Envoy's own times of what is not written, in seconds.
_ROUTE_S, _SILENCE_S, _CONNECT_S = 15.0, 300.0, 5.0
_OF_TLS: Final = ("server_names", "transport_protocol", "application_protocols")
_LOOKED_UP: Final = (
    *("health_checks", "transport_socket", "transport_socket_matches", "eds_cluster_config", "dns_resolvers"),
    *("cluster_type", "http2_protocol_options", "dns_lookup_family", "lb_subset_config"),
)


def own_envoy(config: Path, layer: Layer, site: Site) -> Own:
    """The user's configuration as Envoy gets it here; the listener of the route takes the callers.

    Raises:
        BadFile: it cannot be read.
    """
    text = read_own(config)
    own = Own()
    tree = _of_routes(config, text, layer.line) if are_routes(text) else OwnTree.of(config, text)
    if tree is None:
        own.add(config, text, text, FILE)
        return own
    static = tree.data.get("static_resources") or {}
    meant = tree.at_line(layer.line)
    listeners = [one for one in static.get("listeners") or () if isinstance(one, dict)]
    taken = meant[2] if meant[:2] == ("static_resources", "listeners") and len(meant) > 2 else 0
    for number, listener in enumerate(listeners):
        _listen(listener, site, is_taken=number == taken)
    for cluster in static.get("clusters") or ():
        if isinstance(cluster, dict):
            _dial(cluster, site)
    for name in ("admin", "dynamic_resources", "layered_runtime", "stats_sinks", "tracing"):
        tree.data.pop(name, None)
    scale_times(tree.data, lambda name: bool(_TIMER.search(name)), site.clock)
    _log_and_defaults(tree.data, site)
    own.add(config, *tree.texts(), FILE)
    own.fields |= {name: (config, line) for name, line in tree.fields().items()}
    return own


def _of_routes(config: Path, text: str, line: int | None) -> OwnTree | None:
    """What Envoy Gateway would make of the file's HTTPRoutes; the hosts of the route that is meant are all hosts.

    Raises:
        BadFile: no rule of the file passes a request on.
    """
    try:
        made = envoy_of(text, line)
    except ValueError:
        return None
    named = made.hosts.get(line or 0, ())
    meant = "*" if "*" in named else next(iter(named), None)
    if not made.data["static_resources"]["clusters"]:
        raise BadFile(config, "no rule of its HTTPRoutes passes a request on")
    tree = OwnTree(made.data, deepcopy(made.data), {})
    for _, mapping in each(made.data):
        for host in mapping.get("virtual_hosts") or ():
            _take_all(host, meant=host["name"] == meant)
    return tree


def _take_all(host: dict[str, Any], *, meant: bool) -> None:
    """Callers dial an address and no name: the virtual host that is meant takes them, and no other one."""
    if meant:
        host["domains"] = list(dict.fromkeys([*host["domains"], "*"]))
    elif "*" in host["domains"]:
        host["domains"] = [_NO_HOST]


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _listen(listener: dict[str, Any], site: Site, *, is_taken: bool) -> None:
    """An address of this machine, and no TLS; a listener that takes no callers has any free port."""
    listener["address"] = _address("127.0.0.1", site.port if is_taken else 0)
    listener.pop("additional_addresses", None)
    if is_taken:
        listener["tcp_backlog_size"] = 4096
    for chain in [*(listener.get("filter_chains") or ()), listener.get("default_filter_chain")]:
        if not isinstance(chain, dict):
            continue
        chain.pop("transport_socket", None)
        match = chain.get("filter_chain_match")
        if isinstance(match, dict):
            chain["filter_chain_match"] = {name: one for name, one in match.items() if name not in _OF_TLS}
    listener["listener_filters"] = [
        one for one in listener.get("listener_filters") or () if "tls_inspector" not in str(one)
    ]


def _dial(cluster: dict[str, Any], site: Site) -> None:
    """One endpoint: the upstream, over plain HTTP/1."""
    for name in _LOOKED_UP:
        cluster.pop(name, None)
    cluster["type"] = "STATIC"
    cluster["load_assignment"] = {
        "cluster_name": cluster.get("name", ""),
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*site.upstream)}}]}],
    }
    for _, mapping in each(cluster.get("typed_extension_protocol_options")):
        explicit = mapping.get("explicit_http_config")
        if isinstance(explicit, dict):
            mapping["explicit_http_config"] = {
                "http_protocol_options": explicit.get("http_protocol_options") or {}
            }
        if mapping.pop("auto_config", None) is not None:
            mapping["explicit_http_config"] = {"http_protocol_options": {}}


def _log_and_defaults(data: Any, site: Site) -> None:
    """Our log beside each manager's; on a scaled clock Envoy's own times too, where nothing is written."""
    log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": _FILE_LOG,
            "path": str(site.logs / ACCESS),
            "log_format": {"json_format": JSON_FORMAT},
        },
    }
    for place, mapping in list(each(data)):
        if "stat_prefix" in mapping and ("route_config" in mapping or "rds" in mapping):
            kept = [one for one in mapping.get("access_log") or () if not _writes_a_file(one)]
            mapping["access_log"] = [*kept, log]
            if site.clock.scale != 1:
                mapping.setdefault("stream_idle_timeout", scaled_time(f"{_SILENCE_S}s", site.clock))
        goes_on = "cluster" in mapping or "weighted_clusters" in mapping
        if site.clock.scale != 1 and place[-1:] == ("route",) and goes_on:
            mapping.setdefault("timeout", scaled_time(f"{_ROUTE_S}s", site.clock))
        if site.clock.scale != 1 and "load_assignment" in mapping:
            mapping.setdefault("connect_timeout", scaled_time(f"{_CONNECT_S}s", site.clock))


def _writes_a_file(log: Any) -> bool:
    return (
        isinstance(log, dict) and isinstance(log.get("typed_config"), dict) and "path" in log["typed_config"]
    )
