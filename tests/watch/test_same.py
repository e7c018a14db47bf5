"""Foreign spans are judged by their signatures as they are by themselves: trace by trace, word by word."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.trace.backends.material import foreign_lines
from tests.watch.others import as_json, as_protobuf, exports, of_a_world, random_trace
from tests.watch.same import Watched
from tests.watch.wires import request
from tests.worlds.play import play
from tests.worlds.world import random_world
from whocut.chain.catalogue import preset
from whocut.chain.layers import Layer, Role, Topology
from whocut.foreign.spans import ASKED
from whocut.trace import lean, otlp, protobuf
from whocut.trace.lean import LeanReader
from whocut.trace.receiver import JSON, PROTOBUF, read_spans

if TYPE_CHECKING:
    from whocut.trace.lean import Rows
    from whocut.trace.records import Span

DOORS = ((JSON, as_json), (PROTOBUF, as_protobuf))
CHAIN = Topology(
    name="known",
    client=Layer(name="client", title="the client", role=Role.CLIENT),
    hops=(preset("nginx"), Layer(name="gateway", title="the gateway"), Layer(name="app", title="the app")),
)


def both_ways(kind: str, bodies: list[bytes], reader: LeanReader) -> tuple[list[Rows], list[Span]]:
    """What a watch reads of these bodies, and what the codec makes of them."""
    rows: list[Rows] = []
    spans: list[Span] = []
    for body in bodies:
        found = read_spans(kind, body, reader)
        assert isinstance(found, dict)
        rows.append(found)
        plain = protobuf.export_request_from_protobuf(body) if kind == PROTOBUF else None
        spans += otlp.decode_line(body, 0.0) if plain is None else otlp.decode_request(plain, 0.0)
    return rows, spans


@pytest.mark.parametrize("chain", [None, CHAIN], ids=["as it shows itself", "known"])
@pytest.mark.parametrize(("kind", "write"), DOORS, ids=["json", "protobuf"])
def test_random_traces_are_judged_the_same(kind: str, write: Any, chain: Topology | None) -> None:
    """Orderly ones and anything at all, in pieces and out of order; most are told by their signature."""
    dice = random.Random(f"same {kind} {chain is None}")
    watched, reader, number, traces = Watched(chain), LeanReader(ASKED), 0, 800
    for _ in range(traces // 100):
        spans = []
        for _ in range(100):
            number += 1
            spans += random_trace(dice, number)
        bodies = [write(export) for export in exports(spans, dice, 40)]

        assert watched.unlike(*both_ways(kind, bodies, reader)) is None

    assert watched.by_signature > traces / 6


@pytest.mark.parametrize(("kind", "write"), DOORS, ids=["json", "protobuf"])
def test_worlds_as_instrumentation_tells_of_them_are_judged_the_same(kind: str, write: Any) -> None:
    """Random chains, cuts and retries; a second telling of the same worlds is by signature alone."""
    watched, reader = Watched(), LeanReader(ASKED)
    for number in range(4):
        spans, _ = play(random_world(random.Random(f"same worlds/{number}"), 30))
        dice = random.Random(number)
        bodies = [write(export) for export in exports(of_a_world(spans), dice, 50)]

        assert watched.unlike(*both_ways(kind, bodies, reader)) is None
        before = watched.by_signature
        again = [write(export) for export in exports(of_a_world(spans), dice, 50)]
        taken = both_ways(kind, again, reader)
        assert watched.unlike(*taken) is None
        assert watched.by_signature > before


def test_fixtures_of_foreign_spans_are_judged_the_same() -> None:
    """Those of the backends' tests, one line at a time."""
    watched, reader = Watched(), LeanReader(ASKED)

    for line in foreign_lines().splitlines() * 2:
        assert watched.unlike(*both_ways(JSON, [line], reader)) is None

    assert watched.by_signature >= 6


