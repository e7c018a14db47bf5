"""Google Cloud's Application Load Balancer in Cloud Logging: `statusDetails` says why the request ended as it did.

The regional and internal ones write the same words into `proxyStatus`, as its `details`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import inner, json_object
from whocut.trace.logs.log_entry import facts_of, kind_of, status_of, text_of
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = frozenset(
    {
        "http_load_balancer",
        "http_external_regional_lb_rule",
        "internal_http_lb_rule",
    }
)
_DETAILS: Final = re.compile(r'\bdetails="?([a-z0-9_]{1,120})')

_CLIENT, _LAYER, _UPSTREAM = EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
CODES: Final = (
    Signal(
        "backend_timeout",
        _LAYER,
        None,
        TimerKind.TOTAL,
        "backend service timeoutSec",
        "the backend did not answer in full in time",
    ),
    Signal("client_disconnected_before_any_response", _CLIENT, _WAIT, says="its caller left"),
    Signal(
        "client_disconnected_after_partial_response",
        _CLIENT,
        _STREAM,
        says="its caller left in mid-response",
    ),
    Signal(
        "backend_connection_closed_before_data_sent_to_client",
        _UPSTREAM,
        _WAIT,
        says="the backend closed before it answered",
    ),
    Signal(
        "backend_connection_closed_after_partial_response_sent",
        _UPSTREAM,
        _STREAM,
        says="the backend broke off in mid-response",
    ),
    Signal(
        "backend_early_response_with_non_error_status",
        _UPSTREAM,
        _SEND,
        says="the backend answered before it had the whole request",
    ),
    Signal("failed_to_connect_to_backend", _LAYER, _CONNECT, says="no connection to the backend came about"),
    Signal("failed_to_pick_backend", _LAYER, _CONNECT, says="no backend is healthy"),
    Signal(
        "client_timed_out",
        _LAYER,
        None,
        says="its caller neither sent nor took anything for too long",
        verified=False,
    ),
)
_BY_CODE: Final = {signal.code: signal for signal in CODES}
_RELAYED = Signal(
    "response_sent_by_backend, 5xx", _UPSTREAM, _WAIT, says="the backend answered so", handed_on=True
)
_UNSAID = Signal("5xx, or no status, with other details", EndedBy.UNSAID, says="it is not known here")
_WHOLE = Signal("2xx, 3xx, 4xx with other details", EndedBy.NONE, says="no hop, as far as the log knows")
SIGNALS: Final = (*CODES, _RELAYED, _UNSAID, _WHOLE)


def read(line: str) -> Account | None:
    """One LogEntry of the load balancer's."""
    entry = json_object(line)
    if not _is_own(entry):
        raise Unreadable("a load balancer's LogEntry has a 'httpRequest', and names its resource type")
    status, details = status_of(entry), _details(entry)
    signal = _meaning(status, details)
    phase = signal.phase
    if signal.timer is TimerKind.TOTAL:
        # One timer for both; what had been answered by then tells.
        phase = _STREAM if status is not None and status < 400 else _WAIT
    return as_account(
        signal,
        **facts_of(entry)
        | {"signal": f"statusDetails {details or '-'}, status {status or '-'}", "phase": phase},
    )


def _is_own(entry: Mapping[str, Any]) -> bool:
    payload = inner(entry.get("jsonPayload"))
    named = kind_of(entry) in _KINDS or text_of(payload.get("@type")).endswith(".LoadBalancerLogEntry")
    return named and isinstance(entry.get("httpRequest"), dict)


def _details(entry: Mapping[str, Any]) -> str:
    payload = inner(entry.get("jsonPayload"))
    if found := text_of(payload.get("statusDetails")):
        return found[:120]
    match = _DETAILS.search(text_of(payload.get("proxyStatus")))
    return match[1] if match else ""


def _meaning(status: int | None, details: str) -> Signal:
    if details in _BY_CODE:
        return _BY_CODE[details]
    if status is not None and status < 500:
        return _WHOLE
    return _RELAYED if status is not None and details == "response_sent_by_backend" else _UNSAID


FORMAT: Final = LogFormat(
    name="gcp-alb",
    title="Google Cloud Application Load Balancer",
    read=read,
    signals=SIGNALS,
    code="statusDetails",
    signs=("LoadBalancerLogEntry", *sorted(_KINDS)),
    hint="give its LogEntries, one object a line: gcloud logging read … --format=json | jq -c '.[]'",
    recommended="gcloud compute backend-services update NAME --enable-logging --logging-sample-rate=1 \\\n"
    "  --logging-optional=INCLUDE_ALL_OPTIONAL\n"
    "gcloud logging read 'resource.type=\"http_load_balancer\"' --format=json | jq -c '.[]'",
    remarks=(
        "It joins on the trace id, where the request has one, and else by time.",
        "`backend_timeout` counts the whole response: a stream is cut by it, too, with its status as it was.",
    ),
    captured=False,
)
