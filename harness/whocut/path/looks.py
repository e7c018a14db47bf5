"""Looks: each follows one request that passes a tap, as it happens. One look is the tap's own, for its spans.

A `Wire` passes bytes and ends on; it knows nothing of spans. Its `Onlooker` gives it a `Look` for each request. A
look may add fields to a request that is held, answer in the upstream's place and rewrite the head of a response: a
stage on which a client is tried does so. A tap's own look does nothing but write down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from whocut.path.account import Facts, Lineage
from whocut.trace.records import DownstreamEnd, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.path.http1 import RequestHead

    WriteAccount = Callable[[Facts, Lineage, float], None]


class Look(Protocol):
    """One request and its response. Instants are model seconds."""

    @property
    def traceparent(self) -> bytes | None:
        """What is handed on to the next layer in place of the caller's; None: the head is handed on as it came."""

    def request_body(self, data: bytes) -> None:
        """A piece of the request's body, without framing."""

    def whole(self, answer: Callable[[bytes], None]) -> bytes | None:
        """The request is whole; where it was held, returns the fields to add to its head, or None to keep it back.

        After None, `answer` is called with a whole response, now or later.
        """

    def sent(self, now_s: float) -> None:
        """All of the request is in the kernel's hands."""

    def bytes_came(self, count: int, now_s: float) -> None:
        """So many bytes of the response have come."""

    def interim(self) -> None:
        """They were an interim response; the first byte is still to come."""

    def answered(self, status: int, raw: bytes) -> bytes:
        """The response's head is whole; returns what goes down in its place, where the look `rewrites`."""

    def response_body(self, data: bytes) -> None:
        """A piece of the response's body, without framing."""

    def complete(self, now_s: float) -> None:
        """The response has come whole; it is still to be handed to the caller."""

    def ended(self, upstream: UpstreamEnd, downstream: DownstreamEnd, now_s: float) -> None:
        """It is over; told once."""


class Onlooker(Protocol):
    """Gives a look to each request.

    `holds`: requests are kept back until they are whole. `rewrites`: a response's head is kept back until it is
    whole, and what `Look.answered` returns goes down. `reads`: looks get the bodies.
    """

    holds: bool
    rewrites: bool
    reads: bool

    def look(self, head: RequestHead, raw: bytes, connection: int, now_s: float) -> Look:
        """A request has begun, on the caller's connection of this number."""


class SpanLook:
    """A tap's own: facts, and a span of them."""

    __slots__ = ("_account", "_facts", "_lineage")

    def __init__(self, head: RequestHead, account: WriteAccount, now_s: float) -> None:
        self._lineage = Lineage(head.traceparent)
        self._facts = Facts(head.method, head.target, now_s, self._lineage)
        self._account = account

    @property
    def traceparent(self) -> bytes:
        """This tap's span is the parent of the next one's."""
        return self._lineage.traceparent

    def request_body(self, data: bytes) -> None:
        """It is not read."""

    def whole(self, answer: Callable[[bytes], None]) -> bytes | None:  # noqa: ARG002  # nothing is answered here
        """Nothing is added."""
        return b""

    def sent(self, now_s: float) -> None:
        """For the wait, which begins here."""
        self._facts.sent_s = now_s

    def bytes_came(self, count: int, now_s: float) -> None:
        """For the silences between them."""
        self._facts.byte_came(now_s)
        self._facts.bytes_down += count

    def interim(self) -> None:
        """A sign of life, but no first byte."""
        self._facts.first_byte_s = None
        self._facts.bytes_down = 0

    def answered(self, status: int, raw: bytes) -> bytes:
        """For the status."""
        self._facts.status = status
        self._facts.head_bytes = len(raw)
        return raw

    def response_body(self, data: bytes) -> None:
        """It is not read."""

    def complete(self, now_s: float) -> None:
        """The upstream's side has ended well."""
        self._facts.upstream_ended(UpstreamEnd.COMPLETE, now_s)

    def ended(self, upstream: UpstreamEnd, downstream: DownstreamEnd, now_s: float) -> None:
        """Write the span."""
        facts = self._facts
        if downstream is DownstreamEnd.LEFT:
            facts.note("downstream.left", now_s)
        if upstream is UpstreamEnd.NONE:
            facts.note("hop.closed", now_s)
        elif upstream is not UpstreamEnd.COMPLETE:
            facts.upstream_ended(upstream, now_s)
        facts.downstream_ended(downstream, now_s)
        self._account(facts, self._lineage, now_s)


class Unseen:
    """A look that sees nothing, where no span is wanted."""

    __slots__ = ()
    traceparent = None

    def request_body(self, data: bytes) -> None:
        """Nothing."""

    def whole(self, answer: Callable[[bytes], None]) -> bytes | None:  # noqa: ARG002  # as above
        """Nothing is added."""
        return b""

    def sent(self, now_s: float) -> None:
        """Nothing."""

    def bytes_came(self, count: int, now_s: float) -> None:
        """Nothing."""

    def interim(self) -> None:
        """Nothing."""

    def answered(self, status: int, raw: bytes) -> bytes:  # noqa: ARG002  # as above
        """As it came."""
        return raw

    def response_body(self, data: bytes) -> None:
        """Nothing."""

    def complete(self, now_s: float) -> None:
        """Nothing."""

    def ended(self, upstream: UpstreamEnd, downstream: DownstreamEnd, now_s: float) -> None:
        """Nothing."""
