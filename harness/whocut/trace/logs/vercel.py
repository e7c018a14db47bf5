"""Vercel's log drains: one JSON object for each entry, of which a request has one and its function's output others.

A request's own entry has a `proxy` and no message of the function's; its begin is the proxy's instant. What the
function prints tells of no request, except the platform's word that it stopped the function.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import inner, iso_instant, json_object, number, present, scaled
from whocut.trace.logs.log_entry import text_of
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_WAIT, _STREAM = Phase.WAIT, Phase.STREAM
_TIMED_OUT: Final = Signal(
    "Vercel Runtime Timeout Error: Task timed out after",
    EndedBy.LAYER,
    _WAIT,
    TimerKind.TOTAL,
    "maxDuration",
    "the function had not ended in time",
)
_EDGE: Final = Signal(
    "EDGE_FUNCTION_INVOCATION_TIMEOUT",
    EndedBy.LAYER,
    _WAIT,
    TimerKind.FIRST_BYTE,
    "initial response",
    "the edge function did not begin to answer in time",
    verified=False,
)
_CRASHED: Final = Signal(
    "statusCode -1", EndedBy.UPSTREAM, _WAIT, says="the function crashed and gave no answer"
)
_UNSAID: Final = Signal(
    "5xx without these words", EndedBy.UNSAID, says="Vercel or the function: the entry does not say which"
)
_WHOLE: Final = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the entries know")
SIGNALS: Final = (_TIMED_OUT, _EDGE, _CRASHED, _UNSAID, _WHOLE)
_WORDS: Final = (_TIMED_OUT, _EDGE)
_AFTER: Final = re.compile(r"Task timed out after ([0-9.]{1,12}) seconds?")
# What functions report of themselves, in full or in one line: entries of a request's own.
_INVOCATION: Final = re.compile(r"(?:START|REPORT) RequestId: |\[[A-Z]{3,10}\] \S{1,2000} status=-?\d")
_TOOK: Final = re.compile(r"^REPORT RequestId: .{0,80}?\bDuration: ([0-9.]{1,16}) ms", re.MULTILINE)
_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_AFTER_THE_ANSWER: Final = "work after the whole answer (waitUntil) is stopped by the same timer"


def read(line: str) -> Account | None:
    """One entry; builds, background work and what the function prints tell of no request."""
    entry = json_object(line)
    if not {"deploymentId", "projectId", "source", "timestamp"} <= set(entry):
        raise Unreadable("an entry has the keys 'deploymentId', 'projectId', 'source' and 'timestamp'")
    message, proxy = text_of(entry.get("message")), inner(entry.get("proxy"))
    status = _status(entry, proxy)
    words = next((signal for signal in _WORDS if signal.code in message), None)
    own = not message.strip() or _INVOCATION.match(message) is not None
    if number(proxy.get("statusCode")) == -1 or (words is None and (status is None or not own)):
        return None
    remark = words is not None and not own
    signal = words or _meaning(status or 0)
    took = _AFTER.search(message) or _TOOK.search(message)
    duration_s = scaled(took[1], 1.0 if took.re is _AFTER else 0.001) if took else None
    account = as_account(
        signal,
        signal=f"status {_shown(status)}" + (f": {words.code}" if words else ""),
        status=None if status == -1 else status,
        end_s=_end_s(entry, proxy, duration_s),
        duration_s=duration_s,
        coarse_s=1.0,  # how soon after a request's end its entry is written is not documented
        trace_id=_trace(entry),
        request_id=present(entry.get("requestId")),
        keys=tuple(key for key in (present(entry.get("requestId")),) if key),
        path=_path(proxy, entry),
        remark=remark,
    )
    if signal is _TIMED_OUT and status is not None and 0 < status < 400:
        return replace(account, phase=_STREAM, caveat=_AFTER_THE_ANSWER)
    return account


def _status(entry: dict[str, Any], proxy: dict[str, Any]) -> int | None:
    """The answer's status, -1 for a function that crashed; an entry that is of no request has none."""
    found = number(entry.get("statusCode"))
    if found is None:
        found = number(proxy.get("statusCode"))
    return int(found) if found is not None and (found == -1 or 100 <= found < 600) else None


def _shown(status: int | None) -> str:
    return "-" if status in (None, -1) else str(status)


def _meaning(status: int) -> Signal:
    if status == -1:
        return _CRASHED
    return _WHOLE if status < 500 else _UNSAID


def _end_s(entry: dict[str, Any], proxy: dict[str, Any], duration_s: float | None) -> float | None:
    """The proxy's instant and the duration, where both are there; else when the entry was written."""
    begun_s = iso_instant(proxy.get("timestamp"))
    if begun_s is not None and duration_s is not None:
        return begun_s + duration_s
    return iso_instant(entry.get("timestamp"))


def _trace(entry: dict[str, Any]) -> str | None:
    for name in ("traceId", "trace.id"):
        if _TRACE.fullmatch(text_of(entry.get(name))):
            return text_of(entry[name])
    return None


def _path(proxy: dict[str, Any], entry: dict[str, Any]) -> str | None:
    return present((text_of(proxy.get("path")) or text_of(entry.get("path"))).split("?")[0])


FORMAT: Final = LogFormat(
    name="vercel",
    title="Vercel's log drains",
    read=read,
    signals=SIGNALS,
    code="message, or statusCode",
    signs=('"deploymentId"',),
    hint="give the drain's entries, one object a line (NDJSON, or jq -c '.[]')",
    recommended="# a log drain: delivery format NDJSON, sources Functions, Edge Functions, Static Files, Rewrites",
    remarks=(
        "An entry with a `proxy` and without a message is a request; what a function prints is passed over.",
        "A request has a duration only where the platform says one: in its timeout, or in a REPORT.",
        "A 5xx without the platform's words may be the function's own: it stays unsaid.",
        "A caller that leaves does not show.",
    ),
    captured=False,
)