def test_what_decides_between_two_who_cut_is_how_long_they_took() -> None:
    """One signature, two traces: the inner layer cut a moment earlier in one, and long before in the other."""
    watched, reader = Watched(), LeanReader(ASKED)
    for number, inner_s in enumerate((60.18, 60.19, 20.0, 60.3), start=1):
        rows: list[dict[str, Any]] = [
            {"service": "edge", "kind": 2, "lasts": 60.2, "status": 504},
            {"service": "edge", "kind": 3, "lasts": 60.0, "problem": "timeout"},
            {"service": "gateway", "kind": 2, "lasts": inner_s, "status": 504},
            {"service": "gateway", "kind": 3, "lasts": inner_s - 0.1, "problem": "timeout"},
        ]
        spans = [
            {
                "service": row["service"],
                "traceId": f"{number:032x}",
                "spanId": f"{own + 1:016x}",
                **({"parentSpanId": f"{own:016x}"} if own else {}),
                "name": "POST",
                "kind": row["kind"],
                "startTimeUnixNano": str(1_795_345_500_000_000_000 + own),
                "endTimeUnixNano": str(1_795_345_500_000_000_000 + own + round(row["lasts"] * 1e9)),
                "attributes": [
                    {"key": "http.request.method", "value": {"stringValue": "POST"}},
                    {"key": "http.response.status_code", "value": {"intValue": row["status"]}}
                    if "status" in row
                    else {"key": "error.type", "value": {"stringValue": row["problem"]}},
                ],
            }
            for own, row in enumerate(rows)
        ]
        body = as_json(exports(spans, random.Random(number), 10)[0])

        assert watched.unlike(*both_ways(JSON, [body], reader)) is None

    assert watched.by_signature == 2


def test_a_number_that_is_not_finite_costs_no_other_span_its_place() -> None:
    """A batch was refused for one such attribute."""
    dice = random.Random("not finite")
    spans = [span for number in range(40) for span in random_trace(dice, number + 1)]
    bodies = [as_protobuf(export) for export in exports(spans, dice, 1000)]

    assert b"double" in bodies[0]
    rows, taken = both_ways(PROTOBUF, bodies, LeanReader(ASKED))
    assert sum(len(some) for one in rows for some in one.values()) == len(taken) == len(spans)


def test_what_no_encoder_writes_is_taken_and_refused_as_by_the_codec() -> None:
    """Fields twice and out of order, groups, other wire types, ids of other lengths, depth without end."""
    dice = random.Random("wires")
    watched, reader = Watched(), LeanReader(ASKED)
    outcomes: Counter[str] = Counter()
    for _ in range(1_500):
        body = request(dice)
        try:
            spans = list(otlp.decode_request(protobuf.export_request_from_protobuf(body), 0.0))
        except ValueError:
            with pytest.raises(ValueError, match=r"[a-z]"):
                read_spans(PROTOBUF, body, reader)
            outcomes["refused"] += 1
            continue
        found = read_spans(PROTOBUF, body, reader)
        assert isinstance(found, dict)
        assert sum(map(len, found.values())) == len(spans)
        assert watched.unlike([found], spans) is None
        outcomes["taken"] += 1

    assert min(outcomes["taken"], outcomes["refused"]) > 150, outcomes


def test_more_values_than_are_read_are_left_to_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both count alike: spans, events, attributes, and what is inside of values."""
    dice = random.Random("values")
    bodies = [request(dice) for _ in range(100)]
    for body in bodies:
        reader = LeanReader(ASKED)
        for _ in range(2):  # what a reader knows already counts as well
            if reader.protobuf(body) is None:
                continue
            most = next(most for most in range(1, 500) if not _too_many(body, most))
            with monkeypatch.context() as patched:
                patched.setattr(lean, "MOST_VALUES", most)
                assert reader.protobuf(body) is not None
                patched.setattr(lean, "MOST_VALUES", most - 1)
                assert reader.protobuf(body) is None


def _too_many(body: bytes, most: int) -> bool:
    try:
        protobuf.export_request_from_protobuf(body, most)
    except protobuf.TooManyValues:
        return True
    return False
