"""Faults, one small class each: what goes wrong between the work and the caller, on purpose and by name.

The work is done and billed as always; the fault spoils how it is answered. Each is a row in the table at
the end, chosen by a request's `x-mock-fault` header, or by rules and rates in the settings. No code asks
for a fault's type: the reply calls its methods at every step, and a fault changes the steps it is about.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from whocut_mock import errors
from whocut_mock.errors import ApiError
from whocut_mock.fault import FOREVER_S, Asked, Fault, InsteadError, Line


def _first_part(buffers: Sequence[bytes], part: float) -> list[bytes]:
    """So much of the bytes, and at least one byte less than all."""
    total = sum(map(len, buffers))
    left = min(total - 1, math.floor(total * part))
    kept = []
    for buffer in buffers:
        kept.append(buffer[:left])
        left -= len(kept[-1])
    return [buffer for buffer in kept if buffer]


class ResetBeforeHeaders(Fault):
    """RST in place of the answer; the argument is the model second of it, otherwise when the work is done."""

    name = "reset_before_headers"

    async def before_work_ends(self, line: Line) -> None:
        """With an argument, reset after so long."""
        if self.argument is not None:
            await line.sleep_s(self.argument)
            line.reset()

    async def before_headers(self, line: Line) -> None:
        """Without one, reset instead of answering."""
        line.reset()


class AnswerLost(Fault):
    """The work is done, and the connection closes without a byte."""

    name = "answer_lost"

    async def before_headers(self, line: Line) -> None:
        """Close instead of answering."""
        line.close()


class FinMidBody(Fault):
    """FIN after a part of the body (the argument, a half by default); the announced length is not kept."""

    name = "fin_mid_body"
    default = 0.5
    bounds = (0.0, 1.0)

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """Write a part, then close."""
        await line.pass_on(_first_part(buffers, self.amount))
        line.close()


class RstMidBody(Fault):
    """RST after a part of the body (the argument, a half by default)."""

    name = "rst_mid_body"
    default = 0.5
    bounds = (0.0, 1.0)

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """Write a part, then reset."""
        await line.pass_on(_first_part(buffers, self.amount))
        line.reset()


class TruncatedJson(Fault):
    """A complete HTTP message whose JSON stops in the middle (the argument, a half by default)."""

    name = "truncated_json"
    default = 0.5
    bounds = (0.0, 1.0)

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """Write a part and let the message end as if it were whole."""
        await line.pass_on(_first_part(buffers, self.amount))

    def keeps_length(self) -> bool:
        """The body is chunked, so its end looks like an end."""
        return False


class StreamWithoutCompleted(Fault):
    """A stream that ends cleanly after its partial images."""

    name = "stream_without_completed"

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """Leave the last event out."""

    def keeps_length(self) -> bool:
        """A plain answer would be empty."""
        return False


class ErrorInStream(Fault):
    """The stream's own error event in place of its last one; a plain answer becomes a 500 of the same words."""

    name = "error_in_stream"

    async def before_headers(self, line: Line) -> None:
        """A plain answer has no stream to say it in."""
        if line.failing is None:
            await line.open_refusal(errors.generation_failed())
            raise InsteadError

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """Write the error event in place of the last one."""
        del buffers
        assert line.failing is not None
        await line.pass_on(line.failing(errors.generation_failed()))

    def keeps_length(self) -> bool:
        """The body is another one."""
        return False


class Stall(Fault):
    """Silence of so many seconds (30) in the middle of the body, or before a stream's last event is whole."""

    name = "stall"
    delivers = True
    default = 30.0

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """Write a half, wait, write the rest."""
        head = _first_part(buffers, 0.5)
        await line.pass_on(head)
        await line.sleep_s(self.amount)
        written = sum(map(len, head))
        await line.pass_on([b"".join(buffers)[written:]])


class SlowFirstByte(Fault):
    """The answer is ready, and its first byte comes so many seconds (30) later."""

    name = "slow_first_byte"
    delivers = True
    default = 30.0

    async def before_headers(self, line: Line) -> None:
        """Wait."""
        await line.sleep_s(self.amount)


class Hang(Fault):
    """No answer at all, ever; the connection stays open until the caller leaves."""

    name = "hang"

    async def before_work_ends(self, line: Line) -> None:
        """Wait for longer than any caller."""
        await line.sleep_s(FOREVER_S)


class FirstAttemptHangs(Hang):
    """The first attempt hangs, the retry answers: what a client's retry is made for."""

    name = "first_attempt_hangs"
    delivers = True

    async def before_work_ends(self, line: Line) -> None:
        """Wait, if this is the first."""
        if line.attempt == 1:
            await super().before_work_ends(line)


class Html5xx(Fault):
    """An HTML page with this status (524) in place of the answer, as a CDN in front of the API shows it.

    It carries the CDN's headers and none of the API's: who sees it has no request id to ask about.
    """

    name = "html_5xx"
    default = 524.0
    bounds = (499.0, 600.0)

    _TITLES: ClassVar = {
        502: "Bad gateway",
        503: "Service unavailable",
        504: "Gateway time-out",
        520: "Web server is returning an unknown error",
        522: "Connection timed out",
        524: "A timeout occurred",
    }

    async def before_headers(self, line: Line) -> None:
        """Answer with the page and nothing else."""
        status = int(self.amount)
        title = f"api | {status}: {self._TITLES.get(status, 'Error')}"
        page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body></body></html>\n"
        await line.open("text/html; charset=UTF-8", length_bytes=len(page), status=status, ours=False)
        await line.pass_on([page.encode()])
        raise InsteadError


