"""The formulas: who cuts first, what it costs, and what runs on behind it."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chain.fixtures import chain, layer
from whocut.chain.catalogue import preset
from whocut.chain.chainfile import read_topology
from whocut.chain.forecast import Figures, fates_of, figures, forecast
from whocut.chain.layers import Answer, Buffering, MidBody, Topology
from whocut.chain.modes import MODES, POLL_S, seen_in
from whocut.chain.profiles import ARTICLE, Profile, profile_of
from whocut.chain.shipped import CHAINS as CHAIN_FILES
from whocut.chain.timers import TimerKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Layer

CHAINS = {path.stem: path for path in sorted(CHAIN_FILES.glob("*.yaml"))}
WAITING = (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)


def constant(seconds: float, **facts: Any) -> Profile:
    """Generations that all take this long."""
    return Profile(name="constant", median_s=seconds, constant=True, **facts)


def of(topology: Topology, seconds: float, mode: str = "plain", requests: int = 100) -> Figures:
    """What the chain does to generations of this length."""
    return forecast(topology, constant(seconds), MODES[mode], requests=requests)


def cut(figures: Figures) -> tuple[str, str, str]:
    """Layer, timer and phase of the only cut."""
    (only,) = figures.cuts
    return only.layer, only.timer, only.phase


def test_the_lowest_cap_wins() -> None:
    """Of several limits below the generation's length the lowest one cuts."""
    article = chain(layer("edge", first_byte=100, idle=100), layer("gateway", first_byte=60, idle=60))

    figures = of(article, 195)

    assert figures.delivered == 0
    assert cut(figures) == ("gateway", "first_byte", "wait")


def test_a_limit_above_the_generation_delivers() -> None:
    """195 s pass a limit of 196 s."""
    figures = of(chain(layer(first_byte=196)), 195)

    assert (figures.delivered, figures.cuts, figures.p50_s) == (1.0, (), 195.0)


def test_of_two_that_fire_together_the_outer_one_is_named() -> None:
    """A tie is settled outward, as the verdict settles it."""
    assert cut(of(chain(layer("outer", idle=60), layer("inner", idle=60)), 195))[0] == "outer"


def test_default_retries_pay_three_times_for_nothing() -> None:
    """The SDK behind a 100 s edge, 195 s: three generations, all orphaned for 95 s."""
    figures = of(chain(layer("edge", first_byte=100)), 195)

    assert figures.generations_per_request == 3
    assert figures.orphaned == 3
    assert figures.orphaned_s_per_request == pytest.approx(3 * 95)
    assert figures.usd_per_delivered is None


def test_without_retries_one_is_paid() -> None:
    """`no-retry` loses the same image once."""
    assert of(chain(layer(first_byte=100)), 195, "no-retry").generations_per_request == 1


def test_streaming_saves_where_every_gap_is_below_idle() -> None:
    """Two partial images in 195 s leave gaps of at most 95 s: an idle limit of 100 s lets them pass."""
    assert of(chain(layer(idle=100)), 195, "stream-2").delivered == 1


def test_streaming_does_not_save_where_a_gap_is_above_idle() -> None:
    """The same gaps of at least 90 s die at 60 s, in mid-stream, and are not asked for again."""
    figures = of(chain(layer(first_byte=60, idle=60)), 195, "stream-2")

    assert figures.delivered == 0
    assert cut(figures) == ("hop", "idle", "stream")
    assert figures.generations_per_request == 1


def test_streaming_does_not_save_from_total() -> None:
    """Bytes re-arm no total limit."""
    assert cut(of(chain(layer(total=60)), 195, "stream-3")) == ("hop", "total", "stream")


def test_heartbeats_save_from_idle_and_not_from_total() -> None:
    """A comment every 15 s is a byte every 15 s."""
    idle, total = layer(first_byte=60, idle=60), layer(total=60)

    assert of(chain(idle, heartbeat_s=15.0), 195, "stream-0").delivered == 1
    assert of(chain(total, heartbeat_s=15.0), 195, "stream-0").delivered == 0


def test_a_buffering_layer_hides_the_stream_from_those_before_it() -> None:
    """Behind a layer that holds everything the outer one waits for its first byte until the end."""
    outer, inner = layer("outer", first_byte=60, idle=60), layer("inner", buffering=Buffering.ALL)

    assert of(chain(outer), 100, "stream-2").delivered == 1
    assert cut(of(chain(outer, inner), 100, "stream-2")) == ("outer", "first_byte", "wait")


def test_a_held_stream_that_breaks_off_is_asked_for_again() -> None:
    """The client saw no head, it got a 502 instead, and its policy retries that."""
    outer, inner = layer("outer", buffering=Buffering.ALL), layer("inner", idle=30)

    assert of(chain(outer, inner), 195, "stream-1").generations_per_request == 3


