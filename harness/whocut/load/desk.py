"""Where the users of one process take their orders: one stage at a time, none lost, none taken twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent.event
from gevent.lock import BoundedSemaphore

from whocut.load.orders import Order, Share, orders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.load import LoadStage
    from whocut.clock import Clock
    from whocut.load.session import Session


class Round:
    """One stage, as far as this process has a share in it; it began at `began_s`."""

    def __init__(self, session: Session, stage: LoadStage, share: Share, began_s: float) -> None:
        self.stage = stage
        self.began_s = began_s
        self.answered = 0
        self.not_asked = 0
        self.over = gevent.event.Event()
        self.next = gevent.event.Event()
        self._clock = session.clock
        self._orders: Iterator[Order] = orders(stage, session.load.seed, share)
        self._total = share.count(stage)
        places = share.places(stage, session.load.users)
        self._places = BoundedSemaphore(places)
        if not self._total:
            self.over.set()

    def take(self) -> Order | None:
        """The next order and a place to answer it in; None when all are taken."""
        self._places.acquire()
        order = next(self._orders, None)
        if order is None:
            self._places.release()
        return order

    def done(self, told_to_wait_s: float = 0.0) -> None:
        """One order has been answered, one way or the other; its place is free after the gap.

        `told_to_wait_s` is the answer's Retry-After: a user who takes the place earlier is refused again.
        """
        self.answered += 1
        self._count()
        rest_s = max(self.stage.gap_s, told_to_wait_s if self.stage.heeds_retry_after else 0.0)
        if rest_s:
            self.over.wait(timeout=self._clock.real_s(rest_s))  # the next round needs everybody
        self._places.release()

    def pass_over(self) -> None:
        """One order is not asked, because nothing may be spent on it any more."""
        self.not_asked += 1
        self._count()
        self._places.release()

    def _count(self) -> None:
        if self.answered + self.not_asked == self._total:
            self.over.set()


class Desk:
    """Hands out the orders of one round after the other.

    The next round begins when the conductor of the stages says so. So no stage is measured while the rest of
    another is under way.
    """

    def __init__(self) -> None:
        self.round: Round | None = None
        self.closed = gevent.event.Event()
        self.failed: str | None = None
        self.silent = 0  # orders for which the scenario sent nothing
        self.raised = 0  # orders whose image came, and whose ask() then raised an error
        self.raised_first: str | None = None  # the first of these errors, with its place
        self._answered_before = self._not_asked_before = 0
        self._first = gevent.event.Event()

    @property
    def answered(self) -> int:
        """Orders answered in all rounds."""
        return self._answered_before + (self.round.answered if self.round else 0)

    @property
    def not_asked(self) -> int:
        """Orders passed over in all rounds."""
        return self._not_asked_before + (self.round.not_asked if self.round else 0)

    def open(self) -> None:
        """A new test begins: after an earlier one, everything is as new. Users that wait already, wait on."""
        if self.closed.is_set():
            self.round, self.failed, self.raised_first = None, None, None
            self.silent = self.raised = self._answered_before = self._not_asked_before = 0
            self.closed, self._first = gevent.event.Event(), gevent.event.Event()

    def begin(self, session: Session, stage: LoadStage, share: Share, began_s: float) -> Round:
        """Lay out the orders of the next stage."""
        self._answered_before, self._not_asked_before = self.answered, self.not_asked
        before, self.round = self.round, Round(session, stage, share, began_s)
        (before.next if before else self._first).set()
        if self.failed:
            self.round.over.set()
        return self.round

    def take(self) -> tuple[Round, Order] | None:
        """The next order, with its round; waits for the next stage; None when nothing will come any more."""
        while not self.closed.is_set():
            now = self.round
            order = now.take() if now else None
            if now and order:
                return now, order
            (now.next if now else self._first).wait()
        return None

    def wait_until(self, due_s: float, clock: Clock) -> None:
        """Until a model instant, or the closing of the desk."""
        self.closed.wait(timeout=max(0.0, clock.real_s(due_s - clock.now_s())))

    def close(self) -> None:
        """Nothing more will be asked; users that wait for an order end."""
        self.closed.set()
        (self.round.next if self.round else self._first).set()

    def fail(self, why: str) -> None:
        """A mistake in the scenario: nothing more is asked, and the conductor of the stages hears of it."""
        self.failed = self.failed or why
        if self.round:
            self.round.over.set()
        self.close()


DESK = Desk()
"""The desk of this process: Locust makes its users by itself, and they must find it."""
