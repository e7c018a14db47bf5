"""The rows of a waterfall: who cut, what followed, and the generation that nobody shortens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reports.made_run import (
    HOP_S,
    MadeRun,
    censored,
    delivered,
    nginx_cut,
    rejected,
    stream_cut,
    unattributed,
)
from whocut.trace.records import DownstreamEnd, LayerRecord, SpanKind, UpstreamEnd
from whocut.verdict.waterfall import Doing, MarkKind, Part, Row, Waterfall, ticks, waterfall

if TYPE_CHECKING:
    from whocut.verdict.summary import Judged


def drawn(made: MadeRun, request: str, judged: Judged | None = None) -> Waterfall:
    """The waterfall of a request of a made-up run."""
    return waterfall(request, (judged or made.judged()).attribution, made.attempts)


def row_of(fall: Waterfall, label: str, attempt: int = 1) -> Row:
    """The only row of that label in an attempt."""
    (row,) = (row for row in fall.rows if row.label == label and row.attempt == attempt)
    return row


def test_rows_run_from_the_caller_inward() -> None:
    """The request comes first, then in each attempt the client, its hops in order, the generation."""
    made = MadeRun()
    request = made.request("plain", nginx_cut(), nginx_cut())

    fall = drawn(made, request)

    assert [row.label for row in fall.rows] == [
        "request plain-0001",
        "attempt 1 · openai-python",
        "cloudflare-free",
        "nginx",
        "generation",
        "attempt 2 · openai-python",
        "cloudflare-free",
        "nginx",
        "generation",
    ]
    assert [row.depth for row in fall.rows[:5]] == [0, 1, 2, 3, 2]


def test_an_orphan_outlives_its_parent() -> None:
    """The generation's row goes on past the cut to its own end, and says how long and for how much.

    ::

        nginx      |------------x              60 s
        generation |============/////////////| 195 s
    """
    made = MadeRun()
    request = made.request("plain", nginx_cut(generation_s=195.0))

    fall = drawn(made, request)

    nginx, generation = row_of(fall, "nginx"), row_of(fall, "generation")
    assert nginx.cut_s == pytest.approx(60.0, abs=0.02)
    assert [piece.doing for piece in generation.segments] == [Doing.WORKING, Doing.ORPHANED]
    assert generation.segments[0].end_s == pytest.approx(60.0, abs=0.02)
    assert generation.end_s == pytest.approx(195.0, abs=0.02)
    assert generation.note == "runs on 135 s, billed $0.21"
    assert fall.end_s == generation.end_s > nginx.end_s


def test_the_cutter_alone_carries_the_cut() -> None:
    """The layer that cut has the mark and the knob; the others are cascade and say what followed."""
    made = MadeRun()
    request = made.request("plain", nginx_cut())

    fall = drawn(made, request)

    assert row_of(fall, "nginx").part is Part.CUTTER
    assert row_of(fall, "nginx").note == "cut: proxy_read_timeout 60 s"
    assert row_of(fall, "cloudflare-free").part is Part.CASCADE
    assert row_of(fall, "cloudflare-free").note == "passed on 504"
    assert row_of(fall, "attempt 1 · openai-python").note == "gateway error (504)"
    assert sum(row.cut_s is not None for row in fall.rows) == 1


def test_a_page_of_a_gateway_is_not_streaming() -> None:
    """The bytes of the 504 come after the cut: the whole attempt was waiting."""
    made = MadeRun()
    request = made.request("plain", nginx_cut())

    fall = drawn(made, request)

    doing = {piece.doing for row in fall.rows if row.kind is SpanKind.HOP for piece in row.segments}
    assert doing == {Doing.WAITING}


def test_a_stream_waits_and_then_streams() -> None:
    """The first byte divides a layer's row; partial images are marked, those nobody received as well.

    ::

        nginx      |--======x       first byte 10 s, cut 70 s
        generation |==|=====/////|//////|   images at 10, 102.5, 195 s
    """
    made = MadeRun()
    request = made.request("stream", stream_cut(generation_s=195.0, first_s=10.0))

    fall = drawn(made, request)

    nginx = row_of(fall, "nginx")
    assert [piece.doing for piece in nginx.segments] == [Doing.WAITING, Doing.STREAMING]
    assert nginx.segments[0].end_s == pytest.approx(10.0, abs=0.02)
    assert nginx.cut_s == pytest.approx(70.0, abs=0.02)
    received = row_of(fall, "attempt 1 · openai-python").marks
    assert [mark.at_s for mark in received] == [pytest.approx(10.0, abs=0.02)]
    made_images = row_of(fall, "generation").marks
    assert [mark.at_s for mark in made_images] == pytest.approx([10.0, 102.5], abs=0.02)


def test_a_delivered_request_has_no_cut_and_no_orphan() -> None:
    """Where the image came, rows are clear, the delivery is marked, and nothing is hatched."""
    made = MadeRun()
    request = made.request("plain", delivered(44.0))

    fall = drawn(made, request)

    assert {row.part for row in fall.rows} == {Part.REQUEST, Part.CLEAR, Part.GENERATION}
    assert row_of(fall, "generation").note == "delivered, billed $0.21"
    assert [mark.kind for mark in row_of(fall, "attempt 1 · openai-python").marks] == [MarkKind.DELIVERED]
    assert fall.phrases == ("nobody cut: delivered",)


def test_a_tie_marks_both_layers() -> None:
    """Two layers that cannot be told apart are both cutters."""
    made = MadeRun()
    tied = nginx_cut()
    request = made.request("plain", tied)
    edge, nginx = (
        next(span for span in made.spans if isinstance(span, LayerRecord) and span.layer == name)
        for name in ("cloudflare-free", "nginx")
    )
    edge.cut, edge.upstream, edge.downstream = nginx.cut, UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER

    fall = drawn(made, request)

    assert [row.label for row in fall.rows if row.part is Part.CUTTER] == ["cloudflare-free", "nginx"]


def test_a_silent_layer_leaves_a_hole() -> None:
    """Layers that wrote nothing have no row; the generation behind them is found by its time."""
    made = MadeRun()
    request = made.request("plain", unattributed())

    fall = drawn(made, request)

    assert [row.label for row in fall.rows] == [
        "request plain-0001",
        "attempt 1 · openai-python",
        "generation",
    ]
    assert fall.rows[1].part is Part.UNKNOWN
    assert fall.rows[1].note == "reset"


def test_behind_a_silent_layer_each_generation_finds_its_attempt() -> None:
    """Two attempts in one trace, and no parent to follow: the one under way when the work began has it."""
    made = MadeRun()
    request = made.request("plain", unattributed(), unattributed())

    fall = drawn(made, request)

    first, second = row_of(fall, "generation", 1), row_of(fall, "generation", 2)
    assert first.start_s < second.start_s
    assert second.start_s >= row_of(fall, "attempt 2 · openai-python", 2).start_s


def test_a_layer_is_drawn_in_the_request_that_the_evidence_gave_it_to() -> None:
    """Two requests share a trace, and the span between is missing: the layer was counted for the second one.

    ::

        r1   client |-----------------------|
        r2   client      |------------------|
               nginx      |-----------------|   whose parent was never written
    """
    made = MadeRun()
    first, second = made.request("plain", delivered(100.0)), made.request("plain", delivered(100.0))
    for span in made.spans:
        span.trace_id = "1" * 32
    made.spans = [
        span
        for span in made.spans
        if span.layer != "cloudflare-free" and not (span.layer == "nginx" and span.start_s < 3.0)
    ]
    judged = made.judged()

    drawn_in = {
        request: [row.label for row in drawn(made, request, judged).rows] for request in (first, second)
    }

    assert "nginx" in drawn_in[second]
    assert "nginx" not in drawn_in[first]


def test_a_censored_generation_runs_as_long_as_it_was_seen() -> None:
    """Nobody saw its end: the row reaches as far as the attempt does, and says so."""
    made = MadeRun()
    request = made.request("plain", censored())

    fall = drawn(made, request)

    generation = row_of(fall, "generation")
    assert generation.end_s == pytest.approx(row_of(fall, "attempt 1 · openai-python").end_s)
    assert generation.note == "still running when the run ended"


def test_an_attempt_without_a_span_is_still_drawn() -> None:
    """The run was ended in mid-attempt: the client's record says when it began, and the row says the rest."""
    made = MadeRun()
    request = made.request("plain", nginx_cut(), censored())
    second = made.attempts[-1]
    made.spans = [
        span for span in made.spans if not isinstance(span, LayerRecord) or span.start_s < second.started_s
    ]

    fall = drawn(made, request)

    row = row_of(fall, "attempt 2 · openai-python", 2)
    assert row.start_s == pytest.approx(second.started_s)
    assert row.note == "under way when the run ended"
    assert fall.outcome == "censored"


