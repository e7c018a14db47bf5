"""The figures of a run, typed: what ``summary.json`` holds, and what the terminal, the page and pictures read.

Instants and durations are model seconds, shares run from 0 to 1, dollars are dollars. None is "not known": no image
came, so that nothing took any time; or there is no ledger that counted generations. The JSON has the fields
under these names; `docs/summary.schema.json` is made from here by ``python -m whocut.verdict.figures``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

import orjson

from whocut.chain.timers import JobTimer, Phase, TimerKind  # noqa: TC001  # pydantic reads annotations
from whocut.errors import BadFile
from whocut.trace.rundir import SUMMARY
from whocut.verdict.agreement import Agreement  # noqa: TC001  # pydantic reads annotations
from whocut.verdict.needed import Needed  # noqa: TC001  # pydantic reads annotations
from whocut.verdict.verdict import Grade  # noqa: TC001  # pydantic reads annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.trace.rundir import RunDir

VERSION = 1
"""Of the form of ``summary.json``; a field that goes, or that means something else, raises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFigures:
    """Attempts that were cut alike: by one layer and timer, in one phase, known as surely.

    `attempts` counts them, `after_s` is the median from acceptance to the cut, `contradictions` how many of them
    have a witness that says otherwise. `phrase` is that of the first.
    """

    layer: str | None
    title: str | None
    timer: TimerKind | JobTimer | None
    directive: str | None
    phase: Phase | None
    grade: Grade
    attempts: int
    limit_s: float | None
    after_s: float | None
    tie: tuple[str, ...]
    reason: str
    phrase: str
    contradictions: int

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer that cut, or those that nothing tells apart."""
        return self.tie or ((self.layer,) if self.layer else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The figures that add up: those of two halves of a run are together those of the run.

    `outcomes` count requests by how their last attempt ended, `attempt_outcomes` attempts. `never_ended` are
    attempts that were under way when the run ended, `rejected_as` the API's refusals by their code.
    """

    requests: int
    attempts: int
    censored: int
    never_ended: int
    outcomes: dict[str, int]
    attempt_outcomes: dict[str, int]
    rejected_as: dict[str, int]
    refused_429: int
    unattributed: int
    verdicts: tuple[CutFigures, ...]

    @property
    def delivered(self) -> int:
        """Requests whose image came."""
        return self.outcomes.get("delivered", 0)

    @property
    def images(self) -> int:
        """Attempts whose image came: one order may ask several times."""
        return self.attempt_outcomes.get("delivered", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTime:
    """How long attempts take to their image, those that were cut before it counted as longer."""

    seen: int
    censored: int
    p50_s: float | None
    p95_s: float | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """By how much requests were taken up later than they were due: the load's own fault."""

    p50_s: float | None
    p99_s: float | None
    max_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the upstream's ledger adds up to; without a ledger, what the spend guard's account holds.

    `by` none: the endpoint bills nothing, as its user has said, and no account was kept.
    """

    by: Literal["ledger", "account", "none"]
    started: int | None = None
    finished: int | None = None
    delivered: int | None = None
    orphaned: int | None = None
    orphaned_s: float | None = None
    unsettled: int | None = None
    orphaned_usd: float | None = None
    generations_per_request: float | None = None
    billed_usd: float
    usd_per_delivered: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What most of a mode's cuts ran into: a wait, a gap, or the whole answer, beside the limit."""

    by: Needed
    attempts: int
    median_s: float
    min_s: float
    max_s: float
    limit_s: float | None
    layer: str | None
    directive: str | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFigures:
    """What the retries did. `sentences` are the findings, of each kind the first ones; `findings` counts all."""

    retries: int
    after_unknown: int
    after_unknown_usd: float
    useless: int
    retry_after_broken: int
    retry_after_short_by_s: float
    shortest_wait_s: float | None
    longest_wait_s: float | None
    storms: int
    findings: int
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Counts):
    """The account of a run, or of one of its modes."""

    delivered_share: float | None
    p50_s: float | None
    p95_s: float | None
    first_byte_p50_s: float | None
    image_time: ImageTime
    dispatch: Dispatch
    share_429: float | None
    ledger: Books

    def measured(self) -> dict[str, float | None]:
        """The figures that thresholds can be set on (`whocut.chain.want`)."""
        books, requests = self.ledger, self.requests

        def each(count: float | None) -> float | None:
            return count / requests if requests and count is not None else None

        return {
            "delivered": self.delivered_share,
            "orphaned": each(books.orphaned),
            "orphaned_s_per_request": each(books.orphaned_s),
            "generations_per_request": books.generations_per_request,
            "p50_s": self.p50_s,
            "p95_s": self.p95_s,
            "first_byte_p50_s": self.first_byte_p50_s,
            "usd_per_delivered": books.usd_per_delivered,
            "share_429": self.share_429,
            "unattributed": self.unattributed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeFigures(Figures):
    """The account of one mode."""

    decided: Decided | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFigures:
    """So many requests at once, each place resting `gap_s` after each. `ci95` is the interval of `share_429`."""

    concurrency: int
    gap_s: float
    planned: int
    requests: int
    refused: int
    censored: int
    delivered: int
    share_429: float | None
    batches: int
    batches_refused: int
    ci95: tuple[float, float] | None
    delivered_per_min: float | None
    p50_s: float | None
    p95_s: float | None
    usd_per_delivered: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """What to set; None where nothing helps."""

    max_in_flight: int | None
    gap_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFigures:
    """How much concurrency before the 429s: the levels, the knee by its rule, and the answer in words."""

    levels: tuple[LevelFigures, ...]
    with_gap: tuple[LevelFigures, ...]
    tolerate: float
    knee: int | None
    plateau: int | None
    recommend: Recommended
    rule: str
    says: tuple[str, ...]

    @property
    def all_levels(self) -> tuple[LevelFigures, ...]:
        """Those without the gap that was tried, then those with it."""
        return (*self.levels, *self.with_gap)

    def is_recommended(self, level: LevelFigures) -> bool:
        """Whether this is the level to set."""
        return (level.concurrency, level.gap_s) == (self.recommend.max_in_flight, self.recommend.gap_s)

    def measured(self) -> dict[str, float | None]:
        """What thresholds are set on (`whocut.chain.want`): the figures of the level that is recommended."""
        level = next(filter(self.is_recommended, self.all_levels), None)
        names = ("delivered_per_min", "p50_s", "p95_s", "share_429", "usd_per_delivered")
        return {
            "max_in_flight": self.recommend.max_in_flight,
            **{name: getattr(level, name) if level else None for name in names},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures(Figures):
    """The account of a whole run, made of its records alone."""

    by_mode: dict[str, ModeFigures]
    retries: RetryFigures
    agreement: Agreement
    sweep: SweepFigures | None = None

    def wanted(self) -> dict[str, float | None]:
        """What thresholds are set on: the whole run; of a sweep, the level it recommends."""
        return self.sweep.measured() if self.sweep else self.measured()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """How well the load generator kept up; None where it could not say. Real seconds are beside model ones."""

    worst_stall_s: float | None
    worst_stall_real_s: float | None
    cpu_s: float | None
    peak_bytes: int | None
    silent: int
    raised: int
    raised_first: str | None
    workers: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hops:
    """How long the loop of the layers did nothing at worst."""

    worst_stall_s: float
    worst_stall_real_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One wanted figure: whether it holds, and what was measured."""

    want: str
    holds: bool
    measured: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(RunFigures):
    """A run that was judged at its end: its figures, how it was made, and whether they can be trusted.

    `warnings` say why it is not `valid`. `unusable` says why its figures answer nothing, although they may be true.
    """

    version: int = VERSION
    run_dir: str
    scenario: str
    chain: str
    clock: str
    seed: int
    wall_s: float
    generator: Generator
    hops: Hops
    thresholds: tuple[Threshold, ...]
    valid: bool
    warnings: tuple[str, ...]
    ended_early: str | None
    unusable: str | None

    @classmethod
    def of(cls, figures: RunFigures, **facts: Any) -> Self:
        """The figures of a run, with what its end adds to them."""
        return cls(**as_fields(figures), **facts)


def as_fields(figures: Any) -> dict[str, Any]:
    """The fields of one record of figures by their names; what writes the JSON knows the rest."""
    return {one.name: getattr(figures, one.name) for one in fields(figures)}


def doubts_of(run: RunDir) -> tuple[str, ...]:
    """Why the figures of a run that is read again cannot be trusted: what its summary says, or why it has none.

    Raises:
        BadFile: the summary is not JSON, or it is not a summary although it has this version.
    """
    stored = run.summary()
    if stored is None:
        if "load" not in run.manifest:  # a tap's directory has none, and is not judged
            return ()
        return ("This run has no summary: it was killed before it was judged, or is still under way.",)
    version = stored.get("version")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        by = "a newer whocut" if newer else "an older whocut"
        return (
            (
                f"The summary was written by {by} (its version is {version or 'not given'}, this one reads "
                f"{VERSION}): whether the run was valid is not known here."
            ),
        )
    return read_summary(stored, run.path / SUMMARY).warnings


def read_summary(stored: Mapping[str, Any], place: object) -> Summary:
    """A summary as it was written.

    Raises:
        BadFile: it is not one; names the first field that is wrong.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  # what only judges need not wait for it

    try:
        return TypeAdapter(Summary).validate_json(orjson.dumps(stored))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadFile(str(place), f"it is not a run's summary: {where}: {first['msg']}") from None


def schema() -> dict[str, Any]:
    """The JSON Schema of ``summary.json``."""
    from pydantic import TypeAdapter  # noqa: PLC0415  # as above

    made = TypeAdapter(Summary).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "summary.json of a whocut run",
        **{key: value for key, value in made.items() if key != "title"},
    }


def main() -> None:
    """Print the schema, as the documentation has it."""
    sys.stdout.buffer.write(orjson.dumps(schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
