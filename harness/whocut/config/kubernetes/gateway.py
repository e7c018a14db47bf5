"""Gateway API routes, and the policies of Envoy Gateway and Envoy AI Gateway that hang on them.

A route's own `timeouts` come before a policy. Of several policies the most specific one holds alone, unless it says
that it is merged into the Gateway's. Both limits of a
route are totals: `request` of the whole, `backendRequest` of one try, and without retries of the whole too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit, limit_at, put
from whocut.config.kubernetes.objects import NOTHING, Objects, Thing
from whocut.config.matching import any_host, path_rank, understood
from whocut.config.reading import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank
    from whocut.config.trees import Tree

ENVOY_API: Final = "gateway.envoyproxy.io"
_AI_API: Final = "aigateway.envoyproxy.io"
_KINDS: Final = {"Exact": "exact", "PathPrefix": "segments", "RegularExpression": "regex"}
_RETRIED: Final = frozenset({"5xx", "gateway-error", "reset"})
BACKENDS: Final = "BackendTrafficPolicy"
_PER_HOUR_S: Final = 3600.0
_ROUTE_S: Final = 15.0  # Envoy's own, where no object says more


def _go(text: str) -> float | None:
    return units.or_none(units.go, text)


def gateway_routes(objects: Objects) -> Iterator[Route]:
    """A route for each match of each rule."""
    yield from (route for _, _, route in gateway_rules(objects))
    for thing in objects.all("AIGatewayRoute"):
        for rule in (thing.spec.get("rules") or NOTHING).each():
            yield Route(
                host="", path="", file=rule.file, line=rule.line, layers=(_ai_layer(objects, thing, rule),)
            )


def gateway_rules(objects: Objects) -> Iterator[tuple[Thing, int, Route]]:
    """Each match of each rule as a route, with the object and the number of the rule; a redirect has no layers."""
    product = _product(objects)
    for thing in objects.all("HTTPRoute", "GRPCRoute"):
        hosts = [host.text() for host in (thing.spec.get("hostnames") or NOTHING).each()]
        for number, rule in enumerate((thing.spec.get("rules") or NOTHING).each()):
            layers = () if _redirects(rule) else (_layer(objects, product, thing, rule),)
            for route in _matches(objects, hosts, rule, layers):
                yield thing, number, route


def _redirects(rule: Tree) -> bool:
    return any(
        one.text("type") == "RequestRedirect" or one.get("requestRedirect") is not None
        for one in (rule.get("filters") or NOTHING).each()
    )


def _matches(objects: Objects, hosts: list[str], rule: Tree, layers: tuple[Layer, ...]) -> Iterator[Route]:
    matches = list((rule.get("matches") or NOTHING).each())
    for match in matches or [NOTHING]:
        kind = _KINDS.get(match.text("path", "type") or "PathPrefix", "segments")
        path = match.text("path", "value") or "/"
        asks = match.get("headers") or match.get("queryParams")
        if asks:
            objects.note(match, "the match asks for headers or a query, which decides at run time")
        if kind == "regex" and not understood(path):
            objects.note(match, f"{path}: whether it takes a path is not tried")
        yield Route(
            host=hosts[0] if hosts else "",
            path=path,
            file=(match if match.line else rule).file,
            line=match.line or rule.line,
            layers=layers,
            takes_host=any_host(hosts),
            takes_path=_takes(kind, path, sure=not asks and match.text("method") in {"", "POST"}),
        )


def _takes(kind: str, path: str, *, sure: bool) -> Callable[[str], Rank | None]:
    """The rank of a path; a match that asks for more is taken where no other one is."""

    def takes(asked: str) -> Rank | None:
        rank = path_rank(kind, path, asked)
        return None if rank is None else (int(sure), *rank)

    return takes


def _product(objects: Objects) -> str:
    """The implementation, where a class or a policy of its own says which."""
    controllers = [thing.spec.text("controllerName") for thing in objects.all("GatewayClass")]
    classes = [thing.spec.text("gatewayClassName") for thing in objects.all("Gateway")]
    said = " ".join([*controllers, *classes]).lower()
    if (
        any(thing.api in {ENVOY_API, _AI_API} for thing in objects.things)
        or "envoyproxy" in said
        or classes == ["eg"]
    ):
        return "envoy-gateway"
    return "istio" if "istio" in said else "gateway-api"


# --- Envoy Gateway --------------------------------------------------------------------------------


def _layer(objects: Objects, product: str, route: Thing, rule: Tree) -> Layer:
    read = objects.not_read
    request = limit_at(rule.get("timeouts", "request"), _go, read)
    one_try = limit_at(
        rule.get("timeouts", "backendRequest"),
        _go,
        read,
        directive=_knob(product),
        knob="timeouts: {{backendRequest: {s}s}}",
    )
    limits: dict[TimerKind, Limit] = {}
    policies = _policies(objects, route, rule.text("name")) if product == "envoy-gateway" else []
    retries = _retries(rule, policies)
    put(limits, TimerKind.TOTAL, request or _from(policies, objects, ("timeout", "http", "requestTimeout")))
    if one_try is not None:
        if retries.tries > 1 and product != "gateway-api":
            limits[TimerKind.FIRST_BYTE] = one_try
        elif _shorter(one_try, limits.get(TimerKind.TOTAL)):
            limits[TimerKind.TOTAL] = one_try
    if product != "envoy-gateway":
        return layer_of(product, limits, retries=retries)
    whole = limits.get(TimerKind.TOTAL)  # the stream's idle time follows from this one alone
    stream = _from(policies, objects, ("timeout", "http", "maxStreamDuration"))
    if stream is not None and stream.limit_s is not None and stream.limit_s < _total_s(limits):
        limits[TimerKind.TOTAL] = stream
    per_retry = _from(policies, objects, ("retry", "perRetry", "timeout"))
    if per_retry is not None:
        limits.setdefault(TimerKind.FIRST_BYTE, per_retry)
    put(limits, TimerKind.CONNECT, _from(policies, objects, ("timeout", "tcp", "connectTimeout")))
    put(limits, TimerKind.IDLE, _idle(objects, policies, whole))
    return layer_of(product, limits, retries=retries)


def _knob(product: str) -> str:
    return "HTTPRoute timeouts.backendRequest" if product == "envoy-gateway" else "timeouts.backendRequest"


def _shorter(one: Limit, other: Limit | None) -> bool:
    if one.limit_s is None:
        return other is None
    return other is None or other.limit_s is None or one.limit_s < other.limit_s


def _policies(objects: Objects, route: Thing, rule: str = "") -> list[tuple[Thing, bool]]:
    """The policies that hold for a rule of a route, its own first; of a Gateway's the value is inherited."""
    found = [(policy, False) for policy in objects.aimed_at(BACKENDS, route.kind, route.name, rule)]
    for parent in (route.spec.get("parentRefs") or NOTHING).each():
        outer = objects.aimed_at(BACKENDS, "Gateway", parent.text("name"), parent.text("sectionName"))
        found += [(policy, True) for policy in outer]
    merged = next(
        (n for n, (policy, _) in enumerate(found, 1) if not policy.spec.get("mergeType")), len(found)
    )
    return found[:merged]


