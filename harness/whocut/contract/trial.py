"""One check tried on one client: what it was asked to do, what it did, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from whocut.trace.records import Outcome
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

    images: int = 1  # requests at once, each with a prompt of its own; of a program, as many runs
    stream: bool | None = None  # None leaves it to the client
    more: tuple[tuple[str, Any], ...] = ()  # further arguments
    cancel_s: float | None = None

    @property
    def plain(self) -> bool:
        """Whether any program that asks for one image can be put to it."""
        return self == Ask()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The small world of one check. `bound_s` is how long it is watched, on the client's clock, in virtual time.

    A program asks for one image. `runs_of_a_program` is how many runs of it take the place of more images, each in
    a world of its own; a scene that asks for more and does not say so tests no program.
    """

    topology: Topology
    settings: Settings
    plants: Plants
    ask: Ask = Ask()
    bound_s: float = 4_000.0
    runs_of_a_program: int = 0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What happened. `scale` model seconds pass in one of the client's; all durations here are the client's.

    `results` is what each ask returned, or the exception it ended with; None where it did not end. `over_s` is the
    end of the watch on the stage's clock, `further` are more trials of the same scene.
    """

    observed: Observed
    results: tuple[Any, ...]
    took_s: float  # until the last ask had ended, or the watch was over
    over_s: float
    ended: bool
    log: str
    api_key: str
    scale: float = 1.0
    cancelled_s: float | None = None
    parts: tuple[str, ...] = field(default=())  # texts beside the log that could hold a key
    exact: bool = True  # in virtual time; otherwise this machine's own delays are in every duration
    shortened_s: float = 0.0  # by so much its waits were shorter in real time than on its own clock
    late_real_s: float = 0.0  # by so much the scene's own events came later than they should
    further: tuple[Trial, ...] = ()

    @cached_property
    def attempts(self) -> list[Attempt]:
        """Every attempt in the order of its beginning, whatever request it seems to belong to."""
        return sorted(self.observed.attempts, key=lambda attempt: attempt.started_s)

    @cached_property
    def waits_s(self) -> list[float]:
        """From each attempt's end to the next one's beginning; below zero where that came first."""
        return [
            ((new.started_s - (old.ended_s or new.started_s)) / self.scale)
            for old, new in pairwise(self.attempts)
        ]

    @cached_property
    def waits_by_request_s(self) -> list[list[float]]:
        """The waits of each request apart, over all trials of the scene."""
        mine = [
            [((new.started_s - (old.ended_s or new.started_s)) / self.scale) for old, new in pairwise(tries)]
            for tries in self.observed.requests.values()
        ]
        return mine + [waits for trial in self.further for waits in trial.waits_by_request_s]

    def end_s(self, attempt: Attempt) -> float | None:
        """When it ended; None while it is open: what ends after the watch was ended by us, with its client."""
        end_s = attempt.ended_s
        return None if end_s is None or (not self.ended and end_s > self.over_s * self.scale) else end_s

    @property
    def watched_s(self) -> float:
        """From the beginning of the first attempt to the end of the watch: a client's start does not count."""
        return self.over_s - self.attempts[0].started_s / self.scale if self.attempts else 0.0

    @property
    def idempotency_keys(self) -> list[list[str | None]]:
        """What each request's attempts carried, over all trials of the scene."""
        mine: dict[str, list[str | None]] = {request: [] for request in self.observed.requests}
        for sighting in sorted(self.observed.sightings, key=lambda one: one.started_s):
            mine[sighting.record.request].append(sighting.idempotency_key)
        return [*mine.values(), *(keys for trial in self.further for keys in trial.idempotency_keys)]

    @property
    def idle_s(self) -> float | None:
        """From the last attempt's end to the end of the watch; None while an attempt is open."""
        ends = [self.end_s(attempt) for attempt in self.attempts]
        known = [end_s for end_s in ends if end_s is not None]
        return None if len(known) < len(ends) or not known else self.over_s - max(known) / self.scale

    @property
    def unseen(self) -> str:
        """Why nothing can be said of what comes later, where the client had not ended."""
        idle_s = self.idle_s
        if idle_s is None:
            return f"the watch was over after {time_in_words(self.watched_s)}, with an attempt still open"
        return (
            f"the watch was over after {time_in_words(self.watched_s)}: {time_in_words(idle_s)} after its last "
            "answer the client had neither ended nor asked again"
        )

    @property
    def most_late_real_s(self) -> float:
        """The same over all trials of the scene."""
        return max([self.late_real_s, *(trial.most_late_real_s for trial in self.further)])

    @property
    def raised(self) -> bool:
        """Whether an ask ended with an error for its caller."""
        return any(isinstance(result, BaseException) for result in self.results)

    @property
    def delivered(self) -> bool:
        """Whether every ask returned, none raised, and each image came."""
        whole = all(tries[-1].outcome is Outcome.DELIVERED for tries in self.observed.requests.values())
        return self.ended and not self.raised and whole

    @property
    def billed_usd(self) -> float:
        """What all of it cost."""
        return sum(float(row.get("billed_usd") or 0.0) for row in self.observed.ledger)

    @property
    def evidence(self) -> list[str]:
        """The attempts in words, in their order."""
        told = []
        for number, attempt in enumerate(self.attempts, start=1):
            began = time_in_words(attempt.started_s / self.scale)
            end_s = self.end_s(attempt)
            if end_s is None:
                told.append(f"attempt {number} at {began}: still open")
                continue
            took = time_in_words((end_s - attempt.started_s) / self.scale)
            told.append(f"attempt {number} at {began}: {ending(attempt)} after {took}")
        beside = dict.fromkeys(sighting.name for sighting in self.observed.beside)
        return [*told, *(f"beside: {name}" for name in beside)]


def time_in_words(seconds: float) -> str:
    """A duration of the client's, as cards write it."""
    return rounded_duration(seconds, 2) if seconds >= 0.005 else "0 s"
