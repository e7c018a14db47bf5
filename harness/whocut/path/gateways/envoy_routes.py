"""HTTPRoutes and the policies on them as an Envoy configuration, in the shape that Envoy Gateway gives it.

A route's own `timeouts` come before a policy's. Of several policies the most specific one holds alone, unless it is
merged into the next. A stream idle time that is not written follows from the route's limit: an hour at least, and
none without a limit. What is not about time, a path or a redirect (mirrors, weights, buffers) is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.path.gateways.own_trees import duration_s
from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TYPE: Final = "type.googleapis.com/envoy.extensions"
_MANAGER: Final = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BACKENDS, _CALLERS = "BackendTrafficPolicy", "ClientTrafficPolicy"
_LEAST_IDLE_S: Final = 3600.0
_CONNECT: Final = "10s"
_RETRIES: Final = 2
_RETRIED_STATUS: Final = 503
_RETRIED_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_EXACT, _REGEX, _PREFIX = 2, 1, 0
_RANKS: Final = {"Exact": _EXACT, "RegularExpression": _REGEX}

Object = dict[str, Any]


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
        objects = _Objects.of(text)
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


# --- objects --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Route:
    """An HTTPRoute, and the line of each of its rules and matches."""

    object: Object
    rules: list[tuple[int, list[int]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(_at(self.object, "metadata", "name") or "")

    @property
    def lines(self) -> set[int]:
        return {line for first, more in self.rules for line in (first, *more)}


@dataclass(slots=True)
class _Objects:
    """The objects of a text; one that is written again is the last one."""

    routes: list[_Route] = field(default_factory=list)
    others: list[Object] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> _Objects:
        found: dict[tuple[str, str, str, int], tuple[Object, Any]] = {}
        for node in yaml.compose_all(text, Loader=LOADER):
            for number, (data, inner) in enumerate(_each_object(node)):
                kind, name = str(data.get("kind")), str(_at(data, "metadata", "name") or "")
                namespace = str(_at(data, "metadata", "namespace") or "")
                found[kind, namespace, name, 0 if name else number] = (data, inner)
        objects = cls()
        for data, node in found.values():
            if data.get("kind") == "HTTPRoute":
                objects.routes.append(_Route(data, _lines(node)))
            else:
                objects.others.append(data)
        return objects

    def port(self, route: _Route) -> int | None:
        """The port of the listener that a route hangs on; None is any."""
        for parent in _list(route.object, "spec", "parentRefs"):
            if isinstance(parent.get("port"), int):
                return int(parent["port"])
            for gateway in self._of_kind("Gateway"):
                if _at(gateway, "metadata", "name") != parent.get("name"):
                    continue
                for listener in _list(gateway, "spec", "listeners"):
                    if parent.get("sectionName") and listener.get("name") == parent["sectionName"]:
                        return listener.get("port")
        return None

    def _of_kind(self, kind: str) -> Iterator[Object]:
        return (one for one in self.others if one.get("kind") == kind)

    def policies(self, route: _Route, rule: Object) -> list[Object]:
        """The specs of the policies that hold for a rule: its own, the route's, the Gateway's, as far as merged."""
        targets: list[tuple[str, Any, Any]] = [
            ("HTTPRoute", route.name, rule.get("name") or None),
            ("HTTPRoute", route.name, None),
        ]
        for parent in _list(route.object, "spec", "parentRefs"):
            section = parent.get("sectionName")
            targets += [("Gateway", parent.get("name"), section)] if section else []
            targets.append(("Gateway", parent.get("name"), None))
        found: list[Object] = []
        for target in dict.fromkeys(targets):
            for policy in self._of_kind(_BACKENDS):
                spec = policy.get("spec") or {}
                if target in _targets(spec) and spec not in found:
                    found.append(spec)
        merged = next((n for n, spec in enumerate(found, 1) if not spec.get("mergeType")), len(found))
        return found[:merged]

    def of_callers(self, *keys: str) -> Any:
        """A value of the first policy for callers that says it."""
        return next(
            (value for one in self._of_kind(_CALLERS) if (value := _at(one, "spec", *keys)) is not None), None
        )


def _each_object(node: yaml.Node | None) -> Iterator[tuple[Object, yaml.Node]]:
    data = _plain(node)
    if not isinstance(data, dict) or not isinstance(node, yaml.MappingNode):
        return
    items = _child(node, "items")
    if str(data.get("kind", "")).endswith("List") and isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _each_object(item)
    else:
        yield data, node


def _plain(node: yaml.Node | None) -> Any:
    if node is None:
        return None
    loader = LOADER("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node


def _lines(node: yaml.Node) -> list[tuple[int, list[int]]]:
    """The line of each rule, and the lines of its matches."""
    rules = _child(node, "spec", "rules")
    found = []
    for rule in _mappings(rules):
        matches = _child(rule, "matches")
        found.append((rule.start_mark.line + 1, [match.start_mark.line + 1 for match in _mappings(matches)]))
    return found


def _mappings(node: yaml.Node | None) -> list[yaml.Node]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else []
    return [one for one in nodes if isinstance(one, yaml.MappingNode)]


def _targets(spec: Object) -> set[tuple[str, Any, Any]]:
    refs = [
        *_list(spec, "targetRefs"),
        *([spec["targetRef"]] if isinstance(spec.get("targetRef"), dict) else []),
    ]
    return {(str(ref.get("kind")), ref.get("name"), ref.get("sectionName") or None) for ref in refs}


def _at(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _list(data: Any, *keys: str) -> list[Object]:
    found = _at(data, *keys)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _first(policies: Iterable[Object], *keys: str) -> Any:
    """A value of the first of these policies that says it."""
    return next((value for spec in policies if (value := _at(spec, *keys)) is not None), None)


# --- routes ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Entry:
    """One match of one rule: its route, hosts, rank among the others and lines, and the cluster that it needs."""

    route: Object
    hosts: list[str]
    rank: tuple[int, int, int, int]
    lines: list[int]
    cluster: Object | None = None


def _entries(objects: _Objects, route: _Route) -> Iterator[_Entry]:
    hosts = [str(host) for host in _at(route.object, "spec", "hostnames") or ["*"]]
    for number, rule in enumerate(_list(route.object, "spec", "rules")):
        policies = objects.policies(route, rule)
        name = (
            f"httproute/{_at(route.object, 'metadata', 'namespace') or 'default'}/{route.name}/rule/{number}"
        )
        line, inner = route.rules[number]
        for at, match in enumerate(_list(rule, "matches") or [{}]):
            yield _Entry(
                route={"name": f"{name}/match/{at}", "match": _match(match)}
                | _action(objects, name, rule, policies, match),
                hosts=hosts,
                rank=_rank(match),
                lines=[inner[at]] if at < len(inner) else [line],
                cluster=_cluster(name, policies) if at == 0 and _redirect(rule) is None else None,
            )


def _rank(match: Object) -> tuple[int, int, int, int]:
    kind, value = _path(match)
    rank = _RANKS.get(kind, _PREFIX)
    return rank, len(value), len(_list(match, "headers")), len(_list(match, "queryParams"))


def _path(match: Object) -> tuple[str, str]:
    return str(_at(match, "path", "type") or "PathPrefix"), str(_at(match, "path", "value") or "/")


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
    headers = [{"name": one.get("name"), "string_match": _text(one)} for one in _list(match, "headers")]
    if match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    queries = [{"name": one.get("name"), "string_match": _text(one)} for one in _list(match, "queryParams")]
    return (
        made | ({"headers": headers} if headers else {}) | ({"query_parameters": queries} if queries else {})
    )


def _text(asked: Object) -> Object:
    value = str(asked.get("value", ""))
    return {"safe_regex": {"regex": value}} if asked.get("type") == "RegularExpression" else {"exact": value}


def _filter(rule: Object, name: str) -> Object | None:
    return next((one[name] for one in _list(rule, "filters") if isinstance(one.get(name), dict)), None)


def _redirect(rule: Object) -> Object | None:
    return _filter(rule, "requestRedirect")


def _action(objects: _Objects, cluster: str, rule: Object, policies: list[Object], match: Object) -> Object:
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
            "path_redirect": _at(redirect, "path", "replaceFullPath"),
            "prefix_rewrite": _at(redirect, "path", "replacePrefixMatch"),
        }
        return {"redirect": made | {name: value for name, value in said.items() if value is not None}}
    route: Object = {"cluster": cluster, "upgrade_configs": [{"upgrade_type": "websocket"}]}
    route |= _rewritten(rule, match) | _times(objects, rule, policies)
    retry = _retry_policy(rule, policies)
    return {"route": route | ({"retry_policy": retry} if retry else {})}


def _rewritten(rule: Object, match: Object) -> Object:
    path = _at(_filter(rule, "urlRewrite"), "path") or {}
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


def _times(objects: _Objects, rule: Object, policies: list[Object]) -> Object:
    """`timeout`, `idle_timeout` and `max_stream_duration` of a route; what is left out is Envoy's own."""
    own = rule.get("timeouts") or {}
    request = own.get("request")
    if own.get("backendRequest") is not None and not rule.get("retry"):
        request = own["backendRequest"]
    if request is None:
        request = _first(policies, "timeout", "http", "requestTimeout")
    idle = _first(policies, "timeout", "http", "streamIdleTimeout")
    if (
        idle is None
        and request is not None
        and objects.of_callers("timeout", "http", "streamIdleTimeout") is None
    ):
        limit_s = duration_s(request) or 0.0
        idle = f"{max(_LEAST_IDLE_S, limit_s):g}s" if limit_s else "0s"
    longest = _first(policies, "timeout", "http", "maxStreamDuration")
    made = {"timeout": _seconds(request), "idle_timeout": _seconds(idle)}
    made = {name: value for name, value in made.items() if value is not None}
    return made | ({"max_stream_duration": {"max_stream_duration": _seconds(longest)}} if longest else {})


