"""NGINX: the access log (our ``log_format``, or ``combined`` as far as it goes) and the error log.

The access log calls a stream that nginx cut itself a success (``200``, completion ``OK``): only the error log
tells. `$request_completion` is empty where the caller left.
One file, because reading, counting and taking apart by an engine must mean the same by one table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs import nginx_products, sql
from whocut.trace.logs.fields import (
    MONTHS,
    clf_instant,
    is_minute,
    is_named,
    json_object,
    number,
    plain_text,
    present,
    refuse_columns_of_another,
    scaled,
    trace_of,
    whole,
)
from whocut.trace.logs.records import Account, Columns, EndedBy, LogFormat, Signal, Unreadable, as_account

if TYPE_CHECKING:
    from collections.abc import Hashable

LOG_FORMAT: Final = """log_format whocut escape=json '{"time":$msec,"trace":"$http_traceparent",'
    '"request_id":"$http_x_request_id","pid":$pid,"connection":$connection,"method":"$request_method",'
    '"path":"$uri","status":$status,"completion":"$request_completion","bytes":$body_bytes_sent,'
    '"duration":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status",'
    '"upstream_header_time":"$upstream_header_time","upstream_response_time":"$upstream_response_time"}';"""
_COMBINED: Final = re.compile(
    r'^(?P<client>\S+) (?P<ident>\S+) \S+ \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*+)" '
    r'(?P<status>\d{3}) (?P<bytes>\d+|-)(?P<agents>(?: "(?:[^"\\]|\\.)*+"){2})?(?P<more>.*)$'
)
# The same where nothing is escaped, and nothing is behind the agent.
_PLAIN: Final = re.compile(
    r'\S+ - \S+ \[(\d\d/\w{3}/\d{4}:\d\d:\d\d):\d\d( [+-]\d{4})\] "[^"\\]*" (\d{3}) (?:\d+|-) "[^"\\]*" "[^"\\]*"'
)
# ingress-nginx' upstreaminfo, behind combined: $request_length $request_time [$proxy_upstream_name]
# [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time
# $upstream_status $req_id; each of the four has one value a try.
_INGRESS: Final = re.compile(
    r"^ (?P<length>\d+) (?P<duration>\d+\.\d+) \[(?P<upstream>[^\]]*)\] \[[^\]]*\] (?P<addresses>\S+(?:, \S+)*) "
    r"(?P<lengths>[\d-]+(?:, [\d-]+)*) (?P<times>[\d.-]+(?:, [\d.-]+)*) (?P<statuses>[\d-]+"
    r"(?:, [\d-]+)*)(?: (?P<id>\S+))?$"
)
# What many put behind combined by hand: rt=60.001 uht="-" ustatus=504.
_NAMED: Final = re.compile(
    r"(?<![\w.])(?P<name>rt|request_time|uht|upstream_header_time|us|ustatus"
    r"|upstream_status)[=:][ ]?\"?(?P<value>[\d., -]+)\"?"
)
_ERROR: Final = re.compile(
    r"^(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d) (?P<time>\d\d:\d\d:\d\d) \[(?P<level>\w+)\] (?P<pid>\d+)#\d+: "
    r"(?:\*(?P<connection>\d+) )?(?P<text>.*)$"
)
_ERROR_PATH: Final = re.compile(r', request: "\S+ (\S+)')
_ERROR_ASKED: Final = re.compile(r', request: "([^"]*)"')
_ERROR_PEER: Final = re.compile(r', upstream: "([a-z]+)://([^/"]*)')
# The same timer has another name in front of another protocol.
_BY_PROTOCOL: Final = {
    "fastcgi": "fastcgi",
    "uwsgi": "uwsgi",
    "scgi": "scgi",
    "grpc": "grpc",
    "grpcs": "grpc",
}
_ERROR_CLIENT: Final = re.compile(r", client: ([^,\s]+)")
_MONTH: Final = {f"{number:02}": name for name, number in MONTHS.items()}
_LIES: Final = "nginx logs 200 and completion OK for a stream that it cut itself; only its error log tells"

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_READ: Final = "proxy_read_timeout"
_INGRESS_READ: Final = "proxy-read-timeout"
_FAILED: Final = frozenset({500, 502, 503, 504})
# The error log: what the message says, in the order in which the wordings are tried.
ERRORS: Final = (
    Signal(
        "upstream timed out … while connecting to upstream",
        _LAYER,
        _CONNECT,
        TimerKind.CONNECT,
        "proxy_connect_timeout",
        "the upstream did not connect in time",
    ),
    Signal(
        "upstream timed out … while sending request to upstream",
        _LAYER,
        _SEND,
        TimerKind.IDLE,
        "proxy_send_timeout",
        "the upstream did not take the request",
    ),
    Signal(
        "upstream timed out … while reading response header from upstream",
        _LAYER,
        _WAIT,
        TimerKind.FIRST_BYTE,
        _READ,
        "the upstream did not answer in time",
    ),
    Signal(
        "no live upstreams while connecting to upstream",
        _UPSTREAM,
        _CONNECT,
        None,
        None,
        "no peer was up: each had failed before",
    ),
    Signal(
        "upstream timed out … while reading upstream",
        _LAYER,
        _STREAM,
        TimerKind.IDLE,
        _READ,
        "the upstream was silent in mid-response",
    ),
    Signal(
        "upstream timed out … while proxying upgraded connection",
        _LAYER,
        _STREAM,
        TimerKind.IDLE,
        _READ,
        "an upgraded connection was silent",
    ),
    Signal(
        "client prematurely closed connection … while reading upstream",
        _CLIENT,
        _STREAM,
        says="its caller left in mid-response",
    ),
    Signal(
        "client prematurely closed connection … while sending to client",
        _CLIENT,
        _STREAM,
        says="its caller left in mid-response",
    ),
    Signal("client prematurely closed connection", _CLIENT, _WAIT, says="its caller left while it waited"),
    Signal(
        "client timed out … while sending to client",
        _LAYER,
        _STREAM,
        TimerKind.IDLE,
        "send_timeout",
        "its caller took no bytes for too long",
    ),
    Signal(
        "client timed out",
        _LAYER,
        _SEND,
        TimerKind.IDLE,
        "client_body_timeout",
        "its caller was too slow with the request",
    ),
    Signal(
        "upstream prematurely closed connection while reading response header",
        _UPSTREAM,
        _WAIT,
        says="the upstream closed before it answered",
    ),
    Signal(
        "failed (104: Connection reset by peer) while reading response header",
        _UPSTREAM,
        _WAIT,
        says="the upstream reset before it answered",
    ),
    Signal(
        "failed (111: Connection refused) while connecting",
        _UPSTREAM,
        _CONNECT,
        says="the upstream refused the connection",
    ),
    Signal(
        "upstream prematurely closed connection while reading upstream",
        _UPSTREAM,
        _STREAM,
        says="the upstream closed in mid-response",
    ),
    Signal(
        "failed (104: Connection reset by peer) while reading upstream",
        _UPSTREAM,
        _STREAM,
        says="the upstream reset in mid-response",
    ),
    Signal("failed (113: No route to host)", _UPSTREAM, _CONNECT, says="there is no route to the upstream"),
    Signal(
        "while SSL handshaking to upstream",
        _UPSTREAM,
        _CONNECT,
        says="the TLS handshake with the upstream failed",
    ),
    Signal(
        "upstream sent too big header",
        _LAYER,
        _WAIT,
        directive="proxy_buffer_size",
        says="the response's head was too big for it",
    ),
    Signal("upstream sent no valid HTTP", _UPSTREAM, _WAIT, says="the upstream's answer was no HTTP"),
    Signal("upstream sent invalid", _UPSTREAM, _WAIT, says="the upstream's answer was invalid"),
)
_WORDINGS: Final = tuple((signal, tuple(signal.code.split(" … "))) for signal in ERRORS)

_WHOLE = Signal("completion OK", EndedBy.NONE, says="no hop, as far as the access log knows")
_LEFT_WAITING = Signal("499", _CLIENT, _WAIT, says="its caller left before anything was sent")
_LEFT_STREAMING = Signal("completion empty", _CLIENT, _STREAM, says="its caller left in mid-response")
_OWN_504 = Signal(
    "504, upstream_status 504, no upstream_header_time",
    _LAYER,
    _WAIT,
    TimerKind.FIRST_BYTE,
    _READ,
    "the upstream did not answer in time",
)
_RELAYED = Signal(
    "5xx with an upstream_header_time", _UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True
)
_OWN_502 = Signal(
    "502, no upstream_header_time", _UPSTREAM, _WAIT, says="the upstream ended before it answered"
)
_SLOW_CALLER = Signal(
    "408", _LAYER, _SEND, TimerKind.IDLE, "client_body_timeout", "its caller was too slow with the request"
)
_UNSAID = Signal(
    "combined: 5xx",
    EndedBy.UNSAID,
    says="combined does not tell its own 502 or 504 from one that it passed on",
)
SIGNALS: Final = (
    _LEFT_WAITING,
    _LEFT_STREAMING,
    _OWN_504,
    _OWN_502,
    _RELAYED,
    _SLOW_CALLER,
    _WHOLE,
    _UNSAID,
    *nginx_products.SIGNALS,
    *ERRORS,
)


def read(line: str) -> Account | None:
    """One line of the access log in either form, or of the error log."""
    if line.startswith("{"):
        return _access(json_object(line))
    if (match := _ERROR.match(line)) is not None:
        return _error(match)
    if (match := _COMBINED.match(line) or nginx_products.APISIX.match(line)) is not None:
        if match["ident"] != "-":
            raise Unreadable(f"nginx writes '-' as the second column, and this is '{match['ident'][:60]}'")
        refuse_columns_of_another(line, "nginx")
        return _combined(match)
    raise Unreadable("neither the recommended log_format, nor combined, nor a line of error.log")


def _access(row: dict[str, Any]) -> Account:
    if "completion" not in row or "upstream_status" not in row:
        raise Unreadable("the recommended log_format has fields 'completion' and 'upstream_status'")
    status = whole(row.get("status"))
    header_time = _last(row.get("upstream_header_time"))
    signal = _meaning(status, completed=row["completion"] == "OK", answered=header_time is not None)
    trace_id, parent_id = trace_of(row.get("trace"))
    return as_account(
        signal,
        signal=f"status {status}, completion {row['completion'] or 'empty'}, header_time {header_time}",
        caveat=_LIES if signal is _WHOLE else "",
        status=status,
        bytes=whole(row.get("bytes")),
        end_s=number(row.get("time")),
        duration_s=scaled(row.get("duration"), 1.0),
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(row.get("request_id")),
        path=present(row.get("path")),
        keys=(f"{row.get('pid')}/{row.get('connection')}",),
    )


def _meaning(status: int | None, *, completed: bool, answered: bool) -> Signal:
    if status == 499:
        return _LEFT_WAITING
    if status == 408:
        return _SLOW_CALLER
    if status in {502, 503, 504}:
        if answered:
            return _RELAYED
        return _OWN_504 if status == 504 else _OWN_502
    return _WHOLE if completed else _LEFT_STREAMING


def _last(times: object) -> float | None:
    """The last try's time: nginx writes ``0.001, 60.002``, and ``-`` where no header came."""
    if times == "-":
        return None
    text = times if type(times) is str else str(times or "-")
    if "," in text or ":" in text:
        text = re.split(r"[,:]\s*", text)[-1]
    return number(text)


