"""CloudFormation and SAM templates: balancers, API Gateways, distributions and functions with their limits.

A SAM function's events say which API and which path lead to it, also where the API is in no line of the file. Of a
parameter the default is taken, and said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import limit, limit_at, put
from whocut.config.cloud import Resource, reading_of
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.reading import NotRead
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.config.reading import Reading

_NOTHING: Final = Tree("", 0, None)
_FUNCTIONS: Final = frozenset({"AWS::Serverless::Function", "AWS::Lambda::Function"})
# The events of a SAM function by which a caller comes, and the product that is in front of it then.
_EVENTS: Final = {"Api": "aws-apigw-rest", "HttpApi": "aws-apigw-http"}


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    resources: list[Resource] = []
    for source in sources:
        for tree in yaml_trees(source.path, source.text):
            template = _Template(tree, not_read)
            for name, resource in (tree.get("Resources") or _NOTHING).items():
                resources += template.resources(name, resource)
    if not resources:
        raise BadFile(sources[0].path, "there is no resource with a timer in it", line=1)
    return reading_of(resources, not_read)


@dataclass(slots=True)
class _Template:
    """One template, with its parameters."""

    tree: Tree
    not_read: list[NotRead]

    def resources(self, name: str, resource: Tree) -> Iterator[Resource]:
        """The resource as it is met: a distribution by each of its paths, a function by each of its events."""
        kind = resource.text("Type")
        properties = resource.get("Properties") or _NOTHING
        known = _TYPES.get(kind)
        if kind == "AWS::ElasticLoadBalancingV2::LoadBalancer" and properties.text("Type") == "network":
            known = _NETWORK
        if kind == "AWS::CloudFront::Distribution":
            yield from self._distribution(name, resource, properties)
        elif known is not None:
            found = known.find(properties)
            inherited = found is None
            if found is None and "Serverless::Function" in kind:
                found = self.tree.get("Globals", "Function", "Timeout")
            limits: dict[TimerKind, Limit] = {}
            one = self._limit(found, known.unit, inherited=inherited)
            put(limits, known.timer, one)
            for way in _ways(properties) if kind in _FUNCTIONS else ({},):
                yield Resource(
                    product=known.product,
                    limits=limits,
                    name=name,
                    file=resource.file,
                    line=resource.line,
                    **way,
                )

    def _distribution(self, name: str, resource: Tree, properties: Tree) -> Iterator[Resource]:
        """A distribution: each path goes to the origin that its behaviour names."""
        config = properties.get("DistributionConfig") or _NOTHING
        origins = {one.text("Id"): one for one in (config.get("Origins") or _NOTHING).each()}
        single = next(iter(origins.values())) if len(origins) == 1 else _NOTHING
        behaviours = list((config.get("CacheBehaviors") or _NOTHING).each())
        default = config.get("DefaultCacheBehavior") or _NOTHING
        for place, behaviour in enumerate([*behaviours, default]):
            target = _said(behaviour.get("TargetOriginId"))
            origin = origins.get(target) or (single if behaviour is default else _NOTHING)
            limits: dict[TimerKind, Limit] = {}
            written = origin.get("CustomOriginConfig", "OriginReadTimeout")
            put(limits, TimerKind.FIRST_BYTE, self._limit(written, units.seconds))
            pattern = behaviour.text("PathPattern")
            yield Resource(
                product="cloudfront",
                limits=limits,
                name=name,
                file=resource.file,
                line=resource.line,
                pattern=(pattern if pattern.startswith("/") else f"/{pattern}") if pattern else None,
                place=place,
                behind=_said(origin.get("DomainName")).partition(".")[0],
            )

    def _limit(
        self, found: Tree | None, unit: Callable[[str], float | None], *, inherited: bool = False
    ) -> Limit | None:
        """A limit as it is written, or as the default of the parameter that it names."""
        if found is None:
            return None
        name = _said(found)
        default = self.tree.get("Parameters", name, "Default")
        if default is not None:
            self._note(found, f"{name}: the parameter's default is taken")
            return limit_at(default, unit, self.not_read, inherited=inherited)
        if isinstance(found.value, dict | list):
            self._note(found, "a function of the template decides when it is deployed")
            return limit(None, found.file, found.line, inherited=inherited, unknown=True)
        return limit_at(found, unit, self.not_read, inherited=inherited)

    def _note(self, tree: Tree, what: str) -> None:
        self.not_read.append(NotRead(file=tree.file, line=tree.line, what=what))


def _said(found: Tree | None) -> str:
    """A value, or the name that it refers to, in YAML's short form or in the long one."""
    if found is None or isinstance(found.value, str):
        return found.text() if found else ""
    attribute = found.get("Fn::GetAtt")
    if attribute is not None:
        return ".".join(one.text() for one in attribute.each())
    return found.text("Ref") or found.text()