def _retry_policy(rule: Object, policies: list[Object]) -> Object | None:
    own = rule.get("retry")
    of_policy = _first(policies, "retry")
    if isinstance(own, dict):
        made = _policy(own.get("attempts"), None, own.get("codes"))
        one_try = _at(rule, "timeouts", "backendRequest")
    elif isinstance(of_policy, dict):
        on = of_policy.get("retryOn") or {}
        made = _policy(
            of_policy.get("numRetries"), on.get("triggers"), on.get("httpStatusCodes") if on else None
        )
        one_try = _at(of_policy, "perRetry", "timeout")
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
        "idle_timeout": _seconds(_first(policies, "timeout", "http", "connectionIdleTimeout")),
        "max_connection_duration": _seconds(_first(policies, "timeout", "http", "maxConnectionDuration")),
    }
    protocol = {
        "@type": f"type.googleapis.com/{_PROTOCOL}",
        "common_http_protocol_options": {key: value for key, value in common.items() if value is not None},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": _seconds(_first(policies, "timeout", "tcp", "connectTimeout")) or _CONNECT,
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": 32_768,
        "load_assignment": {"cluster_name": name, "endpoints": []},
        "typed_extension_protocol_options": {_PROTOCOL: protocol},
    }


def _listener(objects: _Objects, virtual_hosts: list[Object]) -> Object:
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
