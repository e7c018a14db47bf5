"""What stands between two taps, as ``--between OUTER,INNER=LAYER[:LIMITS]`` says it, and the spans told so.

Two taps around a layer see both of its edges. Once the layer is said, their spans are those of the taps beside a
gateway of a run, and what judges that one judges this one: whose timers are known is held against the times that
the taps saw.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue, overridden, preset, settled
from whocut.chain.durations import parse_duration
from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.products import products
from whocut.chain.timers import Timer, TimerKind
from whocut.errors import BadInput, nearest
from whocut.trace.records import AttemptRecord, LayerRecord, TapSide

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.trace.records import Span

_FORM = "OUTER,INNER=LAYER, or OUTER,INNER=LAYER:first_byte=60s,idle=none"


@dataclass(frozen=True, slots=True)
class Between:
    """Two taps by name, the outer one nearer to the caller, and the layer that stands between them."""

    outer: str
    inner: str
    layer: Layer


def parse_between(written: Sequence[str]) -> list[Between]:
    """Each ``--between``: two taps, a preset or a name of one's own, and limits where they are not the preset's.

    Raises:
        BadInput: it is not of that form, or a timer or a limit is unknown; names the nearest one.
    """
    return [_parsed(one) for one in written]


def _parsed(written: str) -> Between:
    taps, equals, said = written.partition("=")
    outer, comma, inner = (part.strip() for part in taps.partition(","))
    name, _, limits = (part.strip() for part in said.partition(":"))
    if not (equals and comma and outer and inner and name) or outer == inner:
        raise BadInput(f"'{written}' does not name two taps and a layer. Write {_FORM}.", field="--between")
    known = catalogue().get(name)
    if known is not None and known.role is not Role.HOP:
        raise BadInput(f"'{name}' is a client and cannot stand between two taps", field="--between")
    layer = preset(name) if known is not None else Layer(name=name, title=name)
    return Between(outer, inner, _limited(layer, limits) if limits else layer)


def _limited(layer: Layer, written: str) -> Layer:
    limits = dict(_limit(layer, one) for one in written.split(","))
    if layer.preset:
        return settled(overridden(layer, limits, "--between"))
    timers = {
        kind: Timer(kind=kind, limit_s=limit_s, directive=str(kind), source="--between")
        for kind, limit_s in limits.items()
        if limit_s is not None
    }
    return replace(layer, timers=timers)


def _limit(layer: Layer, written: str) -> tuple[TimerKind, float | None]:
    name, equals, limit = (part.strip() for part in written.partition("="))
    kinds = {str(kind): kind for kind in TimerKind}
    if not equals or name not in kinds:
        raise BadInput(
            f"{layer.name} has no timer '{name}'{nearest(name, kinds)}; there are {', '.join(kinds)}. "
            "Write a limit as idle=60s.",
            field="--between",
        )
    try:
        return kinds[name], parse_duration(limit)
    except ValueError as error:
        raise BadInput(f"{name} of {layer.name}: {error}", field="--between") from None


def put_between(spans: Iterable[Span], topology: Topology, said: Sequence[Between]) -> tuple[list[Span], Topology]:
    """The spans of each pair of taps as those of the taps beside their layer, and the chain with that layer in it.

    Raises:
        BadInput: a tap is not in the material, or another layer stands between the two as well.
    """
    spans = list(spans)
    for one in said:
        spans, topology = _put(spans, topology, one)
    return spans, topology


def _put(spans: list[Span], topology: Topology, said: Between) -> tuple[list[Span], Topology]:
    places = {layer.name: place for place, layer in enumerate(topology.hops, start=1)}
    for name in (said.outer, said.inner):
        if name not in places:
            raise BadInput(
                f"there is no tap '{name}' in the material{nearest(name, places)}; there are "
                f"{', '.join(places) or 'none'}",
                field="--between",
            )
    outer, inner = places[said.outer], places[said.inner]
    if inner != outer + 1:
        order = "the other way round" if inner < outer else "not next to each other"
        raise BadInput(
            f"{said.outer} and {said.inner} are {order}: {' → '.join(places)}. Name the outer tap first.",
            field="--between",
        )
    layer = replace(said.layer, name=_free(said.layer.name, topology, said))
    hops = (*topology.hops[: outer - 1], layer, *topology.hops[inner:])
    lazy_s = products()[layer.preset].lazy_real_s if layer.preset in products() else 0.0
    moved = [_told(span, said, layer, outer, lazy_s) for span in spans]
    return moved, replace(topology, hops=hops)


def _told(span: Span, said: Between, layer: Layer, place: int, lazy_s: float) -> Span:
    """A tap's span as one of its side of the layer; further in, everything stands one place nearer."""
    if not isinstance(span, LayerRecord) or isinstance(span, AttemptRecord):
        return span
    if span.layer == said.outer:
        return replace(span, layer=layer.name, position=place, tap=TapSide.OUTSIDE)
    if span.layer == said.inner:
        return replace(
            span, layer=layer.name, position=place, tap=TapSide.INSIDE, tap_lazy_s=lazy_s or None
        )
    return replace(span, position=span.position - 1) if span.position > place else span


def _free(name: str, topology: Topology, said: Between) -> str:
    """The layer's name, with a number where another layer of the chain has it."""
    names = Counter(one.name for one in topology.layers if one.name not in {said.outer, said.inner})
    number = 1
    while names[name if number == 1 else f"{name}-{number}"]:
        number += 1
    return name if number == 1 else f"{name}-{number}"
