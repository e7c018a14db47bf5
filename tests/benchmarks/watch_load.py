"""A load of spans for a watch, in a process of its own: ``python -m tests.benchmarks.watch_load ENDPOINT …``.

A trace has five foreign spans of thirteen attributes, of which three differ from span to span. Each of its three
services exports by itself, protobuf in gzip as SDKs do, 512 spans a request: a trace comes in pieces. Bodies are
made before the load begins, and only ids are new in each round. Requests are due by the clock, not by the last
answer; with no rate they come as fast as they are answered. Own spans come five a trace, all in one request.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import zlib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.benchmarks.bench_attribute import EPOCH_UNIX_S, own_line
from tests.watch.others import as_protobuf
from whocut.clock.clock import cpu_s, pause, wall_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OF_A_TRACE, TRACES_A_SET = 5, 256
_SETS: Final = 12
_SENDERS: Final = 4
_MOST_DUE: Final = 16  # requests that no sender has taken yet: then they come later than they are due
_MARK: Final = bytes.fromhex("7fa0c3d5e6f79182")  # the first half of each trace's id in a body that is made


@dataclass
class Sent:
    """What became of the load: sets of traces by their numbers, and answers by their status."""

    whole: list[int] = field(default_factory=list)  # each of its requests was acknowledged
    parts: list[int] = field(default_factory=list)  # some were
    spans: int = 0
    acknowledged: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    behind_s: float = 0.0  # how late the latest request began


def trace_id(number: int, at: int) -> str:
    """The id of the trace at this place of a set of traces."""
    return f"{number:016x}{at:016x}"


def bodies_of(cut_share: float, kind: str) -> list[list[bytes]]:
    """Sets of traces; of each set the requests in the order in which they are sent."""
    dice = random.Random(7)
    return [
        [
            as_protobuf(one)
            for one in (_foreign(dice, cut_share) if kind == "foreign" else _own(dice, cut_share))
        ]
        for _ in range(_SETS)
    ]


def _foreign(dice: random.Random, cut_share: float) -> list[dict[str, Any]]:
    services: dict[str, list[dict[str, Any]]] = {"app": [], "nginx": [], "client": []}
    for at in range(TRACES_A_SET):
        cut = dice.random() < cut_share
        took_s = 60.0 if cut else round(dice.uniform(20, 59), 3)
        begun_s = EPOCH_UNIX_S + at * 0.05
        answered = {"http.response.status_code": 504 if cut else 200}
        rows = (
            ("client", 3, 1, None, answered, 0.0, took_s + 0.02),
            ("nginx", 2, 2, 1, answered, 0.001, took_s + 0.01),
            ("nginx", 3, 3, 2, {"error.type": "timeout"} if cut else answered, 0.002, took_s),
            ("app", 2, 4, 3, {"http.response.status_code": 200}, 0.003, took_s - 0.01),
            ("app", 3, 5, 4, {"http.response.status_code": 200}, 0.004, took_s - 0.02),
        )
        for service, side, own, parent, says, after_s, lasted_s in rows:
            start_s = begun_s + after_s
            services[service].append(_span(dice, at, side, own, parent, says, start_s, lasted_s))
    return [
        {
            "resourceSpans": [
                {
                    "resource": {
                        "attributes": _pairs(
                            {
                                "service.name": service,
                                "host.name": "host-1",
                                "telemetry.sdk.language": "python",
                            }
                        )
                    },
                    "scopeSpans": [{"scope": {"name": "auto"}, "spans": spans}],
                }
            ]
        }
        for service, spans in services.items()
    ]


def _span(
    dice: random.Random,
    at: int,
    kind: int,
    own: int,
    parent: int | None,
    says: dict[str, Any],
    start_s: float,
    lasted_s: float,
) -> dict[str, Any]:
    has = {
        "http.request.method": "POST",
        "url.path": "/v1/images/generations",
        "url.scheme": "https",
        "server.address": "images.example.com",
        "server.port": 443,
        "network.protocol.version": "1.1",
        "user_agent.original": "OpenAI/Python 3.54.0",
        "client.address": f"192.0.2.{dice.randint(1, 250)}",
        "network.peer.address": "10.0.0.1",
        "network.peer.port": dice.randint(1_024, 65_000),
        "http.request.body.size": dice.randint(40, 4_000),
        "http.route": "/v1/images/generations",
        **says,
    }
    return {
        "traceId": f"{_MARK.hex()}{at:016x}",
        "spanId": f"{(at << 8) | own:016x}",
        **({"parentSpanId": f"{(at << 8) | parent:016x}"} if parent else {}),
        "name": "POST /v1/images/generations",
        "kind": kind,
        "startTimeUnixNano": str(round(start_s * 1e9)),
        "endTimeUnixNano": str(round((start_s + lasted_s) * 1e9)),
        "attributes": _pairs(has),
        "status": {"code": 2} if "error.type" in has else {},
    }


def _own(dice: random.Random, cut_share: float) -> list[dict[str, Any]]:
    groups = []
    for at in range(TRACES_A_SET):
        number = at * 2 + (0 if dice.random() < cut_share else 1)  # every second one is cut
        for group in orjson.loads(own_line(number))["resourceSpans"]:
            for span in group["scopeSpans"][0]["spans"]:
                span["traceId"] = f"{_MARK.hex()}{at:016x}"
            groups.append(group)
    half = len(groups) // 2
    return [{"resourceSpans": groups[:half]}, {"resourceSpans": groups[half:]}]


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in attributes.items()
    ]


# --- sending ------------------------------------------------------------------------------------------------


@dataclass
class _Load:
    """Requests that are due, and those that were answered."""

    port: int
    sets: list[list[bytes]]
    sent: Sent = field(default_factory=Sent)
    due: deque[tuple[int, int, float]] = field(default_factory=deque)
    answered: dict[int, list[bool]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: bool = False

    def work(self) -> None:
        """Send what is due, until the load is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while True:
            try:
                number, part, due_s = self.due.popleft()
            except IndexError:
                if self.over:
                    return
                pause(0.002)
                continue
            late_s = wall_s() - due_s
            body = self.sets[number % _SETS][part].replace(_MARK, number.to_bytes(8, "big"))
            packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
            packed = packer.compress(body) + packer.flush()
            headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
            try:
                connection.request("POST", "/v1/traces", packed, headers)
                with connection.getresponse() as answer:
                    answer.read()
                    status = answer.status
            except OSError:
                connection.close()
                status = 0
            self._note(number, part, status, late_s)

    def _note(self, number: int, part: int, status: int, late_s: float) -> None:
        count = len(self.sets[number % _SETS])
        spans = _spans_in(count, part)
        with self.lock:
            self.sent.spans += spans
            self.sent.answers[status] += 1
            self.sent.behind_s = max(self.sent.behind_s, late_s)
            known = self.answered.setdefault(number, [])
            known.append(status == 200)
            if status == 200:
                self.sent.acknowledged += spans
            if len(known) == count:
                (self.sent.whole if all(known) else self.sent.parts if any(known) else []).append(number)
                del self.answered[number]


