"""A batch: many orders in one file, worked on within a day at half the price, answered in another file.

Its phases, codes and texts are the platform's; how long it waits and how many lines are worked on at once is ours.
A line is a job of its own, so the books know what became of each.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from whocut_mock import errors, moderation, parameters, pictures, webhooks
from whocut_mock.arrival import arrival_of_line
from whocut_mock.cabinet import MONTH_S, Kept
from whocut_mock.caller import Caller
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.fault import Asked
from whocut_mock.jobs import Job, State
from whocut_mock.service import begin, judged_line
from whocut_mock.upstream import Upstream

ENDPOINTS = {"/v1/images/generations": parameters.GENERATIONS, "/v1/images/edits": parameters.EDITS}
WINDOW = "24h"
WINDOW_S = 86_400.0
PRICE = 0.5
LINES_MOST = 500  # ours: the API takes 50,000, and a mock keeps what it promises in memory
DIALECT = "batch"

_VALIDATING_S, _FINALIZING_S = (1.0, 10.0), (1.0, 10.0)  # ours
_CANCELLING_S = 600.0  # "for up to 10 minutes"
_EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
_CANCELLED = {
    "code": "batch_cancelled",
    "message": "This request was not executed because the batch was cancelled.",
}


@dataclass
class Line:
    """One order of the file, and what became of it."""

    number: int
    custom_id: str
    fields: dict[str, Any]
    job: Job | None = None
    refusal: ApiError | None = None
    request_id: str = ""
    error: dict[str, str] | None = None  # why it was never answered

    @property
    def done(self) -> bool:
        """Whether it has a picture."""
        return self.job is not None and self.job.state is State.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether it has an answer without one, or none."""
        return self.refusal is not None or self.error is not None


