"""One check tried on one client: what it was asked to do, what it did, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from whocut.verdict.retry_audit import ending
from whocut.words import rounded_duration

if TYPE_CHECKING:
    from whocut.chain.layers import Topology
    from whocut.stage.plants import Plants
    from whocut.stage.seen import Observed
    from whocut.trace.records import Attempt
    from whocut_mock import Settings

# A client that asks more often than this will go on for ever.
RUNAWAY_ATTEMPTS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What the client is asked for. `cancel_s`: the caller loses patience then (client's seconds)."""

    images: int = 1  # requests at once, each with a prompt of its own
    stream: bool | None = None  # None leaves it to the client
    more: tuple[tuple[str, Any], ...] = ()  # further arguments
    cancel_s: float | None = None

    @property
    def plain(self) -> bool:
        """Whether any program that asks for one image can stand for it."""
        return self == Ask()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The small world of one check. `bound_s` is how long it is watched, on the client's clock, in virtual time."""

    topology: Topology
    settings: Settings
    plants: Plants
    ask: Ask = Ask()
    bound_s: float = 4_000.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What happened. `scale` model seconds pass in one of the client's; its waits are told in the client's."""

    observed: Observed
    results: tuple[Any, ...]  # what each ask returned, or the exception it ended with; None: it did not end
    took_s: float  # client's seconds until the last ask had ended, or the watch was over
    ended: bool
    log: str
    api_key: str
    scale: float = 1.0
    cancelled_s: float | None = None
    parts: tuple[str, ...] = field(default=())  # texts beside the log in which a key could stand

    @cached_property
    def attempts(self) -> list[Attempt]:
        """Every attempt in the order of its beginning, whatever request it seems to belong to."""
        return sorted(self.observed.attempts, key=lambda attempt: attempt.started_s)

    @cached_property
    def waits_s(self) -> list[float]:
        """From each attempt's end to the next one's beginning."""
        pairs = zip(self.attempts, self.attempts[1:], strict=False)
        return [((new.started_s - (old.ended_s or new.started_s)) / self.scale) for old, new in pairs]

    @property
    def delivered(self) -> bool:
        """Whether every ask returned, and none raised."""
        return self.ended and not any(isinstance(result, BaseException) for result in self.results)

    @property
    def billed_usd(self) -> float:
        """What all of it cost."""
        return sum(float(row.get("billed_usd") or 0.0) for row in self.observed.ledger)

    @property
    def evidence(self) -> list[str]:
        """The attempts in words, in their order."""
        told = []
        for number, attempt in enumerate(self.attempts, start=1):
            began = rounded_duration(attempt.started_s / self.scale, 2)
            if attempt.ended_s is None:
                told.append(f"attempt {number} at {began}: still open")
                continue
            took = rounded_duration((attempt.ended_s - attempt.started_s) / self.scale, 2)
            told.append(f"attempt {number} at {began}: {ending(attempt)} after {took}")
        return told
