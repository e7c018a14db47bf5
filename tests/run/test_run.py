"""The main job, end to end: real processes, real sockets, the real SDK, a scaled clock."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import has_finding, whocut
from tests.excused import unless_it_says_so
from tests.processes import MARK, processes, wait_until
from whocut.clock.clock import pause
from whocut.run.scenario import shipped_scenarios
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sockets


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of the article's chain in all three modes, shared by the tests that read it."""
    folder = tmp_path_factory.mktemp("article")
    options = ["--mode", "plain", "--mode", "stream", "--mode", "no-retry", "--users", "6", "--requests", "6"]
    done = whocut(
        "run",
        "image_generation",
        "--chain",
        "article",
        *options,
        "--out",
        "run",
        "--json",
        cwd=folder,
        check=None,
    )
    summary: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == has_finding(summary), done.stderr  # a machine that stalls says so
    summary["folder"] = folder
    return summary


def test_every_plain_attempt_is_cut_by_nginx_first_byte_and_proven(article: dict[str, Any]) -> None:
    """The article's chain, 1024² high: nginx, proxy_read_timeout, 60 s, each time."""
    plain = article["by_mode"]["plain"]

    assert plain["unattributed"] == 0
    with unless_it_says_so(article):
        (row,) = plain["verdicts"]
        assert (row["layer"], row["timer"], row["directive"]) == ("nginx", "first_byte", "proxy_read_timeout")
        assert (row["phase"], row["grade"], row["attempts"]) == ("wait", "proven", 18)
        assert (
            59.5 < row["after_s"] < 60 * 1.2
        )  # a run that stood still for a fifth of its limit is not valid


def test_default_retries_make_three_orphaned_and_billed_generations_a_request(
    article: dict[str, Any],
) -> None:
    """Each retry pays again for an image nobody receives."""
    with unless_it_says_so(article):
        ledger = article["by_mode"]["plain"]["ledger"]

        assert ledger["generations_per_request"] == 3
        assert (ledger["started"], ledger["orphaned"], ledger["delivered"]) == (18, 18, 0)
        assert ledger["billed_usd"] == pytest.approx(18 * 0.21, rel=0.05)
        assert ledger["usd_per_delivered"] is None


def test_every_retry_after_a_504_is_a_finding_with_its_price(article: dict[str, Any]) -> None:
    """Two retries a request, each after an unknown outcome: what they gave up on is billed all the same."""
    with unless_it_says_so(article):
        retries = article["retries"]

        assert (retries["retries"], retries["after_unknown"]) == (12, 12)
        assert retries["after_unknown_usd"] == pytest.approx(12 * 0.21, rel=0.05)
        assert "may still be running" in retries["sentences"][0]


def test_without_retries_one_generation_a_request_is_lost(article: dict[str, Any]) -> None:
    """max_retries=0 does not deliver more, and costs a third."""
    with unless_it_says_so(article):
        ledger = article["by_mode"]["no-retry"]["ledger"]

        assert (ledger["generations_per_request"], ledger["orphaned"]) == (1, 6)


def test_streaming_is_cut_by_idle_where_a_gap_is_longer_than_the_limit(article: dict[str, Any]) -> None:
    """The article says the 60-second cutoff never fires with streaming; two partials in 195 s leave longer gaps."""
    with unless_it_says_so(article):
        stream = article["by_mode"]["stream"]

        cut = stream["verdicts"][0]
        assert (cut["layer"], cut["timer"], cut["phase"]) == ("nginx", "idle", "stream")
        assert stream["decided"]["by"] == "gap"
        assert stream["decided"]["median_s"] > stream["decided"]["limit_s"] == 60
        assert "proxy_read_timeout allows 60 s" in stream["decided"]["sentence"]


def test_verdicts_and_ledger_agree_request_by_request(article: dict[str, Any]) -> None:
    """The independent witness tells the same story of every attempt."""
    assert article["agreement"]["checked"] == article["ledger"]["started"] == article["attempts"]
    with unless_it_says_so(article):
        assert article["agreement"]["disagree"] == []


def test_orphaned_generation_s_span_outlives_its_parent(article: dict[str, Any]) -> None:
    """The generation is the child of the last hop and ends long after it."""
    with unless_it_says_so(article):
        run = RunDir.open(article["folder"] / "run")
        spans = {span.span_id: span for span in run.spans()}
        generations = [span for span in spans.values() if span.layer == "upstream"]

        outlived = [
            span for span in generations if span.parent_id and span.end_s > spans[span.parent_id].end_s + 10
        ]

        assert len(outlived) >= 18
        assert {spans[span.parent_id].layer for span in outlived if span.parent_id} == {"nginx"}


