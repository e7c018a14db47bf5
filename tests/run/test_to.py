"""A real endpoint, played by the mock: the guard's account against the mock's own ledger, which it never sees.

Real processes, real sockets, a scaled clock; nothing here dials anything but the loopback.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from tests.commands import has_finding, python, whocut
from tests.processes import NEEDS_PS, children_of, doors, wait_until
from whocut.chain.shipped import SCENARIOS
from whocut.cli import main
from whocut.client.spending import SpendAccount
from whocut.client.spending.account import fingerprint
from whocut.clock.clock import pause, wall_s
from whocut.path.ports import held_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sockets

KEY = "sk-made-up-for-this-test"
PRICE_USD = 0.2108  # the mock's bill for one image as the chains ask: gpt-image-2, 1024x1024, high
BOUND_USD = 0.2114  # and the guard's bound for it
AN_EDGE_OF_60_S = "client: openai-python\nlayers:\n  - preset: nginx\nupstream: gpt-image-2\n"
TRIES_POSTS_AGAIN = (
    "client: openai-python\n"
    "layers:\n"
    "  - preset: nginx\n"
    "    retries: {tries: 2, post: true, on_timeout: true}\n"
    "upstream: gpt-image-2\n"
)


@dataclass
class Endpoint:
    """The mock as a stranger's endpoint, and what it billed."""

    url: str
    health: Request
    ledger: Path
    folder: Path

    def billed_usd(self) -> float:
        """Everything billed, when nothing runs any more."""
        until_s = wall_s() + 30
        while json.loads(urlopen(self.health).read())["running"]:
            assert wall_s() < until_s
            pause(0.05)
        return sum(float(row.get("billed_usd") or 0) for row in self._rows() if row.get("billed"))

    def started(self) -> int:
        """Generations begun."""
        return len(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        rows = {}
        for line in self.ledger.read_text().splitlines():
            row = json.loads(line)
            rows[row["generation"]] = row
        return list(rows.values())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`whocut run --to` as a user starts it."""
        command = [sys.executable, "-m", "whocut", "run", "image_generation", "--to", self.url]
        command += ["--clock", "scaled:100", "--account", "account.jsonl", "--force", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "OPENAI_API_KEY": KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """The same, to its end: the summary, and what was said on the way."""
        process = self.start("--json", "--out", "run", *arguments)
        out, err = process.communicate(timeout=100)
        assert "Traceback" not in err
        summary = json.loads(out) if out else {}
        # A machine that stalls makes the run invalid, and it says so.
        assert process.returncode == (code or has_finding(summary)), err
        return summary, err

    def chain(self, written: str) -> str:
        """A chain file of ours to stand before the endpoint."""
        (self.folder / "mine.yaml").write_text(written)
        return "mine.yaml"


@contextmanager
def serving(folder: Path, clock: str = "scaled:100") -> Iterator[Endpoint]:
    """The mock alone, as `whocut upstream` serves it."""
    ledger = folder / "ledger.jsonl"
    command = [sys.executable, "-m", "whocut_mock", "--port", "0", "--exit-with-parent"]
    command += ["--clock", clock, "--seed", "7", "--ledger", str(ledger)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield Endpoint(f"http://127.0.0.1:{ready['port']}/v1", doors(ready, "health"), ledger, folder)
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """A stranger's endpoint on the loopback."""
    with serving(tmp_path) as found:
        yield found


def test_ctrl_c_waits_for_the_images_that_are_paid_already(tmp_path: Path) -> None:
    """They take longer than a process is otherwise given to end; all of them come, and nothing stays held."""
    with serving(tmp_path, "scaled:20") as endpoint:
        flags = [
            "--clock",
            "scaled:20",
            "--budget-usd",
            "9",
            "--new-account",
            "--users",
            "2",
            "--requests",
            "20",
        ]
        running = endpoint.start(*flags, "--mode", "plain", "--json", "--out", "run")
        wait_until(lambda: endpoint.ledger.exists() and endpoint.started() == 2)

        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=100)

        summary = json.loads(out)
        assert running.returncode == 3
        assert "stopped by a signal; 2 of 20 orders were answered" in err
        assert summary["outcomes"] == {"delivered": 2}
        assert summary["ledger"]["billed_usd"] == pytest.approx(endpoint.billed_usd())


