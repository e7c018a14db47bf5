"""The guard: every attempt passes it before it is sent, the SDK's retries as well.

`admit` writes the most an attempt can cost into the account, or says no. `Permit.settle` writes what became of it.
Where an attempt fits only if those in flight turn out cheaper than their bound, it waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.chain.money import dollars
from whocut.client.spending.breaker import Breaker
from whocut.client.spending.settling import charge
from whocut.client.spending.tally import Limits, Why, objection
from whocut.errors import CouldNotRun
from whocut.trace.records import new_span_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from whocut.client.spending.account import SpendAccount
    from whocut.client.spending.bound import Price
    from whocut.client.spending.tally import Tally
    from whocut.trace.records import Attempt

LOOK_AGAIN_REAL_S: Final = 0.05


class Withheld(CouldNotRun):
    """The guard kept an attempt back: nothing went out, and nothing more will."""

    def __init__(self, why: Why, sentence: str) -> None:
        super().__init__(sentence)
        self.why = why


@dataclass(frozen=True, slots=True)
class Permit:
    """An attempt that may go out, and what is reserved for it."""

    name: str
    price: Price
    nano_usd: int
    _settle: Callable[[Permit, Attempt, object, Mapping[str, Any] | None], int]

    def settle(self, attempt: Attempt, usage: object, error: Mapping[str, Any] | None) -> int:
        """The attempt has ended so; `usage` and `error` as its answer has them. What it is charged with."""
        return self._settle(self, attempt, usage, error)


@dataclass(slots=True)
class Guard:
    """The guard of one process. `tries_behind` is how often the layers behind may send one attempt on."""

    account: SpendAccount
    limits: Limits
    breaker: Breaker = field(default_factory=Breaker)
    tries_behind: int = 1
    _ours: dict[str, int] = field(default_factory=dict)
    _stopped: Withheld | None = None

    @property
    def stopped(self) -> Withheld | None:
        """Why nothing more goes out; None while something may."""
        return self._stopped

    def admit(self, price: Price) -> Permit | None:
        """A permit, or None: look again when one of ours has ended.

        Raises:
            Withheld: it does not go out, and nothing after it.
            BadFile, CouldNotRun: the account cannot be used.
        """
        if self._stopped is not None:
            raise self._stopped
        amount = price.nano_usd * self.tries_behind
        with self.account.locked() as tally:
            why = self._objection(tally, amount)
            if why is None:
                permit = Permit(new_span_id(), price, amount, self._settle)
                self.account.add(
                    {"reserved": permit.name, "nano_usd": amount, "run": self.account.run}, durable=True
                )
                self._ours[permit.name] = amount
                return permit
            in_flight = sum(self._ours.values())
            if why is Why.BUDGET and tally.total_nano_usd - in_flight + amount <= self.limits.budget_nano_usd:
                return None
            self._stopped = Withheld(why, self._sentence(why, tally, amount))
        raise self._stopped

    def look(self, price: Price) -> None:
        """Whether one attempt at this price might go out now; reserves nothing.

        Raises:
            Withheld: it might not.
        """
        with self.account.locked() as tally:
            why = self._objection(tally, price.nano_usd * self.tries_behind)
            if why is not None:
                raise Withheld(why, self._sentence(why, tally, price.nano_usd * self.tries_behind))

    def _objection(self, tally: Tally, amount: int) -> Why | None:
        why = objection(tally, amount, self.limits)
        return Why.FAILING if why is None and self.breaker.opens(tally.results) else why

    def _settle(
        self, permit: Permit, attempt: Attempt, usage: object, error: Mapping[str, Any] | None
    ) -> int:
        found = charge(attempt, permit.price, usage, error)
        # What layers behind may have sent once more besides is not in the answer: it stays reserved.
        besides = permit.nano_usd - permit.price.nano_usd
        cost = permit.nano_usd if found.nano_usd is None else found.nano_usd + besides
        row = {
            "settled": permit.name,
            "nano_usd": cost,
            "because": found.because,
            "failed": found.failed,
            "run": self.account.run,
            "request": attempt.request,
            "attempt": attempt.number,
        }
        try:
            with self.account.locked():
                self.account.add(row, durable=False)
        finally:
            del self._ours[permit.name]  # written or not: its wait is over
        return cost

    def _sentence(self, why: Why, tally: Tally, amount: int) -> str:
        spent, budget = dollars(tally.total_nano_usd), dollars(self.limits.budget_nano_usd)
        where = f"the account is {self.account.path}"
        if why is Why.BUDGET:
            unsure = tally.reserved_nano_usd
            held = f", {dollars(unsure)} of it for attempts whose end is unknown" if unsure else ""
            return (
                f"the budget of {budget} is used up: {spent} is spent or reserved{held}, and the next attempt may "
                f"cost {dollars(amount)}; {where}; a higher --budget-usd continues from there"
            )
        if why is Why.ATTEMPTS:
            return (
                f"--max-requests {self.limits.max_attempts} is reached: {tally.attempts} attempts have gone out "
                f"since the account was opened, {spent} in all; {where}; a higher number continues from there"
            )
        if why is Why.UNDERPRICED:
            return (
                f"an answer says it used more than the price table allows, so no bound holds any more: {spent} is "
                f"spent; {where}; report it with that file's last lines, and do not spend more until it is mended"
            )
        return (
            f"nothing more is sent because {self.breaker.says}; {spent} is spent or reserved; {where}; look at the "
            "run's verdicts, mend what fails, and start again"
        )