def test_page_is_one_file_without_outside_references(article: dict[str, Any]) -> None:
    """The report opens offline."""
    page = (article["folder"] / "run" / "report.html").read_text()

    assert 'src="http' not in page
    assert "<link" not in page
    assert "proxy_read_timeout" in page


def test_no_secret_and_no_prompt_is_in_the_run_directory(article: dict[str, Any]) -> None:
    """Neither the key, nor an Authorization header, nor a prompt's words are in any file."""
    text = b"".join(path.read_bytes() for path in (article["folder"] / "run").rglob("*") if path.is_file())

    assert b"sk-whocut" not in text
    assert b"authorization" not in text.lower()
    assert b"ramen" not in text


def test_why_says_the_phrase(article: dict[str, Any]) -> None:
    """`whocut why` draws one request and ends with the one phrase."""
    with unless_it_says_so(article):
        done = whocut("why", "run", cwd=article["folder"])

        after_s = re.findall(r"nginx cut by first_byte after (\d+)", done.stdout)
        assert after_s
        assert all(60 <= int(one_s) < 60 * 1.2 for one_s in after_s)
        assert "proven" in done.stdout


ENDS = {
    "ctrl-c": ("whocut run", signal.SIGINT, "stopped by a signal"),
    "mock killed": ("whocut_mock", signal.SIGKILL, "the mock upstream died "),
    "load killed": ("locust", signal.SIGKILL, "the load generator was ended by signal 9 (SIGKILL)"),
}


@pytest.mark.parametrize(("process", "number", "says"), ENDS.values(), ids=ENDS)
def test_run_that_ends_early_keeps_what_was_recorded_and_leaves_no_process(
    tmp_path: Path, process: str, number: int, says: str
) -> None:
    """One sentence that says how far it came, exit code 3, a readable run, and nobody left behind.

    Of what the mock had in hand it says that its price is not known; how much that was, its ledger says.
    """
    mark = str(tmp_path)
    command = [sys.executable, "-m", "whocut", "run", "--requests", "500", "--users", "5", "--out", "run"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: mark},
    ) as running:
        wait_until(
            lambda: (tmp_path / "run" / "ledger.jsonl").exists() and RunDir.open(tmp_path / "run").ledger()
        )
        pause(1)

        (victim,) = processes(mark, process)
        os.kill(victim, number)
        _, words = running.communicate(timeout=120)

    assert running.returncode == 3, words
    assert f"whocut: {says}" in words
    assert re.search(r"of 500 (orders were answered|requests had begun)", words), words
    assert "Traceback" not in words
    run = RunDir.open(tmp_path / "run")
    assert run.attempts()
    summary = run.summary() or {}
    assert summary["agreement"]["disagree"] == []
    unsettled = sum(row["state"] in {"running", "stopped"} for row in run.ledger())
    assert summary["ledger"]["unsettled"] == unsettled
    assert any("still running when the run ended" in warning for warning in summary["warnings"]) == (
        unsettled > 0
    )
    assert unsettled or process != "whocut_mock"
    assert (run.path / "report.html").exists()
    assert processes(mark) == []


def test_what_is_answered_after_a_ctrl_c_is_counted_as_answered(tmp_path: Path) -> None:
    """Images that were in flight are drained; the sentence at the end counts them as the table does."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "whocut", "run", "--chain", "direct", "--out", "run"]
    with subprocess.Popen(
        [*command, "--requests", "500", "--users", "5"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        wait_until(lambda: (out / "ledger.jsonl").exists() and RunDir.open(out).ledger())

        running.send_signal(signal.SIGINT)
        _, words = running.communicate(timeout=60)

    summary = RunDir.open(out).summary() or {}
    assert summary["outcomes"] == {"delivered": summary["requests"]}
    assert f"stopped by a signal; {summary['requests']} of 500 orders were answered, and" in words


def test_full_disk_is_one_sentence_and_what_was_recorded_can_be_read(tmp_path: Path) -> None:
    """No traceback from any layer, nobody left behind, and a report of what fitted."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    # Coverage writes a file of its own at the end, which would not fit either.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "whocut", "run", "--requests", "60", "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**environment, MARK: str(tmp_path)},
        preexec_fn=small_files,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "whocut: run/spans.jsonl could not be written: File too large; make room, and run again. What was recorded "
        "before is kept"
    )
    assert processes(str(tmp_path)) == []
    assert whocut("report", "run", cwd=tmp_path).returncode == 0


