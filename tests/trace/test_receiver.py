"""The receiver survives whatever a sender does, and loses nothing it has acknowledged."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.trace.made import layer_record
from whocut.errors import PortTaken
from whocut.trace import otlp
from whocut.trace import receiver as receiver_module
from whocut.trace.export import FileExporter, readable
from whocut.trace.protobuf import MOST_VALUES
from whocut.trace.receiver import JSON, MAX_BYTES, PROTOBUF, Receiver, receive_into
from whocut.trace.rundir import SPANS, RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


pytestmark = pytest.mark.sockets
EPOCH_UNIX_S = 1_790_000_000.0


def with_receiver(
    tmp_path: Path, act: Callable[[Receiver], Awaitable[Any]], **options: Any
) -> tuple[Any, Receiver, RunDir]:
    """Run `act` against a receiver that listens."""
    run = RunDir.create(tmp_path / "run", {"epoch_unix_s": EPOCH_UNIX_S})

    async def main() -> tuple[Any, Receiver]:
        receiver = await receive_into(run, **options)
        try:
            return await act(receiver), receiver
        finally:
            await receiver.close()

    result, receiver = asyncio.run(main())
    return result, receiver, run


async def post(receiver: Receiver, body: bytes, kind: str, **headers: str) -> tuple[int, bytes]:
    """One export request."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        url = f"{receiver.endpoint}/v1/traces"
        async with session.post(
            url, data=io.BytesIO(body), headers={"Content-Type": kind, **headers}
        ) as answer:
            return answer.status, await answer.read()


def test_spans_of_the_official_exporter_arrive_whole(tmp_path: Path) -> None:
    """What the OpenTelemetry SDK exports in gzipped protobuf is read back fact by fact."""
    sent = layer_record()

    async def export(receiver: Receiver) -> object:
        exporter = OTLPSpanExporter(
            endpoint=f"{receiver.endpoint}/v1/traces",
            compression=_gzip(),
        )
        (wire,) = otlp.wire_spans(otlp.encode_line([sent], EPOCH_UNIX_S))
        return await asyncio.to_thread(exporter.export, [readable(wire)])

    _, receiver, run = with_receiver(tmp_path, export)

    (came,) = run.spans()
    assert receiver.counts.spans == 1
    assert came == sent


def _gzip() -> Any:
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415

    return Compression.Gzip


@pytest.mark.parametrize("packed", [False, True])
def test_json_is_taken_packed_or_not(tmp_path: Path, *, packed: bool) -> None:
    """OTLP/JSON as a Collector sends it."""
    body = otlp.encode_line([layer_record()], EPOCH_UNIX_S)
    headers = {"Content-Encoding": "gzip"} if packed else {}

    answer, _, run = with_receiver(
        tmp_path, lambda receiver: post(receiver, gzip.compress(body) if packed else body, JSON, **headers)
    )

    assert answer == (200, b"{}")
    assert len(run.spans()) == 1


WRONG = {
    "truncated protobuf": (b"\x0a\xff\x01\x02", PROTOBUF, {}, 400),
    "json in the name of protobuf": (b'{"resourceSpans": []}', PROTOBUF, {}, 400),
    "broken json": (b'{"resourceSpans": [', JSON, {}, 400),
    "json of another kind": (
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 3}]}]}]}',
        JSON,
        {},
        400,
    ),
    "json array": (b"[]", JSON, {}, 400),
    "gzip that is none": (b"not gzip", JSON, {"Content-Encoding": "gzip"}, 400),
    "gzip that ends in the middle": (
        gzip.compress(b"{}" * 99)[:-12],
        JSON,
        {"Content-Encoding": "gzip"},
        400,
    ),
    "unknown packing": (b"{}", JSON, {"Content-Encoding": "br"}, 415),
    "unknown kind": (b"{}", "text/plain", {}, 415),
    "a bomb": (gzip.compress(b" " * 50_000_000), JSON, {"Content-Encoding": "gzip"}, 413),
}


