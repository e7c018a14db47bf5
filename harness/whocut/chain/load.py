"""The load's task: stages, one after the other, as the manifest holds them. Plain data.

A stage asks so many requests of one mode, or of several in proportion. In a closed load a user asks again as soon
as it has its answer. In an open load each request is due by the clock, even while all users are busy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  # the fields' types are read where a manifest is
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from whocut.errors import BadInput

# Longest wait, in model seconds, for work in flight when nothing more is asked, and for generations that run on
# after the last caller has gone: longer than any of the article's profiles (p95 280 s), so that the ledger is whole
# in all but the rarest run.
DRAIN_S = 600.0
_PER_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_ARRIVALS = re.compile(r"(?:(poisson|even):)?(\d+(?:\.\d+)?)/(s|min|h)")


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Open arrivals: `per_s` requests a model second, with gaps drawn at random (poisson) or all alike (even)."""

    per_s: float
    kind: str = "poisson"

    def __str__(self) -> str:
        return f"{self.kind}:{self.per_s * 60:g}/min"


def parse_arrivals(written: str) -> Arrivals | None:
    """Read ``closed`` (None), ``30/min``, ``even:2/s``, ``poisson:600/h``.

    Raises:
        BadInput: the form is unknown, or the rate is zero.
    """
    if written == "closed":
        return None
    match = _ARRIVALS.fullmatch(written)
    if match is None or float(match[2]) == 0:
        raise BadInput(
            f"'{written}' are no arrivals; write closed, or for open ones 30/min, even:2/s, poisson:600/h",
            field="arrivals",
        )
    kind, number, unit = match.groups()
    return Arrivals(float(number) / _PER_S[unit], kind or "poisson")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStage:
    """Some requests of one mode, or of several: `mix` holds each mode's share.

    `at_once` bounds how many users take part (None: all of them), each resting `gap_s` model seconds after a
    request; one that was refused rests as long as its Retry-After says, where the stage `heeds_retry_after`.
    Nothing is asked in the `quiet_s` before. With one mode, records carry the stage's name as their mode; with
    several, each its own.
    """

    name: str
    mix: Mapping[str, float]
    requests: int
    at_once: int | None = None
    gap_s: float = 0.0
    heeds_retry_after: bool = False
    quiet_s: float = 0.0
    arrivals: Arrivals | None = None

    @property
    def mode(self) -> str | None:
        """The only mode; None where there are several."""
        return next(iter(self.mix)) if len(self.mix) == 1 else None

    @property
    def labels(self) -> tuple[str, ...]:
        """What records of this stage carry as their mode."""
        return (self.name,) if self.mode else tuple(self.mix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a run may spend, and the account it is written into; None is no limit. Holds no key.

    `tries_behind` is how often the layers behind the client may send one attempt on. `breaker` is as the user wrote
    it; None is the guard's own.
    """

    account: str
    budget_nano_usd: int
    max_attempts: int | None = None
    tries_behind: int = 1
    breaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The whole task of a load process; `upstream_control` is None where the upstream is not the mock.

    The first `asked_before` stages belong to another load, which has ended; their outcomes decided the others.
    `spending` is None where nothing costs money. A caller on another machine has to dial a door where one on this
    machine dials the loopback.
    """

    base_url: str
    stages: tuple[LoadStage, ...]
    users: int
    seed: int
    partial_images: int
    upstream_control: str | None
    upstream_in: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    base_urls: Mapping[str, str] = field(default_factory=dict)  # of modes behind a chain of their own
    asked_before: int = 0
    spending: Spending | None = None
    doors: Mapping[str, int] = field(default_factory=dict)  # for callers elsewhere, by the port behind each
    local_chain: bool = False  # each worker has a chain and a mock of its own

    @property
    def asked(self) -> int:
        """Requests of the stages that are this load's to ask."""
        return sum(stage.requests for stage in self.stages[self.asked_before :])

    def to_plain(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Load:
        """From a manifest.

        Raises:
            BadInput: it is not a load, or one with a field of another type.
        """
        try:
            return _reader().validate_python(plain)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise BadInput(
                f"the load in the run's manifest cannot be read: {'.'.join(map(str, first['loc']))}: "
                f"{first['msg']}. Use the version that wrote it."
            ) from None


@cache
def _reader() -> TypeAdapter[Load]:
    """To make one takes longer than a hundred readings."""
    return TypeAdapter(Load)
