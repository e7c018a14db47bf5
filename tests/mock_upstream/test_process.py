"""`python -m mock_upstream`: how it starts, what it says, how it ends."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mock_upstream import ledger

pytestmark = pytest.mark.sockets


@contextmanager
def process(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The mock in a process of its own, and what it said when it was ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "mock_upstream", "--port", "0", *flags],
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
        [sys.executable, "-m", "mock_upstream", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.returncode, done.stderr


def ask(port: int, timeout_s: float) -> None:
    """Ask for an image and give up after a while."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/images/generations",
        data=b'{"prompt": "cat"}',
        headers={"Authorization": "Bearer k"},
    )
    urllib.request.urlopen(request, timeout=timeout_s).read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_and_books_are_whole(number: signal.Signals, tmp_path: Path) -> None:
    """A signal marks what still runs as stopped, keeps what was finished, and exits with 0."""
    file = tmp_path / "ledger.jsonl"
    with process("--clock", "scaled:1000", "--ledger", str(file), "--epoch", "0") as (started, ready):
        ask(ready["port"], 10)
        with pytest.raises(TimeoutError):
            ask(ready["port"], 0.01)

        started.send_signal(number)
        _, words = started.communicate(timeout=10)

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

        assert started.wait(timeout=10) == 0


def test_many_open_streams_end_with_the_server(tmp_path: Path) -> None:
    """A stop with hundreds of streams open is quick, and every one of them is in the books as stopped."""
    file = tmp_path / "ledger.jsonl"
    body = b'{"prompt": "cat", "stream": true, "partial_images": 3}'
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer k\r\n"
    with process("--ledger", str(file)) as (started, ready):
        callers = [socket.create_connection(("127.0.0.1", ready["port"])) for _ in range(300)]
        for caller in callers:
            caller.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        while len(ledger.read(file)) < 300:
            assert started.poll() is None
        started.terminate()
        _, words = started.communicate(timeout=10)
        for caller in callers:
            caller.close()

    assert started.returncode == 0
    assert "300 generations were still running" in words
    assert "Traceback" not in words
    assert {row["state"] for row in ledger.read(file)} == {"stopped"}


def test_killed_books_are_readable(tmp_path: Path) -> None:
    """A mock that is killed leaves whole lines."""
    file = tmp_path / "ledger.jsonl"
    with process("--clock", "scaled:1000", "--ledger", str(file)) as (started, ready):
        ask(ready["port"], 10)
        with pytest.raises(TimeoutError):
            ask(ready["port"], 0.01)
        started.kill()
        started.communicate(timeout=10)

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
