"""Two watchers of one attempt, one in the client and one outside of it, say the same of what both can see."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from whocut.chain.catalogue import preset
from whocut.client.asking import Asking
from whocut.client.ending import ended_by, ending_of
from whocut.client.watch import AttemptWatch, Sinks, Watch
from whocut.clock import Clock
from whocut.stage.sighting import Sighting
from whocut.trace.records import Outcome, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/v1/images/generations"
IMAGE = b'{"created": 1, "data": [{"b64_json": "aGVsbG8="}]}'
NOTHING = b'{"created": 1, "data": []}'
PAGE = b"<html><h1>504 Gateway Time-out</h1></html>"
JSON = {"content-type": "application/json"}


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> Clock:
        """Its time."""
        return Clock(1.0, origin=0.0, epoch_unix_s=0.0, reader=lambda: self.now)


def inside(hand: Hand) -> AttemptWatch:
    """The client's own view."""
    return AttemptWatch(
        clock=hand.clock(),
        layer=preset("openai-python"),
        asking=Asking(request="request-1"),
        sinks=Sinks(lambda _: None, lambda _: None),
        number=1,
        method="POST",
        path=PATH,
        limits_s={"read": 600.0},
    )


def outside(hand: Hand) -> Sighting:
    """The view of a stage."""
    return Sighting(
        clock=hand.clock(),
        client="openai-python",
        method="POST",
        path=PATH,
        digest="d",
        body={},
        retry_count=None,
        read_timeout_s=600.0,
        came_in=None,
    )


ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "an image": (200, JSON, IMAGE),
    "no image": (200, JSON, NOTHING),
    "half an image": (200, JSON, IMAGE[:20]),
    "a packed image": (200, JSON | {"content-encoding": "gzip"}, gzip.compress(IMAGE)),
    "a page": (504, {"content-type": "text/html", "server": "nginx"}, PAGE),
    "a wait": (429, JSON | {"retry-after-ms": "6340", "retry-after": "7"}, PAGE),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_means_the_same_from_inside_and_from_outside(answer: str) -> None:
    """Outcome, error, wait and kept headers hang on the answer alone, not on who watched."""
    status, headers, body = ANSWERS[answer]
    seen = []
    for make in (inside, outside):
        hand = Hand()
        watch: Watch = make(hand)
        watch.answered(status, headers)
        hand.now = 2.0
        watch.received(body)
        watch.finished()
        record = watch.record
        seen.append((record.outcome, record.error, record.retry_after_s, record.headers, record.body_head))

    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("no image", Outcome.REJECTED),
        ("a packed image", Outcome.DELIVERED),
        ("a page", Outcome.GATEWAY_ERROR),
    ],
)
def test_an_answer_is_read_from_outside_as_what_it_is(answer: str, outcome: Outcome) -> None:
    """A packed answer is not cut, one without an image delivers none, and a page keeps what tells its layer."""
    status, headers, body = ANSWERS[answer]
    watch = outside(Hand())

    watch.answered(status, headers)
    watch.received(body)
    watch.finished()

    assert watch.record.outcome is outcome
    assert watch.record.headers == (headers if answer == "a page" else {})


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize(
    ("name", "end"),
    [("ReadError", UpstreamEnd.RESET), ("RemoteProtocolError", UpstreamEnd.CLOSED)],
)
def test_what_is_raised_and_how_it_ended_are_one_ending(
    name: str, end: UpstreamEnd, *, in_body: bool
) -> None:
    """The library's error for a reset means what the reset means, before the answer and inside of it."""
    raised = type(name, (Exception,), {})("ended")

    assert ending_of(raised, in_body=in_body) == ended_by(end, in_body=in_body)


def _timed_out_inside(hand: Hand) -> Watch:
    watch = inside(hand)
    hand.now = 600.0
    watch.failed(type("ReadTimeout", (Exception,), {})("600 s"))
    return watch


def _timed_out_outside(hand: Hand) -> Watch:
    watch = outside(hand)
    hand.now = 600.0
    watch.client_left()
    return watch


@pytest.mark.parametrize("play", [_timed_out_inside, _timed_out_outside])
def test_a_read_timeout_is_one_cut_from_inside_and_from_outside(play: Callable[[Hand], Watch]) -> None:
    """The timer, its directive, its phase and its length are in the record and in the span."""
    watch = play(Hand())

    record, told = watch.record, watch.span()
    assert (record.outcome, record.error) == (Outcome.TIMEOUT, "ReadTimeout")
    assert (record.timer, record.directive, record.phase) == ("first_byte", "timeout.read", "wait")
    assert told.cut is not None
    assert (told.upstream, told.cut.limit_s) == (UpstreamEnd.CUT, 600.0)


def test_a_client_that_leaves_at_another_moment_has_cancelled() -> None:
    """How its attempt would have ended was not seen."""
    hand = Hand()
    watch = outside(hand)

    hand.now = 42.0
    watch.client_left()

    assert (watch.record.outcome, watch.record.timer) == (Outcome.CENSORED, None)
