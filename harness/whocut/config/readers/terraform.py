"""`terraform show -json`: what is planned or exists, of AWS, Google Cloud, Azure and Cloudflare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

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
_MOST_DEPTH: Final = 20


class _Known(NamedTuple):
    """A type of resource: the layer that it is, its timer, the field that holds it, and that field's unit."""

    product: str
    kind: TimerKind
    field: tuple[str | int, ...]
    unit: Callable[[str], float]


_TYPES: Final = {
    "aws_cloudfront_distribution": _Known(
        "cloudfront",
        TimerKind.FIRST_BYTE,
        ("origin", 0, "custom_origin_config", 0, "origin_read_timeout"),
        units.seconds,
    ),
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


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    resources: list[Resource] = []
    for source in sources:
        for tree in yaml_trees(source.path, source.text):
            values = tree.get("planned_values") or tree.get("values") or _NOTHING
            for resource in _resources(values.get("root_module") or _NOTHING, 0):
                known = _TYPES.get(resource.text("type"))
                if known is None:
                    continue
                limits: dict[TimerKind, Limit] = {}
                put(limits, known.kind, limit_at(resource.get("values", *known.field), known.unit, not_read))
                name = resource.text("address") or resource.text("name")
                resources.append(
                    Resource(
                        layer=layer_of(known.product, limits),
                        name=name,
                        file=resource.file,
                        line=resource.line,
                    )
                )
    if not resources:
        raise BadFile(sources[0].path, "there is no resource with a timer in it", line=1)
    return reading_of(resources, not_read)


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
