"""CloudFormation and SAM templates: balancers, API Gateways, distributions and functions with their limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.cloud import Resource, reading_of
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.config.reading import NotRead, Reading

_NOTHING: Final = Tree("", 0, None)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    resources: list[Resource] = []
    for source in sources:
        for tree in yaml_trees(source.path, source.text):
            shared = tree.get("Globals", "Function", "Timeout")
            for name, resource in (tree.get("Resources") or _NOTHING).items():
                resources += _resource(name, resource, shared, not_read)
    if not resources:
        raise BadFile(sources[0].path, "there is no resource with a timer in it", line=1)
    return reading_of(resources, not_read)


def _resource(name: str, resource: Tree, shared: Tree | None, not_read: list[NotRead]) -> Iterator[Resource]:
    kind = resource.text("Type")
    properties = resource.get("Properties") or _NOTHING
    for types, product, timer, find, unit in _TYPES:
        if kind in types:
            found = find(properties)
            inherited = found is None and kind == "AWS::Serverless::Function"
            limits: dict[TimerKind, Limit] = {}
            put(
                limits,
                timer,
                limit_at(found or (shared if inherited else None), unit, not_read, inherited=inherited),
            )
            yield Resource(layer=layer_of(product, limits), name=name, file=resource.file, line=resource.line)


def _idle(properties: Tree) -> Tree | None:
    """The balancer's attribute among its list of keys and values."""
    for entry in (properties.get("LoadBalancerAttributes") or _NOTHING).each():
        if entry.text("Key") == "idle_timeout.timeout_seconds":
            return entry.get("Value")
    return None


def _origin(properties: Tree) -> Tree | None:
    for origin in (properties.get("DistributionConfig", "Origins") or _NOTHING).each():
        found = origin.get("CustomOriginConfig", "OriginReadTimeout")
        if found is not None:
            return found
    return None


def _at(*keys: str) -> Callable[[Tree], Tree | None]:
    return lambda properties: properties.get(*keys)


_TYPES: Final[
    tuple[tuple[frozenset[str], str, TimerKind, Callable[[Tree], Tree | None], Callable[[str], float]], ...]
] = (
    (
        frozenset({"AWS::CloudFront::Distribution"}),
        "cloudfront",
        TimerKind.FIRST_BYTE,
        _origin,
        units.seconds,
    ),
    (
        frozenset({"AWS::ElasticLoadBalancingV2::LoadBalancer"}),
        "aws-alb",
        TimerKind.FIRST_BYTE,
        _idle,
        units.seconds,
    ),
    (
        frozenset({"AWS::ApiGateway::Method"}),
        "aws-apigw-rest",
        TimerKind.TOTAL,
        _at("Integration", "TimeoutInMillis"),
        units.milliseconds,
    ),
    (
        frozenset({"AWS::Serverless::Api", "AWS::ApiGateway::RestApi"}),
        "aws-apigw-rest",
        TimerKind.TOTAL,
        _at("TimeoutInMillis"),
        units.milliseconds,
    ),
    (
        frozenset({"AWS::ApiGatewayV2::Integration"}),
        "aws-apigw-http",
        TimerKind.TOTAL,
        _at("TimeoutInMillis"),
        units.milliseconds,
    ),
    (
        frozenset({"AWS::Serverless::HttpApi"}),
        "aws-apigw-http",
        TimerKind.TOTAL,
        _at("DefaultRouteSettings", "TimeoutInMillis"),
        units.milliseconds,
    ),
    (
        frozenset({"AWS::Serverless::Function", "AWS::Lambda::Function"}),
        "aws-lambda",
        TimerKind.TOTAL,
        _at("Timeout"),
        units.seconds,
    ),
)


def _looks(source: Source) -> int:
    if not file_name(source).endswith((".yaml", ".yml", ".json", ".template")):
        return 0
    return 90 if re.search(r"[\"']?Type[\"']?\s*:\s*[\"']?AWS::", source.text) else 0


CLOUDFORMATION: Final = register(
    Format(name="cloudformation", title="CloudFormation or SAM", looks=_looks, read=_read, also=("sam",))
)
