"""Where taps are: each of them knows its neighbours by parentage alone, and what is between two is a layer.

A tap writes which tap's span is the parent of its own; no arithmetic of positions is asked of its user. Taps of one
name get names of their own. Where a chain or a log names a layer for the place between two taps, that layer is it.
Two taps around a layer become the taps beside a gateway of a run, and what judges that one judges this one.

The client that a run watches is not the outermost one where a tap is outside of it. Then the run's own account of
it is a tap as well, named `door`, and the outermost tap's edge is the attempt.

One file, because each step from spans to seats uses the names that the step before has given.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.layers import Layer, Topology
from whocut.chain.products import products
from whocut.errors import nearest
from whocut.trace.records import AttemptRecord, DownstreamEnd, LayerRecord, TapSide, UpstreamEnd
from whocut.verdict.evidence import edge_attempt
from whocut.verdict.order import clock_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from whocut.chain.layers import Between
    from whocut.trace.records import Span

_DEEPEST: Final = 64  # a chain is never this long; a loop in broken data is
DOOR: Final = "door"
_TITLES: Final = {DOOR: "the run's own door"}


class Taps(NamedTuple):
    """The taps of some spans, from the caller inward; those in `outside` are before the watched client.

    `guessed` holds neighbours whose order nothing tells: no parent, no position, no beginning of a trace.
    """

    names: tuple[str, ...]
    outside: frozenset[str]
    guessed: frozenset[tuple[str, str]] = frozenset()


def named_apart(spans: Sequence[Span]) -> list[Span]:
    """The same spans, each tap with a name of its own: two of one name in one request are two taps.

    Where the tap between them wrote nothing, their clocks tell them apart: each tap has its own.
    """
    by_id = {span.span_id: span for span in spans}
    renamed: dict[str, str] = {}
    for span in spans:
        if is_tap(span):
            same = sum(one.layer == span.layer for one in _taps_above(span, by_id))
            if same:
                renamed[span.span_id] = f"{span.layer}-{same + 1}"
    renamed |= _apart_by_clock([span for span in spans if span.span_id not in renamed], by_id)
    if not renamed:
        return list(spans)
    return [
        replace(span, layer=renamed[span.span_id], clock=clock_of(span))
        if isinstance(span, LayerRecord) and span.span_id in renamed
        else span
        for span in spans
    ]


def _apart_by_clock(spans: Iterable[Span], by_id: Mapping[str, Span]) -> dict[str, str]:
    """New names for taps that share a name with one further out in their trace, and no parent leads out to it."""
    alike: defaultdict[tuple[str, str], list[LayerRecord]] = defaultdict(list)
    for span in spans:
        if isinstance(span, LayerRecord) and is_tap(span):
            alike[span.trace_id, span.layer].append(span)
    renamed: dict[str, str] = {}
    for (_, name), of_name in alike.items():
        lost = [span for span in of_name if _lost(span, by_id)]
        known = {clock_of(span) for span in of_name if span not in lost}
        others = [clock for clock in dict.fromkeys(map(clock_of, lost)) if clock not in known]
        number = {clock: at for at, clock in enumerate(others, start=2 if known else 1)}
        for span in lost:
            if number.get(clock_of(span), 1) > 1:
                renamed[span.span_id] = f"{name}-{number[clock_of(span)]}"
    return renamed


def _lost(span: Span, by_id: Mapping[str, Span]) -> bool:
    """Whether the way from a span outwards ends at a parent that is not among the spans."""
    above = _taps_above(span, by_id)
    current: Span | None = above[-1] if above else span
    for _ in range(_DEEPEST):
        if current is None or not current.parent_id:
            break
        current = by_id.get(current.parent_id)
    return current is None


def is_tap(span: Span) -> bool:
    """Whether a user put it somewhere, and nothing is known of what is beside it."""
    return isinstance(span, LayerRecord) and span.tap is TapSide.ALONE


def taps_of(spans: Iterable[Span]) -> Taps:
    """The taps in the order of the chain: by parentage, by their positions, and by how long they held on."""
    spans = list(spans)
    by_id = {span.span_id: span for span in spans}
    depths: defaultdict[str, Counter[tuple[bool, int]]] = defaultdict(Counter)
    linked: set[tuple[str, str]] = set()
    positions: dict[str, int] = {}
    held: defaultdict[str, list[float]] = defaultdict(list)
    for span in spans:
        if not isinstance(span, LayerRecord) or not is_tap(span):
            continue
        above = {one.layer for one in _taps_above(span, by_id)}
        linked |= {(outer, span.layer) for outer in above}
        # What a way from the outside does not lead to is further in than what it leads to.
        depths[span.layer][_lost(span, by_id), len(above)] += 1
        positions[span.layer] = span.position
        held[span.layer].append(span.end_s - span.start_s)

    def depth(name: str) -> tuple[bool, int]:
        return max(depths[name].items(), key=lambda row: (row[1], row[0]))[0]

    def place(name: str) -> tuple[tuple[bool, int], int, float, str]:
        return depth(name), positions[name], -sum(held[name]) / len(held[name]), name

    outside = {
        one.layer for span in spans if isinstance(span, AttemptRecord) for one in _taps_above(span, by_id)
    }
    names = tuple(sorted(depths, key=place))
    guessed = {
        (outer, inner)
        for outer, inner in pairwise(names)
        if (outer, inner) not in linked
        and depth(outer)[0] == depth(inner)[0]
        and positions[outer] == positions[inner]
        and (outer in outside) == (inner in outside)
    }
    return Taps(names, frozenset(outside), frozenset(guessed))


def _taps_above(span: Span, by_id: Mapping[str, Span]) -> list[LayerRecord]:
    found: list[LayerRecord] = []
    current = by_id.get(span.parent_id) if span.parent_id else None
    for _ in range(_DEEPEST):
        if current is None or current is span:
            break
        if isinstance(current, LayerRecord) and is_tap(current):
            found.append(current)
        current = by_id.get(current.parent_id) if current.parent_id else None
    return found


# --- the chain with its taps ------------------------------------------------------------------------------


def seated(spans: Iterable[Span], topology: Topology) -> tuple[list[Span], Topology]:
    """The spans and the chain with every tap in its place, and a layer between each two that are neighbours.

    What is between two taps is what the chain says of them. A tap that wrote nothing is not there. Where there are
    no taps nothing changes.
    """
    spans = list(spans)
    if not topology.taps and not topology.between and not any(map(is_tap, spans)):
        return spans, topology
    spans = named_apart(spans)
    taps = _as_said(taps_of(spans), topology)
    spans = _attempts_at_the_edge(spans, topology.client, taps)
    heard = {*taps.names, *((DOOR,) if taps.outside else ())}
    # Where no tap was heard nothing is judged by the places, and they are what the chain says.
    said = {
        (one.outer, one.inner): one.layer
        for one in topology.between
        if not heard or heard >= {one.outer, one.inner}
    }
    hops = tuple(hop for hop in topology.hops if not hop.tap or hop.name in heard)
    order = _in_order(replace(topology, hops=hops), taps, spans, said)
    if heard:
        order = _half_heard(order, topology, heard)
    reporting = _reporting(spans)
    layers = _between(order, {*heard, *(name for pair in said for name in pair)}, said, reporting)
    hops_again, places = _laid_out(order, layers)
    moved = [one for span in spans for one in _told(span, places)]
    return moved, replace(topology, hops=tuple(hops_again), between=(), guessed=bool(taps.guessed))


def _as_said(taps: Taps, topology: Topology) -> Taps:
    """The taps with no order guessed that the chain says."""
    hops = [hop.name for hop in topology.hops]
    said = {(outer, inner) for at, outer in enumerate(hops) for inner in hops[at + 1 :]}
    said |= {(one.outer, one.inner) for one in topology.between}
    names = list(taps.names)
    for outer, inner in taps.guessed:
        at = names.index(outer)
        if (inner, outer) in said and names[at + 1 :][:1] == [inner]:
            names[at : at + 2] = [inner, outer]
    guessed = {pair for pair in taps.guessed if pair not in said and pair[::-1] not in said}
    return Taps(tuple(names), taps.outside, frozenset(guessed))


def _half_heard(order: list[Layer], topology: Topology, heard: set[str]) -> list[Layer]:
    """The chain with the layers that only one of their two taps tells of: there, and silent."""
    names = [layer.name for layer in order]
    before: dict[str, Layer] = {}
    behind: dict[str, Layer] = {}
    for one in topology.between:
        if one.outer in heard and one.inner not in heard:
            behind[one.outer] = one.layer
        elif one.inner in heard and one.outer not in heard:
            before[one.inner] = one.layer
    return [
        layer
        for at, name in enumerate(names)
        for layer in (before.get(name), order[at], behind.get(name))
        if layer is not None
    ]


def not_used(spans: Sequence[Span], topology: Topology) -> list[str]:
    """Why what the chain says of places between taps is not used, in sentences; nothing where all of it is."""
    taps = taps_of(named_apart(spans))
    order = list(taps.names)
    if taps.outside:
        order.insert(max(order.index(name) for name in taps.outside) + 1, DOOR)
    found = [(one.outer, one.inner, why_not(one, order)) for one in topology.between]
    silent = [
        f"the tap {name} of the chain {topology.name} has sent no span. See that it runs, and that it exports to "
        "--otlp."
        for name in topology.taps
        if name not in order
    ]
    return silent + [f"--between {outer},{inner}: {why}" for outer, inner, why in found if why]


def why_not(said: Between, order: Sequence[str]) -> str | None:
    """Why a layer cannot be between two taps, these being all taps from the caller inward; None where it can."""
    for name in (said.outer, said.inner):
        if name not in order:
            return (
                f"there is no tap '{name}' in the material{nearest(name, order)}; there are "
                f"{', '.join(order) or 'none'}."
            )
    outer, inner = order.index(said.outer), order.index(said.inner)
    if inner != outer + 1:
        wrong = "the other way round" if inner < outer else "not next to each other"
        return f"{said.outer} and {said.inner} are {wrong}: {' → '.join(order)}. Name the outer tap first."
    return None


def _reporting(spans: Iterable[Span]) -> set[str]:
    """The names of the layers that write spans of their own."""
    return {one.layer for one in spans if isinstance(one, LayerRecord) and not is_tap(one)}


def _in_order(
    topology: Topology, taps: Taps, spans: Iterable[Span], said: Mapping[tuple[str, str], Layer]
) -> list[Layer]:
    """The chain's layers and the taps that it does not name, from the caller inward."""
    named = {(layer.name, layer.preset) for layer in said.values()}
    reporting = _reporting(spans)
    of_pairs = {name for pair in said for name in pair}
    # What was said of a place belongs there, and nowhere else.
    hops = [
        hop
        for hop in topology.hops
        if hop.tap
        or hop.name in {*taps.names, *of_pairs, *reporting}
        or not any(hop.name in {name, preset} for name, preset in named)
    ]
    known = {hop.name for hop in hops}
    outer = [_tap(name) for name in taps.names if name in taps.outside and name not in known]
    inner = [_tap(name) for name in taps.names if name not in taps.outside and name not in known]
    if taps.outside and DOOR not in known:
        outer.append(_tap(DOOR))
    silent = not reporting & known and not known & set(taps.names)
    if silent and not outer and hops and len(inner) == len(hops) + 1:
        one_each = [layer for pair in zip(inner, hops, strict=False) for layer in pair]
        return [*one_each, inner[-1]]
    if silent and not outer:
        return [*inner, *hops]
    # The taps outside of the run's door that the chain names are further out than the door.
    outside = max((at for at, hop in enumerate(hops, start=1) if hop.name in taps.outside), default=0)
    return [*hops[:outside], *outer, *hops[outside:], *inner]


