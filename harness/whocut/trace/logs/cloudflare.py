"""Cloudflare Logpush, dataset HTTP requests, as NDJSON: what the edge answered, and what the origin had."""

from __future__ import annotations

from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import inner, iso_instant, json_object, present, scaled, trace_of, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _WAIT = Phase.CONNECT, Phase.WAIT
_READ: Final = "Proxy Read Timeout"
CODES: Final = (
    Signal("499", _CLIENT, None, says="its caller left"),
    Signal("520", _UPSTREAM, _WAIT, says="the origin closed, reset, or answered nonsense"),
    Signal("521", _UPSTREAM, _CONNECT, says="the origin refused the connection"),
    Signal(
        "522",
        _LAYER,
        _CONNECT,
        TimerKind.CONNECT,
        "Complete TCP connection",
        "the origin did not connect, or acknowledge, in time",
    ),
    Signal("523", _LAYER, _CONNECT, says="the origin could not be reached"),
    Signal("524", _LAYER, _WAIT, TimerKind.FIRST_BYTE, _READ, "the origin did not answer in time"),
    Signal("525", _LAYER, _CONNECT, says="the TLS handshake with the origin failed"),
    Signal("526", _LAYER, _CONNECT, says="the origin's certificate is not valid"),
    Signal("527", _LAYER, _CONNECT, says="Railgun failed (retired)", verified=False),
    Signal("530", _LAYER, _CONNECT, says="the origin's name was not resolved, or its tunnel is down"),
)
_BY_CODE: Final = {int(signal.code): signal for signal in CODES}
_RELAYED = Signal(
    "5xx, OriginResponseStatus the same", _UPSTREAM, _WAIT, says="the origin answered so", handed_on=True
)
_UNSAID = Signal(
    "5xx, OriginResponseStatus 0", EndedBy.UNSAID, says="an answer of the edge that is not known here"
)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the log knows")
SIGNALS: Final = (*CODES, _RELAYED, _UNSAID, _WHOLE)


def read(line: str) -> Account | None:
    """One line of NDJSON."""
    row = json_object(line)
    if "EdgeResponseStatus" not in row:
        raise Unreadable("a Logpush line of HTTP requests has a field 'EdgeResponseStatus'")
    status, origin = whole(row["EdgeResponseStatus"]), whole(row.get("OriginResponseStatus"))
    start_s, end_s = iso_instant(row.get("EdgeStartTimestamp")), iso_instant(row.get("EdgeEndTimestamp"))
    headers = {str(name).lower(): value for name, value in inner(row.get("RequestHeaders")).items()}
    trace_id, parent_id = trace_of(headers.get("traceparent"))
    return as_account(
        _meaning(status, origin),
        signal=f"EdgeResponseStatus {status}, OriginResponseStatus {origin if origin is not None else '-'}",
        status=status or None,
        bytes=whole(row.get("EdgeResponseBytes")),
        end_s=end_s,
        duration_s=_duration_s(row, start_s, end_s),
        coarse_s=1.0 if isinstance(row.get("EdgeEndTimestamp"), int) else 0.001,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(headers.get("x-request-id")) or present(row.get("RayID")),
        path=present(row.get("ClientRequestPath")) or present(row.get("ClientRequestURI")),
    )


def _duration_s(row: dict[str, Any], start_s: float | None, end_s: float | None) -> float | None:
    if start_s is not None and end_s is not None and end_s >= start_s:
        return end_s - start_s
    return scaled(row.get("EdgeTimeToFirstByteMs"), 0.001)


def _meaning(status: int | None, origin: int | None) -> Signal:
    if status in _BY_CODE:
        return _BY_CODE[status]
    if status is None or status < 500:
        return _WHOLE
    return _RELAYED if origin == status else _UNSAID


FORMAT: Final = LogFormat(
    name="cloudflare",
    title="Cloudflare Logpush",
    read=read,
    signals=SIGNALS,
    code="EdgeResponseStatus",
    signs=("EdgeResponseStatus",),
    hint="choose the dataset http_requests, as NDJSON, with the recommended fields",
    recommended="# dataset http_requests, NDJSON, timestamp format rfc3339, with the fields\nClientRequestMethod "
    "ClientRequestPath EdgeStartTimestamp EdgeEndTimestamp EdgeResponseStatus\nEdgeResponseBytes "
    "OriginResponseStatus EdgeTimeToFirstByteMs RayID\n# and the request headers (custom fields)\n"
    "traceparent x-request-id",
    remarks=(
        "Without custom fields it joins on the ray id: log `$http_cf_ray` as the request id behind it.",
        "A stream cut in mid-body looks whole.",
    ),
    captured=False,
)
