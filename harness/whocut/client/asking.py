"""Who is asking: the request an attempt belongs to, carried in a context variable.

A context variable, because the SDK between the caller and the wire takes no arguments of ours. Each asyncio task
and each greenlet has its own, so that concurrent users do not mix.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whocut.trace.records import new_span_id, new_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.trace.records import Attempt, Part


@dataclass(slots=True, kw_only=True)
class Asking:
    """One request: its name, its place in the trace, when it was due and when a user took it, and its attempts."""

    request: str
    mode: str = ""
    user: int = 0
    due_s: float | None = None
    dispatched_s: float | None = None
    trace_id: str = field(default_factory=new_trace_id)
    span_id: str = field(default_factory=new_span_id)
    attempts: list[Attempt] = field(default_factory=list)
    part: Part | None = None  # which part of a job is being sent
    kept_back: Exception | None = None  # why the spend guard let an attempt for it not go out


_asking: ContextVar[Asking | None] = ContextVar("whocut_asking", default=None)


def current() -> Asking:
    """The request under way; a new, anonymous one where the caller named none."""
    asking = _asking.get()
    if asking is None:
        trace_id = new_trace_id()
        asking = Asking(request=f"request-{trace_id[:8]}", trace_id=trace_id)
    return asking


@contextmanager
def asking_for(asking: Asking) -> Iterator[Asking]:
    """Everything sent inside belongs to this request."""
    token = _asking.set(asking)
    try:
        yield asking
    finally:
        _asking.reset(token)


@contextmanager
def part_of_job(part: Part) -> Iterator[None]:
    """What is sent inside is this part of the job that the request under way is."""
    asking = current()
    before, asking.part = asking.part, part
    try:
        yield
    finally:
        asking.part = before
