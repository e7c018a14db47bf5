"""One piece of work: it begins, it ends at its time, and it is billed, even when its caller has gone.

Its life is a timer and a row in the ledger, not a task that a disconnect could reach. The caller's side tells
it what happened there; the row settles when both sides are over.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from whocut_mock.clock import ModelClock
from whocut_mock.latency import Plan
from whocut_mock.ledger import Ledger, Row
from whocut_mock.remembered import Remembered
from whocut_mock.usage import Usage


def rounded(instant_s: float) -> float:
    """Model time as it is written down: to the microsecond."""
    return (
        round(instant_s * 1e6) / 1e6
    )  # round(…, 6) goes by way of decimal text, and takes five times as long


class Generation:
    """One generation in progress. Instants are set once; the first account of each is the one that stays."""

    __slots__ = (
        "_asked",
        "_billed",
        "_stops_when_left",
        "_timer",
        "_told",
        "_waiter",
        "_workshop",
        "caller_side_open",
        "row",
        "usage",
    )

    def __init__(
        self,
        row: Row,
        plan: Plan,
        usage: Usage,
        *,
        body_digest: bytes,
        billed: bool,
        stops_when_left: bool,
        waits_s: float,
        workshop: "Workshop",
    ) -> None:
        now_s = workshop.clock.now_s()
        start_s = now_s + waits_s
        row.state = "running"
        row.accepted_s, row.started_s = rounded(now_s), rounded(start_s)
        row.profile = plan.profile
        row.duration_s = rounded(plan.duration_s)
        row.partials_s = tuple(rounded(start_s + offset_s) for offset_s in plan.partials_s)
        self.row = row
        self.usage = usage
        self.caller_side_open = True
        self._asked = row.key_hash, body_digest
        self._billed = billed
        self._stops_when_left = stops_when_left
        self._workshop = workshop
        self._waiter: asyncio.Future[None] | None = None
        self._told: Callable[[], None] | None = None
        self._timer = asyncio.get_running_loop().call_at(
            workshop.clock.loop_instant(start_s + plan.duration_s), self._finish
        )
        workshop.enter(row)

    @property
    def running(self) -> bool:
        """Whether the work itself is still running."""
        return self.row.state == "running" and self.row.finished_s is None

    @property
    def begun(self) -> bool:
        """Whether its turn has come: work that waits for its turn costs nothing yet."""
        return self._workshop.clock.now_s() >= (self.row.started_s or 0.0)

    async def finished(self) -> None:
        """Wait for the end of the work; only one caller can."""
        if self.running:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def when_over(self, told: Callable[[], None]) -> None:
        """Call this when the work has ended by itself."""
        self._told = told

    def cancel(self, *, billed: bool) -> None:
        """End the work because its caller wants no more of it, and say who pays for what was done."""
        if not self.running:
            return
        if billed and self._billed:
            self._bill()
        self.stop()

    def stop(self) -> None:
        """End the server's part: the true duration will never be seen."""
        if self.running:
            self._timer.cancel()
            self.row.state = "stopped"
            self._workshop.ended()
            self._workshop.over(self)
        elif self.row.state == "running":
            self.row.state = "settled"
            self._workshop.over(self)

    def forecast(self) -> Row:
        """The row as it will be when the work is over, if nothing else happens to it."""
        if not self.running:
            return self.row
        row = replace(
            self.row, finished_s=rounded((self.row.started_s or 0.0) + (self.row.duration_s or 0.0))
        )
        if row.orphaned and row.caller_gone_s is not None and row.finished_s is not None:
            row.orphaned_s = rounded(row.finished_s - row.caller_gone_s)
            row.state = "settled"
        row.usage = self.usage.json
        row.billed = self._billed
        row.billed_usd = self.usage.usd if self._billed else 0.0
        return row

    @property
    def request_id(self) -> str:
        """The id of the request that it answers."""
        return self.row.request_id

    @property
    def since_s(self) -> float:
        """When that request was accepted."""
        return self.row.accepted_s or 0.0

    def opened(self, status: int) -> None:
        """The first byte of the answer was handed over."""
        self.row.status = status
        if self.row.first_byte_s is None:
            self.row.first_byte_s = self._now_s()

    def failed(self, code: str | None) -> None:
        """The answer says that there is no picture, and why."""
        self.row.error_code = code or self.row.error_code

    def partial_sent(self, index: int) -> None:
        """Write the instant at which this partial image really went out in place of the planned one."""
        partials_s = list(self.row.partials_s)
        partials_s[index] = self._now_s()
        self.row.partials_s = tuple(partials_s)

    def sent(self) -> None:
        """The last byte of the answer has left our own buffers."""
        self.row.sent_s = self._now_s()

    def delivered(self, evidence: str) -> None:
        """The caller took all of it."""
        self.row.delivered_s = self._now_s()
        self.row.delivered = True
        self._workshop.delivered(self._asked)
        self.row.delivery_evidence = evidence

    def caller_gone(self) -> None:
        """The caller left; the work runs on."""
        if self.row.state == "running" and self.row.caller_gone_s is None and not self.row.delivered:
            self.row.caller_gone_s = self._now_s()
            if self._stops_when_left:
                self.stop()
            else:
                self.row.orphaned = self.running

    def close_caller_side(self) -> None:
        """Nothing more can happen between us and the caller."""
        self.caller_side_open = False
        self._settle()

    def _finish(self) -> None:
        row = self.row
        row.finished_s = self._now_s()
        if row.orphaned and row.caller_gone_s is not None:
            row.orphaned_s = rounded(row.finished_s - row.caller_gone_s)
        row.usage = self.usage.json
        if self._billed:
            self._bill()
        self._workshop.ended()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._told is not None:
            self._told()
        self._settle()

    def _bill(self) -> None:
        self.row.billed = True
        self.row.billed_usd = self.usage.usd
        self._workshop.spent_nano_usd[self.row.key_hash] += self.usage.nano_usd

    def _settle(self) -> None:
        if self.row.state == "running" and not self.caller_side_open and self.row.finished_s is not None:
            self.row.state = "settled"
            self._workshop.over(self)

    def _now_s(self) -> float:
        return rounded(self._workshop.clock.now_s())


