"""All that one request's text says, each fact read once and only where a rule asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from whocut.verdict import inference
from whocut.verdict.triage.exchange import headers_in
from whocut.verdict.triage.lexicon import said_in, speaking_in
from whocut.verdict.triage.numbers import Duration, Of, durations_in, elapsed_of
from whocut.verdict.triage.refusals import refused_in
from whocut.verdict.triage.statuses import How, Status, statuses_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Layer
    from whocut.trace.logs.records import Account
    from whocut.verdict.inference import Inference, Seen
    from whocut.verdict.triage.exchange import Exchange
    from whocut.verdict.triage.lexicon import Said, Speaker
    from whocut.verdict.triage.refusals import Refused
    from whocut.verdict.triage.unwrap import Unwrapped

_TRIES: Final = re.compile(
    r"(?i)(?:retried:? (\d{1,3}) times|failed after (\d{1,3}) (?:attempts|tries|retries)"
    r"|after (\d{1,3}) (?:attempts|retries)"
    r"|attempt (\d{1,3}) of \d)"
)


@dataclass(frozen=True)
class Facts:
    """All that one request's text says, each fact read once."""

    pasted: Unwrapped
    exchange: Exchange | None = None
    account: Account | None = None
    after_s: float | None = None
    chain: Sequence[Layer] = ()
    read_as: str = field(default="text")

    @property
    def lower(self) -> str:
        """The text in small letters."""
        return self.pasted.lower

    @cached_property
    def statuses(self) -> list[Status]:
        """Every status of 400 and above that the text speaks of."""
        found = statuses_in(self.pasted.text)
        own = self.exchange.seen.status if self.exchange else None
        if own is not None and own >= 400:
            found.insert(0, Status(own, How.ANSWERED, 0))
        return found

    @cached_property
    def status(self) -> Status | None:
        """The answer's status; a response that was read whole leaves no doubt."""
        if (
            self.exchange is not None
            and self.exchange.seen.status is not None
            and self.exchange.seen.status < 400
        ):
            return None
        return self.statuses[0] if self.statuses else None

    @property
    def code(self) -> int | None:
        """The answer's status as a number."""
        return self.status.code if self.status else None

    @cached_property
    def durations(self) -> list[Duration]:
        """Every duration that the text speaks of."""
        return durations_in(self.pasted.text)

    def elapsed_s(self, *, by_limit: bool, connecting: bool = False) -> float | None:
        """How long it took: as told apart, as measured, or by the limit that fired."""
        if self.after_s is not None:
            return self.after_s
        if self.account is not None and self.account.duration_s is not None:
            return round(self.account.duration_s, 3)
        if self.exchange is not None and self.exchange.seen.elapsed_s is not None:
            return self.exchange.seen.elapsed_s
        usable = [one for one in self.durations if by_limit or one.of is not Of.LIMIT]
        return elapsed_of(usable, connecting=connecting)

    @cached_property
    def said(self) -> list[Said]:
        """Every ending that the text gives in the words of a client or a layer."""
        return said_in(self.pasted.text)

    @cached_property
    def names(self) -> list[Speaker]:
        """Every client and layer that names itself, be it as what wrote the line."""
        return speaking_in(f"{self.pasted.levels[0].lower()}\n{self.lower}")

    @cached_property
    def refused(self) -> Refused | None:
        """The refusal that the text tells of."""
        return refused_in(self.pasted)

    @cached_property
    def seen(self) -> Seen:
        """What the caller saw of the response."""
        if self.exchange is not None:
            seen = self.exchange.seen
        else:
            seen = inference.Seen(
                status=self.code, headers=headers_in(self.pasted), body=self.pasted.text, whole=False
            )
        return replace(seen, elapsed_s=self.elapsed_s(by_limit=True))

    @cached_property
    def page(self) -> Inference | None:
        """The layer whose page this is, by its body or its headers."""
        found = inference.by_signature(self.seen, self.chain)
        if found is None and self.exchange is not None:
            # A page that was pasted as its visible text, or one with remarks around it.
            quoted = replace(self.seen, whole=False, body=self.exchange.text)
            found = inference.by_signature(quoted, self.chain)
        return found


def best_of(said: Sequence[Said]) -> Said | None:
    """What says most: the more telling ending, a layer's own words, then the one further out, then the first."""
    return max(
        said,
        key=lambda one: (one.tells, one.row.log, one.row.directive is not None, one.speaker.out, -one.at),
        default=None,
    )


def tries_of(facts: Facts) -> tuple[str, ...]:
    """How many tries the text speaks of, as a reason; empty where it speaks of none."""
    match = _TRIES.search(facts.pasted.text)
    if match is None:
        return ()
    number = next(int(group) for group in match.groups() if group)
    return (
        (f"the text speaks of {number} tries or retries: each was a generation of its own",) if number else ()
    )