def test_a_job_is_seen_by_no_limit_of_the_chain() -> None:
    """The worker makes the call itself; the caller's polls are short."""
    figures = of(chain(layer(total=10)), 193, "async")

    assert (figures.delivered, figures.p50_s) == (1.0, 195.0)


def test_a_job_s_worker_is_an_sdk_whatever_asks_for_it() -> None:
    """A no-code tool gives up after 30 s; the worker that makes the call for it does not."""
    zapier = preset("zapier")

    assert of(chain(client=zapier), 193).delivered == 0
    assert of(chain(client=zapier), 193, "async").delivered == 1


def test_the_client_s_own_timer_cuts_too() -> None:
    """600 s of silence end an attempt without any hop."""
    assert cut(of(chain(), 601)) == ("openai-python", "first_byte", "wait")


def test_a_blind_layer_holds_the_work_that_its_caller_left() -> None:
    """HAProxy 2.6 does not look: behind the edge's cut at 100 s it waits until its own 150 s."""
    edge, blind = layer("edge", idle=100), layer("blind", idle=150, notices_abort=False)

    figures = of(chain(edge, blind, tries=1), 195)

    assert cut(figures)[0] == "edge"
    assert figures.orphaned_s_per_request == pytest.approx(195 - 150)


def test_a_blind_layer_without_a_timer_takes_what_nobody_wants() -> None:
    """Then nothing is orphaned, and nothing is delivered either."""
    figures = of(chain(layer("edge", idle=100), layer("blind", notices_abort=False), tries=1), 195)

    assert (figures.delivered, figures.orphaned) == (0.0, 0.0)


def test_behind_a_blind_layer_the_inner_ones_go_on_by_themselves() -> None:
    """The edge leaves at 100 s, the blind layer has no timer, the one inside it cuts at 120 s: 75 s for nobody."""
    edge, blind = layer("edge", idle=100), layer("blind", notices_abort=False)

    figures = of(chain(edge, blind, layer("inner", idle=120), tries=1), 195)

    assert cut(figures)[0] == "edge"
    assert figures.orphaned_s_per_request == pytest.approx(195 - 120)


def test_a_heartbeat_tells_a_blind_layer_that_its_caller_has_left() -> None:
    """At 100 s the edge leaves; the comment at 105 s finds nobody."""
    edge, blind = layer("edge", total=100), layer("blind", notices_abort=False)

    figures = of(chain(edge, blind, tries=1, heartbeat_s=15.0), 195, "stream-0")

    assert figures.orphaned_s_per_request == pytest.approx(195 - 105)


def test_a_held_stream_that_ends_as_if_whole_is_not_asked_for_again() -> None:
    """The holding layer takes Caddy 2.6's clean end for an end: the client gets a stream without its last event."""
    holding = layer("holding", buffering=Buffering.ALL)
    clean = layer("clean", idle=30, mid_body=MidBody.TERMINATED)

    assert of(chain(holding, clean), 195, "stream-1").generations_per_request == 1


def test_a_layer_that_retries_a_post_pays_again() -> None:
    """Two tries of 60 s each in front of a 195 s generation: two generations an attempt."""
    figures = of(chain(layer("gateway", idle=60, tries=2), tries=1), 195)

    assert figures.generations_per_request == 2
    assert cut(figures) == ("gateway", "idle", "wait")


def test_an_outer_limit_cuts_into_the_retries_of_an_inner_one() -> None:
    """100 s outside, 60 s × 3 inside: the edge cuts in the second try."""
    figures = of(chain(layer("edge", idle=100), layer("gateway", idle=60, tries=3), tries=1), 195)

    assert figures.generations_per_request == 2
    assert cut(figures)[0] == "edge"


@pytest.mark.parametrize(
    ("status", "generations"), [(504, 3), (500, 3), (408, 3), (409, 3), (200, 1), (404, 1)]
)
def test_the_client_retries_by_the_status_it_is_told(status: int, generations: int) -> None:
    """408, 409, 429 and everything from 500 on is tried again; nothing else is."""
    edge: Layer = layer(idle=60, answers={"expiry": Answer(status=status, reason="")})

    assert of(chain(edge), 195).generations_per_request == generations


def test_retry_after_is_waited_for() -> None:
    """Varnish asks for five seconds: 60 + 5 + 60 + 5 + 60 s until the client gives up, and more if it does not."""
    topology = chain(preset("varnish"))
    fast = Profile(name="two", timings_s=(50.0, 70.0), median_s=60.0)

    figures = forecast(topology, fast, MODES["plain"], requests=2_000)

    assert figures.p95_s is not None
    assert 115 < figures.p95_s < 190


