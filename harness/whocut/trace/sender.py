"""Single spans to an OTLP backend, in a thread of its own with a bounded queue: handing one over takes no time."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import SpanExportResult

from whocut.trace.export import readable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from whocut.trace.otlp import WireSpan

_QUEUE: Final = 4_096
_BATCH: Final = 512


class Sender:
    """Sends spans; what the backend is too slow for, or refuses, is counted as failed."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.failed = 0
        self._exporter = exporter
        self._queue: queue.Queue[ReadableSpan | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._send_all, name="whocut-sender", daemon=True)
        self._thread.start()

    def send(self, span: WireSpan) -> None:
        """Hand a span to the thread."""
        try:
            self._queue.put_nowait(readable(span))
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
        last = False
        while not last and (span := self._queue.get()) is not None:
            batch = [span]
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
