"""Each rule finds its mistake, names the vendor's own line, and is quiet where there is none."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.chain.fixtures import chain, layer
from whocut.chain.audit import BEYOND, RULES, audit, largest_gap_s
from whocut.chain.catalogue import overridden, preset
from whocut.chain.chainfile import read_topology, shipped_chains
from whocut.chain.layers import Buffering, Layer, LayerRetries, Topology
from whocut.chain.modes import MODES
from whocut.chain.profiles import ARTICLE, OBSERVED, Profile, parse_profile
from whocut.chain.remedy import Situation, candidates
from whocut.chain.shipped import CHAINS
from whocut.chain.targets import enough_s, targets
from whocut.chain.timers import TimerKind

SHIPPED = shipped_chains(CHAINS)
HIGH = ARTICLE["1024-high"]
PATIENT = {TimerKind.FIRST_BYTE: 900.0, TimerKind.IDLE: 900.0}


def found(topology: Topology, code: str, profile: Profile = HIGH) -> list[tuple[str, str, str]]:
    """Layer, directive and fix of each finding of one code."""
    return [
        (finding.layer, finding.directive, finding.fix)
        for finding in audit(topology, profile)
        if finding.code == code
    ]


def only(topology: Topology, code: str) -> tuple[str, str, str]:
    """The one finding of this code."""
    (finding,) = found(topology, code)
    return finding


def patient(name: str) -> Layer:
    """A preset that waits long enough for everything."""
    return overridden(preset(name), PATIENT, "test")


def test_a_wait_shorter_than_a_generation_is_found() -> None:
    """60 s for 280 s (p95): the fix is nginx's own line, for 999 of 1,000 generations."""
    assert only(chain(preset("nginx")), "limit-below-generation") == (
        "nginx",
        "proxy_read_timeout",
        "proxy_read_timeout 390s;",
    )


def test_a_total_limit_kills_streams() -> None:
    """Envoy's 15 s end a stream too."""
    name, directive, fix = only(chain(preset("envoy")), "total-kills-stream")

    assert (name, directive) == ("envoy", "route timeout")
    assert fix.startswith("timeout: 390s")


def test_a_limit_that_its_vendor_does_not_raise_is_no_fix() -> None:
    """Vercel's Hobby plan stops at 300 s: the way out is another one."""
    slow = Profile(name="slow", median_s=300, p95_s=500)

    ((_, _, fix),) = found(chain(preset("vercel-hobby")), "total-kills-stream", slow)

    assert fix.startswith("cannot be raised above 300 s")


def test_a_limit_above_the_p95_is_found_all_the_same() -> None:
    """Vercel's 300 s are above the p95 of 280 s, and one generation in forty takes longer."""
    (finding,) = [
        finding
        for finding in audit(chain(preset("vercel-hobby")), HIGH)
        if finding.code == "total-kills-stream"
    ]

    assert "2.5% of generations take longer" in finding.why


def test_a_limit_that_may_rise_a_little_says_how_far() -> None:
    """API Gateway's 29 s may become 300 s, and that is not enough for 999 of 1,000."""
    (finding,) = [
        finding
        for finding in audit(chain(preset("aws-apigw-rest")), HIGH)
        if finding.code == "total-kills-stream"
    ]

    assert finding.fix.startswith("timeoutInMillis: 300000")
    assert finding.or_else.startswith("300 s is the most there is")


def test_an_idle_limit_below_the_gap_between_partials_is_found() -> None:
    """Two partial images leave up to 138 s, three up to 92 s: 100 s allow three."""
    (finding,) = [
        finding for finding in audit(chain(layer("edge", idle=100)), HIGH) if finding.code == "idle-below-gap"
    ]

    assert finding.or_else == "stream with partial_images=3"
    assert found(chain(layer("edge", idle=140)), "idle-below-gap") == []


def test_observed_partials_leave_their_gap_before_the_first() -> None:
    """As seen once: the first one at 26 of 35 s."""
    observed = parse_profile("1024-high@observed-2026", chain().upstream)

    assert largest_gap_s(observed, 2) == pytest.approx(280 * OBSERVED[0])


def test_a_buffering_layer_is_found() -> None:
    """API Gateway holds a stream until it is told not to."""
    name, _, fix = only(chain(preset("aws-apigw-rest")), "buffered-stream")

    assert (name, fix) == ("aws-apigw-rest", "responseTransferMode: STREAM")


def test_an_inverted_budget_is_found_where_the_outer_limit_is_to_rise_anyway() -> None:
    """The edge gives up after 120 s, the proxy inside it after 300 s: its answer is never heard."""
    nginx = overridden(preset("nginx"), {TimerKind.IDLE: 300.0}, "test")

    name, directive, fix = only(chain(preset("cloudflare-enterprise"), nginx), "inverted-budget")

    assert (name, directive) == ("cloudflare-enterprise", "Proxy Read Timeout")
    assert fix.startswith("proxy_read_timeout: 420 ")


def test_an_inverted_budget_is_found_where_the_inner_limit_can_sink() -> None:
    """The SDK waits 600 s, which is enough: nginx's 720 s go below it."""
    nginx = overridden(preset("nginx"), {TimerKind.IDLE: 720.0}, "test")

    assert only(chain(nginx), "inverted-budget") == (
        "nginx",
        "proxy_read_timeout",
        "proxy_read_timeout 570s;",
    )


def test_budgets_in_order_are_left_alone() -> None:
    """Outer 300 s, inner 60 s."""
    assert found(chain(layer("outer", idle=300), layer("inner", idle=60)), "inverted-budget") == []