def _tap(name: str) -> Layer:
    return Layer(name=name, title=name)


def _between(
    order: Sequence[Layer], taps: set[str], said: Mapping[tuple[str, str], Layer], reporting: set[str]
) -> dict[tuple[str, str], Layer]:
    """The layer of each pair of neighbouring taps: said, or named by the chain, or unknown."""
    layers = dict(said)
    places = [at for at, layer in enumerate(order) if layer.name in taps]
    for at, to in pairwise(places):
        pair = (order[at].name, order[to].name)
        within = order[at + 1 : to]
        if not within:
            unknown = f"what is between {_title(pair[0])} and {_title(pair[1])}"
            layers.setdefault(pair, Layer(name=unknown, title=unknown))
        elif len(within) == 1:
            layers.setdefault(pair, within[0])
        elif not reporting & {layer.name for layer in within}:
            # Which of several let go, no tap saw.
            several = f"one of {', '.join(layer.name for layer in within)}"
            layers.setdefault(pair, Layer(name=several, title=several))
    return layers


def _title(tap: str) -> str:
    return _TITLES.get(tap, tap)


@dataclass(slots=True)
class _Place:
    """Where a hop of the material is in the new chain: as itself, or as a tap on either side of a layer."""

    itself: int | None = None
    inside: tuple[int, Layer] | None = None
    outside: tuple[int, Layer] | None = None


