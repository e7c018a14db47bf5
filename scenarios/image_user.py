"""Our own Locust user: the real SDK, one request after the other, nothing lost.

Locust's `OpenAIUser` reports a request from a response hook, so that one that timed out is never counted; its
statistics round to whole seconds above ten. Here each attempt writes its own record, and Locust's statistics
are for watching only.
"""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import gevent
import gevent.event
from locust import User, constant, events, task
from locust.exception import StopUser

from harness.client.asking import Asking, asking_for
from harness.clock.clock import wall_s
from harness.trace import names
from harness.trace.records import Outcome, Span, SpanKind
from scenarios.plan import Order, orders
from scenarios.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openai

    from harness.chain.layers import Upstream
    from scenarios.gate import Gate

_STALL_EVERY_S = 0.02


def wanted(upstream: Upstream, order: Order, **more: Any) -> dict[str, Any]:
    """The arguments of ``images.generate`` for one order; `more` overrides what the chain asks for."""
    asked = {
        "model": upstream.model,
        "prompt": order.prompt,
        "size": upstream.size,
        "quality": upstream.quality,
    }
    return asked | more


class ImageUser(User):
    """Takes orders from the plan until there are none left."""

    abstract = True
    wait_time = constant(0)
    session: Session
    _serial = 0

    def on_start(self) -> None:
        """Give this user a number and its own clients."""
        ImageUser._serial += 1
        self.number = ImageUser._serial
        self.clients: dict[str, openai.OpenAI] = {}

    @task
    def take_an_order(self) -> None:
        """Make the next request of the plan."""
        order = PLAN.take()
        if order is None:
            raise StopUser
        asking = Asking(request=order.request, mode=order.mode, user=self.number)
        due_s = self.session.clock.now_s()
        gate = self.before(order)
        with gate.through(self.session.clock) if gate else nullcontext(), asking_for(asking):
            self._ask_and_write_down(order, asking, due_s)
        PLAN.done()

    def _ask_and_write_down(self, order: Order, asking: Asking, due_s: float) -> None:
        error: BaseException | None = None
        try:
            self.ask(self._client(order.mode), order)
        except Exception as raised:
            # The SDK lets other errors through as well: a JSON body cut short is a plain ValueError.
            error = raised
            if not asking.attempts:
                raise  # nothing went out on the wire: a mistake in the scenario
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._write_down(asking, due_s, error)

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """What one order means: the scenario says it."""
        raise NotImplementedError

    def before(self, order: Order) -> Gate | None:
        """A gate to pass before the request goes out; None lets everybody through."""
        del order
        return None

    def api_key(self, mode: str) -> str | None:
        """The key to use in one mode; None is the one from the environment."""
        del mode
        return None

    def retries(self, mode: str) -> int | None:
        """`max_retries` of the SDK in one mode; None keeps its default of 2."""
        return 0 if mode == "no-retry" else None

    def _client(self, mode: str) -> openai.OpenAI:
        if mode not in self.clients:
            self.clients[mode] = self.session.client(self.retries(mode), self.api_key(mode))
        return self.clients[mode]

    def _write_down(self, asking: Asking, started_s: float, error: BaseException | None) -> None:
        ended_s = self.session.clock.now_s()
        last = asking.attempts[-1] if asking.attempts else None
        outcome = last.outcome if last else Outcome.CENSORED
        self.session.spans(
            Span(
                trace_id=asking.trace_id,
                span_id=asking.span_id,
                parent_id=None,
                layer="caller",
                kind=SpanKind.REQUEST,
                name=f"image request ({asking.mode})",
                start_s=started_s,
                end_s=ended_s,
                attributes={
                    names.REQUEST: asking.request,
                    names.MODE: asking.mode,
                    names.OUTCOME: str(outcome),
                    names.GENAI_OPERATION: "generate_content",
                    names.GENAI_OUTPUT_TYPE: "image",
                },
                error=type(error).__name__ if error else None,
            )
        )
        self.environment.events.request.fire(
            request_type="image",
            name=asking.mode,
            response_time=(ended_s - started_s) * 1000,
            response_length=last.bytes if last else 0,
            exception=error or None,
            context={},
        )


class Plan:
    """The orders still to be made, shared by all users of this process.

    One mode at a time: the next begins when the last answer of the one before has come, so that no mode is
    measured with the rest of another under way.
    """

    def __init__(self) -> None:
        self._modes: Iterator[str] = iter(())
        self._orders: Iterator[Order] = iter(())
        self._session: Session | None = None
        self._open = 0
        self._answered_all = gevent.event.Event()
        self.answered = 0
        self.finished = gevent.event.Event()

    def fill(self, session: Session) -> None:
        """Take the orders of a session, and enter its first mode."""
        self._session = session
        self._modes = iter(session.load.modes)
        self._next_mode()

    def take(self) -> Order | None:
        """The next order; waits for the end of a mode; None when nothing is left."""
        while not self.finished.is_set():
            order = next(self._orders, None)
            if order is not None:
                return order
            self._answered_all.wait()
        return None

    def done(self) -> None:
        """One order has been answered, one way or the other."""
        self._open -= 1
        self.answered += 1
        if self._open == 0:
            self._next_mode()

    def _next_mode(self) -> None:
        assert self._session is not None
        mode = next(self._modes, None)
        waiting, self._answered_all = self._answered_all, gevent.event.Event()
        if mode is None:
            self.finished.set()
        else:
            self._session.enter(mode)
            load = self._session.load
            self._open = load.requests
            self._orders = orders(mode, load.requests, load.seed)
        waiting.set()


PLAN = Plan()


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's hooks carry no types
def _start(environment: object, **_: object) -> None:
    session = Session.from_environment()
    ImageUser.session = session
    PLAN.fill(session)
    gevent.spawn(_watch_the_hub, session)
    gevent.spawn(_quit_when_finished, environment)


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # as above
def _stop(**_: object) -> None:
    if hasattr(ImageUser, "session"):
        ImageUser.session.close(answered=PLAN.answered)


def _watch_the_hub(session: Session) -> None:
    """A greenlet that only sleeps: by how much it wakes too late is by how much all others do.

    It also notices that the harness that started this process has gone, and then ends the load.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        before = wall_s()
        gevent.sleep(_STALL_EVERY_S)
        session.stalled(wall_s() - before - _STALL_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _quit_when_finished(environment: object) -> None:
    PLAN.finished.wait()
    environment.runner.quit()  # type: ignore[attr-defined]  # Locust hands its Environment untyped