class JobFails(ErrorInStream):
    """A job whose work fails at its end; a plain answer is a 500, a stream ends in its error."""

    name = "job_fails"
    about_jobs = True
    fails = True


class JobNeverEnds(Fault):
    """A job that is made and billed, and says for ever that it is running; anything else answers as always."""

    name = "job_never_ends"
    about_jobs = True
    delivers = True
    never_ends = True


class JobRestarts(Fault):
    """A job whose worker dies with the picture that it has made and billed; it is made, and billed, once more."""

    name = "job_restarts"
    about_jobs = True
    delivers = True
    restarts = True


class ResultExpires(Fault):
    """A job whose result is kept for so many seconds (1) only; anything else answers as always."""

    name = "result_expires"
    about_jobs = True
    delivers = True
    default = 1.0

    def result_kept_s(self, kept_s: float) -> float:
        """So long."""
        del kept_s
        return self.amount


class WrongContentType(Fault):
    """The right body under `text/html`."""

    name = "wrong_content_type"
    delivers = True
    content_type = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Refuse(Fault):
    """Base of the faults that answer with an error before any work."""

    def error(self, asked: Asked) -> ApiError:
        """The error."""
        raise NotImplementedError

    def refusal(self, asked: Asked) -> ApiError | None:
        """That error."""
        return self.error(asked)


class ShouldRetryTrue(Refuse):
    """`x-should-retry: true` with a status (400) that no SDK retries by itself."""

    name = "should_retry_true"
    default = 400.0
    bounds = (399.0, 600.0)

    def error(self, asked: Asked) -> ApiError:
        """The status and the header."""
        return _with_header(asked.request_id, int(self.amount), "true")


class ShouldRetryFalse(Refuse):
    """`x-should-retry: false` with a status (504) that every SDK retries by itself."""

    name = "should_retry_false"
    default = 504.0
    bounds = (399.0, 600.0)

    def error(self, asked: Asked) -> ApiError:
        """The status and the header."""
        return _with_header(asked.request_id, int(self.amount), "false")


def _with_header(request_id: str, status: int, value: str) -> ApiError:
    usual = errors.server_error(request_id)
    kind = "server_error" if status >= 500 else errors.INVALID_REQUEST
    return ApiError(status, usual.message, type=kind, code=kind, headers={"x-should-retry": value})


class ServerError(Refuse):
    """500, as the API itself says it."""

    name = "server_error"

    def error(self, asked: Asked) -> ApiError:
        """The error."""
        return errors.server_error(asked.request_id)


class Overloaded(Refuse):
    """503 with a Retry-After of so many seconds (5)."""

    name = "overloaded"
    default = 5.0

    def error(self, asked: Asked) -> ApiError:
        """The error."""
        del asked
        return errors.overloaded(errors.retry_headers(self.amount))


class SlowDown(Refuse):
    """429 `slow_down` with a Retry-After of so many seconds (5)."""

    name = "slow_down"
    default = 5.0

    def error(self, asked: Asked) -> ApiError:
        """The error."""
        del asked
        return errors.slow_down(errors.retry_headers(self.amount))


class RateLimited(Refuse):
    """429 for images with a Retry-After of so many seconds (12)."""

    name = "rate_limited"
    default = 12.0

    def error(self, asked: Asked) -> ApiError:
        """The error."""
        return errors.rate_limited(
            "images",
            model=asked.model,
            limit_name="gpt-image",
            organization=asked.organization,
            limit=5,
            used=5,
            requested=1,
            again=f"{self.amount:g}s",
            headers=errors.retry_headers(self.amount),
        )


class InsufficientQuota(Refuse):
    """429 without a Retry-After: no money."""

    name = "insufficient_quota"

    def error(self, asked: Asked) -> ApiError:
        """The error."""
        del asked
        return errors.insufficient_quota("insufficient_quota")


class NoFault(Fault):
    """Every answer as it should be."""

    delivers = True


NO_FAULT = NoFault()

FAULTS: dict[str, Callable[[float | None], Fault]] = {
    fault.name: fault
    for fault in (
        ResetBeforeHeaders,
        AnswerLost,
        FinMidBody,
        RstMidBody,
        TruncatedJson,
        StreamWithoutCompleted,
        ErrorInStream,
        Stall,
        SlowFirstByte,
        Hang,
        FirstAttemptHangs,
        Html5xx,
        JobFails,
        JobNeverEnds,
        JobRestarts,
        JobRestarts,
        ResultExpires,
        WrongContentType,
        ShouldRetryTrue,
        ShouldRetryFalse,
        ServerError,
        Overloaded,
        SlowDown,
        RateLimited,
        InsufficientQuota,
    )
}


def named(text: str) -> Fault:
    """The fault called `name` or `name=number`; `ValueError` says what is wrong with it."""
    name, given, number = text.partition("=")
    make = FAULTS.get(name.strip())
    if make is None:
        raise ValueError(f"there is no fault '{name.strip()}'; there are {', '.join(FAULTS)}")
    if not given:
        return make(None)
    try:
        argument = float(number)
    except ValueError:
        argument = math.nan
    fault = make(argument)
    low, high = fault.bounds
    if not low < argument < high:
        bounds = f"a number between {low:g} and {high:g}"
        raise ValueError(f"the fault '{fault.name}' takes {bounds}, not '{number}'")
    return fault