def _spans_in(parts: int, part: int) -> int:
    """How many spans the request has: of three services the last, the client, has one a trace."""
    if parts == 3:
        return TRACES_A_SET * (1 if part == 2 else 2)
    return TRACES_A_SET * OF_A_TRACE // parts


def _schedule(parts: int, rate: float, over: Callable[[], bool]) -> Iterator[tuple[int, int, float]]:
    """Requests and when they are due, in seconds: services export one after the other, a set apart."""
    every_s = TRACES_A_SET * OF_A_TRACE / rate / parts if rate else 0.0
    number = at = 0
    while not over():
        for part in range(parts):
            if number >= part:
                yield number - part, part, at * every_s
            at += 1
        number += 1
    for part in range(1, parts):  # what the last sets lack
        for of in range(max(0, number - part), number):
            yield of, part, at * every_s


def main() -> None:
    """Send, and say as JSON what was acknowledged."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--cut", type=float, default=0.01)
    parser.add_argument("--kind", choices=("foreign", "own"), default="foreign")
    asked = parser.parse_args()
    load = _Load(asked.port, bodies_of(asked.cut, asked.kind))
    threads = [threading.Thread(target=load.work, daemon=True) for _ in range(_SENDERS)]
    sys.stdout.write("made\n")
    sys.stdout.flush()
    began_s, began_cpu_s = wall_s(), cpu_s()
    for thread in threads:
        thread.start()
    over = lambda: wall_s() - began_s > asked.seconds  # noqa: E731  # the clock is read once a set
    for number, part, due_s in _schedule(len(load.sets[0]), asked.rate, over):
        pause(max(0.0, began_s + due_s - wall_s()))
        while len(load.due) >= _MOST_DUE:
            pause(0.001)
        load.due.append((number, part, began_s + due_s if asked.rate else wall_s()))
    load.over = True
    for thread in threads:
        thread.join()
    sent = load.sent
    sent.parts += [number for number, known in load.answered.items() if any(known)]
    told = {
        "took_s": wall_s() - began_s,
        "whole": sent.whole,
        "parts": sent.parts,
        "spans": sent.spans,
        "acknowledged": sent.acknowledged,
        "answers": {str(status): count for status, count in sent.answers.items()},
        "behind_s": sent.behind_s,
        "cpu_s": cpu_s() - began_cpu_s,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
