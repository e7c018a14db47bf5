"""Google Cloud's LogEntry, one object a line: what its load balancer's and Cloud Run's request logs have in common.

`spanId` is the layer's own span and not its parent's, so that it joins nothing here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from whocut.trace.logs.fields import inner, iso_instant, present, scaled, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRACE: Final = re.compile(r"(?:^|/)([0-9a-f]{32})$")
_SLACK_S: Final = 1.0


def text_of(value: object) -> str:
    """A text, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def kind_of(entry: Mapping[str, Any]) -> str:
    """The monitored resource that wrote the entry."""
    return text_of(inner(entry.get("resource")).get("type"))


def status_of(entry: Mapping[str, Any]) -> int | None:
    """The answer's status; None for no answer, which has no status or 0."""
    return whole(inner(entry.get("httpRequest")).get("status")) or None


def facts_of(entry: Mapping[str, Any]) -> dict[str, object]:
    """What every request's entry says, in an account's own fields."""
    request = inner(entry.get("httpRequest"))
    duration_s = _seconds(request.get("latency"))
    trace = _TRACE.search(text_of(entry.get("trace")))
    return {
        "status": status_of(entry),
        "bytes": whole(request.get("responseSize")),
        "end_s": _end_s(entry, duration_s or 0.0),
        "duration_s": duration_s,
        "coarse_s": _SLACK_S,
        "trace_id": trace[1] if trace else None,
        "keys": (trace[1],) if trace else (),
        "path": _path(text_of(request.get("requestUrl"))),
    }


def _seconds(latency: object) -> float | None:
    text = text_of(latency)
    return scaled(text[:-1], 1.0) if text.endswith("s") else None


def _end_s(entry: Mapping[str, Any], duration_s: float) -> float | None:
    """The entry's instant is the request's begin; one that was received before the end so reckoned is the end."""
    at_s, received_s = iso_instant(entry.get("timestamp")), iso_instant(entry.get("receiveTimestamp"))
    if at_s is None:
        return None
    end_s = at_s + duration_s
    return at_s if received_s is not None and end_s > received_s + _SLACK_S else end_s


def _path(url: str) -> str | None:
    path = "/" + url.split("/", 3)[3] if url.count("/") >= 3 else url
    return present(path.split("?")[0])
