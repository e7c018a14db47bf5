"""The rows and figures of a run directory, by type and range: it may come from elsewhere, or be damaged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from whocut.trace import typed
from whocut.trace.records import Attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

_Seconds = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
_LAST_UNIX_S: Final = 2.5e11  # the year 9892; the calendar of Python ends soon after
_Id = Annotated[str, Field(max_length=200)]


class _Job(BaseModel):
    """A job's part of a row of the ledger."""

    lost: str | None = None
    cancelled_s: _Seconds | None = None


class _Generation(BaseModel):
    """What is read of a row of the ledger; it may hold more."""

    generation: _Id | int
    trace_id: _Id | None = None
    span_id: _Id | None = None
    parent_span_id: _Id | None = None
    model: str | None = None
    state: str | None = None
    status: int | None = None
    error_code: str | None = None
    fault: str | None = None
    accepted_s: _Seconds | None = None
    started_s: _Seconds | None = None
    finished_s: _Seconds | None = None
    sent_s: _Seconds | None = None
    delivered_s: _Seconds | None = None
    caller_gone_s: _Seconds | None = None
    orphaned_s: _Seconds | None = None
    billed_usd: _Seconds | None = None
    job: _Job | None = None


_ATTEMPT: Final = TypeAdapter(Attempt)


def generation_of(row: Mapping[str, Any]) -> str:
    """The name of the generation that a row of the ledger tells of.

    Raises:
        ValueError: a field that is read has another type or range.
    """
    try:
        _Generation.model_validate(row)
    except ValidationError as error:
        raise ValueError(_first(error)) from None
    return str(row["generation"])


def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """An attempt from the fields of a row.

    Raises:
        ValueError: a field is missing, or has another type or range.
    """
    try:
        attempt = _ATTEMPT.validate_python(row)
    except ValidationError as error:
        raise ValueError(_first(error)) from None
    for at_s in (
        attempt.started_s, attempt.due_s, attempt.dispatched_s, attempt.first_byte_s, attempt.ended_s,
        attempt.retry_after_s, attempt.largest_gap_s, attempt.charged_usd, *attempt.arrivals_s,
    ):  # fmt: skip
        if at_s is not None:
            typed.seconds(at_s)
    return attempt


def epoch_of(value: Any) -> float:
    """The calendar instant of a run's second zero, in Unix seconds.

    Raises:
        ValueError: it is not a number of seconds, or lies outside the calendar.
    """
    epoch_unix_s = typed.seconds(value)
    if not 0 <= epoch_unix_s <= _LAST_UNIX_S:
        raise ValueError(f"the beginning of a run is Unix seconds, and not {value}")
    return epoch_unix_s


def scale_of(value: Any) -> float:
    """Model seconds in a real one.

    Raises:
        ValueError: it is no finite number above zero.
    """
    scale = typed.seconds(value)
    if not 0 < scale < math.inf:
        raise ValueError(f"a scale is above zero, and not {value}")
    return scale


def _first(error: ValidationError) -> str:
    """The first mistake, with its field."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
