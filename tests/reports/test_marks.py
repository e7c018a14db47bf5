"""Each figure's marks against data made by hand, and no text of any figure over another, however many and long."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests.reports.made_run import MadeRun, chain_of, delivered, layer, nginx_cut, rejected, stream_cut
from whocut.trace.records import Attempt, Outcome
from whocut.waterfall.rows import waterfall
from whocut_reports import generations, style
from whocut_reports.figures import jobs, limits, over_time, spending, verdicts, waits
from whocut_reports.figures import waterfall as waterfall_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONG = "the-edge-of-a-very-large-company-with-a-very-long-name"


def made_run(requests: int = 6) -> MadeRun:
    """As many streams, plain ones that were cut, and plain ones that came."""
    made = MadeRun()
    for number in range(requests):
        made.request("plain", nginx_cut(195.0))
        made.request("stream", delivered(100.0 + number, (10.0, 60.0)))
        made.request("plain", delivered(40.0))
    return made


def bars(drawn: Figure, colour: str) -> list[Rectangle]:
    """The bars of this colour that have a height and a width."""
    found = [patch for axes in drawn.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    return [
        one for one in found if to_hex(one.get_facecolor()) == colour and one.get_height() and one.get_width()
    ]


def test_attempts_are_in_the_span_in_which_they_ended() -> None:
    """Nine attempts, each counted once, in bars whose heights are the counts, in the layers' colours."""
    made = made_run(3)
    layers = [one.name for one in made.topology.layers]

    found = over_time.spans_of(made.attempts, made.judged().verdicts, layers)

    assert found is not None
    assert found.attempts == 9
    for piece, counts in zip(found.pieces, found.counts, strict=True):
        for number, count in enumerate(counts):
            inside = [
                attempt
                for attempt in made.attempts
                if attempt.ended_s is not None
                and number * found.wide_s <= attempt.ended_s < (number + 1) * found.wide_s
                and (attempt.outcome is Outcome.DELIVERED) is (piece.label == "delivered")
            ]
            assert count == len(inside)
    drawn = over_time.draw(found)
    assert sum(bar.get_height() for bar in bars(drawn, style.DELIVERED)) == 6
    assert sum(bar.get_height() for bar in bars(drawn, style.colours_of(layers)["nginx"])) == 3


def test_stream_s_first_byte_is_left_of_its_image_and_plain_s_is_at_it() -> None:
    """Dots are the medians, counted from when a request was due; modes without an image have no row."""
    made = made_run(5)
    made.request("failed", nginx_cut())

    plain, stream = waits.waits_of(made.attempts, ["plain", "stream", "failed"])

    assert plain.requests == stream.requests == 5
    assert stream.first_byte_s[2] == pytest.approx(10.0, abs=0.1)
    assert stream.image_s[2] == pytest.approx(102.0, abs=0.1)
    assert plain.image_s[2] == pytest.approx(40.0, abs=0.1)
    (axes,) = waits.draw([plain, stream]).axes
    dots = [float(np.asarray(line.get_xdata())[0]) for line in axes.lines if line.get_marker() == "o"]
    assert dots == [row for one in (plain, stream) for row in (one.first_byte_s[2], one.image_s[2])]


def test_bill_is_drawn_by_what_it_was_for() -> None:
    """The lengths are the ledger's dollars; the words are the price of an image."""
    made = made_run(4)

    plain, stream = spending.spent_of(made.ledger, made.attempts, ["plain", "stream"])

    assert plain.images == stream.images == 4
    billed = sum(row["billed_usd"] for row in made.ledger if row["billed"])
    assert plain.total_usd + stream.total_usd == pytest.approx(billed)
    assert plain.orphaned_usd == pytest.approx(plain.delivered_usd)
    assert stream.orphaned_usd == 0
    drawn = spending.draw([plain, stream])
    widths = sorted(bar.get_width() for bar in bars(drawn, style.DELIVERED))
    assert widths == pytest.approx(sorted([plain.delivered_usd, stream.delivered_usd]))
    assert plain.words == "$1.69 for 4 images: $0.42 each"


