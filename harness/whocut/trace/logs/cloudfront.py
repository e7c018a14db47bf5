"""Amazon CloudFront's standard log, as it lies in S3 or as JSON: its detailed result type says why it failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import iso_instant, json_object, present, scaled, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

if TYPE_CHECKING:
    from collections.abc import Mapping

# In the documented order; two more may follow. No field holds a blank: they are percent-encoded.
FIELDS: Final = (
    "date",
    "time",
    "x-edge-location",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs(Host)",
    "cs-uri-stem",
    "sc-status",
    "cs(Referer)",
    "cs(User-Agent)",
    "cs-uri-query",
    "cs(Cookie)",
    "x-edge-result-type",
    "x-edge-request-id",
    "x-host-header",
    "cs-protocol",
    "cs-bytes",
    "time-taken",
    "x-forwarded-for",
    "ssl-protocol",
    "ssl-cipher",
    "x-edge-response-result-type",
    "cs-protocol-version",
    "fle-status",
    "fle-encrypted-fields",
    "c-port",
    "time-to-first-byte",
    "x-edge-detailed-result-type",
    "sc-content-type",
    "sc-content-len",
    "sc-range-start",
    "sc-range-end",
)
_MORE: Final = 2
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIME: Final = re.compile(r"\d\d:\d\d:\d\d")
_STATUS: Final = re.compile(r"\d{3}|-")
_CONNECTS_S: Final = 31.0  # above it no connecting timed out: 3 tries of 10 s are the most

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_RESPONSE: Final = "origin response timeout"
_LEFT = Signal("000", _CLIENT, _WAIT, says="its caller left")
_LEFT_STREAM = Signal(
    "Error, and the response's result is another", _CLIENT, _STREAM, says="its caller left in mid-response"
)
_SLOW = Signal(
    "OriginCommError, above 31 s",
    _LAYER,
    _WAIT,
    TimerKind.FIRST_BYTE,
    _RESPONSE,
    "the origin did not answer in time",
)
_SILENT = Signal(
    "OriginCommError, status below 400",
    _LAYER,
    _STREAM,
    TimerKind.IDLE,
    _RESPONSE,
    "the origin was silent in mid-response",
    verified=False,
)
CODES: Final = (
    Signal(
        "OriginCommError",
        _LAYER,
        None,
        says="the origin did not connect, or did not answer, in time: the line does not say which",
    ),
    Signal("OriginConnectError", _LAYER, _CONNECT, says="the origin did not connect"),
    Signal("OriginDnsError", _LAYER, _CONNECT, says="the origin's name was not resolved"),
    Signal("OriginReadError", _UPSTREAM, None, says="the origin closed or reset"),
    Signal("OriginWriteError", _UPSTREAM, _SEND, says="the origin did not take the request"),
    *(
        Signal(code, _UPSTREAM, _WAIT, says="the origin answered nonsense")
        for code in (
            "OriginError",
            "OriginInvalidResponseError",
            "OriginHeaderTooBigError",
            "OriginZeroSizeObjectError",
            "OriginContentRangeLengthError",
        )
    ),
    Signal("ClientCommError", _CLIENT, _STREAM, says="the way to its caller broke off in mid-response"),
    Signal("ClientHungUpRequest", _CLIENT, _SEND, says="its caller left while sending"),
    Signal("LambdaExecutionError", _LAYER, None, says="a function of Lambda@Edge failed, or took too long"),
    Signal("LimitExceeded", _LAYER, None, says="a quota of CloudFront was used up"),
    Signal("CapacityExceeded", _LAYER, None, says="the edge was short of capacity"),
    Signal("AbortedOrigin", EndedBy.UNSAID, says="something was wrong with the origin"),
    Signal("SlowReaderOriginError", EndedBy.UNSAID, says="an error of the origin, and a slow caller"),
)
_BY_CODE: Final = {signal.code: signal for signal in CODES}
_UNSAID = Signal(
    "5xx with another type",
    EndedBy.UNSAID,
    says="CloudFront or the origin answered so: the line does not say which",
)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the log knows")
SIGNALS: Final = (_LEFT, _LEFT_STREAM, _SLOW, _SILENT, *CODES, _UNSAID, _WHOLE)


def read(line: str) -> Account | None:
    """One line: the fields in their documented order, or JSON with their names; the head is passed over."""
    if line.startswith("#Version:"):
        return None
    if line.startswith("#Fields:"):
        if tuple(line.split()[1 : 1 + len(FIELDS)]) == FIELDS:
            return None
        raise Unreadable(
            "its fields are not the default ones, in their order; give it as JSON with these names"
        )
    row = json_object(line) if line.startswith("{") else _row(line)
    status, took_s = _checked(row)
    detailed = _text(row, "x-edge-detailed-result-type")
    signal = _meaning(row, status, detailed, took_s)
    phase = signal.phase
    if phase is None and signal.ended_by is _UPSTREAM:
        phase = _STREAM if status is not None and status < 400 else _WAIT
    return as_account(
        signal,
        signal=f"sc-status {row['sc-status']}, x-edge-detailed-result-type {detailed[:80] or '-'}",
        phase=phase,
        status=status or None,
        bytes=whole(row.get("sc-bytes")),
        end_s=iso_instant(f"{row['date']}T{row['time']}Z"),
        duration_s=took_s,
        coarse_s=1.0,
        request_id=present(row.get("x-edge-request-id")),
        path=present(row.get("cs-uri-stem")),
    )


def _row(line: str) -> dict[str, object]:
    fields = line.split("\t") if "\t" in line else line.split()
    if not len(FIELDS) <= len(fields) <= len(FIELDS) + _MORE:
        raise Unreadable(f"a line of CloudFront's standard log has {len(FIELDS)} fields, apart by tabs")
    return dict(zip(FIELDS, fields, strict=False))


def _checked(row: Mapping[str, object]) -> tuple[int | None, float | None]:
    """Status and seconds, of a row that has what each of CloudFront's has."""
    own = (
        _DATE.fullmatch(_text(row, "date"))
        and _TIME.fullmatch(_text(row, "time"))
        and _STATUS.fullmatch(str(row.get("sc-status")))
        and _text(row, "x-edge-result-type")
        and _text(row, "x-edge-request-id")
    )
    if not own:
        raise Unreadable("a line of CloudFront's has 'date', 'time', 'sc-status' and 'x-edge-result-type'")
    return whole(row["sc-status"]), scaled(row.get("time-taken"), 1.0)


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _meaning(row: Mapping[str, object], status: int | None, detailed: str, took_s: float | None) -> Signal:
    if status == 0:
        return _LEFT
    failed = status is None or status >= 400
    if detailed == "OriginCommError":
        if not failed:
            return _SILENT
        return _SLOW if took_s is not None and took_s > _CONNECTS_S else _BY_CODE[detailed]
    if detailed in _BY_CODE:
        return _BY_CODE[detailed]
    if _text(row, "x-edge-result-type") == "Error":
        response = _text(row, "x-edge-response-result-type")
        if not failed or response not in {"", "-", "Error"}:
            return _LEFT_STREAM
    return _UNSAID if status is None or status >= 500 else _WHOLE


FORMAT: Final = LogFormat(
    name="cloudfront",
    title="Amazon CloudFront",
    read=read,
    signals=SIGNALS,
    code="x-edge-detailed-result-type, or status",
    signs=(".cloudfront.net", ".cloudfront.cn", "x-edge-"),
    hint="give the standard log with its default fields, as it lies in S3, or as JSON",
    recommended="# standard logging with all default fields, as w3c or as JSON; legacy: no choice",
    remarks=(
        "It joins on the request id: log the header `x-amz-cf-id` as the request id behind it. It has no trace id.",
        "Its instants are whole seconds.",
        "`OriginCommError` is a timeout of connecting or of reading: above 30 s (3 tries of 10 s) of reading.",
        "A `ResponseCompletionTimeout`, where one is set, looks the same.",
    ),
    captured=False,
)