def test_nothing_is_needed_where_nothing_bills(endpoint: Endpoint) -> None:
    """No key, no budget, no account; most attempts fail and none is kept back; a key that is there stays."""
    chain = endpoint.chain(AN_EDGE_OF_60_S)
    flags = ["--free", "--users", "6", "--requests", "24", "--mode", "no-retry", "--chain", chain]
    command = [
        "run",
        "image_generation",
        "--to",
        endpoint.url,
        "--clock",
        "scaled:100",
        "--json",
        "--out",
        "run",
    ]
    done = whocut(*command, *flags, cwd=endpoint.folder, check=None, key=KEY)

    summary = json.loads(done.stdout)
    assert done.returncode == has_finding(summary), done.stderr
    assert done.stderr.count("which bills nothing, as --free says: no key is sent") == 1
    assert summary["requests"] == summary["attempts"] == 24
    assert summary["outcomes"].get("delivered", 0) < 12
    assert summary["ledger"]["by"] == "none"
    assert "said with --free" in (endpoint.folder / "run" / "report.html").read_text()
    assert not list(endpoint.folder.rglob("account*"))
    written = [path for path in endpoint.folder.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_a_breaker_that_is_off_lets_every_attempt_fail(endpoint: Endpoint) -> None:
    """The budget alone ends it then; the estimate says so."""
    asked = [
        "--users",
        "4",
        "--requests",
        "16",
        "--mode",
        "no-retry",
        "--budget-usd",
        "90",
        "--breaker",
        "off",
    ]
    chain = endpoint.chain(AN_EDGE_OF_60_S)
    summary, said = endpoint.run("--new-account", "--chain", chain, *asked)

    assert summary["attempts"] == 16
    assert "the guard stops at $90.00 in that account, however many attempts fail" in said


@pytest.mark.parametrize("processes", ["1", "2"])
def test_concurrency_cannot_pass_the_budget_and_leaves_nothing_affordable_behind(
    endpoint: Endpoint, processes: str
) -> None:
    """Fifty users, in one process or two, and money for four images: four are made, 46 requests are not asked."""
    asked = ["--users", "50", "--requests", "50", "--mode", "plain", "--processes", processes]
    summary, said = endpoint.run("--budget-usd", "1", "--new-account", *asked, code=3)

    billed_usd = endpoint.billed_usd()
    assert 1 - BOUND_USD < billed_usd <= 1, said
    assert summary["ledger"]["billed_usd"] == pytest.approx(billed_usd, abs=1e-6)
    assert (summary["requests"], summary["outcomes"]) == (4, {"delivered": 4})
    assert "the budget of $1.00 is used up" in said
    assert "46 of 50 requests were not asked" in said


def test_the_sdk_s_retries_cannot_pass_the_budget(endpoint: Endpoint) -> None:
    """Behind a layer that cuts, each retry is one more generation that is billed: each passes the guard first."""
    asked = ["--users", "10", "--requests", "20", "--mode", "plain"]
    chain = endpoint.chain(AN_EDGE_OF_60_S)
    summary, said = endpoint.run("--budget-usd", "1.5", "--new-account", "--chain", chain, *asked, code=3)

    billed_usd = endpoint.billed_usd()
    assert endpoint.started() == summary["attempts"] == 7
    assert 1.5 - BOUND_USD < billed_usd <= 1.5
    assert summary["ledger"]["billed_usd"] == pytest.approx(7 * BOUND_USD, rel=0.01)
    assert "requests were not asked" in said


def test_a_layer_that_sends_again_by_itself_cannot_pass_the_budget(endpoint: Endpoint) -> None:
    """One attempt of the client may be two on the wire behind a hop of ours: both are reserved for."""
    asked = ["--users", "4", "--requests", "8", "--mode", "no-retry"]
    chain = endpoint.chain(TRIES_POSTS_AGAIN)
    summary, _ = endpoint.run("--budget-usd", "1.5", "--new-account", "--chain", chain, *asked, code=3)

    assert summary["attempts"] == 3
    assert endpoint.started() == 6
    assert endpoint.billed_usd() <= 1.5


@NEEDS_PS
def test_killed_runs_and_restarts_cannot_pass_the_budget(endpoint: Endpoint) -> None:
    """Load and harness die at once with attempts in flight; they are billed in the end, and the account knew."""
    asked = ["--users", "3", "--requests", "30", "--mode", "plain", "--budget-usd", "2"]
    for number in range(2):
        process = endpoint.start("--out", f"run-{number}", *asked, *([] if number else ["--new-account"]))
        until_s = wall_s() + 60
        while endpoint.started() < 2 + 3 * number:
            assert wall_s() < until_s
            pause(0.02)
        for pid in (*children_of(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()

    summary, said = endpoint.run(*asked, code=3)

    billed_usd = endpoint.billed_usd()
    assert 2 - BOUND_USD < billed_usd <= 2
    assert endpoint.started() == 9
    assert 0 < summary["outcomes"]["delivered"] <= 9 - 5
    assert "whose end is unknown" in said


@pytest.mark.long
def test_the_number_of_attempts_holds_over_runs(endpoint: Endpoint) -> None:
    """Three attempts, retries included; the next run is told so before it begins."""
    asked = ["--users", "2", "--requests", "4", "--mode", "plain", "--max-requests", "3", "--budget-usd", "9"]
    chain = endpoint.chain(AN_EDGE_OF_60_S)

    first, _ = endpoint.run("--new-account", "--chain", chain, *asked, code=3)
    again, said = endpoint.run("--chain", chain, *asked, code=3)

    assert (first["attempts"], again) == (3, {})
    assert "--max-requests 3 is reached: 3 attempts have gone out" in said
    assert endpoint.started() == 3


@pytest.mark.long
def test_failures_stop_the_run_before_the_money_is_gone(endpoint: Endpoint) -> None:
    """Every attempt is cut: when ten have failed, nothing more goes out, whatever the budget."""
    asked = ["--users", "2", "--requests", "30", "--mode", "no-retry", "--budget-usd", "90"]
    chain = endpoint.chain(AN_EDGE_OF_60_S)
    summary, said = endpoint.run("--new-account", "--chain", chain, *asked, code=3)

    assert 10 <= summary["attempts"] <= 11
    assert "more than 50% of the last 20 attempts fail" in said


def test_a_run_says_what_it_may_cost_and_books_by_the_account(endpoint: Endpoint) -> None:
    """The estimate comes first; page and summary claim no ledger; the key is in no file."""
    summary, said = endpoint.run(
        "--budget-usd", "5", "--new-account", "--users", "2", "--requests", "2", "--mode", "stream"
    )

    assert said.startswith(
        f"this goes to {endpoint.url} and costs money:\n  stream: 2 requests, each at most $0.2"
    )
    assert "the guard stops at $5.00 in that account" in said
    books = summary["ledger"]
    assert (books["by"], books["started"], books["orphaned"]) == ("account", None, None)
    assert books["billed_usd"] == pytest.approx(endpoint.billed_usd(), abs=1e-6)
    assert "There is no ledger" in (endpoint.folder / "run" / "report.html").read_text()
    written = [path for path in endpoint.folder.rglob("*") if path.is_file() and path != endpoint.ledger]
    assert len(written) > 5
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_plain_locust_goes_there_with_the_same_consent(endpoint: Endpoint) -> None:
    """Locust's own command: the estimate first, the guard in each attempt's way, the rest not asked."""
    flags = ["--budget-usd", "0.5", "--new-account", "--account", "a.jsonl", "--clock", "scaled:100"]
    flags += ["--requests", "9", "--users", "3", "--mode", "plain", "--out", "run"]
    scenario = str(SCENARIOS / "image_generation.py")
    command = ["locust", "-f", scenario, "--headless", "--to", endpoint.url]
    done = python(*command, *flags, cwd=endpoint.folder, key=KEY)

    assert done.returncode == 3, done.stderr
    assert "and costs money:" in done.stderr
    assert "7 of 9 requests were not asked" in done.stderr
    assert 0.5 - BOUND_USD < endpoint.billed_usd() <= 0.5


def test_a_sweep_goes_there_with_the_same_consent(endpoint: Endpoint) -> None:
    """How much this key carries, asked of a stranger; and no more than was agreed to when it is asked again."""
    command = ["sweep", "--levels", "1,2", "--requests", "4", "--force", "--to", endpoint.url]
    command += ["--clock", "scaled:100", "--account", "account.jsonl", "--json"]

    def swept(*arguments: str) -> subprocess.CompletedProcess[str]:
        return whocut(*command, *arguments, cwd=endpoint.folder, check=None, key=KEY)

    first = swept("--budget-usd", "5", "--new-account")
    spent_usd = endpoint.billed_usd()
    again = swept("--budget-usd", f"{spent_usd:.4f}")

    assert first.returncode == has_finding(json.loads(first.stdout)), first.stderr
    assert [level["concurrency"] for level in json.loads(first.stdout)["levels"][:2]] == [1, 2]
    assert "generations started" not in first.stderr
    assert again.returncode == 3, again.stderr
    assert endpoint.billed_usd() == spent_usd > 0


def test_a_scenario_made_for_the_mock_says_so_and_runs(endpoint: Endpoint) -> None:
    """Its settings and keys are the mock's; with one key all its modes are alike."""
    flags = ["--budget-usd", "1", "--new-account", "--account", "a.jsonl", "--clock", "scaled:100"]
    flags += ["--requests", "1", "--json"]
    command = ["run", "org_verification", "--to", endpoint.url]
    process = whocut(*command, *flags, cwd=endpoint.folder, check=None, key=KEY)

    summary = json.loads(process.stdout)
    assert process.returncode == has_finding(summary), process.stderr  # a machine that stalls says so
    assert process.stderr.count("warning: this scenario sets up the mock") == 1
    assert summary["outcomes"] == {"delivered": 6}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "say with --budget-usd how much its account may come to"),
        (["--budget-usd", "0"], "write an amount in dollars above zero"),
        (["--budget-usd", "1e30", "--new-account"], "is more than 1,000,000 dollars"),
        (["--budget-usd", "0.001", "--new-account"], "not even one attempt fits, for it may cost $0."),
        (["--budget-usd", "1"], "add --new-account to begin one"),
        (["--budget-usd", "1", "--clock", "scaled:100"], "only --clock real can be true there"),
        (["--budget-usd", "1", "--want", "orphaned<=0"], "orphaned is for an upstream's ledger to say"),
        (["--free"], "images.invalid is not an address of this machine or of a private network"),
        (["--budget-usd", "1", "--breaker", "half"], "the breaker is invalid: 'half'"),
        (["--budget-usd", "1", "--breaker", "50%/500"], "100 at most"),
    ],
)
def test_what_was_not_agreed_to_is_not_sent(
    flags: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Bad input, with the way out, and no account is made and nobody is dialled."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--to", "https://images.invalid/v1", *flags])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://images.invalid/v1", "in the clear"),
        ("images.invalid/v1", "is no URL"),
        ("https://sk-secret@images.invalid/v1", "may hold a secret"),
        ("https://images.invalid/v1?key=sk-secret", "may hold a secret"),
        ("https://images.invalid:port/v1", "is no URL"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a secret in it is not repeated."""
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--to", url, "--budget-usd", "1"])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert says in said
    assert "sk-secret" not in said


def test_no_key_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It comes from the environment, and from nowhere else."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    flags = ["--budget-usd", "1", "--new-account"]
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--to", "https://images.invalid/v1", *flags])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "--to needs a key" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["sk-a\r\nX-Evil: 1", "sk-a b", "sk-a\n", "sk-ä", "sk-a\x7f", "sk-…"])
def test_a_key_that_no_header_carries_is_bad_input(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its place in the environment is named, the key is not shown, and no account is made."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    flags = ["--budget-usd", "1", "--new-account"]
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--to", "https://images.invalid/v1", *flags])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "OPENAI_API_KEY has an invalid character at position" in said
    assert "sk-" not in said
    assert not list(tmp_path.iterdir())


def test_another_key_s_account_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What one key has spent says nothing of the other."""
    account = tmp_path / "account.jsonl"
    SpendAccount.create(account, {"key": fingerprint("sk-another")})
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    flags = ["--budget-usd", "1", "--account", str(account)]
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--to", "https://images.invalid/v1", *flags])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "was opened for another key than the one in OPENAI_API_KEY" in capsys.readouterr().err


def test_taps_without_an_endpoint_are_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that goes to the mock passes no tap of a user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--between", "a,b=nginx"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "the taps of a run are before a real endpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--budget-usd", "1"], "nothing is counted then, and --budget-usd has no account"),
        (["--new-account"], "nothing is counted then, and --new-account has no account"),
        (["--breaker", "80%"], "no guard counts failures then"),
    ],
)
def test_what_is_free_has_no_account(
    flags: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit that nothing holds would be believed."""
    monkeypatch.setattr(sys, "argv", ["whocut", "run", "--to", "http://127.0.0.1:9/v1", "--free", *flags])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag",
    [["--budget-usd", "1"], ["--max-requests", "1"], ["--new-account"], ["--free"], ["--breaker", "off"]],
)
def test_a_guard_without_an_endpoint_is_a_mistake(
    flag: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mock costs nothing, and somebody forgot the address."""
    monkeypatch.setattr(sys, "argv", ["whocut", "run", *flag])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert f"{flag[0]} is about a real endpoint; name one with --to URL" in capsys.readouterr().err


@contextmanager
def tap_before(url: str, folder: Path, name: str, position: int, otlp_port: int) -> Iterator[str]:
    """`whocut tap` before a URL, its spans sent to a port; its own base URL."""
    command = [sys.executable, "-m", "whocut", "tap", "--listen", "127.0.0.1:0", "--to", url, "--json"]
    command += ["--name", name, "--position", str(position), "--out", name]
    tap = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp_port}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tap.stdout is not None
    try:
        yield json.loads(tap.stdout.readline())["base_url"]
        tap.send_signal(signal.SIGINT)
        assert json.loads(tap.communicate(timeout=30)[0])["exchanges"] > 0
    finally:
        tap.kill()
        tap.wait()
        tap.stdout.close()


