"""AWS API Gateway's access log as JSON or CLF: what its console offers, and the keys that say more.

The console's own choice has neither a duration nor a reason; a 504 of it stays unsaid. The keys of JSON are
chosen by its user (`error_responseType`, `error.responseType`, `responseType`): only their letters count.
"""

from __future__ import annotations

import re
from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.fields import (
    clf_instant,
    inner,
    iso_instant,
    json_object,
    present,
    scaled,
    trace_of,
    whole,
)
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_WAIT: Final = Phase.WAIT
_TIMED_OUT: Final = Signal(
    "INTEGRATION_TIMEOUT",
    EndedBy.LAYER,
    _WAIT,
    TimerKind.TOTAL,
    "integration timeoutInMillis",
    "the integration did not answer in full in time",
)
_FAILED: Final = Signal(
    "INTEGRATION_FAILURE",
    EndedBy.UPSTREAM,
    _WAIT,
    says="the integration closed, failed, or answered nonsense",
)
_RELAYED: Final = Signal(
    "5xx, integrationStatus the same", EndedBy.UPSTREAM, _WAIT, says="the integration said so", handed_on=True
)
_UNSAID: Final = Signal(
    "5xx without a reason", EndedBy.UNSAID, says="the gateway or the integration: the line does not say which"
)
_WHOLE: Final = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
SIGNALS: Final = (_TIMED_OUT, _FAILED, _RELAYED, _UNSAID, _WHOLE)
_WORDS: Final = (
    "Endpoint request timed out"  # what the caller gets of the timeout, and `$context.error.message`
)
# The console's CLF: a REST API's has no space behind the bracket, an HTTP API's has its route's method twice.
_CLF: Final = re.compile(
    r"\S+ \S+ \S+ \[(?P<requestTime>[^\]]{20,40})\] ?"
    r'"(?P<httpMethod>[A-Z]+) (?P<routeKey>[A-Z]+ )?(?P<resourcePath>\S+) HTTP/[\d.]+" '
    r"(?P<status>\d{3}) (?P<responseLength>\d+|-) (?P<requestId>[\w=-]{10,64})(?: [\w=-]{10,64})?"
)
# What is read, and its keys: a part of the variable's name or all of it, less what stands between its words.
_KEYS: Final = {
    "requestTime": ("requesttime", "requesttimeepoch"),
    "requestId": ("requestid",),
    "routeKey": ("routekey",),
    "resourcePath": ("resourcepath",),
    "path": ("path",),
    "status": ("status", "responsestatus"),
    "responseLength": ("responselength",),
    "responseLatency": ("responselatency",),
    "responseType": ("responsetype", "errorresponsetype"),
    "errorMessage": (
        *("errormessage", "errormessagestring"),
        *("integrationerror", "integrationerrormessage"),
    ),
    "integrationStatus": ("integrationstatus", "integrationintegrationstatus"),
    "trace": ("trace", "xraytraceid", "traceid"),
}
_BETWEEN: Final = re.compile(r"[^a-z0-9]+")
_PREFIX: Final = "context"  # of a variable that was taken with its whole name


def read(line: str) -> Account:
    """One line."""
    clf = _CLF.fullmatch(line)
    row: dict[str, Any] = clf.groupdict() if clf else _by_letters(json_object(line))
    status = whole(row.get("status"))
    begun_s = _instant(row.get("requestTime"))
    if (
        status is None
        or begun_s is None
        or "requestId" not in row
        or not {"routeKey", "resourcePath"} & set(row)
    ):
        raise Unreadable(
            "a line as JSON has the keys 'requestId', 'requestTime', 'status', and 'routeKey' or 'resourcePath'"
        )
    duration_s = scaled(row.get("responseLatency"), 0.001)
    reason = present(row.get("responseType")) or present(row.get("errorMessage"))
    trace_id, parent_id = trace_of(row.get("trace"))
    return as_account(
        _meaning(status, row),
        signal=f"status {status}" + (f": {reason}" if reason else ""),
        status=status,
        bytes=whole(row.get("responseLength")),
        end_s=begun_s + (duration_s or 0.0),
        duration_s=duration_s,
        coarse_s=1.0,  # the request's begin is in whole seconds
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=present(row["requestId"]),
        path=present(row.get("path")) or present(row.get("resourcePath")),
        product=_product(row),
    )


def _by_letters(row: dict[str, Any]) -> dict[str, Any]:
    """A row under the names that are read here; of two keys for one thing, the first that says something."""
    by_letters: dict[str, Any] = {}
    pairs = list(row.items())
    pairs += [(f"{key}{name}", value) for key, held in pairs for name, value in inner(held).items()]
    for key, value in pairs:
        letters = _BETWEEN.sub("", key.lower()).removeprefix(_PREFIX)
        if present(by_letters.get(letters)) is None:
            by_letters[letters] = value
    found: dict[str, Any] = {}
    for name, keys in _KEYS.items():
        values = [by_letters[key] for key in keys if key in by_letters]
        if values:
            found[name] = next((value for value in values if present(value) is not None), values[0])
    return found


def _instant(value: object) -> float | None:
    return clf_instant(str(value)[:40]) or iso_instant(value)


def _product(row: dict[str, Any]) -> str:
    """A route's key is an HTTP API's; in CLF it takes the place of the path, with its method before it."""
    return "aws-apigw-http" if row.get("routeKey") else "aws-apigw-rest"


def _meaning(status: int, row: dict[str, Any]) -> Signal:
    if status < 500:
        return _WHOLE
    kind, words = str(row.get("responseType")), str(row.get("errorMessage"))
    if kind == _TIMED_OUT.code or _WORDS in words:
        return _TIMED_OUT
    if kind == _FAILED.code:
        return _FAILED
    return _RELAYED if whole(row.get("integrationStatus")) == status else _UNSAID


FORMAT: Final = LogFormat(
    name="aws-apigw",
    title="AWS API Gateway",
    read=read,
    signals=SIGNALS,
    code="responseType, or status",
    signs=('"routeKey"', '"resourcePath"', "route_key", "resource_path", "resourcepath", ']"'),
    hint="log as JSON, with the recommended keys",
    recommended='{"requestId":"$context.requestId","requestTime":"$context.requestTime","httpMethod":"$context.httpMethod",'
    '"resourcePath":"$context.resourcePath",\n "path":"$context.path","status":"$context.status",'
    '"responseLength":"$context.responseLength","responseLatency":"$context.responseLatency",\n '
    '"integrationStatus":"$context.integration.status","responseType":"$context.error.responseType",'
    '"errorMessage":"$context.error.message",\n "trace":"$context.xrayTraceId"}',
    remarks=(
        "Its CLF is read as well; who ended a request it does not say.",
        "With `routeKey` for `resourcePath` it is an HTTP API's; one of the two has to be there.",
        "The keys may be called otherwise (`error_responseType`, `integration_status`): only their letters count.",
        "Without `responseType` and `errorMessage` its own 504 and the integration's look alike.",
        "A caller that leaves does not show.",
    ),
    captured=False,
)