def _combined(match: re.Match[str]) -> Account:
    status = int(match["status"])
    tries = _INGRESS.match(match["more"])
    built_on = nginx_products.told_in(match)
    named = {} if built_on else {one["name"]: one["value"] for one in _NAMED.finditer(match["more"])}
    if tries is not None:
        # Its own 504 has no bytes of the upstream's; an upstream's 504 has a body.
        answered = status in _FAILED and _last(tries["lengths"]) not in {None, 0.0}
        signal = _meaning(status, completed=True, answered=answered)
    elif built_on and built_on.unsaid:
        signal = built_on.unsaid
    elif status in _FAILED and (header := named.get("uht") or named.get("upstream_header_time")):
        signal = _meaning(status, completed=True, answered=_last(header) is not None)
    else:
        signal = _UNSAID if status in _FAILED else _meaning(status, completed=True, answered=False)
    request = match["request"].split(" ")
    duration = tries["duration"] if tries else named.get("rt") or named.get("request_time")
    statuses = tries["statuses"] if tries else built_on and built_on.statuses
    request_id = tries["id"] if tries else built_on and built_on.request_id
    keys = (f"{match['client']} {request[1]}",) if len(request) > 1 else ()
    if built_on and request_id:
        keys = (f"id {request_id}", *keys)
    return as_account(
        signal,
        signal=f"status {status}" + (f", upstream_status {statuses}" if statuses else ""),
        caveat=_LIES if signal is _WHOLE else "",
        directive=_INGRESS_READ if tries and signal is _OWN_504 else signal.directive,
        status=status,
        bytes=whole(match["bytes"]),
        end_s=clf_instant(match["time"]),
        duration_s=scaled(duration.strip(), 1.0) if duration else built_on and built_on.duration_s,
        coarse_s=1.0,
        request_id=request_id,
        path=request[1] if len(request) > 1 else None,
        keys=keys,
        # A 499 is nginx' own number, whatever else the form leaves open.
        anonymous=tries is None and built_on is None and status != 499,
        product="ingress-nginx" if tries else built_on and built_on.product,
        asked=match["request"],
    )


