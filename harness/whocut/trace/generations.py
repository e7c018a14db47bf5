"""From a row of the upstream's ledger to the span of that generation.

Its parent is the attempt's last hop, and it may end long after that: an orphaned generation's span outlives
its parent on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whocut.trace import names
from whocut.trace.emissions import Emissions
from whocut.trace.records import Event, Span, SpanKind, new_span_id, new_trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

UPSTREAM = "upstream"


def generation_span(row: Mapping[str, Any]) -> Span:
    """One generation, or one refusal, as a span; its instants are the ledger's."""
    start_s = float(row["accepted_s"])
    refused = row.get("state") == "refused"
    sent = Emissions.of_row(row)
    ends = (row.get("finished_s"), row.get("sent_s"), row.get("delivered_s"), row.get("caller_gone_s"))
    end_s = max([start_s, *(float(at_s) for at_s in ends if at_s is not None)])
    attributes = {
        names.GENERATION: row["generation"],
        names.GENAI_MODEL: row.get("model"),
        names.GENAI_OPERATION: "generate_content",
        names.GENAI_OUTPUT_TYPE: "image",
        names.STATUS: row.get("status"),
        names.ERROR_TYPE: row.get("error_code"),
        names.CALLER_GONE_S: row.get("caller_gone_s"),
        names.ORPHANED: bool(row.get("orphaned")),
        names.ORPHANED_S: row.get("orphaned_s"),
        names.DELIVERED: bool(row.get("delivered")),
        names.BILLED: bool(row.get("billed")),
        names.BILLED_USD: row.get("billed_usd"),
        names.FAULT: row.get("fault"),
        names.EMISSIONS_S: list(sent.events_s),
        names.FIRST_BYTE_S: sent.first_s,
        names.HEARTBEAT_S: sent.heartbeat_s,
        names.REFUSED: refused,
        names.SETTLED: row.get("state") in {"settled", "refused"},
    }
    return Span(
        trace_id=row.get("trace_id") or new_trace_id(),
        span_id=row.get("span_id") or new_span_id(),
        parent_id=row.get("parent_span_id"),
        layer=UPSTREAM,
        kind=SpanKind.GENERATION,
        name="refusal" if refused else "generation",
        start_s=start_s,
        end_s=end_s,
        attributes={key: value for key, value in attributes.items() if value is not None},
        events=[
            Event(name, float(row[field]))
            for name, field in (("caller gone", "caller_gone_s"), ("finished", "finished_s"))
            if row.get(field) is not None
        ],
        error=row.get("error_code"),
    )


def generations_were(count: int) -> str:
    """So many of them, for the beginning of a sentence."""
    return "1 generation was" if count == 1 else f"{count} generations were"