Asked = tuple[str | None, bytes]  # a key's hash and a body's digest: equal ones are one order, asked again


@dataclass
class Workshop:
    """All generations that are not over yet, and the sums that later requests are judged by."""

    clock: ModelClock
    ledger: Ledger
    when_ended: Callable[[float], None]  # told the instant whenever a generation stops taking up room
    running: int = 0
    spent_nano_usd: Counter[str | None] = field(default_factory=Counter)
    _open: dict[str, Generation] = field(default_factory=dict)
    _first_of: Remembered[str] = field(default_factory=Remembered)
    _tries: Remembered[int] = field(default_factory=Remembered)

    def attempt(self, key_hash: str | None, body_digest: bytes, told: int) -> int:
        """Which attempt this is, from 1: as told, or as often as it came since it was last delivered."""
        tries = max(told, (self._tries.get(key_hash, body_digest) or 0) + 1)
        self._tries.put(tries, key_hash, body_digest)
        return tries

    def delivered(self, asked: Asked) -> None:
        """Who asks for the same again does not ask for want of an answer."""
        self._tries.forget(*asked)

    def begin(
        self,
        row: Row,
        plan: Plan,
        usage: Usage,
        *,
        body_digest: bytes,
        billed: bool,
        stops_when_left: bool,
        waits_s: float = 0.0,
    ) -> Generation:
        """Start the work; it ends by itself, with the server, or, if that is asked for, with its caller.

        It waits `waits_s` for its turn.
        """
        row.duplicate_of = self._first_of.get(row.key_hash, body_digest)
        if row.duplicate_of is None:
            self._first_of.put(row.generation, row.key_hash, body_digest)
        self.running += 1
        generation = Generation(
            row,
            plan,
            usage,
            body_digest=body_digest,
            billed=billed,
            stops_when_left=stops_when_left,
            waits_s=waits_s,
            workshop=self,
        )
        self._open[row.generation] = generation
        return generation

    def stop_all(self) -> int:
        """End every generation with the server; return how many were still being worked on."""
        still = self.running
        for generation in list(self._open.values()):
            generation.stop()
        return still

    def forecast(self) -> list[Row]:
        """Every row as it is, and those still open as they will be."""
        return [
            self._open[row.generation].forecast() if row.generation in self._open else row
            for row in self.ledger.rows()
        ]

    def forget(self) -> None:
        """Let nothing that was decide about what comes."""
        self._first_of.clear()
        self._tries.clear()
        self.spent_nano_usd.clear()

    def enter(self, row: Row) -> None:
        """Write the row as it is."""
        self.ledger.write(row)

    def ended(self) -> None:
        """A generation takes up room no more."""
        self.running -= 1
        self.when_ended(self.clock.now_s())

    def over(self, generation: Generation) -> None:
        """Nothing more can happen to this generation."""
        self._open.pop(generation.row.generation, None)
        self.ledger.write(generation.row)