def glance(line: bytes) -> tuple[Hashable, float] | None:
    """What decides in a line of the access log."""
    if not line.startswith(b"{"):
        return _glance_combined(plain_text(line))
    row = orjson.loads(line)
    status, took_s = row["status"], row["duration"]
    if "upstream_status" not in row or (type(row["time"]) is not float and number(row["time"]) is None):
        return None
    if type(took_s) is not float or took_s < 0:
        took_s = scaled(took_s, 1.0) or 0.0
    signature = (
        status if type(status) is int else whole(status),
        row["completion"] == "OK",
        _last(row.get("upstream_header_time")) is not None,
        is_named(row.get("request_id"), row.get("trace")),
    )
    return signature, took_s


def _glance_combined(line: str) -> tuple[Hashable, float] | None:
    """Combined as it is, or what ingress-nginx writes behind it."""
    if (plain := _PLAIN.fullmatch(line)) is not None:
        minute, zone, status = plain.groups()
        return (("combined", status), 0.0) if is_minute(minute, zone) else None
    match = _COMBINED.match(line)
    if match is None or match["ident"] != "-" or '\\"' in line:
        return None
    at, tries = match["time"], _INGRESS.match(match["more"])
    if at[17:18] != ":" or not at[18:20].isdecimal() or not is_minute(at[:17], at[20:]):
        return None
    if not match["more"]:
        return ("combined", match["status"]), 0.0
    if tries is None:
        return None
    answered = _last(tries["lengths"]) not in {None, 0.0}
    signature = ("ingress", match["status"], answered, tries["id"] is not None)
    return signature, scaled(tries["duration"], 1.0) or 0.0


