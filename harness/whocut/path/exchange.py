"""One request on its way through one hop: where it stands, which timer runs, and how it ends.

::

    begin ─→ CONNECT ─→ SEND ─→ WAIT ─→ STREAM ─→ finish
                └─ cut · upstream ended · caller left ─→ answer or truncate ─→ finish

Every way out goes through `_finish`, once, and there the account is written. At most one cut: a second one is
an assertion, not a second row.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from whocut.chain.layers import Buffering, MidBody
from whocut.chain.timers import Phase, TimerKind
from whocut.errors import Malformed
from whocut.path import vendors
from whocut.path.account import Account, Cut, span_of
from whocut.path.deadlines import TOLERANCE_S, Deadline, Instants
from whocut.path.fallen import is_ours
from whocut.path.http1 import LAST_CHUNK, Chunked, chunk, parse_response
from whocut.trace.records import DownstreamEnd, Event, UpstreamEnd

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from whocut.chain.layers import Answer
    from whocut.path.downstream import Downstream
    from whocut.path.hop import Hop
    from whocut.path.http1 import Framing, RequestHead, ResponseHead
    from whocut.path.upstream import Upstream

# nginx reads a counted body into buffers of a page or two and passes each on when it is full.
_BUFFER_BYTES: Final = 8 * 1024
# What a layer that buffers everything will hold: API Gateway 10 MB, Lambda 6 MB; beyond it bytes pass.
_MAX_HELD_BYTES: Final = 32 * 1024 * 1024
# What is kept to send a request again, and of a request while its connection is being made.
_MAX_REPLAY_BYTES: Final = 1024 * 1024
_MAX_WAITING_BYTES: Final = 64 * 1024


# Python 3.11 looks a member up in its enum in 0.12 µs, and the way of a request would do it a dozen times.
_CONNECT, _SEND, _WAIT, _STREAM = Phase
_NOT_ASKED, _COMPLETE = UpstreamEnd.NONE, UpstreamEnd.COMPLETE
_OPEN, _ANSWERED = DownstreamEnd.NONE, DownstreamEnd.ANSWERED


class Exchange:
    """One request and its response."""

    __slots__ = (
        "_close_after",
        "_dialled_s",
        "_dialling",
        "_down_bytes",
        "_framing",
        "_head_bytes",
        "_head_down",
        "_held",
        "_left_s",
        "_minor",
        "_phase",
        "_rechunked",
        "_replayable",
        "_request_framing",
        "_response",
        "_response_done",
        "_stamp_s",
        "_upstream",
        "_upward",
        "accepted_s",
        "account",
        "caller",
        "cut",
        "downstream_end",
        "downstream_end_s",
        "first_byte_s",
        "hop",
        "idempotent",
        "largest_gap_s",
        "last_byte_s",
        "method",
        "request_done",
        "sent_s",
        "status",
        "target",
        "tries",
        "upstream_end",
        "upstream_end_s",
    )

    def __init__(self, hop: Hop, caller: Downstream, head: RequestHead, now_s: float) -> None:
        self.hop = hop
        self.caller = caller
        self.method = head.method
        self.target = head.target
        self.idempotent = head.idempotent
        self.account = Account(head.traceparent) if hop.sink is not None else None
        self.tries = 1
        self.accepted_s = self._dialled_s = self._stamp_s = now_s
        self.sent_s: float | None = None
        self.first_byte_s: float | None = None
        self.last_byte_s: float | None = None
        self.largest_gap_s = 0.0
        self.status: int | None = None
        self.cut: Cut | None = None
        self.upstream_end = _NOT_ASKED
        self.upstream_end_s: float | None = None
        self.downstream_end = _OPEN
        self.downstream_end_s: float | None = None
        self.request_done = head.framing is None
        self._request_framing: Framing | None = head.framing
        self._minor = head.minor
        self._close_after = head.close
        self._phase = _CONNECT
        self._upstream: Upstream | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._replayable = self.idempotent or hop.replays_posts
        # All of the request that waits for a connection or may have to be sent once more.
        self._upward = head.forwarded(self.account.traceparent if self.account else None, hop.authority)
        self._response: ResponseHead | None = None
        self._framing: Framing | None = None
        self._response_done = False
        self._rechunked = False
        self._held: bytearray | None = None
        self._head_down = False
        self._head_bytes = 0
        self._down_bytes = 0
        self._left_s: float | None = None

    @property
    def bytes_down(self) -> int:
        """Bytes of the response's body that went down, with their framing."""
        return max(0, self._down_bytes - self._head_bytes)

    # --- the request's way up

    def begin(self) -> None:
        """Turn to the upstream: on a pooled connection if there is one."""
        pooled = self.hop.take_pooled()
        if pooled is None:
            self._dial(self.accepted_s)
        else:
            self._connected(pooled, self.accepted_s)

    def _dial(self, now_s: float) -> None:
        self._dialled_s = now_s
        self._enter(_CONNECT, now_s)
        self._dialling = self.hop.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            try:
                upstream = await self.hop.dial()
            except OSError as error:
                if is_ours(error):
                    raise
                self._dialling = None
                if isinstance(
                    error, ssl.SSLError
                ):  # somebody is there, and it is not they, or not by our lights
                    self._note("tls.failed", self.hop.now_s(), because=error.reason or str(error))
                self.upstream_ended(UpstreamEnd.REFUSED)
                return
            self._dialling = None
            self._connected(upstream, self.hop.now_s())
        except Exception as error:  # noqa: BLE001  # a fault of ours: told, since nobody awaits this task
            self.hop.fail(error)
            self.stop("hop.failed")

    def _connected(self, upstream: Upstream, now_s: float) -> None:
        assert upstream.transport is not None
        self._upstream = upstream
        upstream.exchange = self
        self._stamp_s = now_s
        self._phase = _SEND
        upstream.transport.write(self._upward)
        if not self._replayable:
            self._upward = b""
        if self.request_done and upstream.writable:
            self._sent(now_s)
            return
        self._enter(_SEND, now_s)
        if not self.request_done:
            if upstream.writable:
                self.caller.resume_reading()
            else:
                self.caller.pause_reading()

    def request_bytes(self, data: bytes, at: int) -> int:
        """Bytes of the request's body; says where they end.

        Raises:
            Malformed: the body is not framed as the head says.
        """
        framing = self._request_framing
        assert framing is not None
        end = framing.take(data, at)
        piece = data if end - at == len(data) else data[at:end]
        self.request_done = framing.done
        now_s = self._stamp_s = self.hop.now_s()
        upstream = self._upstream
        if upstream is None or self._replayable:
            self._upward += piece
            if upstream is None and len(self._upward) > _MAX_WAITING_BYTES:
                self.caller.pause_reading()
            if len(self._upward) > _MAX_REPLAY_BYTES:
                self._replayable = False
        if upstream is not None and upstream.transport is not None:
            if not self._replayable:
                self._upward = b""
            upstream.transport.write(piece)
            if self.request_done and upstream.writable:
                self._sent(now_s)
            elif not self.request_done and not upstream.writable:
                self.caller.pause_reading()
        return end

    def upstream_drained(self) -> None:
        """What was sent up is in the kernel's hands."""
        now_s = self._stamp_s = self.hop.now_s()
        if not self.request_done:
            self.caller.resume_reading()
        elif self.sent_s is None:
            self._sent(now_s)

    def _sent(self, now_s: float) -> None:
        """The request is in the kernel's hands, all of it."""
        self.sent_s = self._stamp_s = now_s
        if self.first_byte_s is None:
            self._enter(_WAIT, now_s)

    def _enter(self, phase: Phase, now_s: float) -> None:
        self._phase = phase
        self.caller.watch(now_s, self.hop.deadlines.soonest_s[phase])

    # --- the response's way down

    def upstream_bytes(self, data: bytes) -> None:
        """Bytes of the response."""
        now_s = self._stamp_s = self.hop.now_s()
        first = self.first_byte_s is None
        if first:
            self.first_byte_s = now_s
            self._phase = _STREAM
        elif self.last_byte_s is not None and now_s - self.last_byte_s > self.largest_gap_s:
            self.largest_gap_s = now_s - self.last_byte_s
        self.last_byte_s = now_s
        try:
            if self._response is None:
                self._response_head(data, now_s)
            elif self._framing is not None:
                self._response_body(data, 0, now_s)
        except Malformed:
            self.upstream_ended(UpstreamEnd.MALFORMED)
            return
        if first and self.caller.exchange is self:  # more is to come: a whole response needs no alarm
            self._enter(self._phase, now_s)

    def _response_head(self, data: bytes, now_s: float) -> None:
        upstream = self._upstream
        assert upstream is not None
        while True:
            whole = upstream.heads.take(data)
            if whole is None:
                return
            data, end = whole
            raw = data if end == len(data) else data[:end]
            head = parse_response(raw, to_head=self.method == b"HEAD")
            if head.status >= 200:
                break
            if head.status == 101:
                raise Malformed("the upstream switches protocols unasked", status=502)
            # An interim response (`100 Continue`) is a sign of life and goes on, but nobody's first byte.
            if self._minor:
                self.caller.send(raw)
            self.first_byte_s = None
            self._phase = _SEND if self.sent_s is None else _WAIT
            if end == len(data):
                return
            data = data[end:]
            self.first_byte_s = now_s
            self._phase = _STREAM
        self._response = head
        framing = self._framing = head.framing
        self._replayable = False
        self._upward = b""
        if not self.request_done:
            self._close_after = True
        add_chunks = framing is not None and self._shape(framing)
        passed = head.forwarded(close=self._close_after, chunk=add_chunks)
        self._head_bytes = len(passed)
        self._response_body(data, end, now_s, passed, as_came=passed is raw)

    def _shape(self, framing: Framing) -> bool:
        """How this layer changes a body on its way; whether its head must say that there are chunks."""
        hop = self.hop
        chunked = isinstance(framing, Chunked)
        if hop.holds_chunked if chunked else hop.holds_counted:
            self._held = bytearray()
        if framing.until_close:
            # Seen with nginx, Apache and Caddy: HTTP/1.1 callers get chunks instead, so that an end shows.
            self._rechunked = self._minor
            self._close_after |= not self._minor
            return self._minor
        if hop.ends_cleanly and isinstance(framing, Chunked):
            # To end cleanly in mid-body one must never stand inside a chunk of somebody else's.
            framing.payload = []
            self._rechunked = True
        return False

    def _response_body(
        self, data: bytes, at: int, now_s: float, head: bytes = b"", *, as_came: bool = True
    ) -> None:
        framing = self._framing
        end = at
        done = True
        if framing is not None:
            end = framing.take(data, at)
            done = framing.done
        if self._rechunked:
            out = head + self._in_chunks(data[at:end], done=done)
        elif as_came and end == len(data):
            out = data  # head and body, or body alone, as they came: no copy
        else:
            out = head + data[at:end]
        if done:
            self._upstream_complete(now_s, clean=end == len(data))
        self._pass_down(out, now_s)

    def _in_chunks(self, data: bytes, *, done: bool) -> bytes:
        if isinstance(self._framing, Chunked):
            pieces = self._framing.payload or []
            data = b"".join(pieces)
            self._framing.payload = []
        return (chunk(data) if data else b"") + (LAST_CHUNK if done else b"")

    def _upstream_complete(self, now_s: float, *, clean: bool) -> None:
        """The response came whole: give the connection back, or end it."""
        self._response_done = True
        self.upstream_end = _COMPLETE
        self.upstream_end_s = now_s
        upstream, response = self._upstream, self._response
        self._upstream = None
        if upstream is not None:
            upstream.exchange = None
            if clean and self.request_done and response is not None and not response.close:
                self.hop.give_back(upstream, now_s)
            else:
                upstream.leave()

    def _pass_down(self, came: bytes, now_s: float) -> None:
        out = came if self._held is None else self._hold(came)
        caller = self.caller
        if out:
            if caller.transport is None:
                # A layer that is blind to its caller's leaving learns of it when nobody takes its bytes.
                self._leave(now_s)
                return
            self._head_down = True
            self.status = self._response.status if self._response is not None else None
            self._down_bytes += len(out)
            caller.transport.write(out)
        if self._response_done:
            if caller.writable:
                self._finish(_ANSWERED, now_s)
        elif not caller.writable and self._upstream is not None:
            self._upstream.pause_reading()

    def _hold(self, out: bytes) -> bytes | bytearray | memoryview:
        """What of the held bytes and these goes on now: all at the end, full buffers by nginx's rule."""
        held = self._held
        assert held is not None
        size = len(held) + len(out)
        if self._response_done or size > _MAX_HELD_BYTES:
            self._held = None
            if not held:
                return out  # all of it came at once: no copy
            held += out
            return held
        if self.hop.holds_chunked or size < _BUFFER_BYTES:
            held += out
            return b""
        cut = len(out) - size % _BUFFER_BYTES
        self._held = bytearray(out[cut:])
        whole = memoryview(out)[:cut]
        if held:
            self._down_bytes += len(held)
            self.caller.send(held)
        return whole

    def downstream_drained(self) -> None:
        """What was sent down is in the kernel's hands."""
        now_s = self._stamp_s = self.hop.now_s()
        if self._response_done:
            self._finish(_ANSWERED, now_s)
        elif self._upstream is not None:
            self._upstream.resume_reading()

    # --- ends

    def overdue(self, now_s: float) -> bool:
        """Whether a timer should have fired before now; one that is punctual, as in virtual time, is not."""
        deadline = self._first_deadline(now_s)
        return deadline is not None and deadline.at_s < now_s - TOLERANCE_S

    def check(self, now_s: float) -> float | None:
        """Let the timer fire that is due; otherwise say when to look again."""
        deadline = self._first_deadline(now_s)
        if deadline is not None and deadline.at_s <= now_s + TOLERANCE_S:
            self._fire(deadline, now_s)
            # A layer that tries again by itself goes on, and `total` with it.
            deadline = self._first_deadline(now_s) if self.caller.exchange is self else None
        return deadline.at_s if deadline is not None else None

    def _first_deadline(self, now_s: float) -> Deadline | None:
        sent_s = now_s if self.sent_s is None else self.sent_s
        return self.hop.deadlines.first(
            self._phase, Instants(self.accepted_s, self._dialled_s, sent_s, self._stamp_s)
        )

    def _fire(self, deadline: Deadline, now_s: float) -> None:
        kind = deadline.timer.kind
        cut = Cut(deadline.timer, self._phase, now_s)
        retries = self.hop.layer.retries
        if kind is not TimerKind.TOTAL and retries.on_timeout and self._may_try_again():
            if self.account is not None:
                self.account.cut_tries.append(cut.record())
            self._drop_upstream(reset=self.hop.layer.closes_upstream_with_reset)
            self._try_again(now_s)
            return
        assert self.cut is None, f"{self.hop.layer.name} cut one request twice"
        self.cut = cut
        if not self._response_done:
            self.upstream_end = UpstreamEnd.CUT
            self.upstream_end_s = now_s
            self._drop_upstream(reset=self.hop.layer.closes_upstream_with_reset)
        self._end_response(kind.value, now_s)

    def upstream_ended(self, how: UpstreamEnd) -> None:
        """The upstream ended its side: before the response was whole, or as its end."""
        now_s = self.hop.now_s()
        upstream = self._upstream
        if how is UpstreamEnd.CLOSED and self._framing is not None and self._framing.until_close:
            self._framing.done = True
            self._upstream_complete(now_s, clean=False)
            self._pass_down(LAST_CHUNK if self._rechunked else b"", now_s)
            return
        stale = upstream is not None and upstream.reused and self.first_byte_s is None
        # Theirs is ended already, save where we stop listening to what is not HTTP.
        self._drop_upstream(reset=self.hop.layer.closes_upstream_with_reset)
        if self._response is None and self.caller.transport is not None and how is not UpstreamEnd.MALFORMED:
            # A pooled connection may have been closed before our request reached it. nginx gives such a
            # request one more try, and so do we, if sending it twice is harmless.
            if stale and self.idempotent and self._replayable:
                self._note("retry", now_s, because="stale connection")
                self._try_again(now_s)
                return
            if self._may_try_again():
                self._note("retry", now_s, because=how.value)
                self._try_again(now_s)
                return
        self.upstream_end = how
        self.upstream_end_s = now_s
        self._end_response(vendors.BAD_GATEWAY, now_s)

    def _may_try_again(self) -> bool:
        retries = self.hop.layer.retries
        unsent = self._phase is _CONNECT
        return (
            self._response is None
            and self.tries < retries.tries
            and (unsent or (self._replayable and (self.idempotent or retries.post)))
        )

    def _try_again(self, now_s: float) -> None:
        self.tries += 1
        self.sent_s = self.first_byte_s = self.last_byte_s = None
        self._dial(now_s)

    def _end_response(self, event: str, now_s: float) -> None:
        """Tell the caller that no more will come: as an answer of our own, or by ending in mid-body."""
        layer, caller = self.hop.layer, self.caller
        if self._response is None or (self._held is not None and layer.buffering is Buffering.ALL):
            if layer.silent:
                # It forwards connections, not HTTP, or has nothing to say: the caller's connection just ends.
                reset = self._resets
                self._finish(DownstreamEnd.TRUNCATED, now_s, then=caller.reset if reset else caller.close)
            else:
                self._answer(vendors.answer_for(layer, event), now_s)
            return
        if not self._head_down and self._held is not None:
            # nginx sends the head it held back, and throws away the body it held with it.
            caller.send(bytes(self._held[: self._head_bytes]))
            self._down_bytes += self._head_bytes
            self.status = self._response.status
        if not caller.writable:
            self._finish(DownstreamEnd.TRUNCATED, now_s, then=caller.abort)
        elif self._resets:
            self._finish(DownstreamEnd.TRUNCATED, now_s, then=caller.reset)
        elif layer.mid_body is MidBody.TERMINATED and self._rechunked:
            caller.send(LAST_CHUNK)
            self._finish(DownstreamEnd.TRUNCATED, now_s)
        else:
            self._finish(DownstreamEnd.TRUNCATED, now_s, then=caller.close)

    @property
    def _resets(self) -> bool:
        """Whether the caller's connection ends by a reset; a tap hands on what it saw."""
        if self.hop.tap is not None:
            return self.upstream_end in {UpstreamEnd.RESET, UpstreamEnd.REFUSED}
        return self.hop.layer.mid_body is MidBody.RST

    def _answer(self, answer: Answer, now_s: float) -> None:
        self._close_after |= vendors.closes(answer) or not self.request_done
        self.status = answer.status
        self.caller.send(
            vendors.render(
                answer,
                unix_s=self.hop.clock.unix_s(now_s),
                close=self._close_after,
                to_head=self.method == b"HEAD",
            )
        )
        self._finish(DownstreamEnd.OWN_ANSWER, now_s)

    def refuse(self, status: int) -> None:
        """The request's body is none: answer that, and turn away from the upstream."""
        now_s = self.hop.now_s()
        if self._upstream is not None or self._dialling is not None:
            self.upstream_end = UpstreamEnd.ABANDONED
            self.upstream_end_s = now_s
        self._drop_upstream(reset=False)
        self.request_done = False
        if self._head_down:
            self._finish(DownstreamEnd.TRUNCATED, now_s, then=self.caller.close)
        else:
            self._answer(vendors.refusal(self.hop.layer, status), now_s)

    def downstream_ended(self) -> bool:
        """The caller has closed or reset its connection; True where the layer does not see it."""
        now_s = self.hop.now_s()
        if self._left_s is None:
            self._left_s = now_s
            self._note("downstream.left", now_s)
        # A layer that does not look still learns of it where a write fails.
        unseen = not self._head_down or self.caller.transport is not None
        if unseen and self.request_done and not self._response_done and not self.hop.layer.notices_abort:
            return True
        self._leave(now_s)
        return False

    def _leave(self, now_s: float) -> None:
        if not self._response_done:
            self.upstream_end = UpstreamEnd.ABANDONED
            self.upstream_end_s = now_s
            self._drop_upstream(reset=False)
        self._finish(DownstreamEnd.LEFT, now_s, then=self.caller.abort)

    def stop(self, why: str) -> None:
        """The hop itself ends, or has failed: write down what is known, if that is not done already."""
        if self.caller.exchange is not self:
            return
        self._note(why, self.hop.now_s())
        self._drop_upstream(reset=False)
        self._finish(_OPEN, self.hop.now_s(), then=self.caller.abort)

    def _drop_upstream(self, *, reset: bool) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._upstream is not None:
            self._upstream.leave(reset=reset)
            self._upstream = None

    def _note(self, name: str, now_s: float, **attributes: str) -> None:
        if self.account is not None:
            self.account.events.append(Event(name, now_s, dict(attributes)))

    def _finish(self, end: DownstreamEnd, now_s: float, then: Callable[[], None] | None = None) -> None:
        assert self.caller.exchange is self, "an exchange ends once"
        self.caller.exchange = None
        self.downstream_end = end
        if end is not _OPEN:
            self.downstream_end_s = now_s
        try:
            if self.account is not None:
                self.hop.write_down(span_of(self, self.account, now_s))
        finally:  # a sink that fails loses its span, not the caller's connection
            if then is not None:
                then()
            elif not self.request_done:
                self.caller.linger()
            elif self._close_after or self._left_s is not None:
                self.caller.close()
            else:
                self.caller.next_request(now_s)
