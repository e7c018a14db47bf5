"""How long generations take: the article's figures, the rule for the rest, and the user's own."""

import math
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.mock_upstream.stage import MINIMAL, Stage, on_stage
from whocut_mock import Settings
from whocut_mock.dice import Dice
from whocut_mock.latency import Plan, interpolated_median_s, plan
from whocut_mock.parameters import EDITS, Order, Reading, read_order, with_references
from whocut_mock.settings import Latency
from whocut_mock.uploads import Reference

TOLERANT = Reading(EDITS, tolerated=frozenset({"input_fidelity"}))
IMAGE = Reference(1024, 1024, alpha=False)


def order(references: int = 0, **fields: Any) -> Order:
    """An order for gpt-image-2 with so many references."""
    made = read_order({"prompt": "cat", **fields}, TOLERANT if references else Reading())
    return with_references(made, [IMAGE] * references) if references else made


def plans(made: Order, settings: Latency | None = None, count: int = 2_000) -> list[Plan]:
    """So many throws of the dice."""
    return [plan(made, settings or Latency(), Dice(str(number).encode())) for number in range(count)]


@pytest.mark.parametrize(
    ("made", "median_s", "p95_s"),
    [
        (order(quality="medium"), 80, 80 * 280 / 195),
        (order(quality="high"), 195, 280),
        (order(1, quality="high", size="1536x1024", input_fidelity="high"), 130, 130 * 280 / 195),
        (order(2, quality="medium"), 44, 44 * 280 / 195),
    ],
)
def test_article(made: Order, median_s: float, p95_s: float) -> None:
    """The four measured kinds have the measured medians, and the one measured spread."""
    drawn = plans(made)
    durations_s = sorted(one.duration_s for one in drawn)

    assert drawn[0].profile.startswith("article: ")
    assert statistics.median(durations_s) == pytest.approx(median_s, rel=0.03)
    assert durations_s[int(0.95 * len(durations_s))] == pytest.approx(p95_s, rel=0.05)


def test_interpolation_meets_the_measured_points() -> None:
    """The rule gives the article's own medians where the article has them."""
    assert interpolated_median_s(order(quality="medium")) == pytest.approx(80)
    assert interpolated_median_s(order(quality="high")) == pytest.approx(195)
    assert interpolated_median_s(order(2, quality="medium")) == pytest.approx(44)
    wide = order(1, quality="high", size="1536x1024", input_fidelity="high")
    assert interpolated_median_s(wide) == pytest.approx(130)


def test_more_tokens_take_longer() -> None:
    """Medians rise with quality and size, and JPEG is quicker than PNG."""
    medians = [interpolated_median_s(order(quality=quality)) for quality in ("low", "medium", "high")]

    assert medians == sorted(medians)
    assert interpolated_median_s(order(size="2048x2048")) > interpolated_median_s(order())
    assert interpolated_median_s(order(output_format="jpeg")) < interpolated_median_s(order())


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_first_partial_and_the_even_rest(count: int) -> None:
    """The first partial image comes after 5 to 15 s, the others evenly until the end."""
    for one in plans(order(stream=True, partial_images=count), count=200):
        assert len(one.partials_s) == count
        if count:
            steps = [*one.partials_s, one.duration_s]
            gaps = [after - before for before, after in pairwise(steps)]
            assert 5 <= steps[0] <= 15
            assert max(gaps) == pytest.approx(min(gaps))


def test_observed_partials() -> None:
    """The one published observation: 26, 32 and 35 s."""
    settings = Latency(constant_s=35, partials="observed-2026")

    [one] = plans(order(stream=True, partial_images=2), settings, count=1)

    assert one.partials_s == pytest.approx((26, 32))


def test_final_may_come_before_all_partials() -> None:
    """Asked for, the final image comes before some of the partial ones."""
    settings = Latency(final_preempts=0.5)
    counts = [len(one.partials_s) for one in plans(order(stream=True, partial_images=3), settings, count=400)]

    assert set(counts) == {0, 1, 2, 3}
    assert 150 <= counts.count(3) <= 250


def test_own_timings(tmp_path: Path) -> None:
    """A CSV of timings is drawn from between its smallest and its largest, with and without a heading."""
    for text in ("duration_s,note\n10,a\n20,b\n40,c\n", "10\n20\n40\n"):
        file = tmp_path / f"{len(text)}.csv"
        file.write_text(text)
        settings = Latency.model_validate({"rows": [{"csv": str(file), "quality": "high"}]})

        drawn = [one.duration_s for one in plans(order(quality="high"), settings)]

        assert min(drawn) >= 10
        assert max(drawn) <= 40
        assert statistics.median(drawn) == pytest.approx(20, abs=1)


def test_own_rows_go_first() -> None:
    """A row of one's own is asked before the article's, and what it does not name matches anything."""
    rows = [{"quality": "high", "median_s": 50, "p95_s": 60}, {"references": 1, "constant_s": 7}]
    settings = Latency.model_validate({"rows": rows})

    assert statistics.median(one.duration_s for one in plans(order(quality="high"), settings)) < 55
    assert {one.duration_s for one in plans(order(1, quality="low"), settings, count=5)} == {7.0}


@pytest.mark.parametrize(
    "row", [{}, {"constant_s": 1, "median_s": 2}, {"p95_s": 3, "constant_s": 1}, {"median_s": 5, "p95_s": 4}]
)
def test_impossible_row(row: dict[str, float]) -> None:
    """A row has one law, and its p95 lies above its median."""
    with pytest.raises(ValueError, match=r"latency row|p95_s"):
        Latency.model_validate({"rows": [row]})


def test_slower_when_busy() -> None:
    """Asked for, every other running generation makes a new one slower."""
    settings = Latency(constant_s=100, slower_per_running=0.05)

    assert plan(order(), settings, Dice(b"x"), running=4).duration_s == pytest.approx(120)


def test_other_profile_in_a_whole_request() -> None:
    """A tolerated parameter reaches the profile that the article measured with it."""

    async def play(stage: Stage) -> None:
        body = {**MINIMAL, "images": [{"image_url": "https://example.com/a.png"}], "input_fidelity": "high"}
        body |= {"size": "1536x1024", "quality": "high"}
        answer = await stage.post(body, "/v1/images/edits")

        assert answer.status == 200
        [row] = stage.ledger.rows()
        assert row.profile == "article: 1536x1024 high, fidelity high, reference"
        assert row.duration_s is not None
        assert math.isclose(row.finished_s or 0, (row.accepted_s or 0) + row.duration_s, abs_tol=0.001)

    on_stage(play, Settings(tolerate=("input_fidelity",)))
