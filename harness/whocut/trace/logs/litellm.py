"""LiteLLM's proxy: its own log, as JSON (``json_logs: true``) or as lines, and uvicorn's access lines in it.

Only its error lines tell that its own timer fired; the access line of such a request is a 408. No id is in both, so
the status and the second join them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs import uvicorn
from whocut.trace.logs.fields import iso_instant, json_object, present, scaled
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_LINE: Final = re.compile(
    r"^(?:\x1b\[\d{1,2}m)?(?:\d\d:\d\d:\d\d - )?(?P<name>LiteLLM(?: Proxy| Router)?):(?P<level>[A-Z]+)"
    r"(?:\x1b\[0m)?: (?P<text>.*)$"
)
_TOOK: Final = re.compile(r"time taken=(\d{1,9}(?:\.\d{1,9})?) seconds")
_OWN_WORDS: Final = ("APITimeoutError - Request timed out", "Timeout passed=", "timeout value=")

_UPSTREAM, _WAIT = EndedBy.UPSTREAM, Phase.WAIT
_TIMEOUT = Signal(
    "litellm.Timeout: APITimeoutError",
    EndedBy.LAYER,
    _WAIT,
    TimerKind.FIRST_BYTE,
    "request_timeout",
    "the model did not answer in time",
)
_OTHER_TIMEOUT = Signal(
    "litellm.Timeout, another text", EndedBy.UNSAID, says="a timer fired, and the line does not say whose"
)
_NO_CONNECTION = Signal(
    "litellm.APIConnectionError", _UPSTREAM, says="the connection to the model failed or ended"
)
_FAILED: Final = {
    name: Signal(f"litellm.{name}", _UPSTREAM, _WAIT, says="the model's side answered so")
    for name in ("BadGatewayError", "InternalServerError", "ServiceUnavailableError")
}
_STATUS: Final = {"BadGatewayError": 502, "InternalServerError": 500, "ServiceUnavailableError": 503}
_UNSAID = Signal(
    "access line: 408, 5xx",
    EndedBy.UNSAID,
    says="its own timer, the model's side and the proxy's own failure look the same",
)
_LEFT = Signal(
    "access line: 499", EndedBy.CLIENT, _WAIT, says="its caller left while it waited", verified=False
)
_WHOLE = Signal("access line: other", EndedBy.NONE, says="no hop, as far as the access line knows")
SIGNALS: Final = (_TIMEOUT, _OTHER_TIMEOUT, _NO_CONNECTION, *_FAILED.values(), _UNSAID, _LEFT, _WHOLE)


def read(line: str) -> Account | None:
    """One line of either form; those that tell of no request are passed over."""
    if line.startswith("{"):
        return _json(json_object(line))
    if (match := _LINE.match(line)) is not None:
        return _error(match["text"]) if match["level"] == "ERROR" else None
    told = uvicorn.read(line)
    return None if told is None else _access(told, None)


def _json(row: dict[str, Any]) -> Account | None:
    message = row.get("message")
    if not isinstance(message, str) or not {"level", "timestamp"} <= set(row):
        raise Unreadable("LiteLLM's JSON has fields 'message', 'level' and 'timestamp'")
    at_s = iso_instant(row["timestamp"])
    if (told := uvicorn.access_in(message)) is not None:
        return _access(told, at_s)
    if row["level"] != "ERROR":
        return None
    told = _error(message)
    if told is None:
        return None
    return replace(
        told,
        end_s=at_s,
        request_id=present(row.get("litellm_call_id")),
    )


def _access(told: Account, at_s: float | None) -> Account:
    status = told.status or 0
    signal = _LEFT if status == 499 else _UNSAID if status == 408 or status >= 500 else _WHOLE
    return as_account(
        signal,
        signal=f"status {status}",
        caveat=uvicorn.LIES if signal is _WHOLE else "",
        status=told.status,
        path=told.path,
        end_s=at_s,
        keys=told.keys,
        anonymous=True,
    )


def _error(text: str) -> Account | None:
    """A line of an error that ended a request; None for another."""
    status = 500
    if "litellm.Timeout" in text:
        signal, status = _TIMEOUT if any(words in text for words in _OWN_WORDS) else _OTHER_TIMEOUT, 408
    elif _NO_CONNECTION.code in text:
        signal = _NO_CONNECTION
    else:
        found = next((name for name, one in _FAILED.items() if one.code in text), None)
        if found is None:
            return None
        signal, status = _FAILED[found], _STATUS[found]
    took = _TOOK.search(text)
    return as_account(
        signal,
        status=status,
        duration_s=scaled(took[1], 1.0) if took else None,
        keys=(f"status {status}",),
        remark=True,
        anonymous=True,  # triage reads its words by itself, those of an answer behind it, too
    )


FORMAT: Final = LogFormat(
    name="litellm",
    title="LiteLLM proxy",
    read=read,
    signals=SIGNALS,
    code="error line, or access line",
    signs=('"component": "LiteLLM',),
    hint="set json_logs: true",
    recommended="litellm_settings:\n  json_logs: true",
    remarks=(
        "Its lines without JSON have no day: two requests that ended alike look the same in them.",
        "The JSON speaks local time without a zone; it is taken to be UTC.",
        "No id is in both its error lines and its access lines: they are joined by status and time.",
    ),
)
