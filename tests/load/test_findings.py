"""Each scenario at small size: what it finds, not that it ran."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import has_finding, whocut
from tests.excused import unless_it_says_so
from whocut.chain.intervals import wilson
from whocut.errors import BadFile
from whocut.run.scenario import read_scenario, shipped_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sockets

TOLERATED = 0.01  # what a sweep tolerates where nobody says how much


@contextmanager
def found(name: str, folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """A scenario's account, mode by mode, for claims about it; and all runs' claim, that the ledger agrees."""
    done = whocut("run", name, "--out", "run", "--json", *options, cwd=folder, check=None)
    assert done.returncode in {0, 1}, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == has_finding(summary), done.stderr
    with unless_it_says_so(summary):
        assert summary["agreement"]["disagree"] == []
        assert summary["unattributed"] == 0
        yield summary["by_mode"]


def test_streaming_more_partial_images_make_shorter_silences(tmp_path: Path) -> None:
    """Each partial image shortens the gap that decides; with none, the wait decides as without streaming."""
    some = [f"--mode=partials-{count}" for count in range(4)]
    with found("streaming", tmp_path, "--requests", "8", "--users", "8", *some) as modes:
        gaps = [modes[f"partials-{count}"]["decided"] for count in (1, 2, 3)]
        assert modes["partials-0"]["decided"]["by"] == "wait"
        assert [gap["by"] for gap in gaps] == ["gap", "gap", "gap"]
        assert gaps[0]["median_s"] > gaps[1]["median_s"] > gaps[2]["median_s"] > 60


@pytest.mark.long
def test_streaming_heartbeats_keep_idle_timers_quiet_where_no_partial_image_does(tmp_path: Path) -> None:
    """A comment every 15 s carries what a limit of 60 s cuts without it."""
    with found(
        "streaming", tmp_path, "--requests", "6", "--users", "6", "--mode=partials-0", "--mode=heartbeats"
    ) as modes:
        assert modes["partials-0"]["delivered_share"] == 0
        assert modes["heartbeats"]["delivered_share"] == 1
        assert modes["heartbeats"]["first_byte_p50_s"] < 20
        assert modes["heartbeats"]["p50_s"] > 100


@pytest.mark.long
def test_mixed_day_each_kind_fails_in_its_own_way_and_failures_stay_out_of_percentiles(
    tmp_path: Path,
) -> None:
    """One run, six kinds: cut by the edge, by the caller's own patience, refused by name, blocked, or delivered."""
    with found("mixed_day", tmp_path, "--requests", "80", "--users", "150") as kinds:
        assert kinds["draft"]["delivered_share"] == 1
        assert kinds["wrapper"]["rejected_as"].keys() == {"unknown_parameter"}
        assert {row["layer"] for row in kinds["final"]["verdicts"]} == {"edge"}
        assert {row["layer"] for row in kinds["impatient"]["verdicts"]} == {"openai-python"}
        assert kinds["final"]["p50_s"] is None
        times = kinds["impatient"]["image_time"]
        assert times["censored"] > times["seen"] > 0
        assert times["p50_s"] is None or times["p50_s"] > 55


@pytest.mark.long
def test_mixed_day_is_invalid_when_too_few_users_take_the_arrivals_up(tmp_path: Path) -> None:
    """Open arrivals that nobody takes up in time are not the load that was asked for, and the run says so."""
    options = ["--requests", "30", "--users", "2", "--arrivals", "even:60/min", "--mode", "draft"]
    done = whocut("run", "mixed_day", "--out", "run", "--json", *options, cwd=tmp_path, check=1)

    summary = json.loads(done.stdout)
    assert "the run is not valid: " in done.stderr
    assert summary["valid"] is False
    assert summary["dispatch"]["max_s"] > 100
    assert summary["p50_s"] > summary["dispatch"]["p50_s"] > 0  # latency counts from the due time
    (late,) = [warning for warning in summary["warnings"] if warning.startswith("requests went out up to ")]
    assert "after they were due, all 2 users being busy" in late
    assert late in done.stderr