def _ways(properties: Tree) -> list[dict[str, Any]]:
    """How a caller comes to a function: by the events of a SAM function, by its own URL, or not said."""
    events = [event for _, event in (properties.get("Events") or _NOTHING).items()]
    ways: list[dict[str, Any]] = [
        {
            "through": _EVENTS[event.text("Type")],
            "pattern": event.text("Properties", "Path") or None,
        }
        for event in events
        if event.text("Type") in _EVENTS
    ]
    if properties.get("FunctionUrlConfig") is not None or (events and not ways):
        ways.append({"through": ""})
    return ways or [{}]


def _attribute(name: str) -> Callable[[Tree], Tree | None]:
    """The balancer's attribute among its list of keys and values."""

    def find(properties: Tree) -> Tree | None:
        for entry in (properties.get("LoadBalancerAttributes") or _NOTHING).each():
            if entry.text("Key") == name:
                return entry.get("Value")
        return None

    return find


def _at(*keys: str) -> Callable[[Tree], Tree | None]:
    return lambda properties: properties.get(*keys)


class _Known(NamedTuple):
    """A type of resource: the layer that it is, its timer, where that is written, and in which unit."""

    product: str
    timer: TimerKind
    find: Callable[[Tree], Tree | None]
    unit: Callable[[str], float]


_REST: Final = _Known("aws-apigw-rest", TimerKind.TOTAL, _at("TimeoutInMillis"), units.milliseconds)
_FUNCTION: Final = _Known("aws-lambda", TimerKind.TOTAL, _at("Timeout"), units.seconds)
_NETWORK: Final = _Known("aws-nlb", TimerKind.IDLE, _attribute("tcp.idle_timeout.seconds"), units.seconds)
_TYPES: Final = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _Known(
        "aws-alb", TimerKind.FIRST_BYTE, _attribute("idle_timeout.timeout_seconds"), units.seconds
    ),
    "AWS::ApiGateway::Method": _Known(
        "aws-apigw-rest", TimerKind.TOTAL, _at("Integration", "TimeoutInMillis"), units.milliseconds
    ),
    "AWS::Serverless::Api": _REST,
    "AWS::ApiGateway::RestApi": _REST,
    "AWS::ApiGatewayV2::Integration": _Known(
        "aws-apigw-http", TimerKind.TOTAL, _at("TimeoutInMillis"), units.milliseconds
    ),
    "AWS::Serverless::HttpApi": _Known(
        "aws-apigw-http",
        TimerKind.TOTAL,
        _at("DefaultRouteSettings", "TimeoutInMillis"),
        units.milliseconds,
    ),
    **dict.fromkeys(_FUNCTIONS, _FUNCTION),
}


_TYPE: Final = re.compile(r"Type[\"']?\s*:\s*[\"']?AWS::")


def _looks(source: Source) -> int:
    if not file_name(source).endswith((".yaml", ".yml", ".json", ".template")):
        return 0
    return 90 if source.has(_TYPE, "AWS::") else 0


CLOUDFORMATION: Final = register(
    Format(name="cloudformation", title="CloudFormation or SAM", looks=_looks, read=_read, also=("sam",))
)