def _error(match: re.Match[str]) -> Account | None:
    text = match["text"]
    found = next((signal for signal, parts in _WORDINGS if all(part in text for part in parts)), None)
    if found is None or ", client: " not in text:
        return None  # a start, a warning, a connection without a client
    day = f"{match['day']}/{_MONTH.get(match['month'], '')}/{match['year']}"
    path, client = _ERROR_PATH.search(text), _ERROR_CLIENT.search(text)
    peer, asked = _ERROR_PEER.search(text), _ERROR_ASKED.search(text)
    directive = found.directive
    if peer and directive and peer[1] in _BY_PROTOCOL:
        directive = directive.replace("proxy_", f"{_BY_PROTOCOL[peer[1]]}_")
    request_id = nginx_products.id_in_error(text)
    keys = [f"id {request_id}"] if request_id else []
    keys.append(f"{match['pid']}/{match['connection']}")
    if path and client:
        keys.append(f"{client[1]} {path[1]}")
    return as_account(
        found,
        end_s=clf_instant(f"{day}:{match['time']}"),
        coarse_s=1.0,
        directive=directive,
        path=path[1] if path else None,
        request_id=request_id,
        keys=tuple(keys),
        remark=True,
        peer=peer[2] if peer else None,
        asked=asked[1] if asked else None,
    )