def test_timeout_chain_carries_the_quick_ones_and_cuts_the_slow_ones(tmp_path: Path) -> None:
    """A 100-second edge delivers low quality and never high; each cut is the edge's."""
    with found("timeout_chain", tmp_path, "--requests", "8", "--users", "8") as modes:
        assert modes["low"]["delivered_share"] == 1
        assert modes["high"]["delivered_share"] == 0
        assert {row["layer"] for row in modes["high"]["verdicts"]} == {"edge"}
        assert modes["high"]["ledger"]["generations_per_request"] == 3


@pytest.mark.long
def test_rate_limits_three_never_five_now_and_then_ten_more(tmp_path: Path) -> None:
    """The article's concurrency budget, reproduced: three never, five now and then, ten more than is to be borne.

    How much more depends on how quickly this machine sends ten: a place that is asked for late may be free again.
    """
    with found("rate_limits", tmp_path, "--requests", "30") as modes:
        assert modes["three"]["share_429"] == 0
        assert 0 < modes["five"]["share_429"] < modes["ten"]["share_429"]
        low, _ = wilson(round(30 * modes["ten"]["share_429"]), 30) or (0, 0)
        assert low > TOLERATED


@pytest.mark.long
def test_moderation_asking_again_only_costs_more(tmp_path: Path) -> None:
    """The same prompts block the same way three times, and the output filter's share is billed three times."""
    with found("moderation", tmp_path, "--requests", "8", "--users", "8") as modes:
        once, again = modes["once"], modes["again"]
        assert again["outcomes"] == once["outcomes"]
        assert again["ledger"]["billed_usd"] == pytest.approx(3 * once["ledger"]["billed_usd"])


def test_parameters_each_extra_is_refused_by_name_and_costs_nothing(tmp_path: Path) -> None:
    """A 400 that names the field, one attempt each, nothing billed; stripped, the request goes through."""
    with found("parameters", tmp_path, "--requests", "2") as modes:
        assert modes["clean"]["outcomes"] == {"delivered": 2}
        for mode in ("response-format", "messages", "quality", "size", "fidelity"):
            assert modes[mode]["attempt_outcomes"] == {"rejected": 2}, modes[mode]
            assert modes[mode]["ledger"]["billed_usd"] == 0
        assert modes["response-format"]["rejected_as"] == {"unknown_parameter": 2}
        assert modes["quality"]["rejected_as"] == {"invalid_value": 2}


@pytest.mark.long
def test_org_verification_looks_the_same_in_every_way_of_being_stuck(tmp_path: Path) -> None:
    """Five states, one sentence; only the verified key gets its image."""
    with found("org_verification", tmp_path, "--requests", "2") as modes:
        stuck = [figures for mode, figures in modes.items() if mode != "verified"]
        assert modes["verified"]["delivered_share"] == 1
        assert [figures["rejected_as"] for figures in stuck] == [{"403 invalid_request_error": 2}] * 5


@pytest.mark.long
def test_retry_storm_default_retries_multiply_the_refusals(tmp_path: Path) -> None:
    """The SDK comes back at once, three times, to an upstream as full as before: no image more."""
    with found("retry_storm", tmp_path) as modes:
        assert modes["plain"]["attempts"] > 1.5 * modes["no-retry"]["attempts"]
        assert modes["plain"]["rejected_as"].keys() == {"server_is_overloaded"}


@pytest.mark.long
def test_impatient_caller_pays_three_times_with_default_retries(tmp_path: Path) -> None:
    """Giving up after a minute costs an image, with the SDK's retries three, and waiting costs none."""
    with found("impatient", tmp_path, "--requests", "6", "--users", "6") as modes:
        assert modes["gives-up-and-retries"]["ledger"]["generations_per_request"] == 3
        assert modes["gives-up"]["ledger"]["orphaned"] == 6
        assert modes["waits"]["delivered_share"] == 1
        (row,) = modes["gives-up"]["verdicts"]
        assert (row["layer"], row["timer"], row["limit_s"], row["grade"]) == (
            "openai-python",
            "first_byte",
            60,
            "proven",
        )