def _laid_out(
    order: Sequence[Layer], layers: Mapping[tuple[str, str], Layer]
) -> tuple[list[Layer], dict[str, _Place]]:
    paired = {name for pair in layers for name in pair}
    taken: Counter[str] = Counter(layer.name for layer in order if layer.name not in paired)
    places = {layer.name: _Place() for layer in order}
    hops: list[Layer] = []
    skipped = _placed_between(order, layers)
    standing = [layer for layer in order if layer.name not in skipped or layer.name in paired]
    taken.subtract(dict.fromkeys(skipped, 1))
    for layer, following in pairwise([*standing, None]):
        assert layer is not None
        if layer.name not in paired:
            hops.append(layer)
            places[layer.name].itself = len(hops)
        between = layers.get((layer.name, following.name)) if following is not None else None
        if between is not None and following is not None:
            between = replace(between, name=_free(between.name, taken))
            hops.append(between)
            places[layer.name].outside = places[following.name].inside = (len(hops), between)
    return hops, places


def _placed_between(order: Sequence[Layer], layers: Mapping[tuple[str, str], Layer]) -> set[str]:
    """The chain's own layers that have their place between two taps."""
    names = [layer.name for layer in order]
    found = {layer.name for layer in layers.values()} & set(names)
    for outer, inner in layers:
        if outer in names and inner in names:
            found |= set(names[names.index(outer) + 1 : names.index(inner)])
    return found


