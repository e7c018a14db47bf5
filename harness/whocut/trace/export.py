"""Traces out: the run's spans to any OTLP/HTTP backend, by the standard ``OTEL_*`` variables.

The exporter follows ``spans.jsonl`` as it grows, in a thread of its own, and so cannot slow a layer or the load.
Its queue is bounded: what a backend is too slow for is dropped and counted, and stays in the file all the same. It
sends what the file holds and knows no kind of span: what it cannot send it counts, and continues with the next.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from whocut.trace import otlp
from whocut.trace.rundir import SPANS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace.export import SpanExporter

    from whocut.trace.otlp import WireSpan
    from whocut.trace.rundir import RunDir

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_BATCH = 512  # OTEL_BSP_MAX_EXPORT_BATCH_SIZE's default
_LOOK_EVERY_REAL_S = 0.25
# How far the exporter may fall behind the file before it skips: about half a minute of a busy run.
_MAX_BEHIND_BYTES = 32 * 2**20


def wanted() -> bool:
    """Whether the environment names a backend."""
    return any(os.environ.get(name) for name in ENDPOINTS)


def exporter_from_environment() -> SpanExporter:
    """The OTLP/HTTP exporter as every ``OTEL_EXPORTER_OTLP_*`` variable has it."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # slow

    return OTLPSpanExporter()


def readable(span: WireSpan) -> ReadableSpan:
    """One span of the file as the SDK's.

    Raises:
        ValueError: its ids are not hex numbers, or its kind is not one of OTLP's.
    """
    trace_id = int(span.trace_id, 16)
    return ReadableSpan(
        name=span.name,
        context=_context(trace_id, span.span_id),
        parent=_context(trace_id, span.parent_id) if span.parent_id else None,
        resource=Resource(span.resource),
        attributes=span.attributes,
        events=[SdkEvent(event.name, event.attributes, event.at_ns) for event in span.events],
        kind=SpanKind(max(0, span.kind - 1)),  # OTLP has "unspecified" before them
        status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=InstrumentationScope("whocut"),
    )


def _context(trace_id: int, span_id: str) -> SpanContext:
    return SpanContext(
        trace_id, int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


@dataclass(slots=True)
class Exported:
    """What a backend has taken, what it refused or could not be sent, and what it was too slow for.

    A line of the file that cannot be read counts as one span that failed.
    """

    sent: int = 0
    failed: int = 0
    dropped_bytes: int = 0


class FileExporter:
    """Sends the spans of a run while they are written; start it, and close it when the run has ended."""

    def __init__(
        self, run: RunDir, exporter: SpanExporter, *, max_behind_bytes: int = _MAX_BEHIND_BYTES
    ) -> None:
        self.counts = Exported()
        self._path = run.path / SPANS
        self._epoch_unix_s = run.epoch_unix_s
        self._exporter = exporter
        self._max_behind_bytes = max_behind_bytes
        self._offset = 0  # what has been read
        self._settled = 0  # what has been sent, or counted
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="whocut-export", daemon=True)

    def start(self) -> None:
        """Begin to follow the file."""
        self._thread.start()

    def close(self, patience_real_s: float = 10.0) -> Exported:
        """Send what is left, within its patience; what was sent and what was not."""
        self._closing.set()
        self._thread.join(patience_real_s)
        if self._thread.is_alive():
            self.counts.dropped_bytes += self._path.stat().st_size - self._settled
        self._exporter.shutdown()
        return self.counts

    def _follow(self) -> None:
        while True:
            last = self._closing.wait(_LOOK_EVERY_REAL_S)
            self._take()
            if last:
                return

    def _take(self) -> None:
        if not self._path.is_file():
            return
        behind = self._path.stat().st_size - self._offset
        with self._path.open("rb") as file:
            if behind > self._max_behind_bytes:
                file.seek(self._offset + behind - self._max_behind_bytes)
                file.readline()  # the rest of a line that begins before
                self.counts.dropped_bytes += file.tell() - self._offset
                self._offset = self._settled = file.tell()
            file.seek(self._offset)
            batch: list[ReadableSpan] = []
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                batch += self._ready(line)
                if len(batch) >= _BATCH:
                    self._send(batch)
                    batch = []
            self._send(batch)

    def _ready(self, line: bytes) -> list[ReadableSpan]:
        """The spans of a line that can be sent; the others are counted."""
        ready = []
        try:
            for span in otlp.wire_spans(line):
                try:
                    ready.append(readable(span))
                except (ValueError, TypeError):
                    self.counts.failed += 1
        except ValueError:
            self.counts.failed += 1
        return ready

    def _send(self, ready: Sequence[ReadableSpan]) -> None:
        if ready:
            try:
                taken = self._exporter.export(ready) is SpanExportResult.SUCCESS
            except Exception:  # noqa: BLE001  # an exporter from elsewhere: whatever it raises, the next batch goes out
                taken = False
            if taken:
                self.counts.sent += len(ready)
            else:
                self.counts.failed += len(ready)
        self._settled = self._offset
