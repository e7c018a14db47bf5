"""Our own Locust user: the real SDK, one request after the other, nothing lost.

Locust's `OpenAIUser` reports a request from a response hook, so that one that timed out is never counted; its
statistics round to whole seconds above ten. Here each attempt writes its own record, and Locust's statistics
are for watching only.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gevent.lock import BoundedSemaphore
from locust import User, constant, task
from locust.exception import StopUser

from whocut.client.asking import Asking, asking_for
from whocut.errors import BadInput
from whocut.load.desk import DESK
from whocut.load.scenario_file import place_of
from whocut.trace.records import Outcome, RequestRecord

if TYPE_CHECKING:
    import openai

    from whocut.chain.layers import Upstream
    from whocut.client.transports import wire
    from whocut.load.gate import Gate
    from whocut.load.orders import Order
    from whocut.load.receiver import CallbackReceiver
    from whocut.load.session import Session
    from whocut.trace.records import Attempt


_ONE_RECEIVER = BoundedSemaphore(1)


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
    """Takes orders from the desk until no order is left."""

    abstract = True
    wait_time = constant(0)
    session: Session
    _serial = 0
    _receiver: CallbackReceiver | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        ImageUser._serial += 1
        self.number = ImageUser._serial
        self.clients: dict[str, openai.OpenAI] = {}
        # A pool for each mode would keep an idle connection for each mode that the user has ever been in.
        self._pool: wire.HTTPTransport | None = None

    @task
    def take_an_order(self) -> None:
        """Make the next request of the plan."""
        taken = DESK.take()
        if taken is None:
            raise StopUser
        round_, order = taken
        clock = self.session.clock
        if self.session.kept_back:
            round_.pass_over()
            return
        due_s = None if order.due_s is None else round_.began_s + order.due_s
        if due_s is not None:
            DESK.wait_until(due_s, clock)
        now_s = clock.now_s()
        asking = Asking(
            request=order.request,
            mode=order.label,
            user=self.number,
            due_s=now_s if due_s is None else due_s,
            dispatched_s=now_s,
        )
        gate = self.before(order)
        with gate.through(clock) if gate else nullcontext(), asking_for(asking):
            if DESK.closed.is_set():
                raise StopUser
            self._ask_and_write_down(order, asking)
        last = asking.attempts[-1] if asking.attempts else None
        if asking.kept_back and not last:
            round_.pass_over()
            return
        DESK.silent += last is None
        round_.done(last.retry_after_s or 0.0 if last and last.status == 429 else 0.0)

    def _ask_and_write_down(self, order: Order, asking: Asking) -> None:
        error: BaseException | None = None
        try:
            self.ask(self._client(order.mode), order)
        except Exception as raised:
            # The SDK lets other errors through as well: a JSON body cut short is a plain ValueError.
            error = raised
            if asking.kept_back:
                self.session.kept_back = str(asking.kept_back)
            elif not asking.attempts:
                raise  # nothing went out on the wire: a mistake in the scenario, of which the desk will hear
            elif asking.attempts[-1].outcome is Outcome.DELIVERED:
                DESK.raised += 1
                place = place_of(type(self), raised, raised.__traceback__)
                DESK.raised_first = DESK.raised_first or ": ".join(place)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if asking.attempts or not asking.kept_back:
                self._write_down(asking, error)

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

    def receiver(self, answer: int = 200, late_s: float = 0.0) -> CallbackReceiver:
        """The process's receiver of callbacks, which answers so; an earlier one hears of no further job.

        Each answer comes `late_s` model seconds after its callback.
        """
        if self.session.far:
            raise BadInput(
                "callbacks go to the machine of the mock, and this worker is on another one. Run this scenario "
                "with --local-chain, or leave its modes with callbacks out."
            )
        late_real_s = self.session.clock.real_s(late_s)
        with _ONE_RECEIVER:  # registering it takes a while, and every user comes at once
            now = ImageUser._receiver
            if now is None or (now.answer, now.late_real_s) != (answer, late_real_s):
                from whocut.load.receiver import CallbackReceiver  # noqa: PLC0415  # the SDK's models are slow to import

                if now is not None:
                    now.leave()
                base_url, key = self.session.load.base_url, self.session.mock_key
                now = ImageUser._receiver = CallbackReceiver(base_url, key, answer, late_real_s)
            return now

    def _client(self, mode: str) -> openai.OpenAI:
        if mode not in self.clients:
            self._pool = self._pool or self.session.connections()
            self.clients[mode] = self.session.client(self.retries(mode), self.api_key(mode), mode, self._pool)
        return self.clients[mode]

    def _write_down(self, asking: Asking, error: BaseException | None) -> None:
        ended_s = self.session.clock.now_s()
        started_s = ended_s if asking.due_s is None else asking.due_s
        last = asking.attempts[-1] if asking.attempts else None
        outcome = last.outcome if last else Outcome.CENSORED
        self.session.spans(
            RequestRecord(
                trace_id=asking.trace_id,
                span_id=asking.span_id,
                parent_id=None,
                layer="caller",
                name=f"image request ({asking.mode})",
                start_s=started_s,
                end_s=ended_s,
                error=type(error).__name__ if error else None,
                request=asking.request,
                mode=asking.mode,
                outcome=outcome,
            )
        )
        self.environment.events.request.fire(
            request_type="image",
            name=asking.mode,
            response_time=(ended_s - started_s) * 1000,
            response_length=last.bytes if last else 0,
            exception=failure_in_words(error, last),
            context={},
        )


def failure_in_words(error: BaseException | None, last: Attempt | None) -> str | None:
    """How Locust's page names a failure: by its kind, never by its text.

    Locust keeps the first error of each wording, with its frames and the bodies in them. An API's text has the
    request's id in it, and so is a wording of its own each time; and it may repeat a key or a prompt.
    """
    if error is None:
        return None
    said = last.error if last is not None else None
    kind = type(error).__name__
    return kind if said in {None, kind} else f"{kind}: {said}"
