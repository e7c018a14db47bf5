"""Varnish: what ``varnishncsa -b`` writes of its requests to the upstream, in the format we recommend.

Only the side towards the upstream has the reason of a failure. Varnish is blind to a caller that leaves: on this
side, such a request looks like any other. The default form is of the side towards the caller: combined, with an
absolute URL. A 503 in it is Varnish's own or was handed on; any other answer came from behind.
"""

from __future__ import annotations

import re
from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import clf_instant, json_object, number, present, trace_of, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

LOG_FORMAT: Final = (
    '{"time":"%{VSL:Timestamp:Start[1]}x","trace":"%{traceparent}i","request_id":"%{x-request-id}i","path":"%U",'
    '"status":"%s","bytes":"%b","answered_s":"%{VSL:Timestamp:Beresp[2]}x",'
    '"whole_s":"%{VSL:Timestamp:BerespBody[2]}x","failed_s":"%{VSL:Timestamp:Error[2]}x",'
    '"error":"%{VSL:FetchError}x"}'
)
_LAYER, _UPSTREAM = EndedBy.LAYER, EndedBy.UPSTREAM
_WAIT, _STREAM = Phase.WAIT, Phase.STREAM
# What a FetchError says, before the response's head and behind it.
BEFORE: Final = (
    Signal(
        "first byte timeout",
        _LAYER,
        _WAIT,
        TimerKind.FIRST_BYTE,
        "first_byte_timeout",
        "the upstream did not answer in time",
    ),
    Signal("http first read error: EOF", _UPSTREAM, _WAIT, says="the upstream closed before it answered"),
    Signal("http first read error: -1 104", _UPSTREAM, _WAIT, says="the upstream reset before it answered"),
    Signal("http first read error", _UPSTREAM, _WAIT, says="the upstream ended before it answered"),
    Signal("http format error", _UPSTREAM, _WAIT, says="the upstream's answer is not HTTP"),
    Signal("backend", _UPSTREAM, Phase.CONNECT, says="no connection to the upstream came about"),
)
IN_BODY: Final = (
    Signal(
        "Resource temporarily unavailable",
        _LAYER,
        _STREAM,
        TimerKind.IDLE,
        "between_bytes_timeout",
        "the upstream was silent in mid-response",
    ),
    Signal("Connection reset by peer", _UPSTREAM, _STREAM, says="the upstream reset in mid-response"),
    Signal("chunked", _UPSTREAM, _STREAM, says="the upstream closed in mid-response"),
    Signal("straight insufficient bytes", _UPSTREAM, _STREAM, says="the upstream closed in mid-response"),
)
_UNSAID = Signal("another FetchError", EndedBy.UNSAID, says="it failed, and the words for it are not known")
_RELAYED = Signal("5xx, no FetchError", _UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True)
_WHOLE = Signal("no FetchError", EndedBy.NONE, says="no hop, as far as the side towards the upstream knows")
# The default form: no duration, and the instant of the request.
_COMBINED: Final = re.compile(
    r"^\S+ \S+ \S+ \[(?P<time>[^\]]{20,40})\] "
    r'"\S{1,40} https?://[^/\s"]{0,260}(?P<path>/[^\s"]*+)?(?: HTTP/[\d.]+)?" '
    r'(?P<status>\d{3}) (?P<bytes>\d+|-) "(?:[^"\\]|\\.)*+" ".*"$'
)
_OWN_STATUS: Final = 503
_COMBINED_OWN = Signal(
    "default form: 503", EndedBy.UNSAID, says="a fetch of its own that failed, or an answer that it handed on"
)
_COMBINED_RELAYED = Signal(
    "default form: another 5xx", _UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True
)
_COMBINED_WHOLE = Signal(
    "default form: 2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the default form knows"
)
SIGNALS: Final = (
    *(_WHOLE, _RELAYED, *BEFORE, *IN_BODY, _UNSAID),
    *(_COMBINED_WHOLE, _COMBINED_RELAYED, _COMBINED_OWN),
)
_LIES: Final = (
    "a response that was cut is logged as 200 there; `varnishncsa -b` in the recommended format tells"
)
_BLIND: Final = "Varnish says so too of a caller that had left before"


def read(line: str) -> Account:
    """One line of the recommended format, or of the default one."""
    if (match := _COMBINED.match(line)) is not None:
        return _combined(match)
    if not line.startswith("{"):
        raise Unreadable(
            "neither the recommended format nor varnishncsa's default, which has an absolute URL"
        )
    row = json_object(line)
    if "error" not in row or "answered_s" not in row:
        raise Unreadable("the recommended format of varnishncsa has fields 'error' and 'answered_s'")
    error = present(row["error"])
    status = whole(row.get("status"))
    signal = _meaning(error, status, row)
    begun_s = number(row.get("time"))
    took_s = next(
        (took for name in ("whole_s", "failed_s") if (took := number(row.get(name))) is not None), None
    )
    trace_id, parent_id = trace_of(row.get("trace"))
    return as_account(
        signal,
        signal=f"{error or 'no FetchError'}, {status}",
        caveat=_BLIND if signal.ended_by is _LAYER else "",
        status=status,
        bytes=whole(row.get("bytes")),
        end_s=None if begun_s is None or took_s is None else begun_s + took_s,
        duration_s=took_s,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(row.get("request_id")),
        path=present(row.get("path")),
    )


def _combined(match: re.Match[str]) -> Account:
    status = int(match["status"])
    signal = (
        _COMBINED_WHOLE if status < 500 else _COMBINED_OWN if status == _OWN_STATUS else _COMBINED_RELAYED
    )
    return as_account(
        signal,
        signal=f"status {status}",
        caveat=_LIES if signal is _COMBINED_WHOLE else "",
        status=status,
        bytes=whole(match["bytes"]),
        end_s=clf_instant(match["time"]),
        coarse_s=1.0,
        path=match["path"] or "/",
        anonymous=True,
    )


def _meaning(error: str | None, status: int | None, row: dict[str, Any]) -> Signal:
    if error is None:
        return _RELAYED if status is not None and status >= 500 else _WHOLE
    table = BEFORE if present(row.get("failed_s")) else IN_BODY
    return next((signal for signal in table if signal.code in error), _UNSAID)


FORMAT: Final = LogFormat(
    name="varnish",
    title="Varnish",
    read=read,
    signals=SIGNALS,
    code="FetchError",
    signs=('"answered_s"',),
    hint="set the recommended format",
    recommended=f"varnishncsa -b -w /var/log/varnish/access.log -F '{LOG_FORMAT}'",
    remarks=(
        "The side towards the caller (`-c`, the default) has no FetchError, and so a 503 of its stays unsaid.",
        "The default form is read as far as it goes.",
        _BLIND + ", so its own timeout is named even where its caller had gone.",
    ),
)
