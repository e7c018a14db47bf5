"""When requests are due, and who asks which: pure, the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.chain.load import Arrivals, Load, LoadStage, parse_arrivals
from whocut.errors import BadInput
from whocut.load.arrivals import due_times
from whocut.load.orders import Share, orders


@pytest.mark.parametrize(
    ("written", "arrivals"),
    [
        ("closed", None),
        ("30/min", Arrivals(0.5, "poisson")),
        ("even:2/s", Arrivals(2.0, "even")),
        ("poisson:1800/h", Arrivals(0.5, "poisson")),
    ],
)
def test_arrivals_are_read_as_people_write_them(written: str, arrivals: Arrivals | None) -> None:
    """A kind, a number and a unit; closed is none at all."""
    assert parse_arrivals(written) == arrivals


@pytest.mark.parametrize("written", ["", "30", "0/min", "-3/s", "often:3/s", "3/week"])
def test_arrivals_that_are_none_are_refused_with_the_way_out(written: str) -> None:
    """One sentence that names the flag and shows what to write."""
    with pytest.raises(BadInput, match=r"arrivals: '.*write closed, or for open ones 30/min"):
        parse_arrivals(written)


def test_even_arrivals_keep_their_distance() -> None:
    """Two a second are half a second apart, the first at once."""
    assert list(due_times(Arrivals(2.0, "even"), 4, seed=1)) == [0.0, 0.5, 1.0, 1.5]


def test_poisson_arrivals_come_as_often_as_asked_and_never_go_back() -> None:
    """Five thousand arrivals at two a second take 2,500 seconds, give or take five standard deviations."""
    due = list(due_times(Arrivals(2.0, "poisson"), 5_000, seed=7))

    assert due == sorted(due)
    assert due[-1] == pytest.approx(2_500, abs=5 * 5_000**0.5 / 2)


def test_poisson_arrivals_of_one_seed_are_the_same_and_of_another_are_not() -> None:
    """A run can be asked for again."""
    arrivals = Arrivals(1.0, "poisson")

    assert list(due_times(arrivals, 20, 3)) == list(due_times(arrivals, 20, 3))
    assert list(due_times(arrivals, 20, 3)) != list(due_times(arrivals, 20, 4))


@given(
    requests=st.integers(1, 60),
    of=st.integers(1, 7),
    arrivals=st.sampled_from([None, Arrivals(1.0)]),
    mix=st.sampled_from([{"plain": 1.0}, {"plain": 0.7, "stream": 0.3}]),
)
def test_shares_of_a_stage_are_all_of_it_and_nothing_twice(
    requests: int, of: int, arrivals: Arrivals | None, mix: dict[str, float]
) -> None:
    """However many workers there are, together they ask what one process would have asked, when it would have."""
    stage = LoadStage(name="stage", mix=mix, requests=requests, arrivals=arrivals)

    shares = [Share(index, of) for index in range(of)]
    together = [order for share in shares for order in orders(stage, 7, share)]

    assert sorted(together, key=lambda order: order.request[-4:]) == list(orders(stage, 7))
    assert sum(share.count(stage) for share in shares) == requests


@given(at_once=st.integers(1, 20), of=st.integers(1, 7))
def test_places_of_all_workers_are_the_places_of_the_stage(at_once: int, of: int) -> None:
    """At most so many at once means all processes together."""
    stage = LoadStage(name="stage", mix={"plain": 1.0}, requests=100, at_once=at_once)

    assert sum(Share(index, of).places(stage, users=50) for index in range(of)) == at_once


def test_prompts_do_not_depend_on_the_way_of_asking() -> None:
    """Stages differ in how they ask, never in what."""
    plain = LoadStage(name="plain", mix={"plain": 1.0}, requests=20)
    stream = LoadStage(name="stream", mix={"stream": 1.0}, requests=20, arrivals=Arrivals(1.0))

    assert [o.prompt for o in orders(plain, 7)] == [o.prompt for o in orders(stream, 7)]


def test_mix_keeps_its_proportions_and_records_carry_each_mode() -> None:
    """Three in ten are streamed, within five standard deviations."""
    stage = LoadStage(name="day", mix={"plain": 0.7, "stream": 0.3}, requests=2_000)

    made = list(orders(stage, 7))

    assert sum(order.mode == "stream" for order in made) == pytest.approx(600, abs=5 * 21)
    assert {order.label for order in made} == {"plain", "stream"} == set(stage.labels)


def test_load_is_read_back_from_the_manifest_as_it_was_written() -> None:
    """What the harness tells is what the load process hears."""
    load = Load(
        base_url="http://127.0.0.1:1/v1",
        stages=(
            LoadStage(name="a", mix={"plain": 1.0}, requests=3, at_once=2, gap_s=1.5),
            LoadStage(name="b", mix={"plain": 0.5, "stream": 0.5}, requests=4, arrivals=Arrivals(0.5)),
        ),
        users=5,
        seed=7,
        partial_images=2,
        upstream_control=None,
        upstream_in={"plain": {"seed": 1}},
    )

    assert Load.from_plain(load.to_plain()) == load
    assert load.asked == 7
