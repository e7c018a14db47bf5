"""gunicorn: the access log (our format, or its default, which is ``combined``) and the error log.

Its timeout kills the worker and with it the request. The access log has a 500 for it, or a 200 where the response
had begun, as for an app that failed: only the error log tells, and the worker's process joins the two.
"""

from __future__ import annotations

import re
from typing import Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import clf_instant, iso_instant, present, scaled, trace_of, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

ACCESS_FORMAT: Final = (
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %(p)s "%({traceparent}i)s" '
    '"%({x-request-id}i)s"'
)
_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
_ACCESS: Final = re.compile(
    r'^\S+ - \S+ \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*+)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
    rf"{_QUOTED} {_QUOTED}"
    r'(?: (?P<duration>\d+\.\d+) <(?P<pid>\d+)> "(?P<trace>[^"]*)" "(?P<request_id>[^"]*)")?$'
)
_ERROR: Final = re.compile(
    r"^\[(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d) (?P<zone>[+-]\d{4})\] \[(?P<pid>\d+)\] "
    r"\[(?P<level>[A-Z]+)\] (?P<text>.*)$"
)
_WORKER: Final = re.compile(r"\(pid:(\d+)\)")
_RAISED: Final = re.compile(r"^Error handling request(?: (?P<method>[A-Z]+) )?(?P<path>\S+)?$")
_TRACEBACK: Final = re.compile(
    r'^(?:Traceback \(most recent|File "[^"]{1,400}", line \d|[\^~ ]{1,200}$'
    r"|[\w.]{1,120}(?:Error|Exception|Exit|Interrupt)(?:$|: ))"
)

_LAYER, _UPSTREAM, _UNSAID = EndedBy.LAYER, EndedBy.UPSTREAM, EndedBy.UNSAID
_TIMEOUT = Signal(
    "WORKER TIMEOUT",
    _LAYER,
    None,  # the line says no phase: the timeout is of the whole request, streaming or not
    TimerKind.TOTAL,
    "timeout",
    "its worker gave no sign for too long and was killed",
)
_KILLED = Signal("was sent SIGKILL", _UNSAID, says="its worker was killed, by what is not said")
_FAILED = Signal(
    "Error handling request METHOD PATH",
    _UPSTREAM,
    Phase.WAIT,
    says="the app raised an error",
    handed_on=True,
)
_FAILED_LATE = Signal(
    "Error handling request", _UPSTREAM, Phase.STREAM, says="the app raised an error in mid-response"
)
_OWN_500 = Signal(
    "500", _UNSAID, says="its timeout, an error of the app and an answer of the app look the same"
)
_RELAYED = Signal("another 5xx", _UPSTREAM, Phase.WAIT, says="the app answered so", handed_on=True)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
SIGNALS: Final = (_TIMEOUT, _KILLED, _FAILED, _FAILED_LATE, _OWN_500, _RELAYED, _WHOLE)
_LIES: Final = "gunicorn logs 200 for a stream that its timeout cut and for one whose caller left"


def read(line: str) -> Account | None:
    """One line of the access log in either form, or of the error log; a traceback is passed over."""
    if (match := _ERROR.match(line)) is not None:
        return _error(match)
    if (match := _ACCESS.match(line)) is not None:
        return _access(match)
    if _TRACEBACK.match(line):
        return None
    raise Unreadable(
        "neither the recommended access_log_format, nor its default, nor a line of the error log"
    )


def _access(match: re.Match[str]) -> Account:
    status = int(match["status"])
    signal = _OWN_500 if status == 500 else _RELAYED if status > 500 else _WHOLE
    request = match["request"].split(" ")
    trace_id, parent_id = trace_of(match["trace"])
    return as_account(
        signal,
        signal=f"status {status}",
        caveat=_LIES if signal is _WHOLE else "",
        status=status,
        bytes=whole(match["bytes"]),
        end_s=clf_instant(match["time"]),  # %(t)s is when the line is written
        # The duration of a 500 of its own is that of writing it.
        duration_s=None if signal is _OWN_500 else scaled(match["duration"], 1.0),
        coarse_s=1.0,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(match["request_id"]),
        path=request[1] if len(request) > 1 else None,
        keys=(f"pid {match['pid']}",) if match["pid"] else (),
        anonymous=match["pid"] is None,
    )


def _error(match: re.Match[str]) -> Account | None:
    text = match["text"]
    worker, raised = _WORKER.search(text), _RAISED.match(text)
    if raised is not None and match["level"] == "ERROR":
        signal, pid = _FAILED if raised["path"] else _FAILED_LATE, match["pid"]
    elif worker is not None and text.startswith("WORKER TIMEOUT"):
        signal, pid = _TIMEOUT, worker[1]
    elif worker is not None and _KILLED.code in text:
        signal, pid = _KILLED, worker[1]
    else:
        return None
    return as_account(
        signal,
        end_s=iso_instant(f"{match['day']}T{match['time']}{match['zone']}"),
        coarse_s=1.0,
        path=raised["path"] if raised else None,
        keys=(f"pid {pid}",),
        remark=True,
    )


FORMAT: Final = LogFormat(
    name="gunicorn",
    title="gunicorn",
    read=read,
    signals=SIGNALS,
    code="access log, or error log",
    signs=('> "',),
    hint="set the recommended access_log_format, or give the error log",
    recommended=f'access_log_format = \'{ACCESS_FORMAT}\'\naccesslog = "access.log"\nerrorlog = "error.log"',
    remarks=(
        f"{_LIES}: give both logs.",
        "A WORKER TIMEOUT names no request: the worker's process (`%(p)s`) joins it to one.",
        "The lines of source in a traceback are counted as unreadable.",
    ),
)