@dataclass
class Batch:
    """One batch in its present state."""

    id: str
    endpoint: str
    file: Kept
    caller: Caller
    metadata: Any
    kept_s: float
    upstream: Upstream
    created_s: float
    status: str = "validating"
    lines: list[Line] = field(default_factory=list)
    mistakes: list[dict[str, Any]] = field(default_factory=list)
    at: dict[str, float] = field(default_factory=dict)  # the instants of its phases
    output: Kept | None = None
    rejected: Kept | None = None
    _task: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """Work on it from now on."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    def cancel(self) -> None:
        """Begin no more of its lines."""
        if self.status in ("validating", "in_progress"):
            self._enter("cancelling")
            self._stop.set()

    def stop(self) -> None:
        """The server ends."""
        if self._task is not None:
            self._task.cancel()

    def polled(self) -> None:
        """Its caller asks for it, and so for each of its lines."""
        for line in self.lines:
            if line.job is not None:
                line.job.polled()
                if self.status in ("completed", "expired", "cancelled"):
                    line.job.told_done()

    async def _work(self) -> None:
        clock, settings = self.upstream.clock, self.upstream.settings.jobs
        dice = Dice(f"{self.upstream.settings.seed}/{self.id}".encode())
        await clock.sleep_s(dice.between("validating", *_VALIDATING_S))
        self.lines, self.mistakes = read_lines(self.file.content(), self.endpoint)
        if self.mistakes:
            self._end("failed")
            return
        if not self._stop.is_set():
            self._enter("in_progress")
            await self._wait(dice.between("turn", *settings.batch_waits_s))
            await self._all(settings.batch_at_once)
        cancelled, expired = self._stop.is_set(), clock.now_s() >= self.created_s + WINDOW_S
        self._leave_undone(_CANCELLED if cancelled else _EXPIRED)
        if not (cancelled or expired):
            self._enter("finalizing")
            await clock.sleep_s(dice.between("finalizing", *_FINALIZING_S))
        self._write_files()
        self._end("cancelled" if cancelled else "expired" if expired else "completed")

    async def _all(self, at_once: int) -> None:
        """Work on the lines, so many at once, until all are done, the window ends, or the batch is cancelled."""
        waiting = iter(self.lines)
        workers = [asyncio.get_running_loop().create_task(self._some(waiting)) for _ in range(at_once)]
        left_s = self.created_s + WINDOW_S - self.upstream.clock.now_s()
        everything = asyncio.gather(*workers)
        try:
            async with asyncio.timeout(max(0.0, left_s) / self.upstream.clock.scale):
                await asyncio.shield(everything)
        except TimeoutError:
            pass
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            everything.cancel()

    async def _some(self, waiting: Iterator[Line]) -> None:
        for line in waiting:
            if self._stop.is_set():
                return
            try:
                await self._one(line)
            except ApiError as refusal:
                line.refusal = refusal

    async def _one(self, line: Line) -> None:
        upstream = self.upstream
        arrival = arrival_of_line(
            upstream, ENDPOINTS[self.endpoint], self.caller, line.fields, f"{self.id}/{line.number}"
        )
        line.request_id = arrival.request_id
        row, accepted = await judged_line(upstream, arrival)
        fault = accepted.fault
        refused = fault.refusal(Asked(arrival.request_id, accepted.order.model_name, ""))
        if refused is not None:
            raise refused
        if accepted.order.stream:
            raise errors.no_stream_in_batch()
        generation = begin(upstream, arrival, row, accepted._replace(usage=accepted.usage.at(PRICE)))
        line.job = job = upstream.desk.open(
            job_id=f"{self.id}/{line.number}",
            dialect=DIALECT,
            order=accepted.order,
            asked={},
            block=accepted.block,
            fault=fault,
            row=row,
            generation=generation,
            kept_s=self.kept_s,
            bills_cancelled=False,
        )
        job.submit_answered()
        if self._stop.is_set():
            return
        stopped = asyncio.get_running_loop().create_task(self._stop.wait())
        ended = asyncio.get_running_loop().create_task(job.wait_for_ever())
        try:
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await job.wait(_CANCELLING_S)
        finally:
            stopped.cancel()
            ended.cancel()
        if job.state is State.BLOCKED and accepted.block is not None:
            raise moderation.refusal(accepted.block, arrival.request_id)
        if job.state is State.FAILED:
            raise errors.generation_failed()

    async def _wait(self, duration_s: float) -> None:
        """Let its turn come, unless it is cancelled before."""
        try:
            async with asyncio.timeout(duration_s / self.upstream.clock.scale):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _leave_undone(self, why: dict[str, str]) -> None:
        for line in self.lines:
            if not line.done and not line.failed:
                line.error = why
                if line.job is not None:
                    line.job.cancel()

    def _write_files(self) -> None:
        done = [line for line in self.lines if line.done]
        failed = [line for line in self.lines if line.failed]
        if done:
            size_bytes = sum(sum(map(len, self._answer(line))) + 1 for line in done)
            self.output = self._put(f"{self.id}_output.jsonl", lambda: self._text(done), size_bytes, done)
        if failed:
            text = b"".join(self._refused(line) + b"\n" for line in failed)
            self.rejected = self._put(f"{self.id}_error.jsonl", lambda: text, len(text), [])

    def _put(self, filename: str, content: Any, size_bytes: int, done: list[Line]) -> Kept:
        def taken(evidence: str) -> None:
            for line in done:
                if line.job is not None:
                    line.job.told_done()
                    line.job.fetched(evidence)

        return self.upstream.cabinet.put(
            filename=filename,
            purpose="batch_output",
            content=content,
            size_bytes=size_bytes,
            key_hash=self.caller.key_hash,
            kept_s=self.kept_s,
            taken=taken,
        )

    def _text(self, done: list[Line]) -> bytes:
        return b"".join(b"".join(self._answer(line)) + b"\n" for line in done)

    def _answer(self, line: Line) -> list[bytes]:
        """One line of the output: the answer that the order would have got, on one line."""
        assert line.job is not None
        assert line.job.generation is not None
        order, row = line.job.order, line.job.row
        created = int(self.upstream.clock.epoch_unix_s + (row.finished_s or 0))
        body = {
            "created": created,
            **pictures.described(order),
            "data": [{"b64_json": pictures.PICTURE}] * order.n,
            "usage": line.job.generation.usage.json,
        }
        response = {"status_code": 200, "request_id": line.request_id, "body": body}
        text = orjson.dumps(self._framed(line, response, None))
        names = [f"{row.generation}/{index}" for index in range(order.n)]
        return pictures.filled(text, order, self.upstream.press, names)

    def _refused(self, line: Line) -> bytes:
        if line.refusal is None:
            return orjson.dumps(self._framed(line, None, line.error))
        response = {
            "status_code": line.refusal.status,
            "request_id": line.request_id,
            "body": line.refusal.envelope(),
        }
        return orjson.dumps(self._framed(line, response, None))

    def _framed(self, line: Line, response: Mapping[str, Any] | None, error: Any) -> dict[str, Any]:
        return {
            "id": f"batch_req_{line.request_id[4:28]}",
            "custom_id": line.custom_id,
            "response": response,
            "error": error,
        }

    def _enter(self, status: str) -> None:
        self.status = status
        self.at[status] = self.upstream.clock.now_s()

    def _end(self, status: str) -> None:
        self._enter(status)
        webhooks.tell(self.upstream, f"batch.{status}", self.id)

    def shown(self) -> dict[str, Any]:
        """The batch object."""
        epoch = self.upstream.clock.epoch_unix_s

        def instant(status: str) -> int | None:
            return int(epoch + self.at[status]) if status in self.at else None

        done = [line for line in self.lines if line.done]
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": self.mistakes} if self.mistakes else None,
            "input_file_id": self.file.id,
            "completion_window": WINDOW,
            "status": self.status,
            "output_file_id": self.output and self.output.id,
            "error_file_id": self.rejected and self.rejected.id,
            "created_at": int(epoch + self.created_s),
            "in_progress_at": instant("in_progress"),
            "expires_at": int(epoch + self.created_s + WINDOW_S),
            "finalizing_at": instant("finalizing"),
            "completed_at": instant("completed"),
            "failed_at": instant("failed"),
            "expired_at": instant("expired"),
            "cancelling_at": instant("cancelling"),
            "cancelled_at": instant("cancelled"),
            "request_counts": {
                "total": len(self.lines),
                "completed": len(done),
                "failed": sum(line.failed for line in self.lines),
            },
            "metadata": self.metadata,
        }


def read_lines(content: bytes, endpoint: str) -> tuple[list[Line], list[dict[str, Any]]]:
    """The orders of a batch's file, and what is wrong with it."""
    lines: list[Line] = []
    mistakes: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, text in enumerate(filter(None, map(bytes.strip, content.splitlines())), 1):
        if number > LINES_MOST:
            said = f"This mock takes at most {LINES_MOST} lines in a batch."
            return [], [_mistake("too_many_requests", said, None)]
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            found = None
        wrong = _wrong(found, endpoint, seen)
        if wrong is not None:
            mistakes.append(_mistake(wrong[0], wrong[1], number))
        else:
            seen.add(found["custom_id"])
            lines.append(Line(number, found["custom_id"], found["body"]))
    if not lines and not mistakes:
        mistakes.append(_mistake("empty_file", "The input file is empty.", None))
    return ([], mistakes) if mistakes else (lines, [])


