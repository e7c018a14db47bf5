"""HTTPRoutes and the policies on them as an Envoy configuration, in the shape that Envoy Gateway gives it.

A route's own `timeouts` come before a policy's. Of several policies the most specific one holds alone, unless it is
merged into the next. A stream idle time that is not written follows from the route's limit: an hour at least, and
none without a limit. What is not about time, a path or a redirect (mirrors, weights, buffers) is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.path.gateways.own_trees import duration_s
from whocut.path.gateways.route_objects import Object, Objects, RouteObject, at, first_of, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPE: Final = "type.googleapis.com/envoy.extensions"
_MANAGER: Final = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LEAST_IDLE_S: Final = 3600.0
_CONNECT: Final = "10s"
_RETRIES: Final = 2
_RETRIED_STATUS: Final = 503
_RETRIED_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_EXACT, _REGEX, _PREFIX = 2, 1, 0
_RANKS: Final = {"Exact": _EXACT, "RegularExpression": _REGEX}


@dataclass(frozen=True, slots=True)
class FromRoutes:
    """The configuration, and for each line on which a rule is written the names of the virtual hosts it is in."""

    data: Object
    hosts: dict[int, list[str]]


def are_routes(text: str) -> bool:
    """Whether a text is Kubernetes manifests with an HTTPRoute in them."""
    return re.search(r"^\s*kind: *[\"']?HTTPRoute\b", text, re.MULTILINE) is not None


def envoy_of(text: str, line: int | None) -> FromRoutes:
    """The Envoy configuration for the routes of a text; of several ports the one of the rule on this line.

    Raises:
        ValueError: the text is no YAML.
    """
    try:
        objects = Objects.of(text)
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {error}") from None
    port = next((objects.port(route) for route in objects.routes if line in route.lines), None)
    here = [route for route in objects.routes if port is None or objects.port(route) in {port, None}]
    entries = [entry for route in here for entry in _entries(objects, route)]
    entries.sort(key=lambda entry: entry.rank, reverse=True)  # stable: the first of equals stays first
    hosts = list(dict.fromkeys(host for entry in entries for host in entry.hosts))
    virtual_hosts = [
        {
            "name": host,
            "domains": [host],
            "routes": [entry.route for entry in entries if host in entry.hosts],
        }
        for host in hosts
    ]
    clusters = [cluster for entry in entries if (cluster := entry.cluster)]
    data = {
        "static_resources": {"listeners": [_listener(objects, virtual_hosts)], "clusters": clusters},
    }
    lines: dict[int, list[str]] = {}
    for entry in entries:
        for one in entry.lines:
            lines.setdefault(one, []).extend(entry.hosts)
    return FromRoutes(data, lines)


@dataclass(slots=True)
class _Entry:
    """One match of one rule: its route, hosts, rank among the others and lines, and the cluster that it needs."""

    route: Object
    hosts: list[str]
    rank: tuple[int, int, int, int]
    lines: list[int]
    cluster: Object | None = None


def _entries(objects: Objects, route: RouteObject) -> Iterator[_Entry]:
    hosts = [str(host) for host in at(route.object, "spec", "hostnames") or ["*"]]
    for number, rule in enumerate(listed(route.object, "spec", "rules")):
        policies = objects.policies(route, rule)
        name = (
            f"httproute/{at(route.object, 'metadata', 'namespace') or 'default'}/{route.name}/rule/{number}"
        )
        line, inner = route.rules[number]
        for place, match in enumerate(listed(rule, "matches") or [{}]):
            yield _Entry(
                route={"name": f"{name}/match/{place}", "match": _match(match)}
                | _action(objects, name, rule, policies, match),
                hosts=hosts,
                rank=_rank(match),
                lines=[inner[place]] if place < len(inner) else [line],
                cluster=_cluster(name, policies) if place == 0 and _redirect(rule) is None else None,
            )


def _rank(match: Object) -> tuple[int, int, int, int]:
    kind, value = _path(match)
    rank = _RANKS.get(kind, _PREFIX)
    return rank, len(value), len(listed(match, "headers")), len(listed(match, "queryParams"))


def _path(match: Object) -> tuple[str, str]:
    return str(at(match, "path", "type") or "PathPrefix"), str(at(match, "path", "value") or "/")


def _match(match: Object) -> Object:
    kind, value = _path(match)
    made: Object
    if kind == "Exact":
        made = {"path": value}
    elif kind == "RegularExpression":
        made = {"safe_regex": {"regex": value}}
    elif value == "/":
        made = {"prefix": "/"}
    else:
        made = {"path_separated_prefix": value.rstrip("/")}
    headers = [{"name": one.get("name"), "string_match": _text(one)} for one in listed(match, "headers")]
    if match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    queries = [{"name": one.get("name"), "string_match": _text(one)} for one in listed(match, "queryParams")]
    return (
        made | ({"headers": headers} if headers else {}) | ({"query_parameters": queries} if queries else {})
    )


def _text(asked: Object) -> Object:
    value = str(asked.get("value", ""))
    return {"safe_regex": {"regex": value}} if asked.get("type") == "RegularExpression" else {"exact": value}


def _filter(rule: Object, name: str) -> Object | None:
    return next((one[name] for one in listed(rule, "filters") if isinstance(one.get(name), dict)), None)


def _redirect(rule: Object) -> Object | None:
    return _filter(rule, "requestRedirect")


def _action(objects: Objects, cluster: str, rule: Object, policies: list[Object], match: Object) -> Object:
    redirect = _redirect(rule)
    if redirect is not None:
        codes = {
            301: "MOVED_PERMANENTLY",
            303: "SEE_OTHER",
            307: "TEMPORARY_REDIRECT",
            308: "PERMANENT_REDIRECT",
        }
        made: Object = {"response_code": codes.get(redirect.get("statusCode", 302), "FOUND")}
        said = {
            "scheme_redirect": redirect.get("scheme"),
            "host_redirect": redirect.get("hostname"),
            "port_redirect": redirect.get("port"),
            "path_redirect": at(redirect, "path", "replaceFullPath"),
            "prefix_rewrite": at(redirect, "path", "replacePrefixMatch"),
        }
        return {"redirect": made | {name: value for name, value in said.items() if value is not None}}
    route: Object = {"cluster": cluster, "upgrade_configs": [{"upgrade_type": "websocket"}]}
    route |= _rewritten(rule, match) | _times(objects, rule, policies)
    retry = _retry_policy(rule, policies)
    return {"route": route | ({"retry_policy": retry} if retry else {})}


def _rewritten(rule: Object, match: Object) -> Object:
    path = at(_filter(rule, "urlRewrite"), "path") or {}
    if "replacePrefixMatch" in path:
        prefix = _path(match)[1].rstrip("/")
        pattern = f"^{re.escape(prefix)}/*"
        return {
            "regex_rewrite": {
                "pattern": {"regex": pattern},
                "substitution": f"{str(path['replacePrefixMatch']).rstrip('/')}/",
            }
        }
    if "replaceFullPath" in path:
        return {"regex_rewrite": {"pattern": {"regex": "^/.*$"}, "substitution": path["replaceFullPath"]}}
    return {}


def _times(objects: Objects, rule: Object, policies: list[Object]) -> Object:
    """`timeout`, `idle_timeout` and `max_stream_duration` of a route; what is left out is Envoy's own."""
    own = rule.get("timeouts") or {}
    request = own.get("request")
    if own.get("backendRequest") is not None and not rule.get("retry"):
        request = own["backendRequest"]
    if request is None:
        request = first_of(policies, "timeout", "http", "requestTimeout")
    idle = first_of(policies, "timeout", "http", "streamIdleTimeout")
    if (
        idle is None
        and request is not None
        and objects.of_callers("timeout", "http", "streamIdleTimeout") is None
    ):
        limit_s = duration_s(request) or 0.0
        idle = f"{max(_LEAST_IDLE_S, limit_s):g}s" if limit_s else "0s"
    longest = first_of(policies, "timeout", "http", "maxStreamDuration")
    made = {"timeout": _seconds(request), "idle_timeout": _seconds(idle)}
    made = {name: value for name, value in made.items() if value is not None}
    return made | ({"max_stream_duration": {"max_stream_duration": _seconds(longest)}} if longest else {})


