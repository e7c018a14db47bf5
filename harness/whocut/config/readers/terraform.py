"""`terraform show -json`: what is planned or exists, of AWS, Google Cloud, Azure and Cloudflare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import limit_at, put
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
_MOST_DEPTH: Final = 20


class _Known(NamedTuple):
    """A type of resource: the layer that it is, its timer, the field that holds it, and that field's unit."""

    product: str
    kind: TimerKind
    field: tuple[str | int, ...]
    unit: Callable[[str], float]


_TYPES: Final = {
    "aws_lb": _Known("aws-alb", TimerKind.FIRST_BYTE, ("idle_timeout",), units.seconds),
    "aws_alb": _Known("aws-alb", TimerKind.FIRST_BYTE, ("idle_timeout",), units.seconds),
    "aws_api_gateway_integration": _Known(
        "aws-apigw-rest", TimerKind.TOTAL, ("timeout_milliseconds",), units.milliseconds
    ),
    "aws_apigatewayv2_integration": _Known(
        "aws-apigw-http", TimerKind.TOTAL, ("timeout_milliseconds",), units.milliseconds
    ),
    "aws_lambda_function": _Known("aws-lambda", TimerKind.TOTAL, ("timeout",), units.seconds),
    "google_cloud_run_service": _Known(
        "gcp-cloud-run", TimerKind.TOTAL, ("template", 0, "spec", 0, "timeout_seconds"), units.seconds
    ),
    "google_cloud_run_v2_service": _Known(
        "gcp-cloud-run", TimerKind.TOTAL, ("template", 0, "timeout"), units.seconds
    ),
    "google_compute_backend_service": _Known("gcp-alb", TimerKind.TOTAL, ("timeout_sec",), units.seconds),
    "google_compute_region_backend_service": _Known(
        "gcp-alb", TimerKind.TOTAL, ("timeout_sec",), units.seconds
    ),
    "azurerm_cdn_frontdoor_profile": _Known(
        "azure-front-door", TimerKind.FIRST_BYTE, ("response_timeout_seconds",), units.seconds
    ),
    "azurerm_application_gateway": _Known(
        "azure-application-gateway",
        TimerKind.FIRST_BYTE,
        ("backend_http_settings", 0, "request_timeout"),
        units.seconds,
    ),
}


_NETWORK: Final = _Known("aws-nlb", TimerKind.IDLE, ("tcp_idle_timeout",), units.seconds)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    resources: list[Resource] = []
    for source in sources:
        for tree in yaml_trees(source.path, source.text):
            planned = {
                change.text("address"): change.get("change", "after_unknown") or _NOTHING
                for change in (tree.get("resource_changes") or _NOTHING).each()
            }
            values = tree.get("planned_values") or tree.get("values") or _NOTHING
            for resource in _resources(values.get("root_module") or _NOTHING, 0):
                if resource.text("mode") != "data":
                    resources += _met(resource, planned.get(resource.text("address")), not_read)
    if not resources:
        raise BadFile(sources[0].path, "there is no resource with a timer in it", line=1)
    return reading_of(resources, not_read)


def _met(resource: Tree, unknown: Tree | None, not_read: list[NotRead]) -> Iterator[Resource]:
    """A resource as a request meets it: a distribution by each of its paths.

    `unknown` holds what is known after the plan alone; without it each null may be that.
    """
    kind = resource.text("type")
    values = resource.get("values") or _NOTHING
    if kind == "aws_cloudfront_distribution":
        yield from _distribution(resource, values, not_read)
        return
    known = _TYPES.get(kind)
    if known is None:
        return
    if kind in {"aws_lb", "aws_alb"} and values.text("load_balancer_type") == "network":
        known = _NETWORK
    found = values.get(*known.field)
    if unknown is not None and (found is None or found.value is None):
        found = Tree(resource.file, resource.line, None) if unknown.text(*known.field) == "true" else None
    several = values.get(known.field[0]) if len(known.field) > 1 else None
    if several is not None and len(list(several.each())) > 1:
        what = f"{known.field[0]}: the limits of the first one are taken"
        not_read.append(NotRead(file=several.file, line=several.line, what=what))
    yield _resource(resource, known.product, known.kind, found, known.unit, not_read)


def _resource(
    resource: Tree,
    product: str,
    kind: TimerKind,
    found: Tree | None,
    unit: Callable[[str], float],
    not_read: list[NotRead],
    **way: Any,
) -> Resource:
    limits: dict[TimerKind, Limit] = {}
    put(limits, kind, limit_at(found, unit, not_read))
    return Resource(
        product=product,
        limits=limits,
        name=resource.text("address") or resource.text("name"),
        file=resource.file,
        line=resource.line,
        **way,
    )


def _distribution(resource: Tree, values: Tree, not_read: list[NotRead]) -> Iterator[Resource]:
    """A distribution: each path goes to the origin that its behaviour names."""
    origins = {one.text("origin_id"): one for one in (values.get("origin") or _NOTHING).each()}
    single = next(iter(origins.values())) if len(origins) == 1 else _NOTHING
    behaviours = list((values.get("ordered_cache_behavior") or _NOTHING).each())
    default = values.get("default_cache_behavior", 0) or _NOTHING
    for place, behaviour in enumerate([*behaviours, default]):
        target = behaviour.text("target_origin_id")
        origin = origins.get(target) or (single if behaviour is default else _NOTHING)
        found = origin.get("custom_origin_config", 0, "origin_read_timeout")
        pattern = behaviour.text("path_pattern")
        yield _resource(
            resource,
            "cloudfront",
            TimerKind.FIRST_BYTE,
            found,
            units.seconds,
            not_read,
            pattern=(pattern if pattern.startswith("/") else f"/{pattern}") if pattern else None,
            place=place,
        )


def _resources(module: Tree, depth: int) -> Iterator[Tree]:
    yield from (module.get("resources") or _NOTHING).each()
    for child in (module.get("child_modules") or _NOTHING).each() if depth < _MOST_DEPTH else ():
        yield from _resources(child, depth + 1)


def _looks(source: Source) -> int:
    text = source.text
    if not file_name(source).endswith(".json"):
        return 0
    return 90 if '"root_module"' in text and ('"planned_values"' in text or '"values"' in text) else 0


TERRAFORM: Final = register(
    Format(name="terraform", title="terraform show -json", looks=_looks, read=_read, made=True)
)
