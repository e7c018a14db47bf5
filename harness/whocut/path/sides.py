"""What the parts of a hop ask of one another: the only thing that each of them knows of the others.

::

    Caller ⇄ Served ⇄ Next        all three in one House

The classes behind these: `Downstream`, `Exchange`, `Upstream`, `Hop`. A tap is a house too; its `Outer` and `Inner`
are connections of one `Wire`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.path.account import Facts, Lineage, Place
    from whocut.path.deadlines import Deadlines
    from whocut.path.http1 import RequestHead
    from whocut.path.looks import Look
    from whocut.path.relay import Manners, Piece
    from whocut.path.replies import Replies
    from whocut.path.tap import Tap
    from whocut.trace.records import SpanSink, UpstreamEnd

P = TypeVar("P", bound="asyncio.BaseProtocol")


class Served(Protocol):
    """What a connection asks of the exchange that it serves."""

    @property
    def request_done(self) -> bool:
        """Whether all of the request has come."""

    def request_bytes(self, data: bytes, at: int) -> int:
        """Bytes of the request's body; says where they end."""

    def refuse(self, status: int) -> None:
        """The request's body is invalid."""

    def downstream_drained(self) -> None:
        """The caller keeps up again."""

    def downstream_ended(self) -> bool:
        """The caller has gone; True where the layer does not see it."""

    def upstream_bytes(self, data: bytes) -> None:
        """Bytes of the response."""

    def upstream_drained(self) -> None:
        """The next layer keeps up again."""

    def upstream_ended(self, how: UpstreamEnd) -> None:
        """The next layer ended its side."""

    def overdue(self, now_s: float) -> bool:
        """Whether a timer should have fired before now."""

    def check(self, now_s: float) -> float | None:
        """Let the timer fire that is due; otherwise say when to look again."""

    def stop(self, why: str) -> None:
        """End it, and write down what is known."""


class Open(Protocol):
    """A connection, as a hop sees it."""

    transport: asyncio.Transport | None

    def stop(self, why: str) -> None:
        """The hop ends: write down what is known, and end the connection at once."""


class Side(Open, Protocol):
    """A connection, as an exchange sees it."""

    exchange: Served | None
    writable: bool

    def pause_reading(self) -> None:
        """Take no more from the peer for now."""

    def resume_reading(self) -> None:
        """Take bytes again."""


class Caller(Side, Protocol):
    """The side towards the caller."""

    def send(self, data: Piece) -> None:
        """Put bytes on their way; into the void if the caller has gone."""

    def watch(self, now_s: float, in_s: float) -> None:
        """See to it that `Served.check` is called within `in_s`."""

    def next_request(self, now_s: float) -> None:
        """The exchange is over, and the connection stays open."""

    def close(self) -> None:
        """FIN, after what is still to be sent."""

    def linger(self) -> None:
        """FIN now, and read on for a while."""

    def reset(self) -> None:
        """RST, at once."""

    def abort(self) -> None:
        """Gone at once, whatever was still to be sent."""


class Next(Side, Protocol):
    """The side towards the model."""

    replies: Replies
    reused: bool
    idle_since_s: float
    ended: UpstreamEnd | None

    def leave(self, *, reset: bool = False) -> None:
        """End the connection from our side: FIN or RST."""


class House(Protocol):
    """What all of them ask of the hop."""

    layer: Layer
    clock: Clock
    sink: SpanSink | None
    place: Place
    tap: Tap | None
    deadlines: Deadlines
    head_s: float  # model seconds within which a caller's head has to be whole
    idle_s: float  # … and within which its next request has to begin
    manners: Manners
    replays_posts: bool
    authority: bytes | None
    now_s: Callable[[], float]
    inbox: memoryview
    closing: bool
    callers: set[Open]
    upstreams: set[Open]
    pool: dict[Next, None]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop the hop listens in."""

    def dial(self) -> Awaitable[Next]:
        """A new connection to the next layer."""

    def take_pooled(self) -> Next | None:
        """A connection that an earlier exchange has left, or None."""

    def give_back(self, upstream: Next, now_s: float) -> None:
        """Keep a connection for the next request."""

    def fail(self, error: BaseException) -> None:
        """A fault of ours."""

    async def connect(self, make: Callable[[], P]) -> P:
        """Connect a protocol to the next layer.

        Raises:
            OSError: nothing takes the connection, or TLS fails.
        """

    def look_at(self, head: RequestHead, raw: bytes, connection: int, now_s: float) -> Look:
        """What follows a request that passes a tap."""

    def complain(self, sentence: str) -> None:
        """Say something to the person who runs this, once."""

    def unix_s(self) -> float:
        """The calendar's instant, in model time."""

    def account(self, facts: Facts, lineage: Lineage, at_s: float) -> None:
        """Write down an exchange that ended at `at_s`."""