def _retry_policy(rule: Object, policies: list[Object]) -> Object | None:
    own = rule.get("retry")
    of_policy = first_of(policies, "retry")
    if isinstance(own, dict):
        made = _policy(own.get("attempts"), None, own.get("codes"))
        one_try = at(rule, "timeouts", "backendRequest")
    elif isinstance(of_policy, dict):
        on = of_policy.get("retryOn") or {}
        made = _policy(
            of_policy.get("numRetries"), on.get("triggers"), on.get("httpStatusCodes") if on else None
        )
        one_try = at(of_policy, "perRetry", "timeout")
    else:
        return None
    return made | ({"per_try_timeout": _seconds(one_try)} if one_try is not None else {})


def _policy(count: Any, triggers: Any, codes: Any) -> Object:
    return {
        "num_retries": count if isinstance(count, int) else _RETRIES,
        "retry_on": ",".join(map(str, triggers)) if triggers else _RETRIED_ON,
        "retriable_status_codes": list(codes) if codes else [_RETRIED_STATUS],
    }


def _cluster(name: str, policies: list[Object]) -> Object:
    common = {
        "idle_timeout": _seconds(first_of(policies, "timeout", "http", "connectionIdleTimeout")),
        "max_connection_duration": _seconds(first_of(policies, "timeout", "http", "maxConnectionDuration")),
    }
    protocol = {
        "@type": f"type.googleapis.com/{_PROTOCOL}",
        "common_http_protocol_options": {key: value for key, value in common.items() if value is not None},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": _seconds(first_of(policies, "timeout", "tcp", "connectTimeout")) or _CONNECT,
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": 32_768,
        "load_assignment": {"cluster_name": name, "endpoints": []},
        "typed_extension_protocol_options": {_PROTOCOL: protocol},
    }