@pytest.mark.long
def test_network_path_across_the_ocean_loses_streams_that_no_timer_cut(tmp_path: Path) -> None:
    """A near path delivers everything; the long one resets some streams in the middle."""
    with found("network_path", tmp_path, "--requests", "40", "--users", "20") as modes:
        assert modes["near"]["delivered_share"] == 1
        far = modes["trans-pacific"]
        assert 0.3 < far["delivered_share"] < 1
        assert {row["layer"] for row in far["verdicts"]} == {"upstream"}


@pytest.mark.long
def test_quality_and_format_lower_quality_is_quicker_and_cheaper(tmp_path: Path) -> None:
    """High costs four times what medium costs and takes more than twice as long."""
    with found("quality_and_format", tmp_path, "--requests", "10", "--users", "10") as modes:
        high, medium, low = (modes[mode] for mode in ("high-png", "medium-png", "low-jpeg"))
        assert high["p50_s"] > 1.6 * medium["p50_s"] > 2 * low["p50_s"]
        assert high["ledger"]["usd_per_delivered"] == pytest.approx(
            4 * medium["ledger"]["usd_per_delivered"], rel=0.05
        )


@pytest.mark.long
def test_fix_ladder_orphans_keep_the_places_that_the_semaphore_counts_on(tmp_path: Path) -> None:
    """Three at once in the client are more than three in the upstream as long as a layer cuts and the work runs on.

    So the article's second step does not end the 429s on this chain, and only jobs make it carry these images.
    """
    ways = ("2-streaming", "3-three-at-once", "5-no-retry", "7-limits-raised", "8-as-a-job")
    steps = [f"--mode={step}" for step in ways]
    with found("fix_ladder", tmp_path, "--requests", "10", *steps) as modes:
        assert modes["3-three-at-once"]["share_429"] > 0
        assert all(modes[step]["delivered_share"] < 0.5 for step in ways[:3])
        assert modes["7-limits-raised"]["delivered_share"] > modes["5-no-retry"]["delivered_share"]
        last = modes["8-as-a-job"]
        assert (last["delivered_share"], last["ledger"]["generations_per_request"]) == (1, 1)
        assert last["ledger"]["usd_per_delivered"] < 0.25
        assert modes["5-no-retry"]["attempts"] == 10


def test_async_jobs_deliver_one_generation_an_image_where_plain_pays_three_times(tmp_path: Path) -> None:
    """Behind an edge that ends every response after 100 s: polls and callbacks bring each image, streams do not."""
    with found("async_jobs", tmp_path, "--requests", "6", "--users", "3") as modes:
        for mode in ("poll", "webhook"):
            assert modes[mode]["delivered_share"] == 1
            assert modes[mode]["ledger"]["generations_per_request"] == 1
            assert modes[mode]["image_time"]["seen"] == 6
            assert modes[mode]["image_time"]["p50_s"] > 100
        assert modes["plain"]["delivered_share"] == modes["stream"]["delivered_share"] == 0
        assert modes["plain"]["ledger"]["generations_per_request"] == 3


@pytest.mark.long
def test_lost_results_name_who_lost_each_and_by_which_clock(tmp_path: Path) -> None:
    """Each lost result was made and billed; who kept the id loses nothing; no poll counts as a retry."""
    with found("lost_results", tmp_path, "--requests", "2", "--users", "2") as modes:
        said = {
            mode: {(cut["layer"], cut["timer"], cut["grade"]) for cut in figures["verdicts"]}
            for mode, figures in modes.items()
        }
        assert said["gave-up"] == said["never-asked"] == {("openai-python", "poll", "testified")}
        assert said["expired"] == {("upstream", "expiry", "testified")}
        assert said["redirected"] == said["refused"] == {("receiver", "callback", "testified")}
        assert ("receiver", "callback", "testified") in said["gone"]
        assert said["unanswered"] == {("receiver", "callback", "testified")}
        assert said["cancelled"] == {("openai-python", None, "testified")}
        assert said["job-restarted"] == {("upstream", None, "testified")}
        assert modes["job-restarted"]["delivered_share"] == 1
        assert modes["job-restarted"]["ledger"]["started"] == 4  # each image was made, and paid, twice
        assert said["resumed"] == set()
        assert modes["resumed"]["delivered_share"] == 1
        once = [figures for mode, figures in modes.items() if mode != "job-restarted"]
        assert all(figures["ledger"]["started"] == 2 for figures in once)
        assert all(figures["ledger"]["billed_usd"] > 0.3 for figures in modes.values())
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["retries"]["retries"] == 0