def test_run_whose_reader_has_gone_goes_on(tmp_path: Path) -> None:
    """`whocut run … 2>&1 | head -1`: nobody reads the rest, but it is judged, and the exit code is its own."""
    command = [
        sys.executable,
        "-m",
        "whocut",
        "run",
        "--out",
        "run",
        "--requests",
        "2",
        "--want",
        "delivered>=1",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()

        code = running.wait(timeout=60)

    summary = RunDir.open(tmp_path / "run").summary() or {}
    assert (code, summary.get("requests")) == (1, 2)


def test_run_whose_terminal_is_closed_is_judged(tmp_path: Path) -> None:
    """A connection that breaks at night costs the rest of the load, and not the verdicts on what was asked."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "whocut", "run", "--out", "run", "--requests", "500", "--users", "5"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=its, stdout=its, stderr=its, start_new_session=True
    ) as running:
        os.close(its)
        wait_until(
            lambda: (tmp_path / "run" / "ledger.jsonl").exists() and RunDir.open(tmp_path / "run").ledger()
        )

        os.close(ours)
        running.send_signal(signal.SIGHUP)  # what the kernel sends to the session that the terminal leads
        code = running.wait(timeout=60)

    summary = RunDir.open(tmp_path / "run").summary() or {}
    assert code == 3
    assert "stopped by a signal" in summary["warnings"][0]


def test_killed_harness_takes_its_processes_with_it(tmp_path: Path) -> None:
    """Even a harness that had no chance to say goodbye leaves nobody behind, and a readable run."""
    mark = str(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "whocut", "run", "--requests", "500", "--users", "5", "--out", "run"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, MARK: mark},
    ) as running:
        wait_until(
            lambda: (tmp_path / "run" / "ledger.jsonl").exists() and RunDir.open(tmp_path / "run").ledger()
        )

        running.kill()
        running.wait(60)

    wait_until(lambda: processes(mark) == [])
    assert RunDir.open(tmp_path / "run").ledger()


def test_port_already_taken_is_one_sentence_and_exit_3(tmp_path: Path) -> None:
    """Somebody else listens there: named, with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = whocut("run", "--port", str(port), "--requests", "1", cwd=tmp_path, check=3)

    assert f"port {port} on 127.0.0.1 is already taken" in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("layers: [ngnix]", "c.yaml:1: layers[0]: there is no preset 'ngnix' (did you mean 'nginx'?)"),
        (
            "layers:\n  - preset: nginx\n    timers: {idle: 0}",
            "c.yaml:3: layers[0].timers.idle: a limit of zero",
        ),
        ("lyers: []", "there is no such field (did you mean 'layers'?)"),
        ("layers: [", "c.yaml:1: "),
    ],
)
def test_bad_chain_file_is_one_sentence_and_exit_2(tmp_path: Path, text: str, says: str) -> None:
    """The mistake is named with file, line, field and the nearest right spelling."""
    (tmp_path / "c.yaml").write_text(text)

    done = whocut("run", "--chain", "c.yaml", cwd=tmp_path, check=2)

    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            '"upstream": {"quotta": {}}',
            "mine.py: SCENARIO.upstream.quotta: there is no such setting; did you mean 'quota'?\n",
        ),
        (
            '"upstream_in": {"plain": {"quotta": {}}}',
            "SCENARIO.upstream_in.plain.quotta: there is no such setting; did you mean 'quota'?\n",
        ),
    ],
    ids=["upstream", "upstream_in"],
)
def test_setting_that_the_mock_does_not_know_is_the_scenario_s_mistake(
    tmp_path: Path, settings: str, says: str
) -> None:
    """Not a failure of the mock, and not passed over: what was asked to be measured would not have been."""
    text = shipped_scenarios()["image_generation"].read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(text.replace('"chain": "article"', f'"chain": "article", {settings}'))

    done = whocut("run", "mine.py", "--requests", "1", "--users", "1", cwd=tmp_path, check=2)

    assert done.stderr.endswith(says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--chain", "artcle"], "there is no preset and no chain 'artcle' (did you mean 'article'?)"),
        (["run", "image_generatoin"], "did you mean 'image_generation'?"),
        (["run", "--mode", "streem"], "there is no mode 'streem' (did you mean 'stream'?)"),
        (["run", "--clock", "scaled:0"], "'scaled:0' is not a clock"),
        (["run", "--clock", "fast"], "'fast' is not a clock"),
        (["why", "nowhere"], "there is no run directory nowhere"),
        (["run", "--users", "0"], "--users"),
        (["run", "--requests", "many"], "--requests"),
        (["run", "--requests", "9223372036854775808"], "--requests"),
        (["run", "--seed", "-1"], "--seed"),
        (["sweep", "--seed", "9223372036854775808"], "--seed"),
        (["up", "--seed", "9223372036854775808"], "--seed"),
        (["check", "article", "--seed", "-1"], "--seed"),
    ],
)
def test_bad_argument_is_named_and_exits_2(tmp_path: Path, arguments: list[str], says: str) -> None:
    """A mistake in use is named with the way out, and nothing is started."""
    done = whocut(*arguments, cwd=tmp_path, check=2)

    assert says in done.stderr
