"""A layer that fell in the middle of a run: its process died, or its code failed.

That is never a cut: the chain's runner hears of it, and it is written down so that no verdict takes it for one.
"""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from whocut.errors import NoRoom
from whocut.trace.records import DeathRecord, new_span_id, new_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

# What the machine, and no peer, refuses: too many open files, no memory, no free port.
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


@dataclass(frozen=True, slots=True)
class Fallen:
    """Which layer, when (model seconds), and why, as half a sentence.

    It may have fallen up to `noticed_within_s` before it was noticed. `title` is its name for people, if another.
    """

    layer: str
    at_s: float
    why: str
    noticed_within_s: float = 0.0
    title: str = ""

    @property
    def sentence(self) -> str:
        """For the user of the run."""
        return f"{self.title or self.layer} died {self.at_s:.1f} model seconds into the run: {self.why}"

    def span(self) -> DeathRecord:
        """For the verdicts."""
        return DeathRecord(
            trace_id=new_trace_id(),
            span_id=new_span_id(),
            parent_id=None,
            layer=self.layer,
            name="death",
            start_s=self.at_s - self.noticed_within_s,
            end_s=self.at_s,
            error=self.why,
            why=self.why,
        )


def ended_how(code: int) -> str:
    """A process's end, as the end of a sentence that it begins."""
    if code < 0:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"


def is_ours(error: BaseException | None) -> bool:
    """Whether a connection failed for want of something on this machine, and not by a peer."""
    return isinstance(error, OSError) and error.errno in _OURS


def why(error: BaseException) -> str:
    """Why a layer of ours fell, as half a sentence."""
    if isinstance(error, NoRoom):
        return str(error)
    if isinstance(error, OSError) and is_ours(error):
        return f"this machine had no room for one more connection ({error.strerror}); raise its limits (ulimit -n)"
    return f"a fault of whocut's own, {type(error).__name__}: {error}".rstrip(": ")


def telling(callback: Callable[..., Any]) -> Callable[..., Any]:
    """A connection's callback whose fault is reported to its hop: asyncio would log it and continue."""

    @wraps(callback)
    def told(self: Any, *arguments: Any) -> Any:
        try:
            return callback(self, *arguments)
        except BaseException as error:
            self.house.fail(error)
            raise

    return told
