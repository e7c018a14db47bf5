"""The answer of a comparison, on drawn data: it stays silent about nothing, and finds what is there."""

from __future__ import annotations

import random
from typing import Any

import pytest

from whocut.chain.intervals import power_of
from whocut.compare.account import Account, Figure, Group, Kind, Mean, Median, Sample, Share
from whocut.compare.decide import CONFIDENCE, Change, compare
from whocut.compare.words import answer_words, as_json, more_words
from whocut.errors import BadInput

SEEDS = 1000


def account(name: str, kind: Kind = Kind.RUN, doubts: tuple[str, ...] = (), **groups: Any) -> Account:
    """An account with these groups, each a dictionary of samples."""
    return Account(
        kind=kind,
        name=name,
        groups={group: Group(samples=samples) for group, samples in groups.items()},
        doubts=doubts,
    )


def drawn_run(drawn: random.Random, name: str, delivered: float, of: int) -> Account:
    """A run of two modes, as a chain with these odds would leave it."""

    def mode() -> dict[str, Sample]:
        came = sum(drawn.random() < delivered for _ in range(of))
        return {
            "delivered": Share(came, of),
            "usd_per_request": Mean(tuple(0.211 * (1 + (drawn.random() > delivered)) for _ in range(of))),
            "share_429": Share(sum(drawn.random() < 0.05 for _ in range(of)), of),
            "time_to_image_s": Median(tuple(drawn.lognormvariate(5.273, 0.22) for _ in range(came))),
        }

    return account(name, plain=mode(), stream=mode())


