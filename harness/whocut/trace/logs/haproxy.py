"""HAProxy: ``option httplog``, ``option tcplog``, and the JSON we recommend. All carry the termination state.

Its first character says who ended the session, its second in which phase it was (configuration.txt §8.5). An
instant of the default format has no zone; it is taken to be UTC.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs import sql
from whocut.trace.logs.fields import (
    clf_instant,
    is_minute,
    is_named,
    json_object,
    number,
    plain_text,
    present,
    scaled,
    trace_of,
    whole,
)
from whocut.trace.logs.records import Account, Columns, EndedBy, LogFormat, Signal, Unreadable, as_account

if TYPE_CHECKING:
    from collections.abc import Hashable

LOG_FORMAT: Final = (
    'log-format \'{"time":%Ts.%ms,"trace":"%[capture.req.hdr(0)]","request_id":"%[capture.req.hdr(1)]",'
    '"method":"%HM","path":"%HPO","status":%ST,"bytes":%B,"state":"%tsc","frontend":"%ft","backend":"%b",'
    '"server":"%s","TR":%TR,"Tw":%Tw,"Tc":%Tc,"Tr":%Tr,"Ta":%Ta,"retries":%rc}\''
)
CAPTURES: Final = (
    "http-request capture req.hdr(traceparent) len 64\n  http-request capture req.hdr(x-request-id) len 64"
)
_LINE: Final = re.compile(
    r"\[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d\.\d+)\] (?P<frontend>\S+) (?P<backend>[^/\s]+)/(?P<server>\S+) "
    r"(?P<TR>-?\d+)/(?P<Tw>-?\d+)/(?P<Tc>-?\d+)/(?P<Tr>-?\d+)/\+?(?P<Ta>-?\d+) (?P<status>-?\d+) \+?(?P<bytes>\d+) "
    r"\S+ \S+ (?P<state>\S{4}) \S+ \S+ (?:\[?\{(?P<captured>[^}]*)\}\]? )?(?:\[?\{[^}]*\}\]? )?(?:\[\] )?"
    r"\"(?P<request>[^\"]*)"
)
# `option tcplog`, the default of `mode tcp`: a connection, which has no status and no path.
_TCP_LINE: Final = re.compile(
    r"\[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d\.\d+)\] \S+ [^/\s]+/\S+ -?\d+/-?\d+/\+?(?P<Ta>-?\d+) "
    r"\+?(?P<bytes>\d+) (?P<state>[A-Za-z-]{2}) \d+/\d+/\d+/\d+/\+?\d+ \d+/\d+(?!\S)"
)
# The same without what no verdict hangs on.
_DECIDING: Final = re.compile(
    re.sub(r"\?P<(?!time|Ta|status|state|captured)\w+>", "?:", _LINE.pattern.rpartition("(")[0])
)
_BLIND: Final = "HAProxy up to 2.6 says so too of a caller that had left before (no option abortonclose)"

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_FIRST, _IDLE = TimerKind.FIRST_BYTE, TimerKind.IDLE
SIGNALS: Final = (
    Signal("--", EndedBy.NONE, says="no hop: it went through whole"),
    Signal("--, 5xx", _UPSTREAM, _WAIT, says="the upstream answered so", handed_on=True),
    Signal("CR", _CLIENT, _SEND, says="its caller left before the request was whole"),
    Signal("cR", _LAYER, _SEND, _IDLE, "timeout http-request", "its caller was too slow with the request"),
    Signal("CQ", _CLIENT, _CONNECT, says="its caller left while it waited in the queue"),
    Signal("sQ", _LAYER, _CONNECT, TimerKind.CONNECT, "timeout queue", "it waited in the queue too long"),
    Signal("CC", _CLIENT, _CONNECT, says="its caller left while it was connecting"),
    Signal("SC", _UPSTREAM, _CONNECT, says="the upstream refused or reset the connection"),
    Signal(
        "sC", _LAYER, _CONNECT, TimerKind.CONNECT, "timeout connect", "the upstream did not connect in time"
    ),
    Signal("PC", _LAYER, _CONNECT, says="it could make no connection: a limit of sockets"),
    Signal("RC", _LAYER, _CONNECT, says="it could make no connection: a limit of its own resources"),
    Signal("CH", _CLIENT, _WAIT, says="its caller left while it waited for the response"),
    Signal("cH", _LAYER, _SEND, _IDLE, "timeout client", "its caller was silent in mid-request"),
    Signal("SH", _UPSTREAM, _WAIT, says="the upstream closed or reset before it answered"),
    Signal("sH", _LAYER, _WAIT, _FIRST, "timeout server", "the upstream did not answer in time"),
    Signal("PH", _LAYER, _WAIT, says="it blocked the upstream's response, or found it invalid"),
    Signal("LH", EndedBy.NONE, says="it answered by itself, by a rule"),
    Signal("LR", EndedBy.NONE, says="it answered by itself, by a rule"),
    Signal("LC", EndedBy.NONE, says="it answered by itself, by a rule"),
    Signal("CD", _CLIENT, _STREAM, says="its caller left in mid-response"),
    Signal("cD", _LAYER, _STREAM, _IDLE, "timeout client", "its caller took no bytes for too long"),
    Signal("SD", _UPSTREAM, _STREAM, says="the upstream closed or reset in mid-response"),
    Signal("sD", _LAYER, _STREAM, _IDLE, "timeout server", "the upstream was silent in mid-response"),
    Signal("PD", _LAYER, _STREAM, says="it found the response's chunks invalid"),
    Signal("CL", _CLIENT, _STREAM, says="its caller left before the last bytes"),
    Signal("cL", _LAYER, _STREAM, _IDLE, "timeout client", "its caller did not take the last bytes"),
    Signal("CT", _CLIENT, _SEND, says="its caller left the tarpit"),
    Signal("PT", _LAYER, _SEND, directive="timeout tarpit", says="it kept the request in the tarpit"),
    Signal("PR", _LAYER, _SEND, says="it denied the request"),
    Signal("D*", _LAYER, says="it was killed because its server went down"),
    Signal("U*", _LAYER, says="it was killed because a backup server was left for another"),
    Signal("K*", _LAYER, says="it was killed by an operator"),
    Signal("I*", _LAYER, says="it was ended by an internal error"),
)
_BY_CODE: Final = {signal.code: signal for signal in SIGNALS}


# An access line begins so; what is no request's begins so too, and goes on with words behind a colon.
_BEGUN: Final = re.compile(r"(?:^|[ \]])[0-9A-Fa-f.:]{3,45}:\d{1,5} \[\d\d/[A-Z][a-z]{2}/\d{4}:")
_OF_NO_REQUEST: Final = re.compile(r"\] \S{1,200}: [A-Za-z]")
_ID: Final = re.compile(r"(?=[^|]*\d)[A-Za-z0-9_:=+-]{8,128}")


def read(line: str) -> Account | None:
    """One line of any form; a syslog prefix does not matter."""
    start = line.find('{"time"')
    if start >= 0:
        return _read_json(json_object(line[start:]))
    match = _LINE.search(line)
    if match is None and (tcp := _TCP_LINE.search(line)) is not None:
        return _read_tcp(tcp.groupdict())
    if match is None:
        if _BEGUN.search(line) and not _OF_NO_REQUEST.search(line):
            raise Unreadable("an access line that does not go on to its end")
        if "haproxy" in line.lower() or line.startswith(("[", "<")) or " has no server available" in line:
            return None  # a start, a warning, a health check
        raise Unreadable("neither option httplog, nor option tcplog, nor the recommended JSON")
    has = match.groupdict()
    trace_id, parent_id = trace_of((has["captured"] or "").split("|")[0])
    return _account(
        has,
        accepted_s=clf_instant(has["time"]),
        path=has["request"].split(" ")[1] if " " in has["request"] else None,
        trace=(trace_id, parent_id),
        request_id=_request_id(has["captured"]),
    )


def _read_tcp(has: dict[str, Any]) -> Account:
    """A connection's line. Where no byte had come back, its end in the data phase was an end before the answer."""
    state, code = has["state"], has["state"]
    if whole(has["bytes"]) == 0 and state in {"CD", "SD", "sD"}:
        code = f"{state[0]}H"
    return _account(
        has | {"state": code},
        accepted_s=clf_instant(has["time"]),
        path=None,
        trace=(None, None),
        request_id=None,
        words=f"{state}, {has['bytes']} bytes",
    )


