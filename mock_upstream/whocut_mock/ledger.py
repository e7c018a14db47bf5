"""The books: every generation, what it cost, and whether a caller was there to take it.

A row is written when its generation is accepted and again when nothing more can happen to it; the last line
of an id wins. Instants are model seconds since the clock's origin; `None` is "did not happen".
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

State = str  # "running", "settled", "stopped" (the server ended first), "refused" (no work was begun)


@dataclass(slots=True)
class Callback:
    """One try to tell a URL that a job is over, and what was said to it.

    `said` is one word: `accepted` (any 2xx), `redirected` (a 3xx, which is no acceptance), `refused` (a 4xx or
    5xx), `gone` (410), `unanswered` (no answer in time), `unreachable`. A `forged` one came from a stranger, with a
    wrong signature.
    """

    at_s: float
    said: str
    status: int | None = None
    took_s: float | None = None
    forged: bool = False


@dataclass(slots=True)
class JobRecord:
    """What became of a request in several parts: its submit, its polls, its callbacks, its result.

    `lost` says how a result that was made reached no caller; empty: it was delivered, or never made.
    """

    id: str
    dialect: str
    submit_answered_s: float | None = None  # the caller has the job's id
    polls: int = 0
    first_poll_s: float | None = None
    last_poll_s: float | None = None
    told_done_s: float | None = None  # a poll or a callback has told the caller that it is over
    fetched_s: float | None = None  # the caller has the picture itself
    expires_s: float | None = None
    expired: bool = False
    cancelled_s: float | None = None
    cancelled_while: str | None = None  # "queued" or "running"
    callbacks: list[Callback] = field(default_factory=list)
    lost: str | None = None


@dataclass(slots=True)
class Row:
    """One generation, or one request that was refused before it became one."""

    generation: str
    state: State
    endpoint: str
    request_id: str
    trace_id: str | None = None
    parent_span_id: str | None = None
    span_id: str | None = None
    attempt: int = 1
    key_hash: str | None = None
    prompt_sha256: str | None = None
    model: str | None = None
    size: str | None = None
    quality: str | None = None
    output_format: str | None = None
    n: int | None = None
    stream: bool | None = None
    partial_images: int | None = None
    heartbeat_s: float | None = None
    profile: str | None = None
    duration_s: float | None = None
    accepted_s: float | None = None
    started_s: float | None = None
    partials_s: tuple[float, ...] = ()
    first_byte_s: float | None = None
    finished_s: float | None = None
    sent_s: float | None = None
    delivered_s: float | None = None
    delivered: bool = False
    delivery_evidence: str | None = None
    caller_gone_s: float | None = None
    orphaned: bool = False
    orphaned_s: float | None = None
    status: int | None = None
    error_code: str | None = None
    fault: str | None = None
    moderation: str | None = None
    billed: bool = False
    billed_usd: float = 0.0
    usage: dict[str, Any] | None = None
    duplicate_of: str | None = None
    job: JobRecord | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of the books. A stopped generation is never finished; a cancelled one may be billed."""

    started: int
    running: int
    finished: int
    delivered: int
    orphaned: int
    stopped: int
    refused: int
    duplicates: int
    billed: int
    billed_usd: float
    orphaned_usd: float


class Ledger:
    """Rows in memory, and each as a whole line in a file if there is one.

    With a file, a row to which nothing more can happen is kept there alone, so that memory holds only what is under
    way. A `shared` ledger is one file of several processes: each appends, and all rows are read back from it.
    """

    def __init__(self, path: Path | str | None = None, *, shared: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self.shared = shared
        self._rows: dict[str, Row] = {}
        self._filed = total(())
        self._from = 0
        self._fd: int | None = None
        if self.path is not None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._from = 0 if shared else os.fstat(self._fd).st_size

    def write(self, row: Row) -> None:
        """Enter the row, or its newer state."""
        self._rows[row.generation] = row
        if self._fd is None:
            return
        os.write(self._fd, line(row))
        # What becomes of a job's result is written long after the work.
        if not self.shared and row.state != "running" and row.job is None:
            del self._rows[row.generation]
            self._filed = _added(self._filed, total((row,)))

    def rows(self) -> list[Row]:
        """Every row as it is, in the order of acceptance."""
        if self.path is None:
            return list(self._rows.values())
        found = (_row(row) for row in read(self.path, self._from))
        if self.shared:
            return list(found)
        return [self._rows.get(row.generation, row) for row in found]

    def get(self, generation: str) -> Row | None:
        """The row of this generation."""
        kept = self._rows.get(generation)
        if kept is not None or self.path is None:
            return kept
        return next((row for row in self.rows() if row.generation == generation), None)

    def totals(self) -> Totals:
        """The sums of all rows."""
        return total(self.rows()) if self.shared else _added(self._filed, total(self._rows.values()))

    def clear(self) -> None:
        """Forget the rows; the file keeps its lines."""
        self._rows.clear()
        self._filed = total(())
        if self._fd is not None and not self.shared:
            self._from = os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the file; rows can still be read."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _row(found: dict[str, Any]) -> Row:
    job = found.get("job")
    if job is not None:
        job = JobRecord(**{**job, "callbacks": [Callback(**one) for one in job["callbacks"]]})
    return Row(**{**found, "partials_s": tuple(found["partials_s"]), "job": job})


def line(row: Row) -> bytes:
    """The row as one line of JSON."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def read(path: Path | str, begin: int = 0) -> list[dict[str, Any]]:
    """The rows of a ledger file from byte `begin` on, each in its last state; a cut line is left out."""
    rows: dict[str, dict[str, Any]] = {}
    with Path(path).open("rb") as file:
        file.seek(begin)
        for text in file:
            if text.endswith(b"\n"):
                row = orjson.loads(text)
                rows[row["generation"]] = row
    return list(rows.values())


def total(rows: Iterable[Row]) -> Totals:
    """The sums of these rows."""
    kept = list(rows)
    begun = [row for row in kept if row.state != "refused"]
    return Totals(
        started=len(begun),
        running=sum(row.state == "running" for row in begun),
        finished=sum(row.finished_s is not None for row in begun),
        delivered=sum(row.delivered for row in begun),
        orphaned=sum(row.orphaned for row in begun),
        stopped=sum(row.state == "stopped" for row in begun),
        refused=len(kept) - len(begun),
        duplicates=sum(row.duplicate_of is not None for row in begun),
        billed=sum(row.billed for row in begun),
        billed_usd=_dollars(begun),
        orphaned_usd=_dollars(row for row in begun if row.orphaned),
    )


def _added(some: Totals, more: Totals) -> Totals:
    """The sums of two parts of the books."""
    both = {field.name: getattr(some, field.name) + getattr(more, field.name) for field in fields(Totals)}
    return Totals(**{name: round(value, 9) for name, value in both.items()})


def _dollars(rows: Iterable[Row]) -> float:
    """A sum free of floating dust: bills are whole nano-dollars."""
    return sum(round(row.billed_usd * 1e9) for row in rows) / 1e9