@pytest.mark.parametrize(("delivered", "of"), [(0.5, 60), (0.9, 60), (0.97, 200)])
def test_two_runs_of_the_same_thing_cannot_be_told_in_95_of_100_seeds(delivered: float, of: int) -> None:
    """Eight rows that could decide, and together no more false answers than one of them may have."""
    answers = []
    for seed in range(SEEDS // 4):
        drawn = random.Random(seed)
        before, after = (drawn_run(drawn, name, delivered, of) for name in "AB")
        answers.append(compare(before, after).answer)

    assert answers.count(Change.CANNOT_TELL) >= 0.95 * len(answers)


@pytest.mark.parametrize(("delivered", "of"), [(0.5, 100), (0.8, 200), (0.85, 400)])
def test_single_share_is_silent_about_nothing(delivered: float, of: int) -> None:
    """With no second row to share the chances with, too; a thousand seeds have a noise of 0.7 points."""
    answers = []
    for seed in range(SEEDS):
        drawn = random.Random(seed)
        sides = [
            account(name, plain={"delivered": Share(sum(drawn.random() < delivered for _ in range(of)), of)})
            for name in "AB"
        ]
        answers.append(compare(sides[0], sides[1]).answer)

    assert answers.count(Change.CANNOT_TELL) >= 0.94 * SEEDS


@pytest.mark.parametrize("of", [60, 150, 300])
def test_real_change_of_ten_points_is_found_at_the_stated_power(of: int) -> None:
    """As often as the formula says, and never in the wrong direction; the power is the one that a row states."""
    before, after = 0.9, 0.8
    stated = power_of(before, after, of, of, CONFIDENCE)
    found = wrong = 0
    for seed in range(SEEDS):
        drawn = random.Random(seed)
        sides = [
            account(name, plain={"delivered": Share(sum(drawn.random() < odds for _ in range(of)), of)})
            for name, odds in (("A", before), ("B", after))
        ]
        answer = compare(sides[0], sides[1]).answer
        found += answer is Change.WORSE
        wrong += answer is Change.BETTER

    assert found / SEEDS == pytest.approx(stated, abs=0.05)
    assert wrong == 0


def test_as_many_more_requests_as_it_says_tell() -> None:
    """The number in "80 of 100 times" is no decoration: with so many more, four of five comparisons answer."""
    shy = compare(
        account("A", plain={"delivered": Share(54, 60)}), account("B", plain={"delivered": Share(48, 60)})
    )
    (row,) = shy.rows
    assert shy.answer is Change.CANNOT_TELL
    assert row.more is not None
    of = 60 + row.more
    told = 0
    for seed in range(SEEDS):
        drawn = random.Random(seed)
        sides = [
            account(name, plain={"delivered": Share(sum(drawn.random() < odds for _ in range(of)), of)})
            for name, odds in (("A", 0.9), ("B", 0.8))
        ]
        told += compare(sides[0], sides[1]).answer is Change.WORSE

    assert 0.75 <= told / SEEDS <= 0.9
    assert any(f"{row.more} more requests a side" in sentence for sentence in more_words(shy))


def test_delivered_images_weigh_more_than_their_price() -> None:
    """Cheaper, and half of the images gone: that is worse, and the saving is said as well."""
    before = account("A", plain={"delivered": Share(60, 60), "usd_per_request": Mean((0.4, 0.42) * 30)})
    after = account("B", plain={"delivered": Share(20, 60), "usd_per_request": Mean((0.2, 0.22) * 30)})

    seen = compare(before, after)

    assert seen.answer is Change.WORSE
    assert answer_words(seen).startswith("Worse: plain: delivered 100% → 33.3% (-66.7 points")
    assert any(
        sentence.startswith("Also: plain: dollars a request $0.41 → $0.21") for sentence in more_words(seen)
    )


def test_cheaper_alone_is_better() -> None:
    """The same images for a third of the price, as where useless retries are gone."""
    before = account("A", plain={"delivered": Share(0, 60), "usd_per_request": Mean((0.63,) * 60)})
    after = account("B", plain={"delivered": Share(0, 60), "usd_per_request": Mean((0.21,) * 60)})

    assert compare(before, after).answer is Change.BETTER


def test_of_two_groups_that_disagree_the_worse_one_answers() -> None:
    """No mean over modes hides that one of them is lost."""
    before = account("A", plain={"delivered": Share(0, 60)}, stream={"delivered": Share(60, 60)})
    after = account("B", plain={"delivered": Share(60, 60)}, stream={"delivered": Share(0, 60)})

    assert compare(before, after).answer is Change.WORSE


def test_rows_in_which_nothing_happened_take_no_share_of_the_chances() -> None:
    """A run without a single 429 on either side is judged as if there were no such row."""
    both = {"share_429": Share(0, 60)}
    alone = compare(
        account("A", plain={"delivered": Share(50, 60)}), account("B", plain={"delivered": Share(40, 60)})
    )
    beside = compare(
        account("A", plain={"delivered": Share(50, 60), **both}),
        account("B", plain={"delivered": Share(40, 60), **both}),
    )

    assert alone.each == beside.each == pytest.approx(CONFIDENCE)


def test_run_that_is_not_valid_answers_nothing() -> None:
    """However clear its figures look, and the doubt is in front."""
    before = account("A", plain={"delivered": Share(60, 60)})
    after = account("B", doubts=("the load stalled",), plain={"delivered": Share(0, 60)})

    seen = compare(before, after)

    assert seen.answer is Change.CANNOT_TELL
    assert answer_words(seen) == "Cannot tell: B is not valid."
    assert "B is not valid: the load stalled" in more_words(seen)


def test_figure_without_an_interval_is_shown_and_decides_nothing() -> None:
    """A price of which only the mean is known is in the table, and in no answer."""
    seen = compare(
        account("A", plain={"usd_per_delivered": Figure(0.2)}),
        account("B", plain={"usd_per_delivered": Figure(9.0)}),
    )

    assert seen.answer is Change.CANNOT_TELL
    assert as_json(seen)["rows"][0]["interval"] is None


def test_unlike_things_are_refused() -> None:
    """A run against a check, or modes that have nothing in common: a sentence, no table of dashes."""
    run = account("A", plain={"delivered": Share(1, 1)})

    with pytest.raises(BadInput, match=r"A is a run, B a check\. Compare two of one kind"):
        compare(run, account("B", Kind.CHECK, plain={"delivered": Share(1, 1)}))
    with pytest.raises(BadInput, match="nothing in A has its like in B: plain against stream"):
        compare(run, account("B", stream={"delivered": Share(1, 1)}))