def test_a_refusal_has_no_generation() -> None:
    """The API said no before any work began: there is nothing behind the last hop."""
    made = MadeRun()
    request = made.request("plain", rejected())

    fall = drawn(made, request)

    assert [row.label for row in fall.rows][-1] == "nginx"
    assert fall.outcome == "rejected"


def test_an_unknown_request_has_no_rows() -> None:
    """A request that wrote no span is an empty waterfall, not an error."""
    fall = drawn(MadeRun(), "plain-0042")

    assert fall.rows == ()
    assert fall.end_s == 0.0


def test_instants_count_from_the_request() -> None:
    """Zero is the request's own beginning, whenever in the run that was."""
    made = MadeRun()
    made.request("plain", nginx_cut())
    later = made.request("plain", nginx_cut())

    fall = drawn(made, later)

    assert fall.origin_s == pytest.approx(3.0)
    assert fall.rows[0].start_s == 0.0
    assert row_of(fall, "nginx").start_s == pytest.approx(2 * HOP_S)


@pytest.mark.parametrize(
    ("end_s", "expected"),
    [
        (315.0, [0, 60, 120, 180, 240, 300]),  # a minute is the round step of waits
        (70.0, [0, 20, 40, 60]),
        (5.0, [0, 1, 2, 3, 4, 5]),
        (0.02, [0, 0.01, 0.02]),
    ],
)
def test_ticks_are_few_and_round(end_s: float, expected: list[float]) -> None:
    """An axis has at most seven ticks, at steps people count in."""
    assert ticks(end_s) == expected or len(ticks(end_s)) <= 7
    assert ticks(end_s)[0] == 0
