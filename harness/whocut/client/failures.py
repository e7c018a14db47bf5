"""From what the SDK raised to what is known of the attempt: one table of exceptions, one reading of headers.

Classes are told by name where two HTTP libraries raise them (see `endings`), and an SDK's wrapper by its cause.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai

from whocut.chain.retry_after import asked_to_wait_s
from whocut.client.endings import ABANDONED, ending_of
from whocut.client.policy import Failure
from whocut.clock import Clock
from whocut.trace.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOULD = {"true": True, "false": False}
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
_UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError, openai.APIResponseValidationError)


class StreamCutError(openai.APIConnectionError):
    """The stream ended in good order, and without its last event: the image never came."""


def failure_of(error: BaseException, *, in_stream: bool = False) -> Failure | None:
    """What an exception says of its attempt; None for one that is no attempt's end: a cancel, a bug."""
    if isinstance(error, openai.APIStatusError):
        return _answered(error)
    if isinstance(error, StreamCutError):
        return Failure(outcome=Outcome.TRUNCATED, status=200)
    if isinstance(error, openai.APIConnectionError):
        return _wire(error.__cause__ or error, in_stream=in_stream)
    if isinstance(error, _UNREADABLE):
        return Failure(outcome=Outcome.TRUNCATED, status=200)
    if isinstance(error, openai.APIError):  # an event of the stream
        return Failure(outcome=Outcome.REJECTED, status=200, code=error.code, kind=error.type)
    return _wire(error, in_stream=in_stream) if ending_of(error, in_body=in_stream) is not ABANDONED else None


def _wire(error: BaseException, *, in_stream: bool) -> Failure:
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _NEVER_SENT:
        return Failure(outcome=Outcome.REFUSED, sent=False)
    ending = ending_of(error, in_body=in_stream)
    outcome = Outcome.TIMEOUT if isinstance(error, openai.APITimeoutError) else ending.outcome
    return Failure(outcome=outcome, status=200 if in_stream else None)


def _answered(error: openai.APIStatusError) -> Failure:
    headers = {name.lower(): value for name, value in error.response.headers.items()}
    ours = _envelope(error.response)
    return Failure(
        outcome=Outcome.REJECTED if ours is not None else Outcome.GATEWAY_ERROR,
        status=error.status_code,
        code=_text(ours, "code"),
        kind=_text(ours, "type"),
        retry_after_s=asked_to_wait_s(headers, _now_unix_s()),
        should_retry=_SHOULD.get(headers.get("x-should-retry", "")),
    )


def _envelope(response: Any) -> Mapping[str, Any] | None:
    """The API's own error object; None for a page that somebody on the way wrote."""
    try:
        body = response.json()
    except (ValueError, RuntimeError):
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) and "message" in error else None


def _text(envelope: Mapping[str, Any] | None, key: str) -> str | None:
    value = envelope.get(key) if envelope else None
    return value if isinstance(value, str) else None


def _now_unix_s() -> float:
    """The calendar, for a Retry-After that is a date in an answer without one."""
    return Clock().epoch_unix_s
