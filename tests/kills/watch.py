"""A watch under load, ended by kill -9 at random instants: ``python -m tests.kills.watch --kills 40 --seed 7``.

Traces come in pieces, out of order, as JSON and protobuf, packed or not. A sender that has no answer sends again,
as exporters do, until the next watch has acknowledged it. In the end each trace of which a piece was acknowledged
has its verdict, all the lines of it are there, and no trace has two. Exits 1 where that is not so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.processes import wait_until
from tests.watch.others import as_json, as_protobuf, exports, random_trace
from whocut.clock.clock import pause, wall_s

if TYPE_CHECKING:
    from collections.abc import Sequence

_SENDERS: Final = 4
_TOGETHER: Final = 20  # traces that are cut into pieces together
_LONGEST_S: Final = 3.0  # that a watch lives; it starts in a second
_PATIENCE_S: Final = 120.0
_QUIET_S: Final = 0.5


@dataclass(frozen=True)
class Request:
    """An export request, and the traces that it has a piece of."""

    body: bytes
    headers: dict[str, str]
    traces: frozenset[str]


@dataclass
class Load:
    """Senders that do not give up, and what was acknowledged."""

    endpoint: str = ""
    waiting: queue.Queue[Request | None] = field(default_factory=lambda: queue.Queue(100))
    acknowledged: set[str] = field(default_factory=set)
    requests: int = 0
    again: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, draw: random.Random, over: threading.Event) -> None:
        """Requests without end, until it is over."""
        number = 0
        while not over.is_set():
            spans = []
            for _ in range(_TOGETHER):
                number += 1
                spans += _chain(random_trace(draw, number))
            for export in exports(spans, draw, draw.choice((5, 40))):
                self.waiting.put(_request(export, draw))
        for _ in range(_SENDERS):
            self.waiting.put(None)

    def send(self) -> None:
        """Send each request until it is acknowledged."""
        while (request := self.waiting.get()) is not None:
            tries = 0
            while not self._sent(request):
                tries += 1
                pause(0.05)
            with self.lock:
                self.requests += 1
                self.again += bool(tries)
                self.acknowledged |= request.traces

    def _sent(self, request: Request) -> bool:
        asked = urllib.request.Request(f"{self.endpoint}/v1/traces", request.body, request.headers)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            with error:
                self.refused[error.code] += 1
            return False
        except (OSError, HTTPException):
            return False


def _chain(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A trace of which each piece is an attempt: calls of HTTP, each within the one before."""
    spans = list({span["spanId"]: span for span in spans}.values())
    method = {"key": "http.request.method", "value": {"stringValue": "POST"}}
    for at, span in enumerate(spans):
        span["kind"] = 2 + at % 2
        span["attributes"] = [*span["attributes"], method]
        span.pop("parentSpanId", None)
        if at:
            span["parentSpanId"] = spans[at - 1]["spanId"]
    return spans


def _request(export: dict[str, Any], draw: random.Random) -> Request:
    kind, write = draw.choice((("application/json", as_json), ("application/x-protobuf", as_protobuf)))
    body, headers = write(export), {"Content-Type": kind}
    if draw.random() < 0.5:
        body, headers = gzip.compress(body, 1), headers | {"Content-Encoding": "gzip"}
    spans = [
        span for group in export["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]
    ]
    return Request(body, headers, frozenset(span["traceId"] for span in spans))


def _start(folder: Path, number: int) -> tuple[subprocess.Popen[bytes], str]:
    told = folder / f"told-{number}"
    command = [sys.executable, "-m", "whocut", "watch", "--listen", "127.0.0.1:0", "--json"]
    command += ["--quiet", str(_QUIET_S), "--patience", "1", "--state", str(folder / "state")]
    with told.open("wb") as file:
        watch = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"NO_COLOR": "1"}
        )
    wait_until(lambda: b"ready" in told.read_bytes() or watch.poll() is not None)
    if watch.poll() is not None:
        raise SystemExit(f"a watch did not start after a kill: {told.read_text()}")
    return watch, json.loads(told.read_bytes().splitlines()[0])["endpoint"]


def _verdicts(folder: Path) -> Counter[tuple[str, int]]:
    """How many lines each trace has, and how many it says that it has."""
    path = folder / "state" / "verdicts.jsonl"
    rows = [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return Counter((row["trace"], row["of"]) for row in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, start again, and look at what is left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args(argv)
    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        load, over = Load(), threading.Event()
        watch, load.endpoint = _start(folder, 0)
        made = threading.Thread(target=load.make, args=(random.Random(asked.seed + 1), over), daemon=True)
        senders = [threading.Thread(target=load.send, daemon=True) for _ in range(_SENDERS)]
        for thread in (made, *senders):
            thread.start()
        try:
            for kill in range(1, asked.kills + 1):
                pause(draw.uniform(0.05, _LONGEST_S))
                watch.send_signal(signal.SIGKILL)
                watch.wait()
                watch, load.endpoint = _start(folder, kill)
            over.set()
            for thread in (made, *senders):
                thread.join()
            until_s = wall_s() + _PATIENCE_S
            while wall_s() < until_s and load.acknowledged - {trace for trace, _ in _verdicts(folder)}:
                pause(0.5)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(60)
        told = _verdicts(folder)
    lost = load.acknowledged - {trace for trace, _ in told}
    wrong = [trace for (trace, of), lines in told.items() if of != lines]
    twice = [trace for trace, count in Counter(trace for trace, _ in told).items() if count > 1]
    sys.stdout.write(
        f"{asked.kills} kills: {load.requests:,} requests acknowledged, {load.again:,} of them sent again; of "
        f"{len(load.acknowledged):,} traces {len(lost)} lost, {len({*wrong, *twice})} judged twice or in part; "
        f"refused: {dict(load.refused)}\n"
    )
    return int(bool(lost or wrong or twice or load.refused))


if __name__ == "__main__":
    sys.exit(main())
