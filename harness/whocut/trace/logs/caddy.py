"""Caddy's JSON: access lines, and the lines of its error and reverse proxy loggers that explain them.

An answer of Caddy's own has ``Server: Caddy`` and no body; a relayed one has the upstream's headers. A stream that
was cut is logged as 200, and only the warning "aborting with incomplete response" tells.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import (
    MONTHS,
    clf_instant,
    inner,
    iso_instant,
    json_object,
    number,
    present,
    trace_of,
    whole,
)
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _WAIT, _STREAM = Phase.CONNECT, Phase.WAIT, Phase.STREAM
_FIRST, _IDLE = TimerKind.FIRST_BYTE, TimerKind.IDLE
_READ: Final = "read_timeout"
# What the error says before a response, and in mid-response ("aborting with incomplete response").
BEFORE: Final = (
    Signal(
        "timeout awaiting response headers",
        _LAYER,
        _WAIT,
        _FIRST,
        "response_header_timeout",
        "the upstream did not answer in time",
    ),
    Signal(
        "i/o timeout … dial",
        _LAYER,
        _CONNECT,
        TimerKind.CONNECT,
        "dial_timeout",
        "it did not connect in time",
    ),
    Signal("i/o timeout", _LAYER, _WAIT, _FIRST, _READ, "the upstream's connection was silent for too long"),
    Signal("connection refused", _UPSTREAM, _CONNECT, says="the upstream refused the connection"),
    Signal("connection reset by peer", _UPSTREAM, _WAIT, says="the upstream reset before it answered"),
    Signal("EOF", _UPSTREAM, _WAIT, says="the upstream closed before it answered"),
    Signal("context canceled", _CLIENT, _WAIT, says="its caller left while it waited"),
    Signal("dial … lookup", _UPSTREAM, _CONNECT, says="the upstream's name was not found"),
    Signal("dial", _UPSTREAM, _CONNECT, says="no connection to the upstream was made"),
    Signal("stream error:", _UPSTREAM, _WAIT, says="the upstream reset its HTTP/2 stream before it answered"),
    Signal("GOAWAY", _UPSTREAM, _WAIT, says="the upstream closed its HTTP/2 connection before it answered"),
)
IN_BODY: Final = (
    Signal(
        "aborting … writing: … i/o timeout",
        EndedBy.UNSAID,
        _STREAM,
        says="its caller did not take the bytes in time: a timer for writing, or the connection's own",
    ),
    Signal("aborting … writing: ", _CLIENT, _STREAM, says="its caller took no more bytes: it had left"),
    Signal(
        "aborting … i/o timeout", _LAYER, _STREAM, _IDLE, _READ, "the upstream was silent in mid-response"
    ),
    Signal("aborting … context canceled", _CLIENT, _STREAM, says="its caller left in mid-response"),
    Signal(
        "aborting … connection reset by peer", _UPSTREAM, _STREAM, says="the upstream reset in mid-response"
    ),
    Signal("aborting … EOF", _UPSTREAM, _STREAM, says="the upstream closed in mid-response"),
    Signal("aborting … stream error:", _UPSTREAM, _STREAM, says="the upstream reset its HTTP/2 stream"),
    Signal("aborting … GOAWAY", _UPSTREAM, _STREAM, says="the upstream closed its HTTP/2 connection"),
)
_ENDED_EARLY = Signal(
    "aborting … another error",
    EndedBy.UNSAID,
    _STREAM,
    says="it ended early, and the words for it are not known",
)
_LEFT = Signal("499, or 0", _CLIENT, _WAIT, says="its caller left before anything was sent")
_OWN_504 = Signal(
    "504, Server: Caddy, no body",
    _LAYER,
    _WAIT,
    _FIRST,
    "response_header_timeout",
    "the upstream did not answer",
)
_OWN_502 = Signal(
    "502, Server: Caddy, no body", _UPSTREAM, _WAIT, says="the upstream ended before it answered"
)
_RELAYED = Signal(
    "5xx with the upstream's headers", _UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True
)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
SIGNALS: Final = (_LEFT, _OWN_504, _OWN_502, _RELAYED, _WHOLE, *BEFORE, *IN_BODY, _ENDED_EARLY)
_LIES: Final = "Caddy logs 200 for a stream that was cut; the line 'aborting with incomplete response' tells"


# The console encoder: instant, level, logger and message apart by tabs, then the fields as JSON.
_CONSOLE: Final = re.compile(
    r"^(?P<ts>\d{4}[/-]\d\d[/-]\d\d[ T]\d\d:\d\d:\d\d[.\d]*\S{0,6})\s+(?P<level>[A-Z]{4,5})\s+"
    r"(?:(?P<logger>[\w.]+)\s+)?(?P<msg>[^\t{]{1,200}?)\s*(?P<fields>\{.*\})?$"
)
_MONTH_NAMES: Final = dict(enumerate(MONTHS, start=1))


def read(line: str) -> Account | None:
    """One line of JSON, or of the console encoder; what is not about a request is passed over."""
    row = json_object(line) if line.startswith("{") else _console(line)
    if "ts" not in row or "msg" not in row:
        raise Unreadable("a line of Caddy's JSON has fields 'ts' and 'msg'; set `format json`")
    request = inner(row.get("request"))
    logger = str(row.get("logger", ""))
    if (
        logger.startswith("http.handlers.reverse_proxy")
        and row["msg"] == "upstream roundtrip"
        and row.get("error")
    ):
        return _account(_meaning(str(row["error"]), BEFORE), row, request, remark=True)
    if (
        not request
        and row["msg"] != "aborting with incomplete response"
        and not logger.startswith("http.log.error")
    ):
        return None
    if row["msg"] == "handled request":
        return _account(_access(row), row, request, caveat=True)
    error = f"{row.get('error', '')} {row['msg']}"
    if row["msg"] == "aborting with incomplete response":
        return _account(_meaning(error, IN_BODY) or _ENDED_EARLY, row, request, remark=True)
    if logger.startswith("http.log.error"):
        return _account(_meaning(error, BEFORE) or _unknown(row), row, request, remark=True)
    return None


def _console(line: str) -> dict[str, Any]:
    """A line of the console encoder as its JSON would have it."""
    match = _CONSOLE.match(line)
    if match is None:
        raise Unreadable("neither Caddy's JSON nor its console's form; set `format json`")
    try:
        fields = orjson.loads(match["fields"]) if match["fields"] else {}
    except orjson.JSONDecodeError:
        raise Unreadable("the fields at the end of the line are no JSON; set `format json`") from None
    logger, message = match["logger"] or "", match["msg"].strip()
    return {
        **fields,
        "ts": _console_instant(match["ts"]),
        "level": match["level"].lower(),
        "logger": logger,
        "msg": message,
    }


def _console_instant(text: str) -> float | None:
    if "/" not in text:
        return iso_instant(text)
    day, _, time = text.partition(" ")
    year, month, of_month = day.split("/")
    return clf_instant(f"{of_month}/{_MONTH_NAMES.get(int(month), '')}/{year}:{time}")


def _access(row: dict[str, Any]) -> Signal:
    status, headers = whole(row.get("status")), inner(row.get("resp_headers"))
    if status in {0, 499}:
        return _LEFT
    if status is None or status < 500:
        return _WHOLE
    if headers.get("Server") == ["Caddy"] and not whole(row.get("size")):
        return _OWN_504 if status == 504 else _OWN_502
    return _RELAYED


def _meaning(error: str, table: tuple[Signal, ...]) -> Signal | None:
    return next((row for row in table if all(part in error for part in row.code.split(" … "))), None)


def _unknown(row: dict[str, Any]) -> Signal | None:
    """What an error line of unknown words says by the status that it was answered with; others are no cut."""
    status = whole(row.get("status"))
    return _OWN_504 if status == 504 else _OWN_502 if status in {502, 503} else None


def _account(
    signal: Signal | None,
    row: dict[str, Any],
    request: dict[str, Any],
    *,
    remark: bool = False,
    caveat: bool = False,
) -> Account | None:
    if signal is None:
        return None
    headers = {str(name).lower(): _first(values) for name, values in inner(request.get("headers")).items()}
    trace_id, parent_id = trace_of(headers.get("traceparent"))
    status = whole(row.get("status"))
    duration_s = number(row.get("duration"))
    return as_account(
        signal,
        signal=f"status {status}" if not remark else signal.code,
        caveat=_LIES if caveat and signal is _WHOLE else "",
        status=status or None,
        bytes=whole(row.get("size")),
        end_s=iso_instant(row.get("ts")),
        duration_s=duration_s or None,  # it writes 0 for a stream that was cut
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(headers.get("x-request-id")),
        path=present(request.get("uri")),
        keys=(f"{request.get('remote_ip')}:{request.get('remote_port')} {request.get('uri')}",)
        if request
        else (),
        remark=remark,
    )


def _first(values: object) -> object:
    return values[0] if isinstance(values, list) and values else values


FORMAT: Final = LogFormat(
    name="caddy",
    title="Caddy",
    read=read,
    signals=SIGNALS,
    code="access line, or error",
    signs=('"ts"', "http.handlers", "http.log"),
    hint="set `format json`",
    recommended="# in the site\nlog {\n  format json\n}\n# in the global options: the errors, too\n"
    "{\n  log default {\n    format json\n  }\n}",
    remarks=("Give the access log and the default log, in one file or in two.",),
)
