"""AWS Application Load Balancer's access log. Its own answer and the target's are apart, in two fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs import sql
from whocut.trace.logs.fields import is_named, iso_instant, number, plain_text, present, trace_of, whole
from whocut.trace.logs.records import Account, Columns, EndedBy, LogFormat, Signal, Unreadable, as_account

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_FIELD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_TYPES: Final = frozenset({"http", "https", "h2", "grpcs", "ws", "wss"})
_CONNECT_LIMIT_S: Final = 10.0

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_IDLE: Final = "idle_timeout.timeout_seconds"
_OWN_504 = Signal(
    "504, target -, target_processing_time -1",
    _LAYER,
    _WAIT,
    TimerKind.FIRST_BYTE,
    _IDLE,
    "the target did not answer in time",
)
_CONNECT_504 = Signal(
    "504, target -, within about 10 s",
    _LAYER,
    _CONNECT,
    TimerKind.CONNECT,
    "target connect timeout",
    "the target did not connect in time",
)
_SHORT = Signal("504, target 2xx", _UPSTREAM, _STREAM, says="the target's body was shorter than announced")
_LEFT_WAITING = Signal("460, 0 bytes sent", _CLIENT, _WAIT, says="its caller left before it was answered")
_LEFT = Signal("460", _CLIENT, None, says="its caller left")
_SLOW = Signal("408", _LAYER, _SEND, TimerKind.IDLE, _IDLE, "its caller was silent in mid-request")
_CLOSED = Signal("502, target -", _UPSTREAM, _WAIT, says="the target closed, reset, or answered nonsense")
_NONE_THERE = Signal("503, target -", _LAYER, _CONNECT, says="no target is registered or healthy")
_LAMBDA = Signal("561, 460s of its own", EndedBy.UNSAID, says="an answer of its own that is not known here")
_RELAYED = Signal("5xx, target the same", _UPSTREAM, _WAIT, says="the target answered so", handed_on=True)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
SIGNALS: Final = (
    _OWN_504,
    _CONNECT_504,
    _SHORT,
    _LEFT_WAITING,
    _LEFT,
    _SLOW,
    _CLOSED,
    _NONE_THERE,
    _RELAYED,
    _LAMBDA,
    _WHOLE,
)


def read(line: str) -> Account | None:
    """One line: fields apart by spaces, some of them quoted."""
    fields = [match[1] if match[1] is not None else match[2] for match in _FIELD.finditer(line)]
    if len(fields) < 18 or fields[0] not in _TYPES:
        raise Unreadable("an ALB's line begins with its type (http, https, h2 …) and has 18 fields or more")
    status, target = whole(fields[8]), whole(fields[9])
    times = [number(field) for field in fields[5:8]]
    waited_s = sum(time_s for time_s in times if time_s is not None and time_s > 0)
    end_s = iso_instant(fields[1])
    created_s = iso_instant(fields[21]) if len(fields) > 21 else None
    duration_s = end_s - created_s if end_s is not None and created_s is not None else waited_s or None
    trace_id, parent_id = trace_of(fields[17])
    request = fields[12].split(" ")
    return as_account(
        _meaning(status, target, duration_s, asked=_was_asked(fields)),
        signal=f"elb_status_code {status}, target_status_code {target if target is not None else '-'}",
        status=status,
        bytes=whole(fields[11]),
        end_s=end_s,
        duration_s=duration_s,
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(fields[17]),
        path=_path(request[1]) if len(request) > 1 else None,
    )


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3] if url.count("/") >= 3 else url


def _was_asked(fields: Sequence[str]) -> bool:
    """Whether the request had been sent on to a target, and nothing of an answer to the caller."""
    return fields[5] != "-1" and fields[11] == "0"


def _meaning(status: int | None, target: int | None, duration_s: float | None, *, asked: bool) -> Signal:
    if status == 460:
        return _LEFT_WAITING if asked else _LEFT
    if status == 408:
        return _SLOW
    if status is None or status < 500:
        return _WHOLE
    if target is not None:
        return _RELAYED if target == status or target >= 500 else _SHORT
    if status == 504:
        return _CONNECT_504 if duration_s is not None and _is_connect_limit(duration_s) else _OWN_504
    return {502: _CLOSED, 503: _NONE_THERE}.get(status, _LAMBDA)


def _is_connect_limit(duration_s: float) -> bool:
    return abs(duration_s - _CONNECT_LIMIT_S) < 0.5


def glance(line: bytes) -> tuple[Hashable, float] | None:
    """What decides in a line; the fields between two quotation marks are apart by blanks."""
    text = plain_text(line)
    parts = text.split('"', 12)
    if len(parts) < 13 or '\\"' in text:
        return None
    if not parts[2] == parts[6] == parts[8] == parts[0][-1] == parts[4][-1] == parts[10][-1] == " ":
        return None
    head, last = parts[0].split(), parts[10].split()
    if not (len(head) == 12 and len(last) == 2 and len(parts[4].split()) == 3 and head[0] in _TYPES):
        return None
    end_s, created_s = iso_instant(head[1]), iso_instant(last[1])
    if end_s is None or created_s is None:
        return None
    took_s = end_s - created_s
    decides = (head[8], head[9], _is_connect_limit(took_s), _was_asked(head), is_named(parts[5], parts[5]))
    return decides, took_s


# Behind `"` a line's parts are: 1 what is before the request, 2 the request, 4 the agent, 6 the trace, 11 the
# priority and the creation.
_HEAD: Final = [f"split_part(p[1], ' ', {place})" for place in range(1, 13)]
_CREATED_S: Final = sql.iso_instant("split_part(p[11], ' ', 3)")
_END_S: Final = sql.iso_instant(_HEAD[1])
_TOOK_S: Final = f"({_END_S} - {_CREATED_S})"
_URL: Final = "split_part(p[2], ' ', 2)"
COLUMNS: Final = (
    Columns(
        form="as it lies in S3",
        parts="string_split(line, '\"')",
        fits="len(p) >= 13 and not contains(line, '\\') "
        f"and {_HEAD[0]} in ({', '.join(repr(one) for one in sorted(_TYPES))}) "
        "and len(string_split(p[1], ' ')) = 13 and split_part(p[1], ' ', 13) = '' and not contains(p[1], '  ') "
        r"and p[3] = ' ' and regexp_full_match(p[5], ' \S+ \S+ \S+ ') and p[7] = ' ' and p[9] = ' ' "
        r"and regexp_full_match(p[11], ' \S+ \S+ ') "
        "and regexp_full_match(p[6], 'Root=1-[0-9a-f]{8}-[0-9a-f]{24}') "
        f"and {sql.is_whole(_HEAD[8])} and ({_HEAD[9]} = '-' or {sql.is_whole(_HEAD[9])}) "
        f"and {_TOOK_S} is not null",
        decides=(
            _HEAD[8],
            _HEAD[9],
            f"abs({_TOOK_S} - {_CONNECT_LIMIT_S}) < 0.5",
            f"{_HEAD[5]} <> '-1' and {_HEAD[11]} = '0'",
        ),
        status=f"try_cast({_HEAD[8]} as integer)",
        end_s=_END_S,
        duration_s=_TOOK_S,
        trace_id="concat(substr(p[6], 8, 8), substr(p[6], 17, 24))",
        request_id="p[6]",
        path=f"case when len(string_split({_URL}, '/')) > 3 "
        f"then concat('/', array_to_string(string_split({_URL}, '/')[4:], '/')) else {_URL} end",
    ),
)
FORMAT: Final = LogFormat(
    name="alb",
    columns=COLUMNS,
    glance=glance,
    title="AWS Application Load Balancer",
    read=read,
    signals=SIGNALS,
    code="elb_status_code, target_status_code",
    signs=("http ", "https ", "h2 ", "grpcs ", "ws ", "wss "),
    hint="give the load balancer's access log as it lies in S3",
    recommended="# one form, nothing to choose: aws elbv2 modify-load-balancer-attributes\n"
    "access_logs.s3.enabled=true",
    remarks=(
        "Its trace id is Amazon's own; it joins spans where X-Ray's ids are in use, and else by time.",
        "A caller that leaves in mid-response, and a stream cut by the idle timeout, look whole.",
    ),
    captured=False,
)
