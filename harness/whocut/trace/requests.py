"""From attempts to the requests they are of: the one place where they are grouped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.trace.records import Attempt


def by_request(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Each request's attempts by their number, requests in the order in which they are first met."""
    requests: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        requests.setdefault(attempt.request, []).append(attempt)
    for tries in requests.values():
        tries.sort(key=lambda attempt: (attempt.number, attempt.started_s))
    return requests


def due_s(first: Attempt) -> float:
    """When a request's caller wanted it: waiting for a turn is part of what a caller waits."""
    return first.started_s if first.due_s is None else first.due_s
