"""Traefik's access log, JSON or CLF. It has no timer for the body, and it writes its own short pages.

Its own 504 is 15 bytes long, its own 502 is 11. A response that broke off in mid-body has no origin status; who
ended it is not said.
"""

from __future__ import annotations

import re
from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import clf_instant, iso_instant, json_object, present, scaled, trace_of, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_CLF: Final = re.compile(
    r'^(?P<client>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r"(?P<status>\d+|-) (?P<bytes>\d+|-) "
    r'"[^"]*" "[^"]*" \d+ "[^"]*" "[^"]*" (?P<duration>\d+)ms'
)
# Traefik's own log tells at level debug why it answered so: v2 in logfmt or JSON, v3 in JSON or on the console.
_WHY: Final = re.compile(
    r"'?(?P<status>499 Client Closed Request|502 Bad Gateway|504 Gateway Timeout)'?"
    r"(?: caused by: (?P<old>[^\"\n]{0,300})| error=\"?(?P<new>[^\"\n]{0,300}))"
)
_OWN_TIME: Final = re.compile(r"(?:time=\"?|^)(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))")
_LEVEL: Final = re.compile(r"(?:\blevel=\w|^\S+ (?:TRC|DBG|INF|WRN|ERR) )")
_PAGES: Final = {504: len("Gateway Timeout"), 502: len("Bad Gateway")}

_WAIT, _STREAM = Phase.WAIT, Phase.STREAM
_LEFT = Signal("499", EndedBy.CLIENT, _WAIT, says="its caller left before the response's head")
_OWN_504 = Signal(
    "504, 15 bytes",
    EndedBy.LAYER,
    _WAIT,
    TimerKind.FIRST_BYTE,
    "forwardingTimeouts.responseHeaderTimeout",
    "the upstream did not answer in time",
)
_OWN_502 = Signal("502, 11 bytes", EndedBy.UPSTREAM, _WAIT, says="the upstream ended before it answered")
_RELAYED = Signal(
    "5xx of another length", EndedBy.UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True
)
_UNSAID_5XX = Signal(
    "5xx of unknown length",
    EndedBy.UNSAID,
    _WAIT,
    says="Traefik or the upstream answered so: its length would tell, and the log has none",
)
_BROKE_OFF = Signal(
    "2xx, OriginStatus 0",
    EndedBy.UNSAID,
    _STREAM,
    says="it broke off in mid-response; by which side is not said",
)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
_DIAL = Signal(
    "504, dial tcp … i/o timeout",
    EndedBy.LAYER,
    Phase.CONNECT,
    TimerKind.CONNECT,
    "forwardingTimeouts.dialTimeout",
    "the upstream did not connect in time",
)
_REFUSED = Signal(
    "502, dial tcp", EndedBy.UPSTREAM, Phase.CONNECT, says="no connection to the upstream came about"
)
SIGNALS: Final = (_LEFT, _OWN_504, _DIAL, _OWN_502, _REFUSED, _RELAYED, _UNSAID_5XX, _BROKE_OFF, _WHOLE)
_CLF_LIES: Final = "CLF does not tell a response that broke off from a whole one"


def read(line: str) -> Account | None:
    """One line of the access log in either form; Traefik's other log is passed over."""
    if line.startswith("{"):
        row = json_object(line)
        if "DownstreamStatus" not in row:
            if "level" in row and "time" in row:
                return _why(
                    f'{row.get("msg") or row.get("message") or ""} error="{row.get("error") or ""}"',
                    row["time"],
                )
            raise Unreadable("Traefik's JSON access log has a field 'DownstreamStatus'")
        return _json(row)
    if (match := _CLF.match(line)) is not None:
        return _clf(match)
    if _LEVEL.search(line[:120]):
        time = _OWN_TIME.search(line[:120])
        return _why(line, time[1] if time else None)
    raise Unreadable("neither Traefik's JSON nor its CLF")


def _why(line: str, at: object) -> Account | None:
    """A line of Traefik's own log that tells why it answered with a status of its own; None for any other."""
    match = _WHY.search(line)
    if match is None:
        return None
    status, because = int(match["status"][:3]), match["old"] or match["new"] or ""
    dialled = because.startswith("dial ")
    signal = {499: _LEFT, 504: _DIAL if dialled else _OWN_504, 502: _REFUSED if dialled else _OWN_502}[status]
    return as_account(
        signal,
        signal=f"{match['status']}: {because}"[:160],
        status=status,
        end_s=iso_instant(at),
        coarse_s=1.0,
        remark=True,
    )


def _json(row: dict[str, Any]) -> Account:
    status, size = whole(row.get("DownstreamStatus")), whole(row.get("DownstreamContentSize"))
    signal = _meaning(status, size)
    if signal is _WHOLE and row.get("ServiceName") and not row.get("OriginStatus"):
        signal = _BROKE_OFF
    start_s, duration_s = iso_instant(row.get("StartUTC")), scaled(row.get("Duration"), 1e-9)
    trace_id, parent_id = trace_of(row.get("request_Traceparent"))
    return as_account(
        signal,
        signal=f"DownstreamStatus {status}, OriginStatus {row.get('OriginStatus')}, {size} bytes",
        status=status or None,
        bytes=size,
        end_s=start_s + (duration_s or 0.0) if start_s is not None else None,
        duration_s=duration_s,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(row.get("request_X-Request-Id")),
        path=present(row.get("RequestPath")),
    )


def _clf(match: re.Match[str]) -> Account:
    status, size = whole(match["status"]), whole(match["bytes"])
    signal = _meaning(status, size)
    duration_s = scaled(match["duration"], 0.001)
    begun_s = clf_instant(match["time"])
    request = match["request"].split(" ")
    return as_account(
        signal,
        signal=f"status {status}, {size} bytes",
        caveat=_CLF_LIES if signal is _WHOLE else "",
        status=status,
        bytes=size,
        end_s=begun_s + (duration_s or 0.0) if begun_s is not None else None,
        duration_s=duration_s,
        coarse_s=1.0,
        path=request[1] if len(request) > 1 else None,
    )


def _meaning(status: int | None, size: int | None) -> Signal:
    if status == 499:
        return _LEFT
    if status is None or status < 500:
        return _WHOLE
    if size == _PAGES.get(status):
        return _OWN_504 if status == 504 else _OWN_502
    return _UNSAID_5XX if size is None else _RELAYED


FORMAT: Final = LogFormat(
    name="traefik",
    title="Traefik",
    read=read,
    signals=SIGNALS,
    code="status and size",
    signs=("DownstreamStatus", "499 Client", "502 Bad", "504 Gateway", "ms"),
    hint="set accessLog: format: json",
    recommended="accessLog:\n  format: json\n  fields:\n    headers:\n      defaultMode: drop\n      names:\n"
    "        Traceparent: keep\n        X-Request-Id: keep",
    remarks=(f"{_CLF_LIES}, and has no trace id.",),
)
