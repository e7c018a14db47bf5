"""Envoy, and Istio's sidecars: response flags and response code details, as JSON or in the default text format.

The details are exact; the default text format has the flags alone. Keys of the JSON are those of Istio's default.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs import sql
from whocut.trace.logs.fields import (
    is_named,
    iso_instant,
    json_object,
    plain_text,
    present,
    scaled,
    trace_of,
    whole,
)
from whocut.trace.logs.records import Account, Columns, EndedBy, LogFormat, Signal, Unreadable, as_account

if TYPE_CHECKING:
    from collections.abc import Hashable

JSON_FORMAT: Final = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "upstream_host": "%UPSTREAM_HOST%",
}
_TEXT: Final = re.compile(
    r'^\[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<flags>\S+) '
    r'(?:(?P<details>[a-z_]\S*) (?:\S+ )?"[^"]*" )?(?P<received>\d+) (?P<sent>\d+) (?P<duration>\d+) \S+ '
    r'"[^"]*" "[^"]*" "(?P<request_id>[^"]*)"'
)

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_FIRST, _IDLE, _TOTAL = TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL
# By the details, which begin so.
DETAILS: Final = (
    Signal("response_timeout", _LAYER, None, _TOTAL, "route timeout", "the response was not whole in time"),
    Signal(
        "upstream_response_timeout",
        _LAYER,
        None,
        _TOTAL,
        "route timeout",
        "the response was not whole in time",
    ),
    Signal(
        "upstream_per_try_timeout", _LAYER, _WAIT, _FIRST, "per_try_timeout", "a try was not answered in time"
    ),
    Signal(
        "upstream_per_try_idle_timeout",
        _LAYER,
        None,
        _IDLE,
        "per_try_idle_timeout",
        "a try was silent too long",
    ),
    Signal(
        "upstream_max_stream_duration_reached",
        _LAYER,
        None,
        _TOTAL,
        "max_stream_duration",
        "a try took too long",
    ),
    Signal("max_duration_timeout", _LAYER, None, _TOTAL, "max_stream_duration", "the stream took too long"),
    Signal(
        "stream_idle_timeout", _LAYER, None, _IDLE, "stream_idle_timeout", "the stream was silent too long"
    ),
    Signal("request_overall_timeout", _LAYER, _SEND, _TOTAL, "request_timeout", "its caller was too slow"),
    Signal(
        "request_header_timeout", _LAYER, _SEND, _TOTAL, "request_headers_timeout", "its caller was too slow"
    ),
    Signal("duration_timeout", _LAYER, None, _TOTAL, "max_connection_duration", "the connection was too old"),
    Signal(
        "upstream_reset_before_response_started{connection_timeout",
        _LAYER,
        _CONNECT,
        TimerKind.CONNECT,
        "cluster connect_timeout",
        "the upstream did not connect in time",
    ),
    Signal(
        "upstream_reset_before_response_started{remote_connection_failure",
        _UPSTREAM,
        _CONNECT,
        says="the upstream refused the connection",
    ),
    Signal(
        "upstream_reset_before_response_started{connection_failure",
        _UPSTREAM,
        _CONNECT,
        says="the upstream refused the connection",
    ),
    Signal(
        "upstream_reset_before_response_started",
        _UPSTREAM,
        _WAIT,
        says="the upstream closed or reset before it answered",
    ),
    Signal(
        "upstream_reset_after_response_started",
        _UPSTREAM,
        _STREAM,
        says="the upstream closed or reset in mid-response",
    ),
    Signal(
        "ext_proc_error_per-message_timeout_exceeded",
        _LAYER,
        None,
        says="the service of a filter (ext_proc) did not answer in time",
    ),
    Signal("downstream_remote_disconnect", _CLIENT, None, says="its caller left"),
    Signal("downstream_remote_reset", _CLIENT, None, says="its caller reset the stream"),
    Signal("http1.codec_error", _CLIENT, _SEND, says="its caller broke the protocol"),
)
# By the flag, where there are no details.
FLAGS: Final = (
    Signal("DC", _CLIENT, None, says="its caller left"),
    Signal("DR", _CLIENT, None, says="its caller reset the stream"),
    Signal("DPE", _CLIENT, _SEND, says="its caller broke the protocol"),
    Signal("UT", _LAYER, None, _TOTAL, "route timeout", "the response was not whole in time"),
    Signal("UMSDR", _LAYER, None, _TOTAL, "max_stream_duration", "the stream took too long"),
    Signal("SI", _LAYER, None, _IDLE, "stream_idle_timeout", "the stream was silent too long"),
    Signal("DT", _LAYER, None, _TOTAL, "max_connection_duration", "the connection was too old"),
    Signal("UF", _UPSTREAM, _CONNECT, says="no connection to the upstream came about"),
    Signal("UC", _UPSTREAM, None, says="the upstream closed the connection"),
    Signal("UR", _UPSTREAM, None, says="the upstream reset the stream"),
    Signal("UPE", _UPSTREAM, None, says="the upstream broke the protocol"),
    *(
        Signal(flag, _LAYER, _CONNECT, says=says)
        for flag, says in (
            ("UH", "no upstream is healthy"),
            ("NC", "there is no such cluster"),
            ("NR", "no route matches"),
            ("UO", "a circuit breaker is open"),
            ("DF", "the upstream's name was not resolved"),
            ("OM", "it was short of memory"),
        )
    ),
    Signal("LR", _LAYER, None, says="it reset the stream itself"),
    Signal("URX", EndedBy.UNSAID, None, says="its retries were used up; another flag says why"),
    Signal("FI", _LAYER, None, says="an operator injected a fault"),
    Signal("DI", _LAYER, None, says="an operator injected a delay"),
)
_VIA_UPSTREAM = Signal("via_upstream, 5xx", _UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True)
_WHOLE = Signal("via_upstream, -", EndedBy.NONE, says="no hop: it went through whole")
_UNSAID = Signal("5xx without flags", EndedBy.UNSAID, says="the text format does not say who answered so")
SIGNALS: Final = (_WHOLE, _VIA_UPSTREAM, *DETAILS, *FLAGS, _UNSAID)
_BY_FLAG: Final = {signal.code: signal for signal in FLAGS}


def read(line: str) -> Account | None:
    """One line, JSON or text."""
    if line.startswith("{"):
        row = json_object(line)
        if "response_code" not in row or "response_flags" not in row:
            raise Unreadable("an Envoy access log has fields 'response_code' and 'response_flags'")
        return _account(
            row,
            status=row["response_code"],
            flags=row["response_flags"],
            details=row.get("response_code_details"),
        )
    match = _TEXT.match(line)
    if match is None:
        raise Unreadable("neither JSON nor the default text format")
    row = {
        "start_time": match["time"],
        "path": match["path"],
        "bytes_sent": match["sent"],
        "duration": match["duration"],
        "request_id": match["request_id"],
    }
    return _account(row, status=match["status"], flags=match["flags"], details=match["details"])


def _account(row: dict[str, Any], *, status: object, flags: object, details: object) -> Account:
    code = whole(status)
    sent = whole(row.get("bytes_sent"))
    signal = _meaning(code, present(flags) or "", present(details) or "")
    start_s = iso_instant(row.get("start_time"))
    duration_s = scaled(row.get("duration"), 0.001)
    trace_id, parent_id = trace_of(row.get("traceparent"))
    phase = signal.phase
    if phase is None and signal.ended_by in {_LAYER, _CLIENT, _UPSTREAM}:
        # The flag is the same before and after the head; what had been answered by then tells.
        phase = _STREAM if code is not None and 200 <= code < 400 and sent else _WAIT
    return as_account(
        signal,
        signal=f"{present(flags) or '-'} {present(details) or '-'} {code}",
        phase=phase,
        status=code or None,
        bytes=sent,
        end_s=start_s + (duration_s or 0.0) if start_s is not None else None,
        duration_s=duration_s,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(row.get("request_id")),
        path=present(row.get("path")),
    )


def glance(line: bytes) -> tuple[Hashable, float] | None:
    """What decides in a line of either form."""
    if line.startswith(b"{"):
        row = orjson.loads(line)
        code, sent = row["response_code"], row.get("bytes_sent")
        flags, details = row["response_flags"], row.get("response_code_details")
        if not (type(code) is type(sent) is int and type(flags) is str):
            return None
        if not (details is None or type(details) is str):
            return None
        start, took_ms = row["start_time"], row["duration"]
        took_s = took_ms * 0.001 if type(took_ms) is int and took_ms >= 0 else scaled(took_ms, 0.001) or 0.0
        named = is_named(row.get("request_id"), row.get("traceparent"))
    else:
        match = _TEXT.match(plain_text(line))
        if match is None:
            return None
        code, flags, details = match.group("status", "flags", "details")
        sent, start, took_s = (
            whole(match["sent"]) or 0,
            match["time"],
            scaled(match["duration"], 0.001) or 0.0,
        )
        named = is_named(match["request_id"], None)
    datetime.fromisoformat(start)  # else there is no instant, or another one
    return (code, flags, details, sent > 0, named), took_s


def flag_meaning(flags: str) -> Signal | None:
    """What a span's or a log's response flags mean, the most telling one first."""
    known = [_BY_FLAG[flag] for flag in flags.split(",") if flag in _BY_FLAG]
    return next(
        (signal for signal in known if signal.ended_by is not EndedBy.UNSAID), known[0] if known else None
    )


def _meaning(status: int | None, flags: str, details: str) -> Signal:
    by_details = next((signal for signal in DETAILS if details.startswith(signal.code)), None)
    if by_details is not None:
        return by_details
    if (by_flag := flag_meaning(flags)) is not None:
        return by_flag
    if status is not None and status >= 500:
        return _VIA_UPSTREAM if details == "via_upstream" else _UNSAID
    return _WHOLE


def _columns(form: str, parts: str, fits: str, fields: dict[str, str]) -> Columns:
    """All forms say the same, in other places."""
    code, sent, took_ms = (
        f"try_cast({fields[name]} as integer)" for name in ("response_code", "bytes_sent", "duration")
    )
    start_s = sql.iso_instant(fields["start_time"])
    took_s = f"cast({took_ms} as double) * cast(0.001 as double)"
    return Columns(
        form=form,
        parts=parts,
        fits=f"{fits} and {code} is not null and {sent} is not null and {took_ms} is not null "
        f"and {start_s} is not null",
        decides=(code, fields["response_flags"], fields["response_code_details"], f"{sent} > 0"),
        status=f"nullif({code}, 0)",
        end_s=f"{start_s} + {took_s}",
        duration_s=took_s,
        traceparent=fields["traceparent"],
        request_id=fields["request_id"],
        path=fields["path"],
    )


def _json_columns(form: str, traceparent: str) -> Columns:
    """JSON as Envoy writes it: the keys in the order of the alphabet, `null` for what is absent."""
    numbers = ("bytes_sent", "duration", "response_code")
    names = sorted(JSON_FORMAT)
    line = sql.JsonLine(
        tuple(
            f"{name}:whole" if name in numbers else traceparent if name == "traceparent" else name
            for name in names
        )
    )
    fields = {name: line.whole(name) if name in numbers else line.text(name) for name in names}
    return _columns(
        form, line.parts, line.fits, fields | ({"traceparent": "''"} if ":" in traceparent else {})
    )


COLUMNS: Final = (
    _json_columns("the recommended json_format", "traceparent"),
    _json_columns("the recommended json_format, no traceparent", "traceparent:null"),
    _columns(
        "the default text format",
        sql.groups(_TEXT.pattern),
        f"p.status <> '' and {sql.IS_ASCII}",
        {
            "response_code": "p.status",
            "bytes_sent": "p.sent",
            "duration": "p.duration",
            "start_time": "p.time",
            "response_flags": "p.flags",
            "response_code_details": "p.details",
            "traceparent": "''",
            "request_id": "p.request_id",
            "path": "p.path",
        },
    ),
)
FORMAT: Final = LogFormat(
    name="envoy",
    columns=COLUMNS,
    glance=glance,
    title="Envoy",
    read=read,
    signals=SIGNALS,
    code="details, or flag",
    signs=("response_flags", '] "', "[2"),
    hint="set the recommended json_format",
    recommended="# typed_config of envoy.access_loggers.file\nlog_format:\n  json_format:\n"
    + "\n".join(f"    {key}: '{value}'" for key, value in JSON_FORMAT.items()),
    remarks=(
        "The default text format has no details and no trace id: a 5xx without a flag stays unsaid.",
        "Istio's default JSON has the same keys.",
    ),
)
