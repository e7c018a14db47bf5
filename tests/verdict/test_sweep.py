"""The levels of a sweep: what counts as refused, where the knee is, what is asked again, what is recommended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest  # type: ignore[import-untyped]  # scipy ships no types

from tests.verdict.made import cut, mode
from whocut.chain.intervals import wilson
from whocut.chain.load import LoadStage
from whocut.chain.timers import TimerKind
from whocut.trace.records import Attempt, Outcome
from whocut.verdict.figures import Recommended
from whocut.verdict.sweep.knee import knee_of, plateau_of, to_confirm, to_halve
from whocut.verdict.sweep.levels import Level, levels_of
from whocut.verdict.sweep.say import sweep_figures

ONE_PERCENT = 0.01
CUT = cut(40, timer=TimerKind.FIRST_BYTE, directive="proxy_read_timeout", limit_s=60.0)


def level(
    concurrency: int,
    refused: int = 0,
    *,
    gap_s: float = 0.0,
    seen: int = 40,
    stages: int = 1,
    waits_s: float | None = 2.0,
    rate: float | None = None,
    **more: Any,
) -> Level:
    """A level of so many requests, so many of them refused; the rest took 80 s each."""
    came = seen - refused
    taken_s = 60 * concurrency * came / rate if rate else came * (80.0 + gap_s)
    return Level(
        concurrency,
        gap_s,
        stages=stages,
        requests=seen,
        seen=seen,
        refused=refused,
        came=more.pop("came", came),
        taken_s=taken_s,
        took_s=more.pop("took_s", [80.0] * came),
        waits_s=[waits_s] * refused if waits_s is not None else [],
        **more,
    )


# --- the interval -----------------------------------------------------------------------------------------


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons_as_scipy_has_it(counts: tuple[int, int]) -> None:
    """Two implementations, one interval; the ends at none and at all are exact."""
    hits, of = counts
    theirs = binomtest(hits, of).proportion_ci(0.95, method="wilson")

    assert wilson(hits, of) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_of_none_there_is_no_interval() -> None:
    """No request seen to its end: nothing is known, and nothing is said."""
    assert wilson(0, 0) is None
    assert Level(3, 0.0).figures().ci95 is None
    assert not Level(3, 0.0).keeps(0.5)


# --- the knee ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "knee"),
    [
        pytest.param([level(1), level(2), level(3)], 3, id="never a 429"),
        pytest.param([level(1), level(2), level(3, 1)], 2, id="one above breaks"),
        pytest.param([level(1, 4), level(2, 9)], None, id="not even one"),
        pytest.param([level(1), level(2, 1), level(3)], 1, id="a lucky level above a broken one"),
        pytest.param([level(1), level(3, 2), level(3, gap_s=2.0)], 3, id="a gap carries further"),
        pytest.param([level(1), level(3, 2), level(4), level(3, gap_s=2.0)], 4, id="tried with less counts"),
        pytest.param(
            [level(1), level(3, 2), level(4), level(3, gap_s=2.0), level(4, 1, gap_s=2.0)],
            3,
            id="luck without a gap does not outlive the gap",
        ),
        pytest.param([level(1, 4), level(1, gap_s=12.0)], 1, id="one at a time, with a gap"),
        pytest.param([level(1, 1, seen=100), level(2, 2, seen=100)], 1, id="a tolerable share"),
        pytest.param([], None, id="no level at all"),
    ],
)
def test_knee(levels: list[Level], knee: int | None) -> None:
    """The highest level up to which all keep to the tolerance, at one gap."""
    assert knee_of(levels, ONE_PERCENT) == knee


COUNTS = st.dictionaries(st.integers(1, 12), st.integers(0, 40), min_size=1)


@given(COUNTS, st.floats(0, 0.99), st.floats(0, 0.99))
def test_who_tolerates_more_has_no_lower_knee(counts: dict[int, int], one: float, other: float) -> None:
    """And no knee stands above a level that breaks."""
    levels = [level(concurrency, refused) for concurrency, refused in counts.items()]

    strict, loose = (knee_of(levels, tolerate) or 0 for tolerate in sorted((one, other)))

    assert strict <= loose
    assert all(each.keeps(max(one, other)) for each in levels if each.concurrency <= loose)


@pytest.mark.parametrize(
    ("rates", "plateau"),
    [
        pytest.param({1: 0.7, 2: 1.4, 4: 2.8, 8: 5.6}, None, id="grows to the end"),
        pytest.param({2: 1.4, 4: 2.8, 8: 5.0, 16: 5.1}, 8, id="a quota of five a minute"),
        pytest.param({2: 1.4, 3: 1.5}, 2, id="half as many again, hardly more"),
        pytest.param({9: 6.0, 10: 6.1}, None, id="too narrow to tell"),
        pytest.param({4: 5.0, 8: 2.0, 16: 6.5}, None, id="more above a dip"),
    ],
)
def test_plateau(rates: dict[int, float], plateau: int | None) -> None:
    """Throughput has stopped growing where half as many again bring not a fifth more."""
    assert plateau_of([level(c, rate=rate) for c, rate in rates.items()]) == plateau


# --- what is asked again ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "asked"),
    [
        pytest.param([level(1), level(3)], (), id="nothing broke"),
        pytest.param([level(1), level(3), level(5, 4)], ((3, 0.0),), id="the knee may have been luck"),
        pytest.param(
            [level(3, stages=2), level(5, 4), level(10, 30), level(12, 30)],
            ((5, 2.0), (10, 2.0)),
            id="then two levels with the Retry-After as gap",
        ),
        pytest.param(
            [level(1), level(3, 2, stages=2), level(5, 4)], ((1, 0.0),), id="it was luck: the one below"
        ),
        pytest.param([level(1, 9, waits_s=11.2), level(2, 20)], ((1, 12.0), (2, 12.0)), id="not even one"),
        pytest.param([level(1, stages=2), level(2, 9, waits_s=None)], (), id="a 429 without a Retry-After"),
        pytest.param([level(1, stages=2), level(2, 9, waits_s=3600.0)], (), id="a closed door"),
        pytest.param([level(1, 40, no_money=40)], (), id="no money"),
        pytest.param(
            [level(3, stages=2), level(5, 4), level(5, gap_s=2.0)],
            ((5, 2.0),),
            id="the gap's knee may be luck",
        ),
        pytest.param(
            [level(3, stages=2), level(5, 4), level(5, gap_s=2.0, stages=2), level(8, 9)],
            ((8, 2.0),),
            id="the gap carries on",
        ),
        pytest.param([level(3, stages=2), level(5, 4), level(5, 3, gap_s=2.0)], (), id="the gap is no use"),
    ],
)
def test_what_is_asked_again(levels: list[Level], asked: tuple[tuple[int, float], ...]) -> None:
    """First the knee once more, then levels beyond it with a gap; and at last nothing."""
    assert to_confirm(levels, ONE_PERCENT) == asked


@pytest.mark.parametrize(
    ("levels", "asked"),
    [
        pytest.param([level(1), level(20, 9)], 10, id="half way"),
        pytest.param([level(1), level(10, 9), level(20, 30)], 5, id="to the lowest that broke"),
        pytest.param([level(1), level(5), level(10, 9)], 7, id="from the knee"),
        pytest.param([level(4), level(5, 9)], None, id="nothing between"),
        pytest.param([level(1), level(20)], None, id="nothing broke"),
        pytest.param([level(4, 9), level(20, 9)], 2, id="below the lowest"),
        pytest.param([level(1, 9), level(20, 9)], None, id="not even one"),
        pytest.param([level(3), level(9, 9), level(9, 9, gap_s=2.0)], None, id="gaps are being tried"),
    ],
)
def test_half_way(levels: list[Level], asked: int | None) -> None:
    """Bisection asks between what keeps and what breaks, until there is nothing between."""
    assert to_halve(levels, ONE_PERCENT) == asked


# --- the answer -------------------------------------------------------------------------------------------

ARTICLE = [level(2, stages=2), level(3, 2), level(3, gap_s=2.0), level(5, 4), level(5, 3, gap_s=2.0)]


@pytest.mark.parametrize(
    ("levels", "at_once", "gap_s", "says"),
    [
        pytest.param(ARTICLE, 3, 2.0, "The gap is needed: without it, 2 of 40", id="the article"),
        pytest.param([level(1), level(8)], 8, 0.0, "No limit was seen up to 8 at once", id="never a 429"),
        pytest.param([level(4), level(6, 2)], 4, 0.0, "at 6 at once, 2 of 40 requests", id="no gap tried"),
        pytest.param(
            [level(5), level(6, 2), level(6, 1, gap_s=12.0)], 5, 0.0, "carried no level further", id="no use"
        ),
        pytest.param(
            [level(2, rate=3.0), level(4, rate=3.1), level(8, rate=3.2)], 2, 0.0, "hardly more images a minute",
            id="a plateau below the knee",
        ),
        pytest.param([level(1, 9), level(2, 20)], None, None, "even at 1 at once", id="not even one"),
        pytest.param(
            [level(1, 39, no_money=39)], None, None, "there is no money or quota left", id="no money"
        ),
        pytest.param([level(1, 40), level(2, 40)], None, None, "80 of 80 requests met a 429", id="free tier"),
    ],
)  # fmt: skip
def test_answer(levels: list[Level], at_once: int | None, gap_s: float | None, says: str) -> None:
    """The semaphore, the gap, and the sentence that says why."""
    found = sweep_figures(levels, ONE_PERCENT)

    assert found.recommend == Recommended(max_in_flight=at_once, gap_s=gap_s)
    assert says in " ".join(found.says)


def test_a_gateway_that_cuts_everything_is_named_and_nothing_is_recommended() -> None:
    """No image came: no percentile, no price, and the chain decides, not the quota."""
    levels = [level(1, took_s=[], came=0, billed_usd=8.4), level(2, took_s=[], came=0, billed_usd=8.4)]

    found = sweep_figures(levels, ONE_PERCENT, [CUT])

    assert found.recommend == Recommended(max_in_flight=None, gap_s=None)
    assert found.levels[0].p50_s is None
    assert found.levels[0].usd_per_delivered is None
    assert (
        "NGINX cut 40 attempts by first_byte (proxy_read_timeout, 60 s): the chain decides here"
        in found.says[0]
    )


def test_what_a_layer_cut_beside_the_429s_is_said() -> None:
    """Requests that end in neither image nor 429 are counted, with the layer that took most of them."""
    found = sweep_figures([level(2, took_s=[80.0] * 30)], ONE_PERCENT, [CUT])

    assert found.says[-1].startswith("10 requests brought neither an image nor a 429: NGINX cut")


def test_an_interrupted_sweep_concludes_nothing_from_levels_never_asked() -> None:
    """Ctrl-C in level 1 of four: no 429 of nobody, no plateau, no "no limit seen"; it says what is missing."""
    first = level(1, seen=2, planned=3)
    never = [level(concurrency, seen=0, planned=3 * concurrency) for concurrency in (2, 3, 4)]

    found = sweep_figures([first, *never], ONE_PERCENT)

    said = " ".join(found.says)
    assert found.plateau is None
    assert "0 of 0" not in said
    assert "No limit was seen" not in said
    assert "at 1 at once 2 of 3, at 2 at once 0 of 6" in found.says[-1]
    assert "nothing here is confirmed" in found.says[-1]


def test_a_level_cut_short_has_no_throughput_to_compare() -> None:
    """The last level was stopped after two of thirty requests: that few came of it says nothing of a plateau."""
    levels = [level(1, rate=1.0), level(2, seen=2, rate=0.5, planned=30)]

    assert plateau_of(levels) is None


def test_an_interrupted_sweep_that_saw_nothing_says_only_that() -> None:
    """No request ended: neither "no image came" nor "no concurrency helps"."""
    found = sweep_figures([level(1, seen=0, planned=3)], ONE_PERCENT)

    assert len(found.says) == 1
    assert "nothing here is confirmed" in found.says[0]


def test_no_limit_is_claimed_only_for_the_gap_with_which_none_was_seen() -> None:
    """Three at once broke without a gap and kept with it: the two sentences must not contradict each other."""
    levels = [level(1, stages=2), level(3, 1, seen=6), level(3, gap_s=2.0)]

    said = " ".join(sweep_figures(levels, ONE_PERCENT).says)

    assert "With a gap of 2 s, no limit was seen up to 3 at once" in said
    assert "without it, 1 of 6 requests met a 429" in said
    assert "No limit was seen" not in said


def test_a_gap_that_carried_further_is_not_said_to_be_useless() -> None:
    """All levels were asked with a gap that was told: whether it carries further was not tried."""
    said = " ".join(sweep_figures([level(1, gap_s=2.0), level(3, gap_s=2.0)], ONE_PERCENT).says)

    assert "carried no level further" not in said


def test_nothing_came_and_no_429_was_met_does_not_blame_the_key() -> None:
    """Every request was rejected for another reason: the answer does not speak of concurrency helping."""
    found = sweep_figures([level(1, took_s=[], came=0)], ONE_PERCENT)

    assert "none of 40 requests met a 429: it is not the concurrency" in found.says[0]


def test_the_rule_speaks_of_levels_that_were_asked() -> None:
    """A bisection asks one and four only, and claims nothing of two and three."""
    assert "at every level asked below it" in sweep_figures([level(1), level(4)], ONE_PERCENT).rule


def test_thresholds_are_set_on_what_is_recommended() -> None:
    """Not on the levels that break on purpose; and where nothing is recommended nothing holds."""
    chosen = sweep_figures(ARTICLE, ONE_PERCENT).measured()

    assert chosen["max_in_flight"] == 3
    assert chosen["share_429"] == 0
    assert set(sweep_figures([level(1, 40)], ONE_PERCENT).measured().values()) == {None}


# --- what counts ------------------------------------------------------------------------------------------


def attempt(request: str, number: int = 1, *, status: int | None = 200, **more: Any) -> Attempt:
    """One of a level of two at once; delivered after 80 s unless it says otherwise."""
    outcome = {200: Outcome.DELIVERED, 429: Outcome.REJECTED, None: Outcome.CENSORED}[status]
    started_s = more.pop("started_s", 0.0)
    took_s = 80.0 if status == 200 else 0.5
    return Attempt(
        request=request,
        number=number,
        mode="2-at-once",
        trace_id=request,
        span_id=f"{request}-{number}",
        user=1,
        started_s=started_s,
        ended_s=None if status is None else started_s + took_s,
        status=status,
        outcome=outcome,
        **more,
    )


def measured(*attempts: Attempt, gap_s: float = 0.0) -> Level:
    """The only level."""
    stage = LoadStage(name="2-at-once", mix={"plain": 1.0}, requests=len(attempts), at_once=2, gap_s=gap_s)
    (one,) = levels_of([stage], attempts)
    return one


def test_a_request_that_asks_twice_brings_two_images_for_its_bill() -> None:
    """What an image costs is by images, as in a run's own account; the level still counts requests."""
    stage = LoadStage(name="2-at-once", mix={"plain": 1.0}, requests=1, at_once=2)
    tries = [attempt("a"), attempt("a", 2, started_s=80.0)]

    (one,) = levels_of([stage], tries, {stage.name: mode(billed_usd=0.4)})

    assert one.figures().delivered == 1
    assert one.figures().usd_per_delivered == pytest.approx(0.2)