@pytest.mark.parametrize("name", sorted(CHAINS))
@pytest.mark.parametrize("profile", ["1024-high", "1024-medium"])
@pytest.mark.parametrize("mode", ["plain", "no-retry"])
def test_a_plain_answer_is_delivered_as_often_as_the_law_says(name: str, profile: str, mode: str) -> None:
    """In closed form, on every shipped chain: each attempt fails by the lowest limit, and is one generation."""
    topology = read_topology(CHAINS[name])
    limits_s = [limit_s for each in topology.layers for kind in WAITING if (limit_s := each.limit_s(kind))]
    fails = ARTICLE[profile].longer_than(min(limits_s))
    tries = MODES[mode].tries or topology.client.retries.tries

    figures = forecast(topology, ARTICLE[profile], MODES[mode])

    assert figures.delivered == pytest.approx(1 - fails**tries, abs=0.0005)
    if all(not each.retries.post for each in topology.hops):
        expected = sum(fails**attempt for attempt in range(tries))
        assert figures.generations_per_request == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("mode", ["plain", "stream-1", "stream-3", "async"])
@pytest.mark.parametrize("name", sorted(CHAINS))
def test_few_even_generations_say_what_many_by_chance_say(name: str, mode: str) -> None:
    """Within what 5,000 by chance can be wrong; and four times as many even ones say the same to 0.3 points."""
    topology, dice = read_topology(CHAINS[name]), random.Random(1)
    profile = profile_of(topology.upstream)

    def draw(requests: Sequence[int], attempt: int, again: int) -> list[tuple[float, ...]]:
        durations_s = [profile.at(max(dice.random(), 1e-12)) for _ in requests]
        return profile.emissions_s(durations_s, MODES[mode].partials, [dice.random() for _ in requests])

    even = forecast(topology, profile, MODES[mode])
    many = forecast(topology, profile, MODES[mode], requests=20_000, seed=7)
    fates = fates_of(topology, MODES[mode], draw, requests=5_000, dice=dice)
    chance = figures(seen_in(MODES[mode], topology), fates, price_usd=None)

    def by_chance(share: float) -> float:
        return 0.001 + 4 * math.sqrt(share * (1 - share) / 5_000)

    def shares(of_many: Figures) -> dict[tuple[str, str, str], float]:
        return {(cut.layer, cut.timer, cut.phase): cut.share for cut in of_many.cuts}

    assert even.delivered == pytest.approx(many.delivered, abs=0.003)
    assert even.generations_per_request == pytest.approx(many.generations_per_request, abs=0.003)
    assert even.delivered == pytest.approx(chance.delivered, abs=by_chance(chance.delivered))
    for cut in {**shares(even), **shares(chance)}:
        share = shares(chance).get(cut, 0.0)
        assert shares(even).get(cut, 0.0) == pytest.approx(share, abs=by_chance(share))
    if min(even.delivered, chance.delivered) > 0.1:
        grid_s = POLL_S if MODES[mode].job else 0.0
        assert even.p50_s == pytest.approx(chance.p50_s, rel=0.02, abs=grid_s)
        assert even.p95_s == pytest.approx(chance.p95_s, rel=0.02, abs=grid_s)


def test_shares_add_up() -> None:
    """Every request is delivered, or ends by one cut."""
    figures = forecast(
        chain(layer(first_byte=60, idle=60)), ARTICLE["1024-high"], MODES["stream-3"], requests=10_000
    )

    assert figures.delivered + sum(cut.share for cut in figures.cuts) == pytest.approx(1)


@settings(deadline=None, max_examples=60)
@given(
    limits=st.lists(
        st.fixed_dictionaries(
            {},
            optional={"first_byte": st.floats(1, 400), "idle": st.floats(1, 400), "total": st.floats(1, 400)},
        ),
        max_size=4,
    ),
    seconds=st.floats(1, 500),
    mode=st.sampled_from(sorted(MODES)),
    raise_by=st.floats(0, 300),
)
def test_raising_every_limit_never_costs_an_image(
    limits: list[dict[str, float]], seconds: float, mode: str, raise_by: float
) -> None:
    """More patience everywhere delivers at least as much."""
    patient = [{kind: limit + raise_by for kind, limit in each.items()} for each in limits]

    before, after = (
        of(
            chain(*(layer(f"l{i}", **cast("dict[str, Any]", each)) for i, each in enumerate(all_of_them))),
            seconds,
            mode,
            20,
        )
        for all_of_them in (limits, patient)
    )

    assert after.delivered >= before.delivered - 1e-9
