"""Kinds of endings a test can speak of: all unknown outcomes together, a status, or an error's code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.verdict.retry_audit import unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.trace.records import Attempt


@dataclass(frozen=True, slots=True)
class Endings:
    """A kind of ending, in words and as a question to an attempt."""

    words: str
    holds: Callable[[Attempt], bool]


UNKNOWN_OUTCOME = Endings("an unknown outcome", unknown)
"""A timeout, a gateway's 499, 502, 504 or 524, a reset, a response cut short: the work may be going on."""


def endings(wanted: Endings | int | str) -> Endings:
    """The kind that a test names: itself, an HTTP status, or an error's code."""
    if isinstance(wanted, Endings):
        return wanted
    if isinstance(wanted, int):
        return Endings(f"a {wanted}", lambda attempt: attempt.status == wanted)
    return Endings(f"'{wanted}'", lambda attempt: attempt.error == wanted)