@pytest.mark.parametrize(("body", "kind", "headers", "status"), WRONG.values(), ids=WRONG)
def test_wrong_request_is_refused_with_its_status_and_the_next_is_taken(
    tmp_path: Path, body: bytes, kind: str, headers: dict[str, str], status: int
) -> None:
    """A broken sender harms nobody but itself."""

    async def act(receiver: Receiver) -> tuple[int, int]:
        first, _ = await post(receiver, body, kind, **headers)
        second, _ = await post(receiver, otlp.encode_line([layer_record()], EPOCH_UNIX_S), JSON)
        return first, second

    answers, receiver, run = with_receiver(tmp_path, act, max_bytes=1_000_000)

    assert answers == (status, 200)
    assert receiver.counts.refused == {status: 1}
    assert len(run.spans()) == 1


def _spans_with(attributes: int, *, values: int = 0) -> bytes:
    """One span in protobuf, as small as so much can be."""
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(trace_id=b"a" * 16, span_id=b"b" * 8)
    for _ in range(attributes):
        span.attributes.add()
    for _ in range(values):
        span.attributes[0].value.array_value.values.add()
    return bytes(message.SerializeToString())


def _packed_spans(count: int, inside: bytes) -> bytes:
    spans = b",".join(
        [b'{"traceId":"' + b"a" * 32 + b'","spanId":"' + b"b" * 16 + b'",' + inside + b"}"] * count
    )
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + spans + b"]}]}]}"


MANY = {
    "attributes in protobuf": (PROTOBUF, _spans_with(MOST_VALUES)),
    "a list in protobuf": (PROTOBUF, _spans_with(1, values=MOST_VALUES)),
    "attributes in JSON": (JSON, _packed_spans(1, b'"attributes":[' + b"{}," * (2 * MOST_VALUES) + b"{}]")),
    "numbers in JSON": (JSON, _packed_spans(1, b'"attributes":[' + b"1," * (4 * MOST_VALUES) + b"1]")),
    "spans in JSON": (JSON, _packed_spans(1, b"}," + b"{}," * (2 * MOST_VALUES) + b'{"a":1')),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), MANY.values(), ids=MANY)
def test_a_small_request_that_is_a_million_values_is_refused_unread(
    tmp_path: Path, kind: str, body: bytes
) -> None:
    """Packed it has some kilobytes; what is read of one request is bounded by values, and not by bytes alone."""

    async def act(receiver: Receiver) -> tuple[int, int]:
        refused, _ = await post(receiver, gzip.compress(body), kind, **{"Content-Encoding": "gzip"})
        taken, _ = await post(receiver, otlp.encode_line([layer_record()], EPOCH_UNIX_S), JSON)
        return refused, taken

    answers, receiver, run = with_receiver(tmp_path, act)

    assert len(body) < MAX_BYTES
    assert answers == (413, 200)
    assert receiver.counts.refused == {413: 1}
    assert len(run.spans()) == 1


def test_a_large_request_is_read_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hops stand in the loop: a Collector's batch is taken in a thread, what an exporter sends at once."""
    pairs = b",".join(b'{"key":"http.%d","value":{"stringValue":"v"}}' % number for number in range(20))
    times = b'"startTimeUnixNano":"1","endTimeUnixNano":"2"'
    inside = times + b',"name":"x","attributes":[' + pairs + b"]"
    judged, where = receiver_module._records, []

    def watched(*arguments: Any) -> Any:
        where.append(threading.current_thread() is threading.main_thread())
        return judged(*arguments)

    monkeypatch.setattr(receiver_module, "_records", watched)

    async def act(receiver: Receiver) -> list[int]:
        bodies = [_packed_spans(count, inside) for count in (8192, 2)]
        return [(await post(receiver, body, JSON))[0] for body in bodies]

    answers, receiver, _ = with_receiver(tmp_path, act)

    assert answers == [200, 200]
    assert receiver.counts.spans == 8194
    assert where == [False, True]


