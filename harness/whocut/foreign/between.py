"""The layer between two taps, as ``--between OUTER,INNER=LAYER[:LIMITS]`` says it, and the spans made to fit.

Two taps around a layer see both of its edges. Once the layer is said, their spans are those of the taps beside a
gateway of a run. What judges that one judges this one: whose timers are known is held against the times that
the taps saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue, overridden, preset, settled
from whocut.chain.durations import parse_duration
from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.errors import BadInput, nearest
from whocut.verdict.seating import named_apart, seated, taps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    spans = named_apart(list(spans))
    order = [layer.name for layer in topology.hops]
    order += [name for name in taps_of(spans).names if name not in order]
    for one in said:
        _refuse_strangers(one, order)
    return seated(spans, topology, {(one.outer, one.inner): one.layer for one in said})


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