@contextmanager
def gateway_before(url: str, folder: Path) -> Iterator[str]:
    """Somebody's nginx that gives up after half a second and answers its page: it reports to nobody."""
    script = (
        "import asyncio, sys; from dataclasses import replace\n"
        "from whocut.chain.catalogue import preset; from whocut.chain.timers import TimerKind\n"
        "from whocut.clock import Clock; from whocut.path import Hop, Target\n"
        "async def main():\n"
        "    layer = preset('nginx')\n"
        "    timer = layer.timers[TimerKind.FIRST_BYTE]\n"
        "    layer = replace(layer, timers={TimerKind.FIRST_BYTE: replace(timer, limit_s=0.5)})\n"
        "    hop = Hop(layer, upstream=Target.parse(sys.argv[1]), clock=Clock())\n"
        "    await hop.listen(); print(hop.port, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    gateway = subprocess.Popen(
        [sys.executable, "-c", script, url], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert gateway.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(gateway.stdout.readline())}/v1"
    finally:
        gateway.kill()
        gateway.wait()
        gateway.stdout.close()


def test_taps_around_a_stranger_s_gateway_show_where_it_was_ended(endpoint: Endpoint) -> None:
    """The taps on both sides prove that it came from between them, and the page says nginx: both are told."""
    folder = endpoint.folder
    with (
        held_port() as port,
        tap_before(endpoint.url, folder, "inside", 3, port) as inside,
        gateway_before(inside, folder) as gateway,
        tap_before(gateway, folder, "outside", 1, port) as outside,
    ):
        flags = ["--budget-usd", "1", "--new-account", "--account", "a.jsonl", "--mode", "no-retry", "--json"]
        flags += ["--requests", "2", "--users", "2", "--otlp", str(port), "--out", "run"]
        done = whocut("run", "image_generation", "--to", outside, *flags, cwd=folder, check=None, key=KEY)

    summary = json.loads(done.stdout)
    assert done.returncode == has_finding(summary), done.stderr  # a machine that stalls says so
    (row,) = summary["verdicts"]
    place = "what is between outside and inside"
    assert (row["layer"], row["grade"], row["attempts"]) == (place, "proven", 2)
    why = whocut("why", "run", cwd=folder)
    assert f"{place}: the body is NGINX's" in " ".join(why.stdout.split())


