"""Google Cloud Run in Cloud Logging: the log of requests, and what the platform says of them in `textPayload`."""

from __future__ import annotations

from typing import Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import json_object
from whocut.trace.logs.log_entry import facts_of, status_of, text_of
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_OWN: Final = "run.googleapis.com%2F"
_REQUESTS, _SYSTEM = f"{_OWN}requests", f"{_OWN}varlog%2Fsystem"

_WAIT, _STREAM = Phase.WAIT, Phase.STREAM
WORDS: Final = (
    Signal(
        "The request has been terminated because it has reached the maximum request timeout",
        EndedBy.LAYER,
        None,
        TimerKind.TOTAL,
        "request timeout",
        "the container did not answer in full in time",
    ),
    Signal(
        "The request was aborted because there was no available instance",
        EndedBy.LAYER,
        Phase.CONNECT,
        says="no instance was free",
    ),
    Signal(
        "The request failed because either the HTTP response was malformed",
        EndedBy.UPSTREAM,
        _WAIT,
        says="the container closed, reset, or answered nonsense",
        verified=False,
    ),
)
_LEFT = Signal("499", EndedBy.CLIENT, None, says="its caller left", verified=False)
_UNSAID = Signal(
    "5xx, or no status, without these words",
    EndedBy.UNSAID,
    says="Cloud Run or the container answered so: the log does not say which",
)
_WHOLE = Signal("2xx, 3xx, 4xx without these words", EndedBy.NONE, says="no hop, as far as the log knows")
SIGNALS: Final = (*WORDS, _LEFT, _UNSAID, _WHOLE)


def read(line: str) -> Account | None:
    """One LogEntry; what the container itself writes is passed over."""
    entry = json_object(line)
    log, text = text_of(entry.get("logName")), text_of(entry.get("textPayload"))
    if _OWN not in log or not isinstance(entry.get("resource"), dict):
        raise Unreadable(
            "a LogEntry of Cloud Run's has a 'resource', and a 'logName' with run.googleapis.com"
        )
    words = next((signal for signal in WORDS if text.startswith(signal.code)), None)
    remark = not isinstance(entry.get("httpRequest"), dict)
    if not log.endswith(_SYSTEM if remark else _REQUESTS) or (remark and words is None):
        return None
    status = status_of(entry)
    signal = words or _meaning(status)
    phase = signal.phase
    if signal.timer is TimerKind.TOTAL:
        # One timer for both; what had been answered by then tells.
        phase = _STREAM if status is not None and status < 400 else _WAIT
    said = f"status {status or '-'}" + (f": {words.code}" if words else "")
    return as_account(signal, **facts_of(entry) | {"signal": said, "phase": phase, "remark": remark})


def _meaning(status: int | None) -> Signal:
    if status == 499:
        return _LEFT
    return _WHOLE if status is not None and status < 500 else _UNSAID


FORMAT: Final = LogFormat(
    name="gcp-cloud-run",
    title="Google Cloud Run",
    read=read,
    signals=SIGNALS,
    code="textPayload, or status",
    signs=(_OWN,),
    hint="give its LogEntries, one object a line: gcloud logging read … --format=json | jq -c '.[]'",
    recommended="# one form, nothing to choose\n"
    'gcloud logging read \'resource.type="cloud_run_revision" AND log_id("run.googleapis.com/requests")\' \\\n'
    "  --format=json | jq -c '.[]'",
    remarks=(
        "It joins on the trace id, where the request has one, and else by time.",
        "A 5xx without the platform's words may be the container's own: it stays unsaid.",
    ),
    captured=False,
)
