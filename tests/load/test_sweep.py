"""`whocut sweep` at small size: what it finds, what it writes, what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.commands import has_finding, whocut
from tests.excused import unless_it_says_so
from whocut.chain.load import Load
from whocut.chain.shipped import SCENARIOS
from whocut.errors import BadInput
from whocut.run.sweep import Sweep, levels_to, parse_levels, parse_tolerate
from whocut.trace.records import Attempt, Outcome
from whocut.trace.rundir import ATTEMPTS, LineFile, RunDir

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sockets


def sweep(folder: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """The summary of one sweep; a machine that stalls makes it invalid, and it says so by exit code 1."""
    done = whocut("sweep", *options, "--out", "run", "--json", cwd=folder, check=None)
    summary: dict[str, Any] = json.loads(done.stdout) if code < 2 else {"stderr": done.stderr}
    assert done.returncode == (code or has_finding(summary)), done.stderr
    return summary


def with_quota(folder: Path, quota: str) -> str:
    """The shipped scenario under another quota."""
    text = (SCENARIOS / "concurrency.py").read_text()
    (folder / "mine.py").write_text(text.replace('{"concurrency": "article"}', quota))
    return "mine.py"


def test_the_articles_budget_is_found(tmp_path: Path) -> None:
    """Three at once with the gap never meet a 429, ten more than anybody would tolerate: three is what to set.

    How many more depends on how quickly this machine sends ten: a place that is asked for late may be free again.
    """
    summary = sweep(tmp_path, "--levels", "2,3,5,10", "--requests", "20")

    with unless_it_says_so(summary):
        level = {level["concurrency"]: level for level in summary["levels"]}
        assert summary["knee"] == summary["recommend"]["max_in_flight"] == 3
        assert level[2]["share_429"] == 0
        assert level[10]["ci95"][0] > summary["tolerate"]
        assert [level["share_429"] for level in summary["with_gap"] if level["concurrency"] == 3] in ([0], [])
    assert summary["agreement"]["disagree"] == []
    assert summary["generator"]["worst_stall_real_s"] is not None
    fields = {"requests", "share_429", "ci95", "delivered_per_min", "p50_s", "p95_s", "usd_per_delivered"}
    assert all(fields <= level.keys() for level in summary["levels"])
    assert (tmp_path / "run" / "figures" / "sweep.svg").is_file()


def test_images_a_minute_bind_and_a_broken_threshold_is_a_failed_case(tmp_path: Path) -> None:
    """Tier 1: five images a minute let one at a time through and not eight. Exit code 1, and JUnit says which."""
    wants = ["--want", "max_in_flight>=1", "--want", "max_in_flight>=8"]
    options = ["--levels", "1,8", "--gap", "0", "--requests", "16", "--clock", "scaled:400"]

    summary = sweep(tmp_path, with_quota(tmp_path, '{"tier": "1"}'), *options, *wants, code=1)

    assert summary["knee"] == 1
    assert summary["recommend"] == {"max_in_flight": 1, "gap_s": 0.0}
    suite = ET.parse(tmp_path / "run" / "junit.xml").getroot()
    failed = [one.text for one in suite.findall("testcase/failure")]
    assert suite.get("tests") == "4"
    assert "max_in_flight>=8 is wanted, measured: 1" in failed
    assert len(failed) == 1 + (not summary["valid"])  # a machine that stood still is a failed case of its own


def test_a_chain_that_cuts_everything_is_named_instead_of_a_knee(tmp_path: Path) -> None:
    """No 429 and no image: a semaphore would not help, and the layer that would is named."""
    options = ["--chain", "article", "--mode", "no-retry", "--levels", "1,2", "--requests", "2", "--gap", "0"]

    summary = sweep(tmp_path, "image_generation", *options, "--clock", "scaled:400")

    found = summary
    assert found["recommend"] == {"max_in_flight": None, "gap_s": None}
    assert {level["p50_s"] for level in found["levels"]} == {None}
    assert (
        "NGINX cut 4 attempts by first_byte (proxy_read_timeout, 60 s): the chain decides here"
        in found["says"][0]
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--levels", "0"], "--levels: '0' is no level; write whole numbers from 1 to 1000"),
        (["--levels", "1,,3"], "--levels: '' is no level"),
        (["--levels", "1,2001"], "--levels: '2001' is no level"),
        (["--max", "3", "--levels", "1"], "--max and --levels both say which levels to ask"),
        (["--bisect", "--levels", "1"], "--bisect and --levels both say"),
        (["--tolerate", "100%"], "--tolerate: '100%' is no share"),
        (["--tolerate", "few"], "--tolerate: 'few' is no share"),
        (["--requests", "4", "--levels", "8"], "--requests: 4 requests do not fill 8 places"),
        (["--mode", "plan"], "--mode: there is no mode 'plan' (did you mean 'plain'?)"),
        (["--want", "orphaned<1"], "--want: orphaned is not measured here"),
        (["concurency"], "there is no scenario 'concurency' (did you mean 'concurrency'?)"),
    ],
)
def test_misuse_is_one_sentence_before_anything_runs(tmp_path: Path, options: list[str], says: str) -> None:
    """Exit code 2, and no run directory."""
    assert says in sweep(tmp_path, *options, code=2)["stderr"]
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_bisection_halves_the_way_to_the_knee(tmp_path: Path) -> None:
    """From one and nine until nothing is left between what keeps and what breaks; not every level is asked."""
    options = ["--bisect", "--max", "9", "--gap", "0", "--requests", "9", "--clock", "scaled:400"]

    found = sweep(tmp_path, with_quota(tmp_path, '{"concurrency": 6}'), *options)

    asked = [level["concurrency"] for level in found["levels"]]
    assert {1, 5, 9, found["knee"], found["knee"] + 1} <= set(asked)
    assert len(asked) <= 5


def test_levels_are_every_one_up_to_ten_and_then_grow() -> None:
    """The highest is always among them."""
    assert levels_to(1) == (1,)
    assert levels_to(10) == tuple(range(1, 11))
    assert levels_to(30) == (*range(1, 11), 12, 15, 19, 24, 30)
    assert parse_levels("10, 3,3,1") == (1, 3, 10)


def test_a_tolerance_is_a_share() -> None:
    """Written either way."""
    assert parse_tolerate("1%") == parse_tolerate("0.01") == 0.01
    assert parse_tolerate("0") == 0
    with pytest.raises(BadInput, match="no share"):
        parse_tolerate("nan")


def test_every_level_is_asked_at_least_three_times_a_place() -> None:
    """Where nobody says how many; and each waits for a minute of quiet."""
    stages = Sweep(mode="plain", tolerate=0.01, at_least=30).stages((1, 20))

    assert [stage.requests for stage in stages] == [30, 60]
    assert all(stage.heeds_retry_after and stage.quiet_s == 60 for stage in stages)


def test_what_is_asked_again_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Or two requests of one name would be one."""
    asked = Sweep(mode="plain", tolerate=0.01, at_least=30)
    stages = [*asked.stages((1, 2)), asked._stage(1, 2.0, times=2)]
    load = Load(base_url="", stages=tuple(stages), users=2, seed=7, partial_images=2, upstream_control=None)
    run_dir = RunDir.create(tmp_path / "run", {"epoch_unix_s": 1.8e9, "load": load.to_plain()})
    with LineFile(run_dir.path / ATTEMPTS) as file:
        for stage, status in zip(stages, (429, 429, 200), strict=True):
            outcome = Outcome.DELIVERED if status == 200 else Outcome.REJECTED
            one = Attempt(
                request=stage.name, number=1, mode=stage.name, trace_id=stage.name, span_id=stage.name, user=1,
                started_s=0.0, ended_s=20.0, status=status, outcome=outcome, retry_after_s=2.0,
            )  # fmt: skip
            file.write_json(one)

    (again,) = asked.then(run_dir)

    assert (again.name, again.at_once, again.gap_s, again.requests) == ("1-at-once-gap-2s-again", 1, 2.0, 60)
