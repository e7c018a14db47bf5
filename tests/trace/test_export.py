"""Traces out: every kind of span goes, the thread outlives whatever it meets, and the counters tell the truth."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: TID251  # a backend of a test's own
from opentelemetry.trace import SpanKind as SdkKind

from tests.trace.made import layer_record, record_of
from whocut.path.fallen import Fallen
from whocut.trace import otlp
from whocut.trace.export import Exported, FileExporter
from whocut.trace.records import SpanKind
from whocut.trace.rundir import SPANS, RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan  # noqa: TID251  # as above

EPOCH_UNIX_S = 1_790_000_000.0


class Backend(SpanExporter):
    """A backend that keeps what it is sent; `answer` may refuse, raise or wait."""

    def __init__(self, answer: Callable[[], SpanExportResult] = lambda: SpanExportResult.SUCCESS) -> None:
        self.taken: list[ReadableSpan] = []
        self._answer = answer

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Answer, and keep what is taken."""
        answer = self._answer()
        if answer is SpanExportResult.SUCCESS:
            self.taken += spans
        return answer

    @property
    def layers(self) -> list[str]:
        """Whose spans came, in their order."""
        return [str(span.resource.attributes["service.name"]) for span in self.taken]


def exported(tmp_path: Path, backend: Backend, write: Callable[[SpanWriter, Path], None]) -> Exported:
    """What is counted of a file that was written before the exporter followed it."""
    run = RunDir.create(tmp_path / "run", {"epoch_unix_s": EPOCH_UNIX_S})
    write(SpanWriter(run), run.path / SPANS)
    exporter = FileExporter(run, backend)
    exporter.start()
    return exporter.close()


def test_the_death_of_a_layer_is_sent_and_so_is_all_that_follows(tmp_path: Path) -> None:
    """A layer that died used to end the exporter's thread, and with it all later spans."""
    backend = Backend()

    def write(writer: SpanWriter, _: Path) -> None:
        writer(layer_record("before"))
        writer(Fallen("nginx", 12.0, "it was killed").span())
        writer(layer_record("after"))

    counts = exported(tmp_path, backend, write)

    assert backend.layers == ["before", "nginx", "after"]
    assert counts == Exported(sent=3)


@pytest.mark.parametrize("kind", SpanKind)
def test_each_kind_of_span_keeps_the_kind_that_the_file_gives_it(tmp_path: Path, kind: SpanKind) -> None:
    """There is one table of kinds, and the exporter follows the file."""
    backend = Backend()

    exported(tmp_path, backend, lambda writer, _: writer(record_of(kind, "layer")))

    (written,) = otlp.wire_spans((tmp_path / "run" / SPANS).read_bytes())
    (sent,) = backend.taken
    assert sent.kind.value + 1 == written.kind
    assert dict(sent.attributes or {}) == written.attributes


def test_spans_of_other_services_go_out_as_they_came_in(tmp_path: Path) -> None:
    """A producer's span stays one, and nothing of ours is added to it."""
    backend = Backend()
    line = otlp.encode_line([layer_record("shop")], EPOCH_UNIX_S)
    foreign = line.replace(b'"kind":2', b'"kind":"SPAN_KIND_PRODUCER"').replace(b"whocut.", b"shop.")

    def write(_: SpanWriter, path: Path) -> None:
        path.write_bytes(foreign)

    exported(tmp_path, backend, write)

    (sent,) = backend.taken
    assert sent.kind is SdkKind.PRODUCER
    assert not [name for name in sent.attributes or {} if name.startswith("whocut.")]


def test_what_cannot_be_sent_is_counted_as_failed_and_the_rest_goes_out(tmp_path: Path) -> None:
    """A line that is no OTLP, and a span whose ids are no numbers, cost themselves alone."""
    backend = Backend()

    def write(writer: SpanWriter, path: Path) -> None:
        broken = layer_record("broken")
        broken.span_id = "not hex"
        writer(layer_record("before"))
        writer(broken)
        with path.open("ab") as file:
            file.write(b"this is no OTLP\n")
        writer(layer_record("after"))

    counts = exported(tmp_path, backend, write)

    assert backend.layers == ["before", "after"]
    assert counts == Exported(sent=2, failed=2)


def test_exporter_that_raises_costs_its_batch_and_not_the_thread(tmp_path: Path) -> None:
    """What an exporter raises is a failure that is counted; the next batch is sent."""

    def answers() -> SpanExportResult:
        if not calls:
            calls.append("raised")
            raise RuntimeError("the backend's own code failed")
        return SpanExportResult.SUCCESS

    calls: list[str] = []
    backend = Backend(answers)

    def write(writer: SpanWriter, _: Path) -> None:
        for _number in range(600):
            writer(layer_record("layer"))

    counts = exported(tmp_path, backend, write)

    assert counts == Exported(sent=88, failed=512)


def test_what_is_left_when_patience_ends_is_counted_as_dropped(tmp_path: Path) -> None:
    """A backend that never answers has taken nothing, and the counts say how much was left."""
    release = threading.Event()

    def waits() -> SpanExportResult:
        release.wait()
        return SpanExportResult.FAILURE

    run = RunDir.create(tmp_path / "run", {"epoch_unix_s": EPOCH_UNIX_S})
    SpanWriter(run)(layer_record("left"))
    exporter = FileExporter(run, Backend(waits))
    exporter.start()
    try:
        counts = exporter.close(patience_real_s=0.01)
        assert (counts.sent, counts.dropped_bytes) == (0, (run.path / SPANS).stat().st_size)
    finally:
        release.set()
