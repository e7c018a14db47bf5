"""What a test holds: an address to dial, and assertions that explain themselves with a drawing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NoReturn

from whocut.chain.money import format_dollars
from whocut.errors import BadInput, nearest
from whocut.plugin.endings import UNKNOWN_OUTCOME, Endings, endings
from whocut.stage.runners import ScaledRunner
from whocut.verdict.retry_audit import ending
from whocut.words import times

if TYPE_CHECKING:
    from whocut.stage.runners import Playing
    from whocut.stage.seen import Observed
    from whocut.trace.records import Attempt
    from whocut.verdict.verdict import Verdict
    from whocut_mock import Settings


class WhocutUpstream:
    """The mock at the end of the chain: its address, its books, its behaviour."""

    def __init__(self, runner: Playing) -> None:
        self._runner = runner

    @property
    def base_url(self) -> str:
        """The mock's own address, past every layer; requests that go there are not watched."""
        return self._runner.stage.mock.base_url

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """Every generation, as it will be when its work is over."""
        return list(self._runner.observed().ledger)

    @property
    def settings(self) -> Settings:
        """How it behaves."""
        return self._runner.stage.mock.upstream.settings


class WhocutChain:
    """The chain in front of the mock, and what was seen of every client that dialled it."""

    def __init__(self, runner: Playing, router: Any = None) -> None:
        self._runner = runner
        self._router = router

    @property
    def routes(self) -> Any:
        """The respx router of this test, for routes of its own beside the chain's.

        Raises:
            BadInput: this is another tier.
        """
        if self._router is None:
            raise BadInput("only the respx tier has routes: @pytest.mark.whocut(tier='respx')")
        return self._router

    @property
    def base_url(self) -> str:
        """What a client of the Images API is given."""
        return self._runner.stage.base_url

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt on the wire, request by request."""
        return self._runner.observed().attempts

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """The upstream's books, as they will be when its work is over."""
        return list(self._runner.observed().ledger)

    def now_s(self) -> float:
        """Model seconds since the test began."""
        return self._runner.now_s()

    def client_s(self, model_s: float) -> float:
        """A model duration as the test's own clock counts it: divided by the scale in the scaled tier."""
        return self._runner.client_s(model_s)

    async def settled(self) -> None:
        """Let time go on until no attempt is open and no generation is at work."""
        await self._runner.settled()

    def wait_settled(self) -> None:
        """The same for a test that is a plain function, in the scaled tier.

        Raises:
            BadInput: the test is a coroutine, and has `settled` to await.
        """
        if not isinstance(self._runner, ScaledRunner):
            raise BadInput("in virtual time waiting is awaited: write 'await whocut_chain.settled()'")
        self._runner.wait_settled()

    def verdict(self, request: str | None = None) -> Verdict:
        """Who cut the last attempt of a request, or of the only one there is; prints as one phrase.

        Raises:
            BadInput: there is no such request, or several and none was named.
        """
        __tracebackhide__ = True
        observed = self._asked()
        return observed.verdict(self._the_one(observed) if request is None else _known(observed, request))

    def drawing(self, request: str | None = None) -> str:
        """A request as a waterfall, in plain characters."""
        __tracebackhide__ = True
        observed = self._asked()
        return observed.drawing(self._the_one(observed) if request is None else _known(observed, request))

    def assert_billed_once(self) -> None:
        """Each request has cost one generation: not two, and not none."""
        __tracebackhide__ = True
        observed = self._asked()
        for request, billed in observed.billed.items():
            if len(billed) == 1:
                continue
            if not billed:
                last = ending(observed.requests[request][-1])
                _fail(observed, request, f"{request} was billed for no image at all: it ended with {last}")
            paid = sum(verdict.behind.billed_usd for verdict in billed if verdict.behind)
            got = "one image" if observed.delivered(request) else "no image"
            why = _why_again(observed, request)
            _fail(
                observed,
                request,
                f"{request} is billed {times(len(billed))} ({format_dollars(paid)}), and {got} was delivered: "
                f"{why}",
            )

    def assert_not_retried_after(self, what: Endings | int | str = UNKNOWN_OUTCOME) -> None:
        """No attempt followed one that ended so: an unknown outcome, a status, or an error's code."""
        __tracebackhide__ = True
        observed, kind = self._asked(), endings(what)
        for request, tries in observed.requests.items():
            for former, again in itertools.pairwise(tries):
                if kind.holds(former):
                    waited_s = again.started_s - (former.ended_s or again.started_s)
                    _fail(
                        observed,
                        request,
                        f"{request} was asked again (attempt {again.number}) {waited_s:.3g} s after "
                        f"{ending(former)}, which is {kind.words}",
                    )

    def assert_honoured_retry_after(self) -> None:
        """No attempt came before the answer to the former one allowed it."""
        __tracebackhide__ = True
        observed = self._asked()
        broken = observed.audit.broken_waits
        if broken:
            worst = max(broken, key=lambda retry: retry.short_by_s)
            _fail(observed, worst.request, worst.sentence)

    def assert_max_in_flight(self, most: int) -> None:
        """Never were more attempts open at once."""
        __tracebackhide__ = True
        observed = self._asked()
        found, at_s = observed.most_in_flight
        if found > most:
            _fail(
                observed,
                None,
                f"{found} attempts were in flight at once, at {at_s:.4g} s; {most} are allowed",
            )

    def _asked(self) -> Observed:
        """The observed; an assertion about nothing is a mistake in the test."""
        __tracebackhide__ = True
        observed = self._runner.observed()
        if not observed.requests:
            if observed.beside:
                seen = ", ".join(dict.fromkeys(one.name for one in observed.beside))
                raise BadInput(f"no request for a generation has reached the chain, only {seen}")
            raise BadInput(
                "no request has reached the chain: give the client base_url=whocut_chain.base_url, which is "
                f"{self.base_url}"
            )
        return observed

    def _the_one(self, observed: Observed) -> str:
        __tracebackhide__ = True
        if len(observed.requests) > 1:
            raise BadInput(
                f"there were {len(observed.requests)} requests: name one of {', '.join(observed.requests)}"
            )
        return next(iter(observed.requests))


def _known(observed: Observed, request: str) -> str:
    __tracebackhide__ = True
    if request not in observed.requests:
        known = observed.requests
        raise BadInput(
            f"there is no request '{request}'{nearest(request, known)}; there are {', '.join(known)}"
        )
    return request


def _why_again(observed: Observed, request: str) -> str:
    for retry in observed.audit.retries:
        if retry.request == request and retry.unknown:
            return f"after {retry.after} the work behind it runs on, and the client asked for it again"
    return "the client asked again"


def _fail(observed: Observed, request: str | None, sentence: str) -> NoReturn:
    __tracebackhide__ = True
    drawings = (
        [observed.drawing(request)]
        if request
        else [observed.drawing(one) for one in list(observed.requests)[:3]]
    )
    raise AssertionError("\n\n".join([sentence, *drawings]))