def test_announced_gigabyte_is_refused_before_it_comes(tmp_path: Path) -> None:
    """The answer comes at the announcement; nothing is read."""

    async def act(receiver: Receiver) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000000\r\n\r\n"
        )
        line = await reader.readline()
        writer.close()
        return line

    line, _, _ = with_receiver(tmp_path, act)

    assert b"413" in line


def test_slow_sender_is_let_go(tmp_path: Path) -> None:
    """A sender that never finishes its request does not keep the receiver."""

    async def act(receiver: Receiver) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        line = await reader.readline()
        writer.close()
        return line

    line, _, _ = with_receiver(tmp_path, act, patience_real_s=0.1)

    assert b"408" in line


def test_everything_acknowledged_is_in_the_file_at_that_moment(tmp_path: Path) -> None:
    """The 200 comes after the line is written: a kill right after it loses nothing."""
    run_path = tmp_path / "run" / SPANS

    async def act(receiver: Receiver) -> list[int]:
        seen = []
        for _number in range(20):
            status, _ = await post(receiver, otlp.encode_line([layer_record()], EPOCH_UNIX_S), JSON)
            assert status == 200
            seen.append(run_path.read_bytes().count(b"\n"))
        return seen

    seen, _, _ = with_receiver(tmp_path, act)

    assert seen == list(range(1, 21))


def test_port_already_taken_is_named(tmp_path: Path) -> None:
    """Two receivers cannot share a port."""

    async def act(receiver: Receiver) -> None:
        run = RunDir.create(tmp_path / "other", {"epoch_unix_s": EPOCH_UNIX_S})
        with pytest.raises(PortTaken, match=str(receiver.port)):
            await receive_into(run, port=receiver.port)

    with_receiver(tmp_path, act)


def test_exporter_sends_what_is_written_while_it_follows(tmp_path: Path) -> None:
    """Traces out: every span of the file reaches a backend, here the receiver of another run."""
    source = RunDir.create(tmp_path / "source", {"epoch_unix_s": EPOCH_UNIX_S})
    writer = SpanWriter(source)

    async def act(receiver: Receiver) -> object:
        exporter = FileExporter(source, OTLPSpanExporter(endpoint=f"{receiver.endpoint}/v1/traces"))
        exporter.start()
        for _number in range(700):
            writer(layer_record())
        return await asyncio.to_thread(exporter.close)

    counts, _, run = with_receiver(tmp_path, act)

    assert counts.sent == 700
    assert counts.failed == counts.dropped_bytes == 0
    assert {span.span_id for span in run.spans()} == {span.span_id for span in source.spans()}


def test_exporter_that_falls_behind_drops_and_counts(tmp_path: Path) -> None:
    """A backend that is too slow costs spans there, never in the file."""
    source = RunDir.create(tmp_path / "source", {"epoch_unix_s": EPOCH_UNIX_S})
    writer = SpanWriter(source)
    for _number in range(100):
        writer(layer_record())

    async def act(receiver: Receiver) -> object:
        backend = OTLPSpanExporter(endpoint=f"{receiver.endpoint}/v1/traces")
        exporter = FileExporter(source, backend, max_behind_bytes=20_000)
        exporter.start()
        return await asyncio.to_thread(exporter.close)

    counts, _, run = with_receiver(tmp_path, act)

    assert counts.dropped_bytes > 0
    assert 0 < counts.sent < 100
    assert len(run.spans()) == counts.sent
    assert len(source.spans()) == 100


def test_acknowledgement_is_the_protocol_s_empty_response(tmp_path: Path) -> None:
    """A protobuf sender gets an empty protobuf message, a JSON sender an empty object; a refusal says why."""
    answer, _, _ = with_receiver(tmp_path, lambda receiver: post(receiver, b"", PROTOBUF))
    refused, _, _ = with_receiver(tmp_path / "again", lambda receiver: post(receiver, b"{", JSON))

    assert answer == (200, b"")
    assert (
        "not an OTLP" in json.loads(refused[1])["message"]
        or "unexpected" in json.loads(refused[1])["message"]
    )
