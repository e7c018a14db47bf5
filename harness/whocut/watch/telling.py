"""A verdict as a span in the trace that was judged, for an OTLP backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.trace.otlp import WireSpan
from whocut.trace.records import new_span_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.verdict.verdict import Verdict
    from whocut.watch.desk import Decided

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


def spans_of(decided: Decided) -> Iterator[WireSpan]:
    """A span for each verdict on a trace whose id is one: from the first word of the trace to the last."""
    trace_id = decided.trace.trace_id
    if len(trace_id) != 32 or not _HEX.issuperset(trace_id):
        return
    for verdict in decided.verdicts:
        yield _span_of(verdict, trace_id, decided)


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
