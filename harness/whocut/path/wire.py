"""A wire: one caller's connection and the one that was dialled for it, handing on every byte and every end.

::

    caller ⇄ Outer ─ Wire ─ Inner ⇄ upstream

It has no timers, no pool and no word of its own. A connection is dialled as soon as a caller has come, so that
the upstream's own idle limit holds. A FIN is handed on as a FIN, with the other direction left open; a reset as a
reset, after the bytes that came before it; a dial that fails as a reset. A side that lags holds the other one back.

What passes is read beside it (`reading`) and given to a look for each request (`looks`). A caller that closes its
side counts as having left, at that instant, whatever still passes afterwards.
"""

from __future__ import annotations

import itertools
import ssl
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.errors import Malformed
from whocut.path.dialling import Dial
from whocut.path.ends import End
from whocut.path.fallen import telling, why
from whocut.path.reading import Requests, Responses
from whocut.trace.records import DownstreamEnd, UpstreamEnd

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from whocut.path.http1 import RequestHead
    from whocut.path.looks import Look
    from whocut.path.sides import House

# What waits for a connection that is being made; nothing more is read from the caller then.
_MAX_WAITING_BYTES: Final = 64 * 1024
# A caller whose dial fails is reset, but not before it has said what it wants: that is what the record is about.
_HEARD_WITHIN_REAL_S: Final = 1.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NUMBERS = itertools.count(1)
_STRANGE: Final = {
    "TLS": "a client spoke TLS to a port without it. Give it an http:// address, or start the tap with --tls.",
    "HTTP/2": "a client spoke HTTP/2, which passes unread and unrecorded. Switch the client to HTTP/1.1.",
}