def _wrong(found: Any, endpoint: str, seen: set[str]) -> tuple[str, str] | None:
    if not isinstance(found, dict):
        return "invalid_json_line", "This line is not parseable as valid JSON."
    if not isinstance(found.get("custom_id"), str):
        return "missing_required_parameter", "Missing required parameter: 'custom_id'."
    if found["custom_id"] in seen:
        return (
            "duplicate_custom_id",
            f"The custom_id '{found['custom_id'][:100]}' is used by another request in the batch.",
        )
    if found.get("method") != "POST":
        return "invalid_method", "The request's method must be POST."
    if found.get("url") != endpoint:
        return "mismatched_endpoint", "The URL provided for this request does not match the batch endpoint."
    return None if isinstance(found.get("body"), dict) else ("invalid_request", "The body must be an object.")


def _mistake(code: str, message: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


@dataclass
class Batches:
    """All batches, each there for its key."""

    _kept: dict[str, Batch] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Keep it, and begin."""
        self._kept[batch.id] = batch
        batch.start()

    def find(self, batch_id: str, key_hash: str | None) -> Batch:
        """The batch of this id.

        Raises:
            ApiError: this key has none.
        """
        found = self._kept.get(batch_id)
        if found is None or found.caller.key_hash != key_hash:
            raise ApiError(404, f"No batch found with id '{batch_id[:100]}'.", param="id")
        return found

    def all(self, key_hash: str | None) -> list[Batch]:
        """The batches of this key, the newest first."""
        return [one for one in reversed(self._kept.values()) if one.caller.key_hash == key_hash]

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self._kept)

    def close(self) -> None:
        """Work on none of them any more."""
        for one in self._kept.values():
            one.stop()
        self._kept.clear()


def kept_s(fields: Mapping[str, Any]) -> float:
    """How long the answers are kept: thirty days, or as asked for."""
    asked = fields.get("output_expires_after")
    if not isinstance(asked, dict):
        return MONTH_S
    seconds = asked.get("seconds")
    if not isinstance(seconds, int) or not 3_600 <= seconds <= MONTH_S:
        wrong = seconds if isinstance(seconds, int) else 0
        raise errors.integer_outside("output_expires_after.seconds", wrong, 3_600, int(MONTH_S))
    return float(seconds)
