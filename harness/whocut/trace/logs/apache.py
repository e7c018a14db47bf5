"""Apache httpd: the access log (our LogFormat, ``combined``, ``common``, with a vhost) and mod_proxy's errors.

Its timeout is a 502, and so is an upstream that died: only the error log tells them apart. ``%X`` is ``-`` for a
connection that it closed, ``X`` for a caller that left.
"""

from __future__ import annotations

import re
from typing import Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import clf_instant, present, refuse_columns_of_another, scaled, trace_of, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

LOG_FORMAT: Final = (
    r'LogFormat "%h %l %u %t \"%r\" %>s %B \"%{Referer}i\" \"%{User-Agent}i\" %X %D %{remote}p '
    r'\"%{traceparent}i\" \"%{X-Request-Id}i\"" whocut'
)
# vhost_combined (Debian's other_vhosts_access.log) has the host and its port before the line.
_ACCESS: Final = re.compile(
    r'^(?:[^\s"]{1,260}:\d{1,5} (?!- ))?(?P<client>\S+) (?P<ident>\S+) \S+ \[(?P<time>[^\]]+)\] '
    r'"(?P<request>(?:[^"\\]|\\.)*+)" '
    r"(?P<status>\d{3}) (?P<bytes>\d+|-)"
    r'(?: "(?:[^"\\]|\\.)*+" "(?:[^"\\]|\\.)*+"'
    r'(?: (?P<how>[X+-]) (?P<duration>\d+) (?P<port>\d+) "(?P<trace>[^"]*)" "(?P<request_id>[^"]*)")?)?'
)
_ERROR: Final = re.compile(
    r"^\[\w{3} (?P<month>\w{3}) (?P<day>\d\d) (?P<time>\d\d:\d\d:\d\d)(?P<micros>\.\d+)? (?P<year>\d{4})\] "
    r"\[(?P<module>[\w-]*):(?P<level>\w+)\] \[pid [^\]]*\] (?P<text>.*)$"
)
_PROCESS: Final = re.compile(r"\[pid ([^\]]*)\]")
_HOST: Final = re.compile(r"[.:]|^localhost$")  # what no name of RFC 1413 has, and a name of this machine
_OWN_NUMBERS: Final = {499: "nginx", 444: "nginx", 460: "alb"}  # statuses that only another product logs
_NEVER_SENT: Final = {"400", "408"}  # with "-" for a request: a connection on which none came
_ERROR_CLIENT: Final = re.compile(r"\[(?:client|remote) ([^\]\s]+):(\d+)\]")
_ERROR_PATH: Final = re.compile(r"returned by (/[^\s,]*)")
_LIES: Final = "Apache logs 200 for a stream that it cut itself; its error log tells"

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_WAIT, _STREAM = Phase.WAIT, Phase.STREAM
ERRORS: Final = (
    Signal(
        "AH01102 … (70007)",
        _LAYER,
        _WAIT,
        TimerKind.FIRST_BYTE,
        "ProxyTimeout",
        "the upstream did not answer in time",
    ),
    Signal(
        "AH01110 … (70007)",
        _LAYER,
        _STREAM,
        TimerKind.IDLE,
        "ProxyTimeout",
        "the upstream was silent in mid-response",
    ),
    Signal("AH01110 … (104)", _UPSTREAM, _STREAM, says="the upstream reset in mid-response"),
    Signal("AH01110 … (70008)", _UPSTREAM, _STREAM, says="the upstream closed in mid-response"),
    Signal("AH01110 … (70014)", _UPSTREAM, _STREAM, says="the upstream closed in mid-response"),
    Signal("AH01102 … (104)", _UPSTREAM, _WAIT, says="the upstream reset before it answered"),
    Signal("AH01102", _UPSTREAM, _WAIT, says="the upstream closed before it answered"),
    Signal(
        "AH01075 … (70007)",
        _LAYER,
        _WAIT,
        TimerKind.FIRST_BYTE,
        "ProxyTimeout",
        "the FastCGI upstream did not answer in time",
    ),
    Signal("AH01075", _UPSTREAM, _WAIT, says="the FastCGI upstream ended before it answered"),
    Signal(
        "AH00957 … (110)",
        _LAYER,
        Phase.CONNECT,
        TimerKind.CONNECT,
        "connectiontimeout",
        "the upstream did not connect in time",
    ),
    Signal("AH00957", _UPSTREAM, Phase.CONNECT, says="no connection to the upstream came about"),
    Signal("AH01114", _UPSTREAM, Phase.CONNECT, says="no connection to the upstream came about"),
    Signal("AH00898", _UPSTREAM, _WAIT, says="what is behind it sent no answer that could be read"),
)
_WORDINGS: Final = tuple((signal, tuple(signal.code.split(" … "))) for signal in ERRORS)
_LEFT = Signal("%X = X", _CLIENT, _STREAM, says="its caller left before the response was whole")
_BAD = Signal(
    "502, 503, 504", EndedBy.UNSAID, says="its timeout, a dead upstream and a relayed answer look the same"
)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
SIGNALS: Final = (_LEFT, _WHOLE, _BAD, *ERRORS)


