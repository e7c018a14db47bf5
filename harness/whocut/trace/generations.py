"""From a row of the upstream's ledger to the record of that generation.

Its parent is the attempt's last hop, and it may end long after that: an orphaned generation's span outlives
its parent on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whocut.trace.emissions import Emissions
from whocut.trace.records import Event, GenerationRecord, new_span_id, new_trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

UPSTREAM = "upstream"
FINISHED = "finished"
"""The event of a generation whose work has ended by itself."""
CANCELLED = "cancelled_while_running"
"""The ledger's word for a job that its caller ended before its work had."""


def generation_span(row: Mapping[str, Any]) -> GenerationRecord:
    """One generation, or one refusal; its instants are the ledger's."""
    start_s = float(row["accepted_s"])
    refused = row.get("state") == "refused"
    sent = Emissions.of_row(row)
    job = row.get("job") or {}
    ends = (row.get("finished_s"), row.get("sent_s"), row.get("delivered_s"), row.get("caller_gone_s"))
    return GenerationRecord(
        trace_id=row.get("trace_id") or new_trace_id(),
        span_id=row.get("span_id") or new_span_id(),
        parent_id=row.get("parent_span_id"),
        layer=UPSTREAM,
        name="refusal" if refused else "generation",
        start_s=start_s,
        end_s=max([start_s, *(float(at_s) for at_s in ends if at_s is not None)]),
        events=[
            Event(name, float(row[field]))
            for name, field in (("caller gone", "caller_gone_s"), (FINISHED, "finished_s"))
            if row.get(field) is not None
        ],
        error=row.get("error_code"),
        generation=row["generation"],
        model=row.get("model"),
        status=row.get("status"),
        error_code=row.get("error_code"),
        caller_gone_s=row.get("caller_gone_s"),
        delivered=bool(row.get("delivered")),
        orphaned=bool(row.get("orphaned")),
        orphaned_s=row.get("orphaned_s"),
        billed=bool(row.get("billed")),
        billed_usd=row.get("billed_usd"),
        fault=row.get("fault"),
        refused=refused,
        settled=row.get("state") in {"settled", "refused"} or job.get("cancelled_s") is not None,
        events_s=sent.events_s,
        first_byte_s=sent.first_s,
        heartbeat_s=sent.heartbeat_s,
        lost=job.get("lost"),
        lost_s=_lost_s(job) if job.get("lost") else None,
    )


def _lost_s(job: Mapping[str, Any]) -> float | None:
    """When a job's result was lost: its last poll, its last callback, its cancel, or the end of its keeping."""
    lost = str(job["lost"])
    callbacks = job.get("callbacks") or ()
    if lost == "poll_gave_up":
        at_s = job.get("last_poll_s")
    elif lost.startswith("callback_") and callbacks:
        at_s = callbacks[-1].get("at_s")
    else:
        at_s = job.get("cancelled_s") or job.get("expires_s")
    return None if at_s is None else float(at_s)


def generations_were(count: int) -> str:
    """So many of them, for the beginning of a sentence."""
    return "1 generation was" if count == 1 else f"{count} generations were"