_JSON: Final = sql.JsonLine(
    (
        *("time:number", "trace", "request_id", "pid:whole", "connection:whole", "method", "path"),
        *("status:whole", "completion", "bytes:whole", "duration:number", "upstream", "upstream_status"),
        *("upstream_header_time", "upstream_response_time"),
    )
)
_LAST_TRY: Final = f"trim(split_part({_JSON.text('upstream_header_time')}, ',', -1))"
_STATUS: Final = "split_part(p[3], ' ', 2)"
_BYTES: Final = "split_part(p[3], ' ', 3)"
_COMBINED_TIME: Final = "split_part(split_part(p[1], '[', 2), ']', 1)"
COLUMNS: Final = (
    Columns(
        form="the recommended log_format",
        parts=_JSON.parts,
        fits=f"{_JSON.fits} and ({_LAST_TRY} in ('', '-') or {sql.is_number(_LAST_TRY)}) "
        f"and {_JSON.text('completion')} in ('', 'OK')",
        decides=(_JSON.whole("status"), _JSON.text("completion"), f"{_LAST_TRY} in ('', '-')"),
        status=_JSON.whole("status"),
        end_s=_JSON.number("time"),
        duration_s=_JSON.number("duration"),
        traceparent=_JSON.text("trace"),
        request_id=_JSON.text("request_id"),
        path=_JSON.text("path"),
        key=f"concat({_JSON.whole('pid')}, '/', {_JSON.whole('connection')})",
    ),
    Columns(
        form="combined",
        parts="string_split(line, '\"')",
        # Client, ident, user and time are apart by single blanks; behind the agent nothing follows.
        fits="len(p) = 7 and p[7] = '' and p[5] = ' ' and not contains(line, '\\') "
        r"and regexp_full_match(p[1], '\S+ - \S+ \[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}\] ') "
        r"and regexp_full_match(p[3], ' \d{3} (?:\d{1,15}|-) ') "
        f"and {sql.clf_instant(_COMBINED_TIME)} is not null",
        decides=(_STATUS,),
        status=f"try_cast({_STATUS} as integer)",
        end_s=sql.clf_instant(_COMBINED_TIME),
        duration_s="cast(null as double)",
        path="split_part(p[2], ' ', 2)",
        key="case when contains(p[2], ' ') "
        "then concat(split_part(p[1], ' ', 1), ' ', split_part(p[2], ' ', 2)) else '' end",
    ),
)
FORMAT: Final = LogFormat(
    name="nginx",
    columns=COLUMNS,
    glance=glance,
    title="NGINX",
    read=read,
    signals=SIGNALS,
    code="access log, or error.log's message",
    signs=("#", '"completion"', "] [", " 499 ", *nginx_products.SIGNS),
    hint="set the recommended log_format, or give error.log",
    recommended=f"# in http {{ }}\n{LOG_FORMAT}\naccess_log /var/log/nginx/access.log whocut;\n"
    "error_log /var/log/nginx/error.log info;  # info: it tells of callers that left",
    remarks=(
        f"{_LIES}: give both logs.",
        "`combined` is read too: it has no trace id, no duration, and does not tell its own 504 from another's.",
        "The default forms of ingress-nginx, Kong and APISIX are read with what they have behind it: `kong=FILE`.",
        "The error log speaks local time without a zone; it is taken to be UTC.",
    ),
)
