"""The upstream of a random world: does what a header of the request says, and keeps its books as the mock does."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from whocut.trace.records import new_span_id, parse_traceparent

if TYPE_CHECKING:
    from whocut.clock import Clock

PLAN_HEADER = "x-world-plan"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
_PARTIAL = b'event: image_generation.partial_image\ndata: {"b64_json": "aGVsbG8="}\n\n'
_COMPLETED = b'event: image_generation.completed\ndata: {"b64_json": "aGVsbG8="}\n\n'
_IMAGE = b'{"created": 1, "data": [{"b64_json": "aGVsbG8="}]}'


class WorldUpstream(asyncio.Protocol):
    """One connection; a request at a time."""

    def __init__(self, clock: Clock, ledger: list[dict[str, Any]]) -> None:
        self._clock = clock
        self._ledger = ledger
        self._received = b""
        self._row: dict[str, Any] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._finishing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by class

    def data_received(self, data: bytes) -> None:
        """Begin a generation when its request is whole."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        if len(body) < int(headers.get(b"content-length", b"0")):
            return
        self._received = b""
        if PLAN_HEADER.encode() not in headers:
            self._transport.abort()  # of another program, which had this port in mind
            return
        self._begin(json.loads(headers[PLAN_HEADER.encode()]), headers.get(b"traceparent", b"").decode())

    def _begin(self, plan: dict[str, Any], traceparent: str) -> None:
        now_s = self._clock.now_s()
        trace_id, parent_id = parse_traceparent(traceparent) or (None, None)
        emissions = plan["emissions_s"]
        row: dict[str, Any] = {
            "generation": f"gen-{len(self._ledger)}",
            "state": "running",
            "trace_id": trace_id,
            "parent_span_id": parent_id,
            "span_id": new_span_id(),
            "accepted_s": now_s,
            "started_s": now_s,
            "partials_s": [now_s + at_s for at_s in emissions[:-1]],
            "finished_s": None,
            "caller_gone_s": None,
            "delivered": False,
            "orphaned": False,
            "orphaned_s": None,
            "billed": True,
            "billed_usd": 0.21,
            "fault": None,
        }
        self._row = row
        self._ledger.append(row)
        loop, real_s = asyncio.get_running_loop(), self._clock.real_s
        for number, at_s in enumerate(emissions[:-1]):
            self._timers.append(loop.call_later(real_s(at_s), self._partial, first := number == 0))
            del first
        self._finishing = loop.call_later(
            real_s(emissions[-1]), self._finish, row, plan["stream"], len(emissions) == 1
        )
        if plan["fault"]:
            self._timers.append(loop.call_later(real_s(plan["fault_s"]), self._fail, row, plan["fault"]))

    def _partial(self, first: bool) -> None:  # noqa: FBT001  # call_later takes no keywords
        head = _HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n" if first else b""
        self._transport.write(head + _chunk(_PARTIAL))

    def _finish(self, row: dict[str, Any], stream: bool, first: bool) -> None:  # noqa: FBT001  # as above
        row["finished_s"] = self._clock.now_s()
        row["state"] = "settled"
        if row["caller_gone_s"] is not None:
            row["orphaned"] = True
            row["orphaned_s"] = row["finished_s"] - row["caller_gone_s"]
            return
        if row["fault"]:
            return
        if stream:
            head = _HEAD % b"text/event-stream" + b"Transfer-Encoding: chunked\r\n\r\n" if first else b""
            self._transport.write(head + _chunk(_COMPLETED) + b"0\r\n\r\n")
        else:
            length = b"Content-Length: %d\r\n\r\n" % len(_IMAGE)
            self._transport.write(_HEAD % b"application/json" + length + _IMAGE)
        row["delivered"] = True
        self._row = None
        self._timers.clear()

    def _fail(self, row: dict[str, Any], fault: str) -> None:
        if row["caller_gone_s"] is not None or row["finished_s"] is not None:
            return
        row["fault"] = fault
        row["failed_s"] = self._clock.now_s()
        self._row = None
        self._stop_sending()
        if fault == "reset":
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif fault == "close":
            self._transport.close()
        elif fault == "half":
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The caller has gone; the generation runs on."""
        self._stop_sending()
        if self._row is not None:
            self._row["caller_gone_s"] = self._clock.now_s()
            self._row = None

    def _stop_sending(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
