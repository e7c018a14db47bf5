"""Judged as it goes is judged as at the end, whatever order the records come in."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.verdict.drawn import drawn
from whocut.path.fallen import Fallen
from whocut.trace.records import Attempt, GenerationRecord, Outcome, RequestRecord, Span
from whocut.verdict.as_it_goes import QUIET_REAL_S, AsItGoes
from whocut.verdict.summary import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

CUT = """
    one column is 5 s
    client    |============|
    nginx     |============x first_byte
    upstream  |===========l=========================|
"""
DELIVERED = """
    one column is 5 s
    client    |====================|
    nginx     |====================|
    upstream  |====================|
"""
Piece = Attempt | Span | dict[str, Any]
PICTURES = {"cut": CUT, "delivered": DELIVERED, "refused": DELIVERED}
TOPOLOGY = drawn(CUT).topology
SAME_NAMES = (
    "requests",
    "attempts",
    "censored",
    "outcomes",
    "attempt_outcomes",
    "rejected_as",
    "delivered_share",
    "share_429",
    "unattributed",
    "ledger",
)


@dataclass
class Told:
    """What was written of one request: one attempt, whole."""

    attempts: list[Attempt]
    spans: list[Span]
    ledger: list[dict[str, Any]]

    def pieces(self) -> list[Piece]:
        """All of it."""
        return [*self.attempts, *self.spans, *self.ledger]


def told(number: int, how: str) -> Told:
    """One request that was cut, delivered, or refused with a 429."""
    trace_id, request = f"{number:032x}", f"plain-{number:04}"
    picture = drawn(PICTURES[how])
    spans, client, generation = picture.spans, picture.client, picture.generation
    for span in spans:
        span.trace_id, span.span_id = trace_id, f"{number:012x}{span.span_id[-4:]}"
        span.parent_id = f"{number:012x}{span.parent_id[-4:]}" if span.parent_id else None
    generation.generation = f"gen-{number}"
    client.request, client.mode = request, "plain"
    if how == "refused":
        client.outcome, client.status = Outcome.REJECTED, 429
    outcome, status = client.outcome, client.status
    begun = Attempt(
        request=request,
        number=1,
        mode="plain",
        trace_id=trace_id,
        span_id=client.span_id,
        user=1,
        started_s=client.start_s,
    )
    ended = deepcopy(begun)
    ended.ended_s, ended.outcome, ended.status = client.end_s, outcome, status
    ended.error = "rate_limit_exceeded" if how == "refused" else None
    whole = RequestRecord(
        trace_id=trace_id,
        span_id=f"{number:012x}ffff",
        parent_id=None,
        layer="caller",
        name="image request",
        start_s=client.start_s,
        end_s=client.end_s,
        request=request,
        mode="plain",
        outcome=outcome,
    )
    return Told([begun, ended], [*spans, whole], _rows(generation, refused=how == "refused"))


def _rows(made: GenerationRecord, *, refused: bool) -> list[dict[str, Any]]:
    """The ledger's rows of a generation; a refusal began no work and has one row."""
    row: dict[str, Any] = {
        "generation": made.generation,
        "trace_id": made.trace_id,
        "state": "running",
        "started_s": made.start_s,
    }
    if refused:
        made.refused, made.billed = True, False
        return [row | {"state": "refused", "started_s": None}]
    settled = row | {
        "state": "settled",
        "finished_s": made.end_s,
        "delivered": made.delivered,
        "orphaned": made.orphaned,
        "orphaned_s": made.orphaned_s,
        "caller_gone_s": made.caller_gone_s,
        "billed": True,
        "billed_usd": made.billed_usd,
    }
    return [row, settled]


def give(goes: AsItGoes, pieces: Iterable[Piece], now_s: float = 0.0) -> None:
    """Hand records over at one instant."""
    pieces = list(pieces)
    goes.take(
        [piece for piece in pieces if isinstance(piece, Attempt)],
        [piece for piece in pieces if isinstance(piece, Span)],
        [piece for piece in pieces if isinstance(piece, dict)],
        now_s,
    )


def at_the_end(requests: list[Told]) -> dict[str, Any]:
    """The figures of the final judgement."""
    judged = judge(
        [request.attempts[-1] for request in requests],
        [span for request in requests for span in request.spans],
        [request.ledger[-1] for request in requests],
        TOPOLOGY,
    )
    return judged.figures


def in_some_order(requests: list[Told], dice: random.Random) -> list[Piece]:
    """All records mixed; those of one file about one thing keep their order."""
    queues: list[list[Piece]] = []
    for request in requests:
        queues += [[*request.attempts], [*request.ledger]]
        queues += [[span] for span in request.spans]
    mixed: list[Piece] = []
    while queues:
        queue = dice.choice(queues)
        mixed.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return mixed


@pytest.mark.parametrize("seed", range(8))
def test_same_figures_as_at_the_end_in_any_order_and_any_pieces(seed: int) -> None:
    """Records of forty requests, mixed and in pieces of any size, come to what the final judgement says."""
    dice = random.Random(seed)
    requests = [told(number, dice.choice(list(PICTURES))) for number in range(1, 41)]
    goes = AsItGoes(TOPOLOGY)

    mixed = in_some_order(requests, dice)
    now_s = 0.0
    while mixed:
        size = dice.randint(1, 60)
        give(goes, mixed[:size], now_s)
        del mixed[:size]
        now_s += dice.choice((0.1, 1.0, 5.0))
    goes.finish()

    live, end = goes.figures(), at_the_end(requests)
    assert {name: live[name] for name in SAME_NAMES} == {name: end[name] for name in SAME_NAMES}
    assert [(row["layer"], row["timer"], row["grade"], row["attempts"]) for row in live["verdicts"]] == [
        (row["layer"], row["timer"], row["grade"], row["attempts"]) for row in end["verdicts"]
    ]
    assert live["retries"] == {name: end["retries"][name] for name in live["retries"]}
    assert (live["under_way"], live["late"], live["disagree"]) == (0, 0, 0)