@pytest.mark.long
def test_batch_window_delivers_at_half_the_price_where_nothing_else_arrives(tmp_path: Path) -> None:
    """A batch outlasts no timer; it waits longer and costs half; its polls and its file are no retries."""
    with found("batch_window", tmp_path, "--requests", "2", "--users", "2") as modes:
        now, batch = modes["now"], modes["batch"]
        assert (now["delivered_share"], batch["delivered_share"]) == (0, 1)
        assert batch["ledger"]["generations_per_request"] == 1
        each_now = now["ledger"]["billed_usd"] / now["ledger"]["started"]
        assert batch["ledger"]["usd_per_delivered"] == pytest.approx(each_now / 2, rel=0.05)
        assert batch["p50_s"] > 300
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["retries"]["retries"] == now["attempts"] - now["requests"]


def test_every_shipped_scenario_says_what_it_asks() -> None:
    """A docstring, and a description of each mode."""
    for path in shipped_scenarios().values():
        told = read_scenario(path)

        assert path.read_text().startswith('"""')
        assert all(told.modes.values())
        assert set(told.default_modes) <= set(told.modes)
        assert set(told.upstream_in) <= set(told.modes)


@pytest.mark.parametrize("annotation", ["", ": dict[str, object]"], ids=["plain", "annotated"])
def test_literal_of_a_scenario_is_found_however_it_is_written(tmp_path: Path, annotation: str) -> None:
    """With a type beside it or without: who annotates must not get the defaults in silence."""
    (tmp_path / "s.py").write_text(f"SCENARIO{annotation} = {{'users': 3}}")

    assert read_scenario(tmp_path / "s.py").users == 3


def test_mix_is_held_to_one_before_some_of_it_is_picked(tmp_path: Path) -> None:
    """Three thirds are one, to the percent; `--mode` may take some of them, in proportion."""
    text = "SCENARIO = {'modes': {'a': '', 'b': '', 'c': ''}, 'mix': {'a': .333, 'b': .333, 'c': .333}}"
    (tmp_path / "s.py").write_text(text)

    (stage,) = read_scenario(tmp_path / "s.py").stages(("a", "c"), 10, None)

    assert stage.mix == {"a": 0.333, "c": 0.333}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SCENARIO = {'chian': 'article'}", r"s\.py:1: SCENARIO\.chian: .*did you mean 'chain'"),
        ("SCENARIO = {\n'users': 0}", r"s\.py:2: SCENARIO\.users: "),
        ("SCENARIO = {'chain': name}", "must be a literal"),
        (
            "SCENARIO = {\n'users': 1,\n'mix': {'plain': .5, 'stream': .2}}",
            r"s\.py:3: SCENARIO\.mix: the shares add up to 0\.7, and must add up to 1",
        ),
        (
            "SCENARIO = {\n'chain': 'artcle'}",
            r"s\.py:2: SCENARIO\.chain: there is no chain 'artcle' \(did you mean 'article'",
        ),
        ("SCENARIO = {\n'clock': 'fast'}", r"s\.py:2: SCENARIO\.clock: 'fast' is not a clock"),
        ("SCENARIO = {\n'arrivals': '30'}", r"s\.py:2: SCENARIO\.arrivals: '30' are no arrivals"),
        (
            "SCENARIO = {\n'want': ['delivred>1']}",
            r"s\.py:2: SCENARIO\.want: there is no figure 'delivred' \(did you mean 'delivered'",
        ),
        ("def", r"s\.py:1: it is not Python"),
    ],
)
def test_mistake_in_a_scenario_file_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    """The literal is read without running the file, and its mistakes are named."""
    (tmp_path / "s.py").write_text(text)

    with pytest.raises(BadFile, match=says):
        read_scenario(tmp_path / "s.py")