def job(request: str, *, came: bool, mode: str = "poll") -> list[Attempt]:
    """A submit, two polls, and an image or none."""

    def one(number: int, part: str, at_s: float, outcome: Outcome) -> Attempt:
        return Attempt(
            request=request,
            number=number,
            mode=mode,
            trace_id=request,
            span_id=f"{request}-{number}",
            user=1,
            started_s=at_s,
            ended_s=at_s + 1,
            outcome=outcome,
            part=part,
        )

    end = Outcome.DELIVERED if came else Outcome.ACCEPTED
    return [
        one(1, "submit", 100.0, Outcome.ACCEPTED),
        one(2, "poll", 110.0, Outcome.ACCEPTED),
        one(3, "poll", 120.0, end),
    ]


def test_job_is_a_row_from_its_submit_to_its_image() -> None:
    """Instants count from the submit; a job whose image never came has no dot."""
    made = [*job("a", came=True), *job("b", came=False)]

    first, second = jobs.jobs_of(made)

    assert (first.polls_s, first.image_s, first.end_s) == ((10.0, 20.0), 21.0, 21.0)
    assert second.image_s is None
    (axes,) = jobs.draw([first, second]).axes
    assert sum(line.get_marker() == "o" for line in axes.lines) == 1
    polls = [np.asarray(line.get_xdata()).tolist() for line in axes.lines if line.get_marker() == "|"]
    assert polls == [[10.0, 20.0]] * 2
    assert jobs.jobs_of(made_run(1).attempts) == ()


def test_of_many_jobs_some_of_each_mode_are_drawn() -> None:
    """And the caption says how many are not."""
    made = [one for number in range(40) for one in job(f"a{number}", came=True)]
    made += [one for number in range(5) for one in job(f"b{number}", came=False, mode="webhook")]

    found = jobs.jobs_of(made)

    assert {one.mode for one in jobs.chosen(found)} == {"poll", "webhook"}
    assert jobs.caption(found).endswith("Drawn are 17 of 45, of each mode the first.")


def overlaps(drawn: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie over each other, ticks and legends too; and texts that leave the picture."""
    canvas = FigureCanvasAgg(drawn)
    with style.look():
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib's own gap
        ruler = canvas.get_renderer()  # type: ignore[no-untyped-call]  # as above
        texts = [text for text in drawn.findobj(Text) if text.get_text().strip()]
        seen = [text for text in texts if text.get_visible()]
        boxes = [(text.get_text(), text.get_window_extent(ruler)) for text in seen]
    inside = [(said, box) for said, box in boxes if box.width > 0]
    out = [(said, "outside") for said, box in inside if box.x1 > drawn.bbox.x1 + 1 or box.x0 < -1]
    return out + [
        (one, other)
        for (one, box), (other, second) in combinations(inside, 2)
        if box.x0 < second.x1 - 1
        and second.x0 < box.x1 - 1
        and box.y0 < second.y1 - 2
        and second.y0 < box.y1 - 2
    ]


@pytest.mark.parametrize("requests", [5, 50, 5000])
def test_no_text_lies_over_another(requests: int) -> None:
    """At five, fifty and five thousand requests, with layers and modes of long names."""
    hops = [layer(f"{LONG}-{number}", first_byte=60.0 * number, idle=60.0 * number) for number in (1, 2, 3)]
    made = MadeRun(topology=chain_of(*hops))
    kinds = (nginx_cut, stream_cut, delivered, rejected)
    for number in range(requests):
        made.request(f"mode-{number % 4}-of-this-very-long-scenario", kinds[number % 4]())
    judged = made.judged()
    modes = list(judged.figures.by_mode)
    layers = [one.name for one in made.topology.layers]
    spans = over_time.spans_of(made.attempts, judged.verdicts, layers)
    assert spans is not None
    took = generations.durations(made.ledger, generations.last_instant_s(made.ledger, made.attempts))
    many_jobs = [one for number in range(requests) for one in job(f"{LONG}-{number}", came=bool(number % 2))]

    pictures = {
        "over time": over_time.draw(spans),
        "waits": waits.draw(waits.waits_of(made.attempts, modes)),
        "spending": spending.draw(spending.spent_of(made.ledger, made.attempts, modes)),
        "jobs": jobs.draw(jobs.jobs_of(many_jobs)),
        "verdicts": verdicts.draw(verdicts.count(judged.verdicts, judged.figures.by_mode, layers)),
        "limits": limits.draw(
            limits.panels(made.topology, took, generations.silences(made.ledger, made.attempts))
        ),
        "waterfall": waterfall_figure.draw(
            waterfall(made.attempts[0].request, judged.attribution, made.attempts)
        ),
    }

    found = {}
    for name, drawn in pictures.items():
        found[name] = overlaps(drawn)
    assert not any(found.values()), found
