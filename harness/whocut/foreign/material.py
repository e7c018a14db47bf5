"""Spans of any service and lines of any gateway, once they are read: joined, and judged.

With a chain the layers and their limits are known. Without it they are read from the material: from how spans
contain each other, and, where no parent in a log says better, from the order in which logs are given: from the
caller to the upstream.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.layers import Layer, Role, Topology
from whocut.errors import BadInput, nearest
from whocut.foreign.between import put_between
from whocut.foreign.spans import Leg, legs_of
from whocut.trace import otlp
from whocut.trace.records import AttemptRecord, ForeignSpan, LayerRecord, Span
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import AttemptEvidence, Statement, gather
from whocut.verdict.gateways import whole_layers
from whocut.verdict.joining import join
from whocut.verdict.seating import is_tap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.chain.layers import Between
    from whocut.trace.logs.records import Account
    from whocut.verdict.verdict import Verdict

_CLIENT = "client"


def judge_material(
    spans: Sequence[Span],
    accounts: Sequence[Account],
    logging: Sequence[str],
    chain: Topology | None = None,
    between: Sequence[Between] = (),
    *,
    all_there: bool = True,
) -> tuple[list[Verdict], Topology, list[Account]]:
    """Join and judge what was read: the verdicts, the chain, and the lines that fit no request.

    `spans` have Unix seconds and are changed; `logging` are the layers of the logs, from the caller inward.
    `all_there`: the material shows each tap of `between`, as that of one request alone need not.

    Raises:
        BadInput: a layer is not in the chain, or nothing fits what `between` says.
    """
    joined, topology, unjoined = join_material(spans, accounts, logging, chain, between, all_there=all_there)
    return [attribute(evidence, topology) for evidence in joined], topology, unjoined


def join_material(
    spans: Sequence[Span],
    accounts: Sequence[Account],
    logging: Sequence[str],
    chain: Topology | None = None,
    between: Sequence[Between] = (),
    *,
    all_there: bool = True,
) -> tuple[list[AttemptEvidence], Topology, list[Account]]:
    """What `judge_material` judges: each attempt with all that is known of it.

    Raises:
        BadInput: as `judge_material`.
    """
    ours = [span for span in spans if not isinstance(span, ForeignSpan)]
    foreign = [span for span in spans if isinstance(span, ForeignSpan)]
    epoch_unix_s = _epoch(ours)
    for span in ours:
        span.move(-epoch_unix_s)
    otlp.onto_one_clock(ours)
    legs = legs_of(foreign)
    topology = chain or topology_of(ours, legs, logging, accounts)
    ours, topology = put_between(ours, topology, between, all_there=all_there)
    placed = placed_in(topology, [*(leg.account.layer for leg in legs), *logging], chain)
    moved = [_moved(account, placed, epoch_unix_s) for account in accounts]
    if epoch_unix_s or any(name != layer for name, layer in placed.items()):
        legs = [replace(leg, account=_moved(leg.account, placed, epoch_unix_s)) for leg in legs]
    positions = {layer.name: position for position, layer in enumerate(topology.layers)}
    ours = whole_layers(ours, topology)
    attempts = gather(ours) if ours else _attempts_of(legs, positions)
    if ours:
        moved += [leg.account for leg in legs]
    joined = join(attempts, moved, positions)
    unjoined: list[Account] = []
    if ours:
        # Edges say which requests there were: a line that fits none of them is no request of its own.
        unjoined = [said.account for evidence in joined[len(attempts) :] for said in evidence.testimony]
        joined = joined[: len(attempts)]
    return joined, topology, unjoined


def _epoch(ours: Sequence[Span]) -> float:
    """The calendar instant of our spans' second zero: an attempt's end is in it twice, on both clocks."""
    for span in ours:
        if isinstance(span, AttemptRecord) and span.downstream_s is not None:
            return span.end_s - span.downstream_s
    return 0.0


# --- the chain --------------------------------------------------------------------------------------------


def topology_of(
    ours: Sequence[Span], legs: Sequence[Leg], logging: Sequence[str], accounts: Iterable[Account]
) -> Topology:
    """The chain as the material shows it: spans by how they contain each other, logs between them."""
    depths: dict[str, float] = {}
    for span in ours:
        if isinstance(span, LayerRecord) and not is_tap(span):  # taps are seated by their parents
            depths[span.layer] = float(span.position)
    for leg in legs:
        depths[leg.account.layer] = max(depths.get(leg.account.layer, 0), leg.depth)
    client = next((name for name, depth in depths.items() if depth == 0), _CLIENT)
    between = _depths_of_logs(ours, legs, accounts) if depths else {}
    for layer in logging:
        depths.setdefault(layer, between.get(layer, float("inf")))
    order = sorted((name for name in depths if name != client), key=lambda name: depths[name])
    return Topology(
        name="from the material",
        client=Layer(name=client, title=client, role=Role.CLIENT),
        hops=tuple(_layer(name) for name in order),
        whole=False,
    )


def _depths_of_logs(
    ours: Iterable[Span], legs: Iterable[Leg], accounts: Iterable[Account]
) -> dict[str, float]:
    """The places of layers that only have logs: right behind the layer whose span is the parent in the log."""
    depth_of = {span.span_id: float(span.position) for span in ours if isinstance(span, LayerRecord)}
    depth_of |= {span_id: float(leg.depth) for leg in legs for span_id in leg.span_ids}
    votes: dict[str, Counter[float]] = {}
    for account in accounts:
        if account.parent_id in depth_of:
            votes.setdefault(account.layer, Counter())[depth_of[account.parent_id] + 0.5] += 1
    return {layer: counted.most_common(1)[0][0] for layer, counted in votes.items()}


@lru_cache(maxsize=1024)  # a watch asks it for each trace
def _layer(name: str) -> Layer:
    """A layer by the name of a product, without timers: its configuration is unknown."""
    known = catalogue().get(name)
    return (
        replace(preset(name), timers={}) if known and known.role is Role.HOP else Layer(name=name, title=name)
    )


def placed_in(topology: Topology, written: Iterable[str], chain: Topology | None) -> dict[str, str]:
    """Each name in the material as the chain has it: by name, or by preset where one layer is of it."""
    placed: dict[str, str] = {}
    for name in dict.fromkeys(written):
        layers = [layer for layer in topology.layers if layer.name == name]
        layers = layers or [
            layer for layer in topology.layers if layer.preset == name or layer.preset.startswith(f"{name}-")
        ]
        if len(layers) == 1:
            placed[name] = layers[0].name
            continue
        known = [layer.name for layer in topology.layers]
        if len(layers) > 1:
            several = ", ".join(layer.name for layer in layers)
            raise BadInput(
                f"'{name}' may be {several} of the chain; write --logs {layers[0].name}:{name}=FILE"
            )
        if chain is not None:
            raise BadInput(
                f"there is no layer '{name}' in the chain {chain.name}{nearest(name, known)}; there are "
                f"{', '.join(known)}"
            )
    return placed


def _moved(account: Account, placed: dict[str, str], epoch_unix_s: float) -> Account:
    if not epoch_unix_s and placed[account.layer] == account.layer:
        return account
    end_s = account.end_s - epoch_unix_s if account.end_s is not None else None
    return replace(account, layer=placed[account.layer], end_s=end_s)


def _attempts_of(legs: Sequence[Leg], positions: dict[str, int]) -> list[AttemptEvidence]:
    """Attempts that only foreign spans know of: their testimony, numbered within their trace."""
    by_attempt: dict[tuple[str, str], list[Leg]] = {}
    for leg in legs:
        by_attempt.setdefault((leg.account.trace_id or "", leg.attempt), []).append(leg)
    numbers: Counter[str] = Counter()
    attempts = []
    for (trace_id, _), of_attempt in by_attempt.items():
        numbers[trace_id] += 1
        statements = {
            positions[leg.account.layer]: Statement(
                position=positions[leg.account.layer], account=leg.account
            )
            for leg in of_attempt
        }
        attempts.append(
            AttemptEvidence(
                request=of_attempt[0].account.request_id or trace_id,
                attempt=numbers[trace_id],
                mode="",
                trace_id=trace_id,
                outcome=None,
                status=of_attempt[0].account.status,
                layers=(),
                generation=None,
                span_ids=tuple(span_id for leg in of_attempt for span_id in leg.span_ids),
                testimony=tuple(statements[position] for position in sorted(statements)),
            )
        )
    return attempts