def _request_id(captured: str | None) -> str | None:
    """The id among what was captured: behind the trace as we recommend it, else what reads as one.

    Other captures are a host or an agent, which many requests have in common.
    """
    first, *more = (captured or "").split("|")
    if more and (present(first) is None or trace_of(first) != (None, None)):
        return present(more[0])
    fields = (first, *more)
    return next((field for field in fields if _ID.fullmatch(field) and trace_of(field) == (None, None)), None)


def _read_json(row: dict[str, Any]) -> Account:
    if "state" not in row or "Ta" not in row:
        raise Unreadable("the recommended JSON has fields 'state' and 'Ta'")
    return _account(
        row,
        accepted_s=number(row.get("time")),
        path=present(row.get("path")),
        trace=trace_of(row.get("trace")),
        request_id=present(row.get("request_id")),
    )


def _account(
    has: dict[str, Any],
    *,
    accepted_s: float | None,
    path: str | None,
    trace: tuple[str | None, str | None],
    request_id: str | None,
    words: str = "",
) -> Account:
    state = str(has["state"])
    signal = _BY_CODE.get(state[:2]) or _BY_CODE.get(f"{state[:1]}*")
    if signal is None:
        signal = Signal(state, EndedBy.UNSAID, says="a termination state that is not known here")
    duration_s = scaled(has["Ta"], 0.001)
    status = whole(has.get("status"))
    if signal.ended_by is EndedBy.NONE and status is not None and status >= 500 and state.startswith("--"):
        signal = _BY_CODE["--, 5xx"]
    return as_account(
        signal,
        signal=words or f"{state} {status}",
        caveat=_BLIND if signal.code in {"sH", "sD"} else "",
        status=status if status and status > 0 else None,
        bytes=whole(has.get("bytes")),
        end_s=accepted_s + (duration_s or 0.0) if accepted_s is not None else None,
        duration_s=duration_s,
        trace_id=trace[0],
        parent_id=trace[1],
        request_id=request_id,
        path=path,
    )