def _told(span: Span, places: Mapping[str, _Place]) -> Iterator[Span]:
    """A tap's span as one of its side of a layer, or as two."""
    if not isinstance(span, LayerRecord) or isinstance(span, AttemptRecord) or span.layer not in places:
        yield span
        return
    place = places[span.layer]
    if place.itself is not None:
        yield replace(span, position=place.itself)
    clock = clock_of(span) if place.inside or place.outside else span.clock
    if place.outside is not None:
        at, layer = place.outside
        parent = _inner_id(span) if place.inside is not None else span.parent_id
        yield replace(
            span,
            layer=layer.name,
            position=at,
            tap=TapSide.OUTSIDE,
            parent_id=parent,
            clock=clock,
        )
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
            clock=clock,
            tap_lazy_s=lazy_s or None,
        )


def _inner_id(span: Span) -> str:
    """The id of a tap's second record, where it is between two layers."""
    return f"{span.span_id}-inside"


def _free(name: str, taken: Counter[str]) -> str:
    """The layer's name, with a number where another layer of the chain has it."""
    taken[name] += 1
    return name if taken[name] <= 1 else f"{name}-{taken[name]}"


# --- attempts at the outermost tap's edge -------------------------------------------------------------------


def _attempts_at_the_edge(spans: list[Span], client: Layer, taps: Taps) -> list[Span]:
    """An attempt for each request of which no client tells: the outermost tap is dialled by the client."""
    by_id = {span.span_id: span for span in spans}
    found: list[Span] = []
    watched = {span.trace_id for span in spans if isinstance(span, AttemptRecord)}
    told: dict[str, AttemptRecord] = {}  # by the outermost tap's span
    for span in spans:
        above = _taps_above(span, by_id) if isinstance(span, AttemptRecord) else []
        if isinstance(span, AttemptRecord) and above:
            told[above[-1].span_id] = span
            found.append(_as_a_tap(span))
        else:
            found.append(span)
    roots: dict[str, list[LayerRecord]] = {}
    for span in spans:
        if not isinstance(span, LayerRecord) or not is_tap(span) or _taps_above(span, by_id):
            continue
        if span.span_id in told or span.trace_id not in watched:
            roots.setdefault(span.trace_id, []).append(span)
    asked: dict[str, AttemptRecord] = {}
    for of_trace in roots.values():
        outermost = min(taps.names.index(one.layer) for one in of_trace)
        tries = [one for one in of_trace if taps.names.index(one.layer) == outermost]
        for number, tap in enumerate(sorted(tries, key=lambda one: one.start_s), start=1):
            asked[tap.span_id] = edge_attempt(tap, client.name, told.get(tap.span_id), number)
    return [
        *asked.values(),
        *(
            replace(one, parent_id=asked[one.span_id].span_id) if one.span_id in asked else one
            for one in found
        ),
    ]


def _as_a_tap(watched: AttemptRecord) -> LayerRecord:
    """A run's own view of its caller: a tap with the run's clock. Its caller's timers are not its own.

    It keeps a request back until it is whole, and then hands it on at once.
    """
    left = watched.upstream.by_us
    told = {
        one.name: getattr(watched, one.name)
        for one in fields(LayerRecord)
        if one.name not in {"layer", "tap", "clock", "cut", "upstream", "downstream"}
    }
    if watched.request_sent_s is None:
        told["request_sent_s"] = watched.start_s
    return LayerRecord(
        **told,
        layer=DOOR,
        tap=TapSide.ALONE,
        clock="",
        upstream=UpstreamEnd.ABANDONED if left else watched.upstream,
        downstream=DownstreamEnd.LEFT if left else watched.downstream,
    )
