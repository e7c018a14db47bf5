"""Verdicts to an OTLP backend: a span in the trace that was judged, in a thread of its own with a bounded queue."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import SpanExportResult

from whocut.trace.export import readable
from whocut.trace.otlp import WireSpan
from whocut.trace.records import new_span_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from whocut.verdict.verdict import Verdict
    from whocut.watch.desk import Decided

_QUEUE: Final = 4_096
_BATCH: Final = 512
_HEX: Final = frozenset("0123456789abcdef")
_ATTRIBUTES: Final = (
    "request",
    "attempt",
    "kind",
    "grade",
    "layer",
    "timer",
    "phase",
    "directive",
    "after_s",
)


class Teller:
    """Sends verdicts; what the backend is too slow for, or refuses, is counted as failed."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.failed = 0
        self._exporter = exporter
        self._queue: queue.Queue[ReadableSpan | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._send_all, name="whocut-verdicts", daemon=True)
        self._thread.start()

    def __call__(self, decided: Decided) -> None:
        """Hand a trace's verdicts to the thread."""
        for span in spans_of(decided):
            try:
                self._queue.put_nowait(span)
            except queue.Full:
                self.failed += 1

    def close(self, patience_real_s: float = 10.0) -> None:
        """Send what is left, within its patience."""
        try:
            self._queue.put(None, timeout=patience_real_s)
        except queue.Full:
            return
        self._thread.join(patience_real_s)
        self._exporter.shutdown()

    def _send_all(self) -> None:
        while (span := self._queue.get()) is not None:
            batch = [span]
            last = False
            while len(batch) < _BATCH and not last:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                last = more is None
                batch += [more] if more is not None else []
            try:
                taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
            except Exception:  # noqa: BLE001  # an exporter from elsewhere: whatever it raises, the next batch goes out
                taken = False
            if not taken:
                self.failed += len(batch)
            if last:
                return


def spans_of(decided: Decided) -> Iterator[ReadableSpan]:
    """A span for each verdict on a trace whose id is one: from the first word of the trace to the last."""
    trace_id = decided.trace.trace_id
    if len(trace_id) != 32 or not _HEX.issuperset(trace_id):
        return
    for verdict in decided.verdicts:
        yield readable(_span_of(verdict, trace_id, decided))


def _span_of(verdict: Verdict, trace_id: str, decided: Decided) -> WireSpan:
    told = {f"whocut.verdict.{name}": getattr(verdict, name) for name in _ATTRIBUTES}
    told |= {"whocut.verdict.phrase": verdict.phrase}
    return WireSpan(
        trace_id=trace_id,
        span_id=new_span_id(),
        parent_id=decided.trace.root_id,
        resource={"service.name": "whocut"},
        kind=1,
        name="whocut verdict",
        start_ns=round(decided.trace.first_s * 1e9),
        end_ns=round(decided.trace.heard_s * 1e9),
        attributes={
            name: str(value) if isinstance(value, str) else value
            for name, value in told.items()
            if value is not None
        },
        events=(),
        error=verdict.phrase if verdict.kind == "cut" else None,
    )