def test_retries_above_the_budget_are_found() -> None:
    """Three tries of 60 s do not fit into 100 s."""
    topology = chain(layer("edge", idle=100), layer("gateway", idle=60, tries=3))

    assert only(topology, "retries-above-budget")[0] == "gateway"
    assert (
        found(chain(layer("edge", idle=200), layer("gateway", idle=60, tries=3)), "retries-above-budget")
        == []
    )


def test_a_client_that_sends_a_post_again_is_found_where_something_cuts() -> None:
    """The official SDK asks three times; behind patient layers it never has to."""
    assert only(chain(preset("nginx")), "retries-post")[::2] == ("openai-python", "OpenAI(max_retries=0)")
    assert found(chain(patient("nginx")), "retries-post") == []


def test_a_keepalive_race_is_found() -> None:
    """Node closes after 5 s what the load balancer uses for 60, and for 390 when its knob is turned."""
    name, directive, fix = only(chain(preset("aws-alb"), preset("express")), "keepalive-race")

    assert (name, directive, fix) == (
        "express",
        "server.keepAliveTimeout",
        "server.keepAliveTimeout = 395000;",
    )


def test_work_left_running_is_found() -> None:
    """Heroku does not tell the dyno."""
    assert only(chain(preset("heroku")), "work-left-running")[0] == "heroku"


def test_a_layer_blind_to_aborts_is_found() -> None:
    """HAProxy 2.6, with the option that opens its eyes."""
    assert only(chain(preset("cloudflare"), preset("haproxy")), "blind-to-abort")[2] == "option abortonclose"


def test_an_unverified_limit_is_found_once_a_knob() -> None:
    """Fly's 60 s are one memory, though they stand in two timers."""
    assert only(chain(preset("fly")), "unverified-limit")[1] == "http_options.idle_timeout"


def test_a_good_chain_has_no_findings() -> None:
    """Nothing between a patient SDK and the upstream, and nothing to say."""
    assert audit(chain(), HIGH) == ()
    assert audit(chain(layer("tap", buffering=Buffering.CONTENT_LENGTH)), HIGH) == ()


def test_enough_is_what_nearly_all_generations_need() -> None:
    """A round figure above the 99.9th percentile: 385 s become 390."""
    assert enough_s(HIGH) == 390


VALUE = re.compile(r"\d+")


@pytest.mark.parametrize("name", sorted(SHIPPED))
@pytest.mark.parametrize("profile", list(ARTICLE.values()), ids=list(ARTICLE))
def test_a_knob_has_one_new_value_in_all_that_is_said(name: str, profile: Profile) -> None:
    """Whichever rule asks for it, and the remedies too: one line a knob, and never a limit above its cap."""
    topology = read_topology(SHIPPED[name])
    situation = Situation(topology=topology, profile=profile, mode=MODES["plain"])
    lines: dict[tuple[str, str], set[str]] = {}
    for finding in audit(topology, profile):
        if finding.pastes and VALUE.search(finding.fix):
            lines.setdefault((finding.layer, finding.directive), set()).add(finding.fix)
    for change in candidates(situation):
        if change.knob.startswith(f"{change.layer} ") and VALUE.search(change.line):
            knob = (change.layer, change.knob.removeprefix(f"{change.layer} "))
            lines.setdefault(knob, set()).add(change.line)

    assert {knob: said for knob, said in lines.items() if len(said) > 1} == {}
    for (layer_name, directive), limit_s in situation.targets.items():
        found = topology.layer(layer_name)
        assert found is not None
        for timer in found.timers.values():
            assert timer.directive != directive or timer.most_s is None or limit_s <= timer.most_s


def test_new_values_rise_from_the_inside_out() -> None:
    """Each layer waits a step longer than the next one inside: the inner one answers first."""
    edge, proxy, app = (layer(name, idle=60) for name in ("edge", "proxy", "app"))

    assert targets(chain(edge, proxy, app), 390.0) == {
        ("app", "app idle"): 390.0,
        ("proxy", "proxy idle"): 420.0,
        ("edge", "edge idle"): 450.0,
    }


def test_a_limit_above_its_cap_is_found_and_never_advised() -> None:
    """A cap that is only reported is warned of: no line goes above it."""
    browser = overridden(preset("browser"), {TimerKind.FIRST_BYTE: 900.0}, "test")

    (finding,) = [found for found in audit(chain(client=browser), HIGH) if found.code == BEYOND]

    assert (finding.layer, finding.fix) == ("browser", "no-response: 300 s")
    assert "at most 300 s, as far as is known" in finding.why


def test_tries_that_a_slow_answer_never_gets_are_found() -> None:
    """Nginx sends no POST again unless it is told to, however many tries a file asks for."""
    asked = LayerRetries(tries=3, file="mine.yaml", line=4)
    nginx = replace(preset("nginx"), retries=asked)

    (finding,) = [found for found in audit(chain(nginx), HIGH) if found.code == "tries-without-effect"]

    assert (finding.file, finding.line) == ("mine.yaml", 4)
    assert "it sends no POST again" in finding.why
    assert found(chain(replace(preset("nginx"), retries=LayerRetries(tries=3))), "tries-without-effect") == []


def test_every_rule_has_a_name_and_a_sentence() -> None:
    """The table can be printed."""
    assert len({rule.code for rule in RULES}) == len(RULES) == 14
    assert all(rule.says for rule in RULES)
