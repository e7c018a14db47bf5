"""`python -m whocut_mock`: how it starts, what it says, how it ends."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.processes import wait_until
from whocut_mock import ledger

pytestmark = pytest.mark.sockets


@contextmanager
def process(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The mock in a process of its own, and what it said when it was ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "whocut_mock", "--port", "0", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stdout is not None
            yield started, json.loads(started.stdout.readline())
        finally:
            started.kill()


def refused(*flags: str) -> tuple[int, str]:
    """Exit code and words of a mock that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "whocut_mock", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.returncode, done.stderr


def one_made_and_one_under_way(port: int, file: Path) -> None:
    """Ask for an image and take it, then for one that takes hours, until the books show both."""
    urllib.request.urlopen(asked(port, "low"), timeout=60).read()
    Thread(target=_given_up, args=(asked(port, "high"),), daemon=True).start()
    wait_until(lambda: [row["state"] for row in ledger.read(file)] == ["settled", "running"])


def asked(port: int, quality: str) -> urllib.request.Request:
    """A request for an image."""
    return urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/images/generations",
        data=json.dumps({"prompt": "cat", "quality": quality}).encode(),
        headers={"Authorization": "Bearer k", "Content-Type": "application/json"},
    )


def _given_up(request: urllib.request.Request) -> None:
    with suppress(OSError, HTTPException):
        urllib.request.urlopen(request)


@pytest.fixture
def quick_and_slow(tmp_path: Path) -> str:
    """A configuration in which low quality takes a second, and high quality eleven days."""
    rows = [{"quality": "low", "constant_s": 1.0}, {"quality": "high", "constant_s": 1e6}]
    (tmp_path / "mock.yaml").write_text(json.dumps({"latency": {"rows": rows}}))
    return str(tmp_path / "mock.yaml")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_and_books_are_whole(
    number: signal.Signals, tmp_path: Path, quick_and_slow: str
) -> None:
    """A signal marks what still runs as stopped, keeps what was finished, and exits with 0."""
    file = tmp_path / "ledger.jsonl"
    flags = ("--clock", "scaled:1000", "--config", quick_and_slow, "--ledger", str(file))
    with process(*flags, "--epoch", "0") as (started, ready):
        one_made_and_one_under_way(ready["port"], file)

        started.send_signal(number)
        _, words = started.communicate(timeout=60)

    assert started.returncode == 0
    assert ready["ready"] is True
    assert ready["pid"] == started.pid
    assert "Traceback" not in words
    finished, stopped = ledger.read(file)
    assert (finished["state"], finished["delivered"]) == ("settled", True)
    assert (stopped["state"], stopped["finished_s"], stopped["billed"]) == ("stopped", None, False)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ends_with_its_parent(processes: str) -> None:
    """With --exit-with-parent it stops when its standard input ends."""
    with process("--exit-with-parent", "--processes", processes) as (started, _):
        assert started.stdin is not None
        started.stdin.close()

        assert started.wait(timeout=60) == 0


def test_many_open_streams_end_with_the_server(tmp_path: Path) -> None:
    """A stop with hundreds of streams open is quick, and every one of them is in the books as stopped."""
    file = tmp_path / "ledger.jsonl"
    body = b'{"prompt": "cat", "stream": true, "partial_images": 3}'
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
    with process("--ledger", str(file)) as (started, ready):
        callers = [socket.create_connection(("127.0.0.1", ready["port"])) for _ in range(300)]
        for caller in callers:
            caller.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        wait_until(lambda: len(ledger.read(file)) == 300)
        started.terminate()
        _, words = started.communicate(timeout=60)
        for caller in callers:
            caller.close()

    assert started.returncode == 0
    assert "300 generations were still running" in words
    assert "Traceback" not in words
    assert {row["state"] for row in ledger.read(file)} == {"stopped"}


def test_killed_books_are_readable(tmp_path: Path, quick_and_slow: str) -> None:
    """A mock that is killed leaves whole lines."""
    file = tmp_path / "ledger.jsonl"
    flags = ("--clock", "scaled:1000", "--config", quick_and_slow, "--ledger", str(file))
    with process(*flags) as (started, ready):
        one_made_and_one_under_way(ready["port"], file)
        started.kill()
        started.communicate(timeout=60)

    assert [row["state"] for row in ledger.read(file)] == ["settled", "running"]


def test_taken_port() -> None:
    """A port that is in use is one sentence and exit code 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, words = refused("--port", str(port))

    assert code == 3
    assert str(port) in words


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--prot", "1"), "--port"),
        (("--clock", "scaled:0"), "scaled:100"),
        (("--clock", "scald:10"), "did you mean 'scaled'"),
        (("--port", "99999"), "65535"),
        (("--config", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_bad_flag(flags: tuple[str, ...], named: str) -> None:
    """A flag that cannot be is one sentence with the nearest right spelling, and exit code 2."""
    code, words = refused(*flags)

    assert code == 2
    assert named in words


def test_outside_address() -> None:
    """The mock serves this machine only."""
    code, words = refused("--host", "0.0.0.0")

    assert code == 2
    assert "loopback" in words


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("latancy: {}", "did you mean 'latency'"),
        ("latency: {constant: 3}", "did you mean 'constant_s'"),
        ("latency: {constant_s: 0}", "greater than 0"),
        ("latency: {rows: [{median: 3}]}", "did you mean 'median_s'"),
        ("latency: [", "not YAML"),
        ("latency: {rows: [{csv: /nowhere.csv}]}", "/nowhere.csv"),
        ("moderation: {rules: /nowhere.yaml}", "/nowhere.yaml"),
        ("faults: [{fault: explode}]", "no fault 'explode'"),
        ("quota: {tier: '9'}", "quota.tier"),
        ("- 1", "by name"),
    ],
)
def test_bad_config(text: str, named: str, tmp_path: Path) -> None:
    """A mistake in the file is named with file, place and nearest spelling, and exit code 2."""
    file = tmp_path / "mock.yaml"
    file.write_text(text)

    code, words = refused("--port", "0", "--config", str(file))

    assert code == 2
    assert str(file) in words
    assert named in words