def _listener(objects: Objects, virtual_hosts: list[Object]) -> Object:
    of_callers = {
        "stream_idle_timeout": ("timeout", "http", "streamIdleTimeout"),
        "request_timeout": ("timeout", "http", "requestReceivedTimeout"),
        "request_headers_timeout": ("timeout", "http", "requestHeadersReceivedTimeout"),
    }
    times = {name: _seconds(objects.of_callers(*keys)) for name, keys in of_callers.items()}
    common: Object = {"headers_with_underscores_action": "REJECT_REQUEST"}
    idle = _seconds(objects.of_callers("timeout", "http", "idleTimeout"))
    manager: Object = {
        "@type": _MANAGER,
        "stat_prefix": "http",
        "common_http_protocol_options": common | ({"idle_timeout": idle} if idle is not None else {}),
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "server_header_transformation": "PASS_THROUGH",
        "route_config": {
            "name": "routes",
            "ignore_port_in_host_matching": True,
            "virtual_hosts": virtual_hosts,
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    manager |= {name: value for name, value in times.items() if value is not None}
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": "routes",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 0}},  # noqa: S104  # replaced
        "per_connection_buffer_limit_bytes": 32_768,
        "default_filter_chain": {"name": "routes", "filters": filters},
    }


def _seconds(written: Any) -> str | None:
    """A duration of Go's as Envoy's JSON takes it; None: nothing is written, or no duration."""
    limit_s = duration_s(written) if written is not None else None
    return None if limit_s is None else f"{limit_s:.3f}s".replace(".000s", "s")