def glance(line: bytes) -> tuple[Hashable, float] | None:
    """What decides in a line of either form."""
    if line.startswith(b'{"time"'):
        row = orjson.loads(line)
        state, status = row["state"], row.get("status")
        if type(state) is not str or number(row.get("time")) is None:
            return None
        named = is_named(row.get("request_id"), row.get("trace"))
        return (state, status if type(status) is int else whole(status), named), scaled(
            row["Ta"], 0.001
        ) or 0.0
    text = plain_text(line)
    match = None if '{"time"' in text else _DECIDING.search(text)
    if match is None:
        return None
    at, took_ms, status, state, captured = match.groups()
    if not is_minute(at[:17]):
        return None
    named = captured is not None and (
        trace_of(captured.split("|")[0])[0] is not None or _request_id(captured) is not None
    )
    return (state, status, named), scaled(took_ms, 0.001) or 0.0


_JSON: Final = sql.JsonLine(
    (
        *("time:number", "trace", "request_id", "method", "path", "status:signed", "bytes:whole", "state"),
        *("frontend", "backend", "server", "TR:signed", "Tw:signed", "Tc:signed", "Tr:signed", "Ta:signed"),
        "retries:whole",
    )
)
_TRACED: Final = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\|[^|]*"


def _columns(form: str, parts: str, fits: str, fields: dict[str, str], accepted_s: str) -> Columns:
    """Both forms say the same, in other places."""
    status, took_ms = (f"try_cast({fields[name]} as integer)" for name in ("status", "Ta"))
    took_s = f"case when {took_ms} >= 0 then cast({took_ms} as double) * cast(0.001 as double) end"
    return Columns(
        form=form,
        parts=parts,
        fits=f"{fits} and {status} is not null and {took_ms} is not null",
        decides=(fields["state"], status),
        status=f"case when {status} > 0 then {status} end",
        end_s=f"{accepted_s} + coalesce({took_s}, 0)",
        duration_s=took_s,
        traceparent=fields["trace"],
        request_id=fields["request_id"],
        path=fields["path"],
    )


COLUMNS: Final = (
    _columns(
        "the recommended log-format",
        _JSON.parts,
        _JSON.fits,
        {name: _JSON.text(name) for name in ("trace", "request_id", "path", "state")}
        | {name: _JSON.whole(name) for name in ("status", "Ta")},
        _JSON.number("time"),
    ),
    _columns(
        "option httplog",
        sql.groups(_LINE.pattern),
        f"p.state <> '' and {sql.IS_ASCII} and not contains(line, '{{\"time\"') "
        f"and (p.captured = '' or regexp_full_match(p.captured, '{_TRACED}')) "
        f"and try_strptime(split_part(p.time, '.', 1), '{sql.DAY_AND_TIME}') is not null",
        {
            "trace": "split_part(p.captured, '|', 1)",
            "request_id": "split_part(p.captured, '|', 2)",
            "path": "split_part(p.request, ' ', 2)",
            "state": "p.state",
            "status": "p.status",
            "Ta": "p.Ta",
        },
        f"(epoch(try_strptime(split_part(p.time, '.', 1), '{sql.DAY_AND_TIME}')) "
        "+ try_cast(concat('0.', split_part(p.time, '.', 2)) as double))",
    ),
)
FORMAT: Final = LogFormat(
    name="haproxy",
    columns=COLUMNS,
    glance=glance,
    title="HAProxy",
    read=read,
    signals=SIGNALS,
    code="state",
    signs=("haproxy", '"state"', "/"),
    hint="set `option httplog`, or the recommended log-format",
    recommended=f"# in a frontend\n{CAPTURES}\n{LOG_FORMAT}",
    remarks=(
        "`option httplog` is read as it is; it carries no trace id, and instants without a zone (taken as UTC).",
        "`option tcplog`, the default of `mode tcp`, has one line a connection, with no status and no path.",
        f"`sH` and `sD`: {_BLIND}.",
    ),
)