def test_request_is_not_judged_while_its_generation_runs() -> None:
    """Its caller has a 504, and the model still works: the verdict waits for the ledger's word."""
    request = told(1, "cut")
    goes = AsItGoes(TOPOLOGY)

    *before, generation, whole = request.spans
    give(goes, [*request.attempts, *before, whole, request.ledger[0]], 0.0)
    give(goes, [], QUIET_REAL_S * 10)
    waiting = goes.figures()
    give(goes, [request.ledger[1], generation], QUIET_REAL_S * 11)

    assert (waiting["requests"], waiting["under_way"], waiting["generations_running"]) == (0, 1, 1)
    assert waiting["ledger"]["started"] == 1
    (row,) = goes.figures()["verdicts"]
    assert (row["layer"], row["grade"], row["attempts"]) == ("nginx", "proven", 1)


def test_layer_that_never_writes_is_waited_for_no_longer_than_a_while() -> None:
    """A hop without a span leaves the request whole for nobody; quiet decides, and the grade is honest."""
    request = told(1, "cut")
    goes = AsItGoes(TOPOLOGY)

    silent = [piece for piece in request.pieces() if not (isinstance(piece, Span) and piece.layer == "nginx")]
    give(goes, silent, 0.0)
    early = goes.figures()["requests"]
    give(goes, [], QUIET_REAL_S + 0.1)

    assert (early, goes.figures()["requests"]) == (0, 1)
    assert all(row["grade"] != "proven" for row in goes.figures()["verdicts"])


def test_late_span_corrects_the_verdict_and_counts_nothing_twice() -> None:
    """The span of a layer that was given up comes after all: the request is judged anew."""
    request = told(1, "cut")
    goes = AsItGoes(TOPOLOGY)
    late = next(span for span in request.spans if span.layer == "nginx")

    give(goes, [piece for piece in request.pieces() if piece is not late], 0.0)
    give(goes, [], QUIET_REAL_S + 0.1)
    give(goes, [late], QUIET_REAL_S + 1)

    figures = goes.figures()
    (row,) = figures["verdicts"]
    assert (row["layer"], row["grade"], row["attempts"]) == ("nginx", "proven", 1)
    assert (figures["requests"], figures["attempts"], figures["unattributed"]) == (1, 1, 0)


def test_one_of_two_late_spans_is_taken_in_as_well() -> None:
    """What is still missing keeps nothing back."""
    request = told(1, "cut")
    goes = AsItGoes(TOPOLOGY)
    nginx = next(span for span in request.spans if span.layer == "nginx")
    whole = next(span for span in request.spans if isinstance(span, RequestRecord))

    give(goes, [piece for piece in request.pieces() if piece not in (nginx, whole)], 0.0)
    give(goes, [], QUIET_REAL_S + 0.1)
    give(goes, [nginx], QUIET_REAL_S + 1)

    assert [row["grade"] for row in goes.figures()["verdicts"]] == ["proven"]


def test_death_of_a_layer_has_the_last_requests_judged_anew_and_counted_once() -> None:
    """It may be noticed after the attempts that it took down."""
    goes = AsItGoes(TOPOLOGY)
    give(goes, [piece for number in (1, 2, 3) for piece in told(number, "cut").pieces()])
    before = goes.figures()

    death = Fallen("nginx", at_s=500.0, why="killed").span()
    give(goes, [death], 1.0)

    assert goes.figures() == before
    assert all(death in request.attribution.spans for request in goes._kept.values())


def test_attempt_never_seen_to_its_end_is_censored_when_nothing_more_comes() -> None:
    """A killed client writes no end."""
    request = told(1, "cut")
    goes = AsItGoes(TOPOLOGY)

    give(goes, [request.attempts[0], request.ledger[0]])
    goes.finish()

    assert goes.figures()["censored"] == 1


def test_generation_of_somebody_else_is_in_the_books_and_in_no_request() -> None:
    """The upstream's bill is whole, whoever asked."""
    goes = AsItGoes(TOPOLOGY)
    stranger = told(2, "cut").ledger

    give(goes, [*told(1, "delivered").pieces(), *({**row, "trace_id": None} for row in stranger)])
    goes.finish()

    figures = goes.figures()
    assert (figures["requests"], figures["ledger"]["started"], figures["ledger"]["billed_usd"]) == (
        1,
        2,
        0.42,
    )


def test_memory_holds_what_is_under_way_and_the_last_ones_only() -> None:
    """After two thousand requests it keeps no more records than after some hundred."""
    goes = AsItGoes(TOPOLOGY)
    kept = []

    for first in range(1, 2001, 500):
        for number in range(first, first + 500):
            give(goes, told(number, "cut").pieces(), float(number))
        kept.append((len(goes._open), len(goes._kept), len(goes._running), len(goes._tally._verdicts)))

    assert goes.figures()["requests"] == 2000
    assert set(kept) == {(0, 256, 0, 1)}