class Outer(End):
    """The side towards the caller."""

    __slots__ = ("number", "wire")

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.wire = Wire(house, self)
        self.number = next(_NUMBERS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has come."""
        super().connection_made(transport)
        self.house.callers.add(self)
        if self.house.closing:
            self.abort()
        else:
            self.wire.begin()

    @telling
    def buffer_updated(self, count: int) -> None:
        """Bytes for the upstream."""
        self.wire.up(bytes(self.house.inbox[:count]))

    def drained(self) -> None:
        """The caller keeps up again."""
        self.wire.caller_keeps_up()

    def ended(self) -> None:
        """The caller's FIN."""
        self.wire.caller_closed()

    def lost(self, *, reset: bool) -> None:
        """The caller's connection is no more."""
        self.house.callers.discard(self)
        self.wire.caller_lost(reset=reset)

    def stop(self, why: str) -> None:  # noqa: ARG002  # a tap's own end is nothing that it saw
        """The tap is taken away."""
        self.wire.stop()


class Inner(End):
    """The side towards the model."""

    __slots__ = ("wire",)

    def __init__(self, house: House, wire: Wire) -> None:
        super().__init__(house)
        self.wire = wire

    @telling
    def buffer_updated(self, count: int) -> None:
        """Bytes for the caller."""
        self.wire.down(bytes(self.house.inbox[:count]))

    def drained(self) -> None:
        """The upstream keeps up again."""
        self.wire.upstream_keeps_up()

    def ended(self) -> None:
        """The upstream's FIN."""
        self.wire.upstream_closed()

    def lost(self, *, reset: bool) -> None:
        """The upstream's connection is no more."""
        self.house.upstreams.discard(self)
        self.wire.upstream_lost(reset=reset)

    def stop(self, why: str) -> None:  # noqa: ARG002  # as above
        """The tap is taken away."""
        self.abort()


class _Asked(NamedTuple):
    """A request whose response has not ended."""

    look: Look
    head_only: bool  # it is a HEAD


class Wire:
    """Both sides of one connection, and the exchanges on it."""

    __slots__ = (
        "_answering",
        "_asked",
        "_delivering",
        "_dialling",
        "_failed",
        "_holds",
        "_later",
        "_left",
        "_requests",
        "_responses",
        "_tap",
        "_unsent",
        "_waiting",
        "house",
        "inner",
        "outer",
    )

    def __init__(self, house: House, outer: Outer) -> None:
        self.house = house
        self.outer = outer
        self.inner: Inner | None = None
        tap = house.tap
        assert tap is not None, "a wire belongs to a tap"
        self._tap = tap
        onlooker = tap.onlooker
        marks = house.sink is not None or onlooker is not None
        holds, rewrites, reads = (
            (onlooker.holds, onlooker.rewrites, onlooker.reads) if onlooker is not None else (False,) * 3
        )
        self._holds = holds
        self._requests = Requests(self, authority=house.authority, marks=marks, holds=holds, reads=reads)
        self._responses = Responses(self, rewrites=rewrites, reads=reads)
        self._asked: deque[_Asked] = deque()
        self._delivering: deque[Look] = deque()  # whole responses that are not yet in the kernel's hands
        self._unsent: Look | None = None  # a whole request of which not all is in the kernel's hands
        self._waiting = bytearray()
        self._dialling: Dial[Inner] | None = None
        self._failed: UpstreamEnd | None = None  # why there is no connection to the upstream
        self._left = False
        self._answering: Look | None = None  # answers in the upstream's place
        self._later: deque[Callable[[], None]] = deque()

    # --- the upstream's side is dialled

    def begin(self) -> None:
        """Dial, as the caller has done."""
        if not self._tap.waits_to_dial:
            self._dial()

    def _dial(self) -> None:
        self._dialling = Dial(
            self.house,
            lambda: self.house.connect(lambda: Inner(self.house, self)),
            made=self._connected,
            refused=self._refused,
            failed=self._no_room,
        )

    def _connected(self, inner: Inner) -> None:
        self._dialling = None
        if inner.transport is None:  # it was taken over only now, and has gone already
            self._fail(UpstreamEnd.RESET)
            return
        self.inner = inner
        self.house.upstreams.add(inner)
        self._send_up(bytes(self._waiting))
        self._waiting.clear()
        if self.outer.fin or self.outer.transport is None:
            inner.finish()
        if inner.writable:
            self.outer.resume_reading()

    def _refused(self, error: OSError) -> None:
        if isinstance(error, ssl.SSLError):
            what = f"TLS with the upstream failed: {error.reason or error}"
        else:
            what = f"the upstream took no connection: {error.strerror or error}"
        self.house.complain(f"{what}. Its callers are reset.")
        self._fail(UpstreamEnd.REFUSED)

    def _no_room(self, error: Exception) -> None:
        self.house.complain(f"{why(error)}.")
        self._fail(UpstreamEnd.REFUSED)

    def _fail(self, how: UpstreamEnd) -> None:
        self._dialling = None
        self._failed = how
        self._waiting.clear()
        if self._asked or self._left or self.outer.transport is None:
            self._broken(how, reset=True)
        else:
            self.outer.resume_reading()
            self.house.loop.call_later(_HEARD_WITHIN_REAL_S, self.outer.reset)

    # --- bytes

    def up(self, data: bytes) -> None:
        """Bytes from the caller."""
        self._send_up(self._requests.take(data))
        if self._failed is not None and self._asked:
            if self.inner is None:
                self._broken(self._failed, reset=True)
            else:  # the upstream had closed before; its own answer to these bytes will tell the caller
                self._end_all(self._failed, DownstreamEnd.TRUNCATED)

    def _send_up(self, data: bytes) -> None:
        inner = self.inner
        if inner is None:
            if data and self._failed is None:
                self._waiting += data
                if self._dialling is None:
                    self._dial()
                if len(self._waiting) > _MAX_WAITING_BYTES:
                    self.outer.pause_reading()
            return
        inner.send(data)
        if not inner.writable:
            self.outer.pause_reading()
        elif self._unsent is not None:
            self._all_sent()

    def upstream_keeps_up(self) -> None:
        """What was sent up is in the kernel's hands."""
        if self._unsent is not None:
            self._all_sent()
        self.outer.resume_reading()

    def _all_sent(self) -> None:
        if self._unsent is not None:
            self._unsent.sent(self.house.now_s())
            self._unsent = None

    def down(self, data: bytes) -> None:
        """Bytes from the upstream."""
        try:
            out = self._responses.take(data, self.house.now_s())
        except Malformed:
            self._unreadable()
            out = self._responses.rest() + data
        self._send_down(out, last=self._responses.ended)
        if not self.outer.writable:
            if self.inner is not None:
                self.inner.pause_reading()
        elif self._delivering:
            self._delivered(DownstreamEnd.ANSWERED)

    def _send_down(self, data: bytes, *, last: bool) -> None:
        if (last or self._later) and self._tap.blink_s:
            self._do_later(lambda: self.outer.send(data))
        else:
            self.outer.send(data)

    def caller_keeps_up(self) -> None:
        """What was sent down is in the kernel's hands."""
        self._delivered(DownstreamEnd.ANSWERED)
        if self.inner is not None:
            self.inner.resume_reading()

    def _delivered(self, how: DownstreamEnd) -> None:
        now_s = self.house.now_s()
        while self._delivering:
            self._delivering.popleft().ended(UpstreamEnd.COMPLETE, how, now_s)

    def _do_later(self, do: Callable[[], None]) -> None:
        """In the order in which it was said, when everything else that is due at this instant has been done."""
        self._later.append(do)
        self.house.loop.call_later(self._tap.blink_s, self._do_next)

    def _do_next(self) -> None:
        self._later.popleft()()

    # --- ends

    def caller_closed(self) -> None:
        """The caller has sent its last byte: the upstream gets a FIN, after all that came before."""
        if self._requests.readable:
            self._send_up(self._requests.rest())
        self._caller_left()
        if self.inner is not None:
            self.inner.finish()
        elif self._dialling is None:
            self.outer.finish()

    def caller_lost(self, *, reset: bool) -> None:
        """The caller's connection is no more."""
        self._caller_left()
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self.inner is None:
            return
        if reset:
            self.inner.reset()
        else:
            self.inner.finish()

    def _caller_left(self) -> None:
        if not self._left:
            self._left = True
            self._delivered(DownstreamEnd.LEFT)
            self._end_all(UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)

    def upstream_closed(self) -> None:
        """The upstream has sent its last byte: the caller gets a FIN, after all that came before."""
        if self._responses.ends_with_connection and self._asked:
            self._responses.close()
            if self.outer.writable:
                self._delivered(DownstreamEnd.ANSWERED)
        self._broken(UpstreamEnd.CLOSED, reset=False)

    def upstream_lost(self, *, reset: bool) -> None:
        """The upstream's connection is no more."""
        if self.inner is None or (self.inner.fin and not reset):
            return
        self._broken(UpstreamEnd.RESET if reset else UpstreamEnd.CLOSED, reset=reset)

    def _broken(self, how: UpstreamEnd, *, reset: bool) -> None:
        """Hand the upstream's end on."""
        self._failed = self._failed or how
        self._end_all(how, DownstreamEnd.TRUNCATED)
        end = self.outer.reset if reset else self.outer.finish
        rest = self._responses.rest()

        def hand_on() -> None:
            self.outer.send(rest)
            end()

        if self._tap.blink_s:
            self._do_later(hand_on)
        else:
            hand_on()

    def _unreadable(self) -> None:
        """What comes from the upstream is not HTTP/1.1; it is handed on all the same."""
        self._requests.readable = False
        self._end_all(UpstreamEnd.MALFORMED, DownstreamEnd.TRUNCATED)

    def _end_all(self, upstream: UpstreamEnd, downstream: DownstreamEnd) -> None:
        now_s = self.house.now_s()
        self._unsent = None
        while self._asked:
            self._asked.popleft().look.ended(upstream, downstream, now_s)

    def stop(self) -> None:
        """The tap is taken away."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        self._delivered(DownstreamEnd.NONE)
        self._end_all(UpstreamEnd.NONE, DownstreamEnd.NONE)
        self._left = True
        if self.inner is not None:
            self.inner.abort()
        self.outer.abort()

    # --- exchanges, as `reading` tells of them

    def asked(self, head: RequestHead, raw: bytes) -> Look:
        """A request's head is whole."""
        look = self.house.look_at(head, raw, self.outer.number, self.house.now_s())
        self._asked.append(_Asked(look, head.method == b"HEAD"))
        if self._holds and b"100-continue" in raw.lower():
            self.outer.send(_CONTINUE)  # the upstream will not say so before it has the head
        return look

    def all_asked(self, look: Look) -> bytes | None:
        """A request is whole."""
        fields = look.whole(self._answer)
        if fields is None:
            self._answering = look
        elif self.inner is not None or self._failed is None:
            self._unsent = look
        return fields

    def awaited(self) -> Look | None:
        """The look whose response comes next."""
        return self._asked[0].look if self._asked else None

    def awaits_head_only(self) -> bool:
        """Whether that response answers a HEAD."""
        return bool(self._asked) and self._asked[0].head_only

    def all_answered(self) -> None:
        """A response is whole."""
        if not self._responses.readable:  # another protocol was agreed on
            self._requests.readable = False
        if self._asked:
            look = self._asked.popleft().look
            look.complete(self.house.now_s())
            self._delivering.append(look)

    def _answer(self, raw: bytes) -> None:
        """Answer in the upstream's place, unless the caller has left."""
        if self._asked and self._asked[0].look is self._answering:
            self._answering = None
            self.down(raw)

    def strange(self, protocol: str) -> None:
        """The caller speaks another protocol."""
        self.house.complain(_STRANGE[protocol])
