"""One request on its way through one hop: the phase it is in, which timer runs, and how it ends.

::

    begin ─→ CONNECT ─→ SEND ─→ WAIT ─→ STREAM ─→ finish
                └─ cut · upstream ended · caller left ─→ answer or truncate ─→ finish

Every way out goes through `_finish`, once, and there the account is written. At most one cut: a second one is
an assertion, not a second row.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from whocut.chain.layers import MidBody
from whocut.chain.timers import Phase
from whocut.errors import Malformed
from whocut.path import vendors
from whocut.path.account import Cut, Facts, Lineage
from whocut.path.deadlines import TOLERANCE_S, Deadline, Instants
from whocut.path.dialling import Dial
from whocut.path.ending import Standing, Way, way_out
from whocut.path.framing import LAST_CHUNK
from whocut.path.relay import Relay
from whocut.path.upward import Upward
from whocut.trace.records import DownstreamEnd, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.layers import Answer
    from whocut.path.http1 import RequestHead, ResponseHead
    from whocut.path.relay import Piece
    from whocut.path.sides import Caller, House, Next

# Python 3.11 looks a member up in its enum in 0.12 µs, and the way of a request would do it a dozen times.
_CONNECT, _SEND, _WAIT, _STREAM = Phase
_COMPLETE = UpstreamEnd.COMPLETE
_OPEN, _ANSWERED = DownstreamEnd.NONE, DownstreamEnd.ANSWERED
_OVER = Relay.over()


class Exchange:
    """One request and its response."""

    __slots__ = (
        "_close_after",
        "_dialled_s",
        "_dialling",
        "_left_s",
        "_minor",
        "_phase",
        "_relay",
        "_response",
        "_stamp_s",
        "_upstream",
        "_upward",
        "caller",
        "facts",
        "house",
    )

    def __init__(self, house: House, caller: Caller, head: RequestHead, now_s: float) -> None:
        self.house = house
        self.caller = caller
        lineage = Lineage(head.traceparent) if house.sink is not None else None
        self.facts = Facts(head.method, head.target, now_s, lineage)
        self._dialled_s = self._stamp_s = now_s
        self._minor = head.minor
        self._close_after = head.close
        self._phase = _CONNECT
        self._upstream: Next | None = None
        self._dialling: Dial[Next] | None = None
        self._upward = Upward(
            head.forwarded(lineage.traceparent if lineage else None, house.authority),
            head.framing,
            idempotent=head.idempotent,
            replays_posts=house.replays_posts,
        )
        self._response: ResponseHead | None = None
        self._relay: Relay | None = None
        self._left_s: float | None = None

    @property
    def request_done(self) -> bool:
        """Whether all of the request has come."""
        return self._upward.done

    # --- the request's way up

    def begin(self) -> None:
        """Turn to the upstream: on a pooled connection if there is one."""
        pooled = self.house.take_pooled()
        if pooled is None:
            self._dial(self.facts.accepted_s)
        else:
            self._connected(pooled, self.facts.accepted_s)

    def _dial(self, now_s: float, pause_s: float = 0.0) -> None:
        self._dialled_s = now_s + pause_s
        self._enter(_CONNECT, now_s)
        house, after_real_s = self.house, self.house.clock.real_s(pause_s)
        self._dialling = Dial(house, house.dial, self._dialled, self._refused, self._failed, after_real_s)

    def _dialled(self, upstream: Next) -> None:
        self._dialling = None
        if upstream.ended is not None:
            self.upstream_ended(upstream.ended)
        else:
            self._connected(upstream, self.house.now_s())

    def _refused(self, error: OSError) -> None:
        self._dialling = None
        if isinstance(error, ssl.SSLError):  # the peer answered, but its certificate was rejected
            self.facts.note("tls.failed", self.house.now_s(), because=error.reason or str(error))
        self.upstream_ended(UpstreamEnd.REFUSED)

    def _failed(self, _: Exception) -> None:
        self._dialling = None
        self.stop("hop.failed")

    def _connected(self, upstream: Next, now_s: float) -> None:
        assert upstream.transport is not None
        self._upstream = upstream
        upstream.exchange = self
        self._stamp_s = now_s
        upward = self._upward
        upstream.transport.write(upward.all_so_far())
        if upward.done and upstream.writable:
            self._sent(now_s)
            return
        self._enter(_SEND, now_s)
        if not upward.done:
            if upstream.writable:
                self.caller.resume_reading()
            else:
                self.caller.pause_reading()

    def request_bytes(self, data: bytes, at: int) -> int:
        """Bytes of the request's body; says where they end.

        Raises:
            Malformed: the body is not framed as the head says.
        """
        upstream, upward = self._upstream, self._upward
        piece, end = upward.take(data, at, waiting=upstream is None)
        now_s = self._stamp_s = self.house.now_s()
        if upstream is None and upward.crowded:
            self.caller.pause_reading()
        elif upstream is not None and upstream.transport is not None:
            upstream.transport.write(piece)
            if upward.done and upstream.writable:
                self._sent(now_s)
            elif not upward.done and not upstream.writable:
                self.caller.pause_reading()
        return end

    def upstream_drained(self) -> None:
        """What was sent up is in the kernel's hands."""
        now_s = self._stamp_s = self.house.now_s()
        if not self._upward.done:
            self.caller.resume_reading()
        elif self.facts.sent_s is None:
            self._sent(now_s)

    def _sent(self, now_s: float) -> None:
        """The request is in the kernel's hands, all of it."""
        self.facts.sent_s = now_s
        if self.facts.first_byte_s is None:
            self._enter(_WAIT, now_s)

    def _enter(self, phase: Phase, now_s: float) -> None:
        self._phase = phase
        self.caller.watch(now_s, self.house.deadlines.soonest_s[phase])

    # --- the response's way down

    def upstream_bytes(self, data: bytes) -> None:
        """Bytes of the response."""
        now_s = self._stamp_s = self.house.now_s()
        first = self.facts.byte_came(now_s)
        if first:
            self._phase = _STREAM
        try:
            if self._relay is None:
                self._response_head(data, now_s)
            elif not self._relay.done:
                self._pass_down(self._relay.take(data, 0), now_s, clean=self._relay.end == len(data))
        except Malformed:
            self.upstream_ended(UpstreamEnd.MALFORMED)
            return
        if first and self.caller.exchange is self:  # more is to come: a whole response needs no alarm
            self._enter(self._phase, now_s)

    def _response_head(self, data: bytes, now_s: float) -> None:
        upstream, facts, upward = self._upstream, self.facts, self._upward
        assert upstream is not None
        replies = upstream.replies
        found = replies.take(data, to_head=facts.method == b"HEAD")
        if replies.interims:  # signs of life, which go on, but no first byte
            if self._minor:
                self._send_down(b"".join(replies.interims))
            facts.first_byte_s = now_s if replies.begun else None
            self._phase = _STREAM if replies.begun else _SEND if facts.sent_s is None else _WAIT
        if found is None:
            return
        head, raw, data, end = found
        self._response = head
        if head.length == len(data) - end and head.passes and upward.done and not self._close_after:
            # All of it in one read, as it goes down: whatever a layer does to a body, it would do nothing here.
            self._relay = _OVER
            facts.head_bytes = end
            self._pass_down(data, now_s, clean=True)
            return
        relay = self._relay = Relay(head.framing, self.house.manners, minor=self._minor)
        if not relay.holds_everything:
            upward.answered()
        if relay.closes or not upward.done:
            self._close_after = True
        passed = head.forwarded(close=self._close_after, chunk=relay.adds_chunks)
        facts.head_bytes = len(passed)
        out = relay.take(data, end, passed, as_came=passed is raw)
        self._pass_down(out, now_s, clean=relay.end == len(data))

    def _pass_down(self, out: Piece, now_s: float, *, clean: bool) -> None:
        """Hand a piece to the caller. `clean`: the upstream sent nothing beyond its response."""
        relay, response, caller, facts = self._relay, self._response, self.caller, self.facts
        assert relay is not None
        assert response is not None
        if relay.done:
            self._upstream_complete(now_s, clean=clean)
        if out:
            if caller.transport is None:
                # A layer that is blind to its caller's leaving learns of it when a write fails.
                self._leave(now_s)
                return
            facts.status = response.status
            if relay.before:
                facts.bytes_down += len(relay.before)
                self._send_down(relay.before)
                relay.before = b""
            facts.bytes_down += len(out)
            self._send_down(out)
        if relay.done and caller.writable:
            self._finish(_ANSWERED, now_s)

    def _send_down(self, out: Piece) -> None:
        """Send a part of the response; a caller that does not keep up holds the upstream back."""
        self.caller.send(out)
        if not self.caller.writable and self._upstream is not None:
            self._upstream.pause_reading()

    def _upstream_complete(self, now_s: float, *, clean: bool) -> None:
        """The response came whole: give the connection back, or end it."""
        self.facts.upstream_ended(_COMPLETE, now_s)
        upstream, response = self._upstream, self._response
        self._upstream = None
        if upstream is not None:
            upstream.exchange = None
            if clean and self._upward.done and response is not None and not response.close:
                self.house.give_back(upstream, now_s)
            else:
                upstream.leave()

    def downstream_drained(self) -> None:
        """What was sent down is in the kernel's hands."""
        now_s = self._stamp_s = self.house.now_s()
        if self._response_done:
            self._finish(_ANSWERED, now_s)
        elif self._upstream is not None:
            self._upstream.resume_reading()

    @property
    def _response_done(self) -> bool:
        return self._relay is not None and self._relay.done

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
            # A layer that tries again by itself continues, and `total` with it.
            deadline = self._first_deadline(now_s) if self.caller.exchange is self else None
        return deadline.at_s if deadline is not None else None

    def _first_deadline(self, now_s: float) -> Deadline | None:
        sent_s = now_s if self.facts.sent_s is None else self.facts.sent_s
        since = Instants(self.facts.accepted_s, self._dialled_s, sent_s, self._stamp_s)
        return self.house.deadlines.first(self._phase, since)

    def _fire(self, deadline: Deadline, now_s: float) -> None:
        kind = deadline.timer.kind
        cut = Cut(deadline.timer, self._phase, now_s)
        layer, facts = self.house.layer, self.facts
        if kind in self.house.deadlines.tried_again and self._may_try_again():
            if facts.lineage is not None:
                facts.lineage.cut_tries.append(cut.record())
            self._drop_upstream(reset=layer.closes_upstream_with_reset)
            self._try_again(now_s)
            return
        assert facts.cut is None, f"{layer.name} cut one request twice"
        facts.cut = cut
        if not self._response_done:
            facts.upstream_ended(UpstreamEnd.CUT, now_s)
            self._drop_upstream(reset=layer.closes_upstream_with_reset)
        self._end_response(kind.value, now_s)

    def upstream_ended(self, how: UpstreamEnd) -> None:
        """The upstream ended its side: before the response was whole, or as its end."""
        now_s = self.house.now_s()
        upstream, relay = self._upstream, self._relay
        if how is UpstreamEnd.CLOSED and relay is not None and relay.ends_with_connection:
            self._pass_down(relay.close(), now_s, clean=False)
            return
        stale = upstream is not None and upstream.reused and self.facts.first_byte_s is None
        # Theirs is ended already, save where we stop listening to what is not HTTP.
        self._drop_upstream(reset=self.house.layer.closes_upstream_with_reset)
        nothing_down = relay is None or relay.holds_everything
        if nothing_down and self.caller.transport is not None and how is not UpstreamEnd.MALFORMED:
            # A pooled connection may have been closed before our request reached it. nginx gives such a
            # request one more try, and so do we, if sending it twice is harmless.
            stale = stale and self._upward.harmless
            if stale or self._may_try_again():
                self.facts.note("retry", now_s, because="stale connection" if stale else how.value)
                self._try_again(now_s, self.house.deadlines.pause_s if how is UpstreamEnd.REFUSED else 0.0)
                return
        self.facts.upstream_ended(how, now_s)
        self._end_response(vendors.BAD_GATEWAY, now_s)

    def _may_try_again(self) -> bool:
        relay = self._relay
        return (relay is None or relay.holds_everything) and self._upward.may_go_again(
            self.house.layer.retries, self.facts.tries, unsent=self._phase is _CONNECT
        )

    def _try_again(self, now_s: float, pause_s: float = 0.0) -> None:
        self.facts.tries += 1
        self.facts.sent_s = self.facts.first_byte_s = self.facts.last_byte_s = None
        self._relay = self._response = None  # of a try whose answer was held, and is thrown away
        self._dial(now_s, pause_s)

    def _end_response(self, event: str, now_s: float) -> None:
        """Tell the caller that no more will come: as an answer of our own, or by ending in mid-body."""
        layer, caller, relay, facts = self.house.layer, self.caller, self._relay, self.facts
        begun = relay is not None and not relay.holds_everything
        if begun and not facts.bytes_down and relay is not None and self._response is not None:
            # nginx sends the head it held back, and throws away the body it held with it.
            head = relay.head_held(facts.head_bytes)
            caller.send(head)
            facts.bytes_down += len(head)
            facts.status = self._response.status if head else None
        way = way_out(
            Standing(
                begun=begun,
                silent=layer.silent,
                writable=caller.writable,
                resets=layer.mid_body is MidBody.RST,
                terminates=self.house.manners.ends_cleanly and relay is not None and relay.rechunked,
            )
        )
        if way is Way.ANSWER:
            self._answer(vendors.answer_for(layer, event), now_s)
            return
        if way is Way.TERMINATE:
            caller.send(LAST_CHUNK)
        then = {Way.CLOSE: caller.close, Way.RESET: caller.reset, Way.ABORT: caller.abort}.get(way)
        self._finish(DownstreamEnd.TRUNCATED, now_s, then=then)

    def _answer(self, answer: Answer, now_s: float) -> None:
        self._close_after |= vendors.closes(answer) or not self._upward.done
        self.facts.status = answer.status
        to_head, unix_s = self.facts.method == b"HEAD", self.house.clock.unix_s(now_s)
        self.caller.send(vendors.render(answer, unix_s=unix_s, close=self._close_after, to_head=to_head))
        self._finish(DownstreamEnd.OWN_ANSWER, now_s)

    def refuse(self, status: int) -> None:
        """The request's body is invalid: answer that, and turn away from the upstream."""
        now_s = self.house.now_s()
        if self._upstream is not None or self._dialling is not None:
            self.facts.upstream_ended(UpstreamEnd.ABANDONED, now_s)
        self._drop_upstream(reset=False)
        if self.facts.bytes_down:
            self._finish(DownstreamEnd.TRUNCATED, now_s, then=self.caller.close)
        else:
            self._answer(vendors.refusal(self.house.layer, status), now_s)

    def downstream_ended(self) -> bool:
        """The caller has closed or reset its connection; True where the layer does not see it."""
        now_s = self.house.now_s()
        if self._left_s is None:
            self._left_s = now_s
            self.facts.note("downstream.left", now_s)
        # A layer that does not look still learns of it where a write fails.
        unseen = not self.facts.bytes_down or self.caller.transport is not None
        if unseen and self._upward.done and not self._response_done and not self.house.layer.notices_abort:
            return True
        self._leave(now_s)
        return False

    def _leave(self, now_s: float) -> None:
        if not self._response_done:
            self.facts.upstream_ended(UpstreamEnd.ABANDONED, now_s)
            self._drop_upstream(reset=False)
        self._finish(DownstreamEnd.LEFT, now_s, then=self.caller.abort)

    def stop(self, why: str) -> None:
        """The hop itself ends, or has failed: write down what is known, if that is not done already."""
        if self.caller.exchange is not self:
            return
        now_s = self.house.now_s()
        self.facts.note(why, now_s)
        self._drop_upstream(reset=False)
        self._finish(_OPEN, now_s, then=self.caller.abort)

    def _drop_upstream(self, *, reset: bool) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._upstream is not None:
            self._upstream.leave(reset=reset)
            self._upstream = None

    def _finish(self, end: DownstreamEnd, now_s: float, then: Callable[[], None] | None = None) -> None:
        assert self.caller.exchange is self, "an exchange ends once"
        self.caller.exchange = None
        facts = self.facts
        facts.downstream_ended(end, now_s)
        try:
            if facts.lineage is not None:
                self.house.account(facts, facts.lineage, now_s)
        finally:  # a sink that fails loses its span, not the caller's connection
            if then is not None:
                then()
            elif not self._upward.done:
                self.caller.linger()
            elif self._close_after or self._left_s is not None:
                self.caller.close()
            else:
                self.caller.next_request(now_s)