def read(line: str) -> Account | None:
    """One line of the access log in either form, or of the error log."""
    if (match := _ERROR.match(line)) is not None:
        return _error(match)
    if (match := _ACCESS.match(line)) is not None:
        if _HOST.search(match["ident"]):
            raise Unreadable(f"its second column is a host, '{match['ident'][:60]}', as lighttpd writes it")
        refuse_columns_of_another(line, "apache")
        if int(match["status"]) in _OWN_NUMBERS:
            other = _OWN_NUMBERS[int(match["status"])]
            raise Unreadable(
                f"{match['status']} is a number of {other}'s own, and no status of httpd; give it as {other}=FILE"
            )
        if match["request"] == "-" and match["status"] in _NEVER_SENT:
            return None
        return _access(match)
    raise Unreadable("neither the recommended LogFormat, nor combined, nor a line of the error log")


def _access(match: re.Match[str]) -> Account:
    status = int(match["status"])
    signal = _BAD if status in {502, 503, 504} else _LEFT if match["how"] == "X" else _WHOLE
    duration_s = scaled(match["duration"], 1e-6)
    begun_s = clf_instant(match["time"])  # %t is when the request was received
    request = match["request"].split(" ")
    trace_id, parent_id = trace_of(match["trace"])
    return as_account(
        signal,
        signal=f"status {status}" + (f", %X {match['how']}" if match["how"] else ""),
        caveat=_LIES if signal is _WHOLE else "",
        status=status,
        bytes=whole(match["bytes"]),
        end_s=begun_s + (duration_s or 0.0) if begun_s is not None else None,
        duration_s=duration_s,
        coarse_s=1.0,
        at_begin=duration_s is None,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(match["request_id"]),
        path=request[1] if len(request) > 1 else None,
        keys=(f"{match['client']}:{match['port']}",) if match["port"] else (f"{match['client']}",),
        anonymous=match["how"] is None,
    )


def _error(match: re.Match[str]) -> Account | None:
    text = match["text"]
    found = next((signal for signal, parts in _WORDINGS if all(part in text for part in parts)), None)
    if found is None:
        return None
    client, process = _ERROR_CLIENT.search(text), _PROCESS.search(match[0])
    path = _ERROR_PATH.search(text)
    keys = [f"{client[1]}:{client[2]}", client[1]] if client else []
    return as_account(
        found,
        end_s=clf_instant(
            f"{match['day']}/{match['month']}/{match['year']}:{match['time']}{match['micros'] or ''}"
        ),
        path=path[1] if path else None,
        keys=(*keys, *((f"pid {process[1]}",) if process else ())),
        remark=True,
    )


FORMAT: Final = LogFormat(
    name="apache",
    title="Apache httpd",
    read=read,
    signals=SIGNALS,
    code="access log, or error log",
    signs=("[pid ", '" X ', '" + ', '" - '),
    hint="set the recommended LogFormat, or give the error log",
    recommended=f"{LOG_FORMAT}\nCustomLog logs/access.log whocut\nErrorLog logs/error.log",
    remarks=(
        "`combined`, `vhost_combined` and `common` are read as far as they go.",
        "Give both logs: a 502 of the access log alone stays unsaid.",
        "Without the recommended LogFormat an error line is joined by its client, where one request alone fits.",
        "Apache does not notice a caller that leaves while it waits: such a request looks like its own timeout.",
        "The error log speaks local time without a zone; it is taken to be UTC.",
    ),
)
