"""Heroku's router: logfmt, with an error code (H12, H15 …) where it ended the request."""

from __future__ import annotations

import re
from typing import Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import iso_instant, present, scaled, whole
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_PAIR: Final = re.compile(r'(?<![a-z_])([a-z_]++)=(?:"([^"]*)"|(\S*))')
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_FIRST, _IDLE = TimerKind.FIRST_BYTE, TimerKind.IDLE
CODES: Final = (
    Signal("H12", _LAYER, _WAIT, _FIRST, "initial response window", "the dyno did not answer within 30 s"),
    Signal("H13", _UPSTREAM, _WAIT, says="the dyno closed before it answered"),
    Signal("H15", _LAYER, _STREAM, _IDLE, "rolling idle window", "the dyno was silent for 55 s"),
    Signal("H18", _UPSTREAM, _STREAM, says="the dyno broke off in mid-response"),
    Signal(
        "H19", _LAYER, _CONNECT, TimerKind.CONNECT, "backend connection timeout", "the dyno did not connect"
    ),
    Signal("H20", _LAYER, _CONNECT, TimerKind.CONNECT, "app boot timeout", "the app did not boot in time"),
    Signal("H27", _CLIENT, _WAIT, says="its caller left", verified=False),
    Signal("H28", _LAYER, _STREAM, _IDLE, "rolling idle window", "its caller was silent for 55 s"),
)
_BY_CODE: Final = {signal.code: signal for signal in CODES}
_RELAYED = Signal("no code, 5xx", _UPSTREAM, _WAIT, says="the dyno answered so", handed_on=True)
_OTHER = Signal("another H code", EndedBy.UNSAID, says="an error of the router that is not known here")
_WHOLE = Signal("no code", EndedBy.NONE, says="no hop, as far as the router knows")
SIGNALS: Final = (*CODES, _RELAYED, _OTHER, _WHOLE)


def read(line: str) -> Account | None:
    """One line; those of the dynos themselves are passed over."""
    has = {match[1]: match[2] if match[2] is not None else match[3] for match in _PAIR.finditer(line)}
    if "at" not in has or "path" not in has:
        if "heroku[" in line or " app[" in line:
            return None
        raise Unreadable("a router's line has fields 'at' and 'path'")
    time = _TIME.search(line)
    status, code = whole(has.get("status")), has.get("code")
    connect_s, service_s = _duration(has.get("connect")), _duration(has.get("service"))
    duration_s = (
        (connect_s or 0.0) + (service_s or 0.0) if connect_s is not None or service_s is not None else None
    )
    return as_account(
        _meaning(status, code),
        signal=f"{code or 'at=' + has['at']} status {status}",
        status=status,
        bytes=whole(has.get("bytes")),
        end_s=iso_instant(time[0]) if time else None,
        duration_s=duration_s,
        request_id=present(has.get("request_id")),
        path=has["path"].split("?")[0],
    )


def _duration(text: str | None) -> float | None:
    return scaled(text.removesuffix("ms"), 0.001) if text and text.endswith("ms") else None


def _meaning(status: int | None, code: str | None) -> Signal:
    if code:
        return _BY_CODE.get(code, _OTHER)
    return _RELAYED if status is not None and status >= 500 else _WHOLE


FORMAT: Final = LogFormat(
    name="heroku",
    title="Heroku router",
    read=read,
    signals=SIGNALS,
    code="code",
    signs=("heroku[router]", "code=H", " dyno="),
    hint="give the router's lines: heroku logs --dyno router",
    recommended="# one form, nothing to choose: a log drain, or\nheroku logs --dyno router --tail",
    remarks=("It joins on the request id: the dyno receives it as X-Request-Id.",),
    captured=False,
)