def test_a_level_of_which_some_was_never_asked_is_not_whole() -> None:
    """What was planned is in the stage, what was asked is in the attempts."""
    stage = LoadStage(name="2-at-once", mix={"plain": 1.0}, requests=3, at_once=2)

    (one,) = levels_of([stage], [attempt("a"), attempt("b")])

    assert (one.planned, one.requests, one.whole) == (3, 2, False)


def test_a_request_has_one_vote_however_often_its_client_retried() -> None:
    """A 429 and then an image: refused once, and delivered."""
    one = measured(attempt("a", status=429, error="rate_limit_exceeded"), attempt("a", 2, started_s=3.0))

    assert (one.requests, one.refused, len(one.took_s)) == (1, 1, 1)
    assert one.took_s == [83.0]


def test_a_censored_request_is_counted_and_votes_for_nothing() -> None:
    """The run ended before anybody answered: it is no 429, and it is no image."""
    one = measured(attempt("a"), attempt("b", status=None))

    assert (one.requests, one.seen, one.censored, one.share_429) == (2, 1, 1, 0.0)


def test_a_batch_is_refused_when_one_of_its_requests_is() -> None:
    """Four requests, two at once: one refusal is a quarter of the requests and half of the batches."""
    one = measured(
        attempt("a"),
        attempt("b", started_s=0.1),
        attempt("c", started_s=82.0),
        attempt("d", started_s=83.0, status=429, retry_after_s=2.0),
    )

    assert one.share_429 == 0.25
    assert (one.figures().batches_refused, one.figures().batches) == (1, 2)