def _total_s(limits: Mapping[TimerKind, Limit]) -> float:
    """The limit on the whole, Envoy's own where nothing is written; infinite: there is no such limit."""
    total = limits.get(TimerKind.TOTAL)
    if total is None:
        return _ROUTE_S
    return math.inf if total.limit_s is None else total.limit_s


def _from(policies: list[tuple[Thing, bool]], objects: Objects, where: tuple[str, ...]) -> Limit | None:
    for policy, inherited in policies:
        found = policy.spec.get(*where)
        if found is not None:
            directive, knob = f"{BACKENDS} {'.'.join(where)}", f"{where[-1]}: {{s}}s"
            return limit_at(found, _go, objects.not_read, inherited=inherited, directive=directive, knob=knob)
    return None


def _idle(objects: Objects, policies: list[tuple[Thing, bool]], total: Limit | None) -> Limit | None:
    """`streamIdleTimeout` of a policy, else of the listener's, else what follows from the request's limit."""
    written = _from(policies, objects, ("timeout", "http", "streamIdleTimeout"))
    if written is not None:
        return written
    for policy in objects.all("ClientTrafficPolicy"):
        found = policy.spec.get("timeout", "http", "streamIdleTimeout")
        if found is not None:
            directive = "ClientTrafficPolicy timeout.http.streamIdleTimeout"
            knob = "streamIdleTimeout: {s}s"
            return limit_at(found, _go, objects.not_read, inherited=True, directive=directive, knob=knob)
    if total is None:
        return limit(300.0, "", None, inherited=True)
    follows_s = max(_PER_HOUR_S, total.limit_s) if total.limit_s is not None else None
    return limit(follows_s, total.file, total.line, inherited=True)


def _retries(rule: Tree, policies: list[tuple[Thing, bool]]) -> LayerRetries:
    stanza = rule.get("retry")
    if stanza is not None:
        attempts = stanza.text("attempts")
        return LayerRetries(
            tries=1 + (int(attempts) if attempts.isdecimal() else 2),
            post=True,
            file=stanza.file,
            line=stanza.line,
        )
    for policy, _ in policies:
        found = policy.spec.get("retry")
        if found is not None:
            count = found.text("numRetries")
            on = {trigger.text() for trigger in (found.get("retryOn", "triggers") or NOTHING).each()}
            return LayerRetries(
                tries=1 + (int(count) if count.isdecimal() else 2),
                post=True,
                on_timeout=bool(on & _RETRIED),
                file=found.file,
                line=found.line,
            )
    return LayerRetries(post=True)


def _ai_layer(objects: Objects, route: Thing, rule: Tree) -> Layer:
    """Envoy AI Gateway: 60 s of its own where a rule says nothing."""
    limits: dict[TimerKind, Limit] = {}
    put(limits, TimerKind.TOTAL, limit_at(rule.get("timeouts", "request"), _go, objects.not_read))
    idle = rule.get("timeouts", "streamIdleTimeout") or rule.get("streamIdleTimeout")
    put(limits, TimerKind.IDLE, limit_at(idle, _go, objects.not_read))
    policies = _policies(objects, Thing("HTTPRoute", route.name, route.tree))
    put(limits, TimerKind.CONNECT, _from(policies, objects, ("timeout", "tcp", "connectTimeout")))
    return layer_of("envoy-ai-gateway", limits, retries=_retries(NOTHING, policies))
