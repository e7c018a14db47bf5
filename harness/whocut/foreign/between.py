"""The layer between two taps, as ``--between OUTER,INNER=LAYER[:LIMITS]`` says it, and the spans made to fit.

Two taps around a layer see both of its edges. Once the layer is said, their spans are those of the taps beside a
gateway of a run, and what judges that one judges this one: whose timers are known is held against the times that
the taps saw.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue, overridden, preset, settled
from whocut.chain.durations import parse_duration
from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.products import products
from whocut.chain.timers import Timer, TimerKind
from whocut.errors import BadInput, nearest
from whocut.trace.records import AttemptRecord, LayerRecord, TapSide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.trace.records import Span

_FORM = "OUTER,INNER=LAYER, or OUTER,INNER=LAYER:first_byte=60s,idle=none"


@dataclass(frozen=True, slots=True)
class Between:
    """Two taps by name, the outer one nearer to the caller, and the layer between them."""

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
        raise BadInput(f"'{name}' is a client and cannot be between two taps", field="--between")
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


def put_between(
    spans: Iterable[Span], topology: Topology, said: Sequence[Between]
) -> tuple[list[Span], Topology]:
    """The spans of neighbouring taps as those of the taps beside one layer, and the chain with that layer.

    Taps next to each other of which nothing is said have a layer between them that nothing is known of. A tap may
    stand between two layers: then it is the inner tap of one and the outer tap of the other.

    Raises:
        BadInput: a tap is not in the material, or another one stands between the two.
    """
    spans = list(spans)
    order = [layer.name for layer in topology.hops]
    for one in said:
        _refuse_strangers(one, order)
    layers = {(one.outer, one.inner): one.layer for one in said}
    alone = {span.layer for span in spans if isinstance(span, LayerRecord) and span.tap is TapSide.ALONE}
    for outer, inner in pairwise(order):
        if outer in alone and inner in alone:
            name = f"what stands between {outer} and {inner}"
            layers.setdefault((outer, inner), Layer(name=name, title=name))
    if not layers:
        return spans, topology
    hops, places = _laid_out(topology, layers)
    moved = [one for span in spans for one in _told(span, places)]
    return moved, replace(topology, hops=tuple(hops))


def _refuse_strangers(said: Between, order: list[str]) -> None:
    for name in (said.outer, said.inner):
        if name not in order:
            raise BadInput(
                f"there is no tap '{name}' in the material{nearest(name, order)}; there are "
                f"{', '.join(order) or 'none'}",
                field="--between",
            )
    outer, inner = order.index(said.outer), order.index(said.inner)
    if inner != outer + 1:
        wrong = "the other way round" if inner < outer else "not next to each other"
        raise BadInput(
            f"{said.outer} and {said.inner} are {wrong}: {' → '.join(order)}. Name the outer tap first.",
            field="--between",
        )


@dataclass(slots=True)
class _Place:
    """Where a hop of the material stands in the new chain: as itself, or as a tap on either side of a layer."""

    itself: int | None = None
    inside: tuple[int, Layer] | None = None
    outside: tuple[int, Layer] | None = None


def _laid_out(
    topology: Topology, layers: dict[tuple[str, str], Layer]
) -> tuple[list[Layer], dict[str, _Place]]:
    order = topology.hops
    taps = {name for pair in layers for name in pair}
    free = Counter(layer.name for layer in topology.layers if layer.name not in taps)
    places = {layer.name: _Place() for layer in order}
    hops: list[Layer] = []
    for number, hop in enumerate(order):
        following = order[number + 1].name if number + 1 < len(order) else ""
        if hop.name not in taps:
            hops.append(hop)
            places[hop.name].itself = len(hops)
        if (layer := layers.get((hop.name, following))) is not None:
            layer = replace(layer, name=_free(layer.name, free))
            hops.append(layer)
            places[hop.name].outside = places[following].inside = (len(hops), layer)
    return hops, places


def _told(span: Span, places: dict[str, _Place]) -> Iterator[Span]:
    """A tap's span as one of its side of a layer, or as two."""
    if not isinstance(span, LayerRecord) or isinstance(span, AttemptRecord) or span.layer not in places:
        yield span
        return
    place = places[span.layer]
    if place.itself is not None:
        yield replace(span, position=place.itself)
    if place.outside is not None:
        at, layer = place.outside
        parent = _inner_id(span) if place.inside is not None else span.parent_id
        yield replace(span, layer=layer.name, position=at, tap=TapSide.OUTSIDE, parent_id=parent)
    if place.inside is not None:
        at, layer = place.inside
        span_id = _inner_id(span) if place.outside is not None else span.span_id
        lazy_s = products()[layer.preset].lazy_real_s if layer.preset in products() else 0.0
        yield replace(
            span,
            span_id=span_id,
            layer=layer.name,
            position=at,
            tap=TapSide.INSIDE,
            tap_lazy_s=lazy_s or None,
        )


def _inner_id(span: Span) -> str:
    """The id of a tap's second record, where it stands between two layers."""
    return f"{span.span_id}-inside"


def _free(name: str, taken: Counter[str]) -> str:
    """The layer's name, with a number where another layer of the chain has it."""
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}-{taken[name]}"