def test_a_batch_that_is_not_whole_or_not_seen_to_its_end_is_none() -> None:
    """Three requests are one batch of two; one that nobody answered makes its batch say nothing."""
    half = measured(attempt("a"), attempt("b", started_s=0.1), attempt("c", started_s=82.0, status=429))
    unseen = measured(attempt("a", status=429), attempt("b", started_s=0.1, status=None))

    assert (half.batches_refused, half.batches) == (0, 1)
    assert (unseen.batches_refused, unseen.batches) == (0, 0)


def test_throughput_leaves_out_the_first_of_each_place_and_counts_rests() -> None:
    """Two come at once; after them one image in 80 s + 2 s, and one refusal that was told to wait for 20 s."""
    one = measured(
        attempt("a"),
        attempt("b"),
        attempt("c", started_s=82.0),
        attempt("d", started_s=83.0, status=429, retry_after_s=20.0),
        gap_s=2.0,
    )

    assert one.taken_s == pytest.approx(80 + 2 + 0.5 + 20)
    assert one.delivered_per_min == pytest.approx(60 * 2 * 1 / 102.5)


def test_stages_of_one_level_are_one_and_their_bills_are_summed() -> None:
    """The knee asked again is more of the same; the bill is of the ledger, stage by stage."""
    stages = [
        LoadStage(name=name, mix={"plain": 1.0}, requests=1, at_once=2)
        for name in ("2-at-once", "2-at-once-again")
    ]
    again = attempt("b")
    again.mode = "2-at-once-again"
    bills = {stage.name: mode(billed_usd=0.2) for stage in stages}

    (one,) = levels_of(stages, [attempt("a"), again], bills)

    assert (one.stages, one.requests) == (2, 2)
    assert one.figures().usd_per_delivered == pytest.approx(0.2)