A_HALF_SECOND = (
    "http { server { listen 80; location / { proxy_pass http://there; proxy_read_timeout 500ms; } } }"
)
BETWEEN_TWO_TAPS = "layers:\n  - tap: outside\n  - file: ./nginx.conf\n    name: house\n  - tap: inside\n"


@pytest.mark.long
def test_a_chain_that_has_taps_says_what_is_between_them(endpoint: Endpoint) -> None:
    """The user's own file is read for its limit, the layer is not started, and its timer is proven."""
    folder = endpoint.folder
    (folder / "nginx.conf").write_text(A_HALF_SECOND)
    with (
        held_port() as port,
        tap_before(endpoint.url, folder, "inside", 1, port) as inside,
        gateway_before(inside, folder) as gateway,
        tap_before(gateway, folder, "outside", 1, port) as outside,
    ):
        flags = ["--budget-usd", "1", "--new-account", "--account", "a.jsonl", "--mode", "no-retry", "--json"]
        flags += ["--requests", "2", "--users", "2", "--otlp", str(port), "--out", "run"]
        flags += ["--chain", endpoint.chain(BETWEEN_TWO_TAPS)]
        done = whocut("run", "image_generation", "--to", outside, *flags, cwd=folder, check=None, key=KEY)

    summary = json.loads(done.stdout)
    assert done.returncode == has_finding(summary), done.stderr  # a machine that stalls says so
    (row,) = summary["verdicts"]
    assert (row["layer"], row["grade"], row["attempts"]) == ("house", "proven", 2)
    assert (row["timer"], row["limit_s"]) == ("first_byte", 0.5)
    again = json.loads(whocut("why", "run", "--json", cwd=folder).stdout)
    assert "house cut by first_byte" in json.dumps(again)
