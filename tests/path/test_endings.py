"""How an exchange ends: who went first, what the other side saw of it, and what was written down."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FIN,
    GET,
    RST,
    Caller,
    FakeUpstream,
    Part,
    Rig,
    call,
    layer,
    ok,
    request,
    reset,
    send,
    wait,
)
from tests.path.test_timers import MS, exchange, virtual_clock
from whocut.chain.layers import Answer, Buffering, Layer, LayerRetries, MidBody
from whocut.chain.timers import Phase
from whocut.clock import run_virtual
from whocut.path import Hop
from whocut.trace.records import DownstreamEnd, SpanKind, UpstreamEnd, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

COUNTED_300 = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 300
CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\nServer: s\r\n\r\n"


def played(
    of: Layer,
    *parts: tuple[Part, ...],
    act: Callable[[Rig], Awaitable[Any]],
    read: bool = True,
) -> tuple[Any, Rig]:
    """What `act` returns, and the rig after everything was closed."""

    async def main() -> tuple[Any, Rig]:
        rig = Rig(of, upstream=FakeUpstream(*parts, read=read), clock=virtual_clock())
        async with rig:
            got = await act(rig)
        return got, rig

    return run_virtual(main())


async def to_the_end(caller: Caller) -> Caller:
    """Wait until the caller's connection has ended."""
    await caller.until(lambda caller: bool(caller.ended))
    return caller


def ends(span: Any) -> tuple[object, object]:
    """How both sides ended."""
    return span.upstream, span.downstream


# --- an own timer fires in mid-body


def test_mid_body_fin_leaves_the_last_chunk_out() -> None:
    """A cut stream ends with FIN and without its terminating chunk."""
    got, rig = played(
        layer(idle=10),
        (send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(100)),
        act=call_to_the_end,
    )

    assert (got.got, got.ended) == (CHUNKED_HEAD + b"1\r\nx\r\n", "fin")
    assert ends(rig.span) == (UpstreamEnd.CUT, DownstreamEnd.TRUNCATED)
    assert rig.span.status == 200
    assert rig.upstream.connections[0].ended == "fin"


async def call_to_the_end(rig: Rig, *pieces: bytes) -> Caller:
    """Send a request and wait until the connection has ended."""
    return await to_the_end(await rig.call(*(pieces or (request(),))))


def test_mid_body_rst_resets() -> None:
    """A layer that ends with RST does, and its record says truncated all the same."""
    got, rig = played(
        replace(layer(idle=10), mid_body=MidBody.RST),
        (send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(100)),
        act=call_to_the_end,
    )

    assert got.ended == "rst"
    assert ends(rig.span) == (UpstreamEnd.CUT, DownstreamEnd.TRUNCATED)


def test_mid_body_terminated_looks_complete() -> None:
    """A layer that sends the terminating chunk makes a cut look whole, even inside somebody else's chunk."""

    async def act(rig: Rig) -> tuple[bytes, float]:
        caller = await rig.call(request())
        return await caller.response(), asyncio.get_running_loop().time()

    (got, at_s), rig = played(
        replace(layer(idle=10), mid_body=MidBody.TERMINATED),
        (send(CHUNKED_HEAD + b"5\r\nab"), wait(100)),
        act=act,
    )

    assert got == CHUNKED_HEAD + b"2\r\nab\r\n0\r\n\r\n"
    assert at_s == pytest.approx(10)
    assert ends(rig.span) == (UpstreamEnd.CUT, DownstreamEnd.TRUNCATED)


def test_mid_body_terminated_cannot_help_a_counted_body() -> None:
    """A body with a length that stays short is seen to be short."""
    got, _ = played(
        replace(layer(idle=10), mid_body=MidBody.TERMINATED),
        (send(COUNTED_300), wait(100)),
        act=call_to_the_end,
    )

    assert (got.got, got.ended) == (COUNTED_300, "fin")


def test_the_upstream_is_reset_where_the_vendor_does() -> None:
    """HAProxy resets the upstream when its timer fires; others close."""
    _, rig = played(
        replace(layer(first_byte=10), closes_upstream_with_reset=True),
        (wait(100),),
        act=answered,
    )

    assert rig.upstream.connections[0].ended == "rst"
    assert rig.upstream.connections[0].ended_s == pytest.approx(10)


async def answered(rig: Rig) -> bytes:
    """Send a request and take one response."""
    caller = await rig.call(request())
    got = await caller.response()
    await asyncio.sleep(MS)
    return got


# --- the upstream goes first


@pytest.mark.parametrize(("how", "end"), [(FIN, UpstreamEnd.CLOSED), (RST, UpstreamEnd.RESET)])
def test_upstream_ends_before_the_head(how: Part, end: UpstreamEnd) -> None:
    """The caller is told of a bad gateway; the record says how the upstream went, and that nobody cut."""
    answers = {"bad_gateway": Answer(status=502, reason="Bad Gateway", body="sorry")}
    got, span, _ = exchange(replace(layer(idle=60), answers=answers), wait(5), how)

    assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert got.endswith(b"sorry")
    assert ends(span) == (end, DownstreamEnd.OWN_ANSWER)
    assert span.upstream_s == pytest.approx(5.0)
    assert span.cut is None


@pytest.mark.parametrize(("how", "end"), [(FIN, UpstreamEnd.CLOSED), (RST, UpstreamEnd.RESET)])
@pytest.mark.parametrize("start", [CHUNKED_HEAD + b"1\r\nx\r\n", COUNTED_300])
def test_upstream_ends_in_mid_body(how: Part, end: UpstreamEnd, start: bytes) -> None:
    """The truncation is passed down as this layer ends things, not as the upstream did."""
    got, rig = played(layer(idle=60), (send(start), wait(5), how), act=call_to_the_end)

    assert (got.got, got.ended) == (start, "fin")
    assert ends(rig.span) == (end, DownstreamEnd.TRUNCATED)


def test_nobody_takes_the_connection() -> None:
    """A refused connection is a bad gateway at once."""

    async def main() -> tuple[bytes, Any]:
        rig = Rig(layer(connect=5), upstream=FakeUpstream((send(ok()),)), clock=virtual_clock())
        async with rig:
            rig.hop._address = ("127.0.0.1", 1)
            got = await answered(rig)
        return got, rig.span

    got, span = run_virtual(main())

    assert got.startswith(b"HTTP/1.1 502 ")
    assert ends(span) == (UpstreamEnd.REFUSED, DownstreamEnd.OWN_ANSWER)


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\nX: y\n\n", b"HTTP/1.1 101 Switching\r\n\r\n"]
)
def test_a_malformed_response_is_a_bad_gateway(garbage: bytes) -> None:
    """What is not HTTP is not passed on."""
    got, span, _ = exchange(layer(idle=60), send(garbage))

    assert got.startswith(b"HTTP/1.1 502 ")
    assert ends(span) == (UpstreamEnd.MALFORMED, DownstreamEnd.OWN_ANSWER)


def test_malformed_chunks_truncate() -> None:
    """Garbage in mid-body ends the body."""
    got, rig = played(
        layer(), (send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(1), send(b"zz\r\n")), act=call_to_the_end
    )

    assert got.ended == "fin"
    assert ends(rig.span) == (UpstreamEnd.MALFORMED, DownstreamEnd.TRUNCATED)


def test_close_delimited_becomes_chunked() -> None:
    """A body that ends with its connection gets chunks, so that a cut in it can be seen."""
    got, span, _ = exchange(layer(idle=60), send(CLOSE_DELIMITED + b"abc"), wait(1), send(b"d"), FIN)

    assert got == (
        b"HTTP/1.1 200 OK\r\nServer: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    )
    assert ends(span) == (UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED)


def test_close_delimited_stays_so_for_http_1_0() -> None:
    """A caller that knows no chunks gets the bytes and the close."""
    got, rig = played(
        layer(idle=60),
        (send(CLOSE_DELIMITED + b"abc"), FIN),
        act=lambda rig: call_to_the_end(rig, b"GET / HTTP/1.0\r\n\r\n"),
    )

    assert got.got == b"HTTP/1.1 200 OK\r\nServer: s\r\nConnection: close\r\n\r\nabc"
    assert ends(rig.span) == (UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED)


def test_close_delimited_and_reset_is_truncated() -> None:
    """A reset is no way to end a body, whatever its framing."""
    _, rig = played(layer(), (send(CLOSE_DELIMITED + b"abc"), wait(1), RST), act=call_to_the_end)

    assert ends(rig.span) == (UpstreamEnd.RESET, DownstreamEnd.TRUNCATED)


# --- the caller goes first


async def leave(rig: Rig, how: str, after_s: float = 5.0) -> None:
    """Send a request, and go after a while."""
    caller = await rig.call(request())
    await asyncio.sleep(after_s)
    if how == "rst":
        reset(caller.transport)
    else:
        caller.transport.close()
    await asyncio.sleep(200)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_caller_leaves_while_waiting(how: str) -> None:
    """The upstream is closed at once, and nobody cut."""
    _, rig = played(layer(first_byte=60), (wait(100),), act=lambda rig: leave(rig, how))

    assert ends(rig.span) == (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)
    assert rig.span.downstream_s == pytest.approx(5)
    assert rig.upstream.connections[0].ended_s == pytest.approx(5)
    assert rig.span.cut is None
    assert rig.span.status is None


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_caller_leaves_a_layer_that_is_blind(how: str) -> None:
    """The upstream is kept until the layer's own timer, which believes to answer; the truth stays visible."""
    _, rig = played(
        replace(layer("haproxy", idle=60), notices_abort=False), (wait(100),), act=lambda rig: leave(rig, how)
    )

    assert ends(rig.span) == (UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER)
    assert rig.span.status == 504
    assert rig.upstream.connections[0].ended_s == pytest.approx(60)
    assert (rig.span.caller_left_s, rig.span.cut.at_s) == (pytest.approx(5), pytest.approx(60))


def test_caller_leaves_a_blind_layer_that_then_has_bytes_for_it() -> None:
    """A blind layer learns that its caller has gone when nobody takes its bytes."""
    _, rig = played(
        replace(layer(idle=60), notices_abort=False),
        (wait(50), send(CHUNKED_HEAD), wait(20), send(b"0\r\n\r\n")),
        act=lambda rig: leave(rig, "rst"),
    )

    assert ends(rig.span) == (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)
    assert rig.span.downstream_s == pytest.approx(50)


def test_a_blind_layer_closes_on_a_caller_that_has_closed() -> None:
    """Having answered into the void it does not wait there for another request."""

    async def act(rig: Rig) -> int:
        caller = await rig.call(request())
        await asyncio.sleep(5)
        caller.transport.write_eof()
        await asyncio.sleep(60)
        return len(rig.hop.callers)

    callers, rig = played(replace(layer(idle=60), notices_abort=False), (wait(100),), act=act)

    assert callers == 0
    assert ends(rig.span) == (UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER)


def test_a_blind_layer_whose_writes_fail_is_not_blind_to_that() -> None:
    """A caller that resets a half-sent stream ends it, also while the upstream is held back for it."""

    async def act(rig: Rig) -> None:
        caller = await rig.call(request())
        caller.transport.pause_reading()
        await asyncio.sleep(5)
        reset(caller.transport)
        await asyncio.sleep(5)

    _, rig = played(replace(layer(idle=60), notices_abort=False), (send(ok(b"x" * 9_000_000)),), act=act)

    assert ends(rig.span) == (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)
    assert rig.span.downstream_s == pytest.approx(5)


def test_caller_leaves_in_mid_body() -> None:
    """The rest is not waited for."""
    _, rig = played(
        layer(idle=60),
        (send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(30), send(b"0\r\n\r\n")),
        act=lambda rig: leave(rig, "fin"),
    )

    assert ends(rig.span) == (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)
    assert rig.span.status == 200


# --- buffering


def test_buffering_by_length_holds_a_counted_body() -> None:
    """Head and body are held, as by nginx; on a cut the head goes down, the held bytes are lost."""
    nginx = replace(layer(idle=10), buffering=Buffering.CONTENT_LENGTH)
    got, rig = played(nginx, (send(COUNTED_300), wait(100)), act=call_to_the_end)

    assert got.got == COUNTED_300[:-300]
    assert got.got_at_s == [pytest.approx(10)]
    assert rig.span.bytes_down == 0
    assert ends(rig.span) == (UpstreamEnd.CUT, DownstreamEnd.TRUNCATED)


def test_buffering_by_length_passes_full_buffers() -> None:
    """What fills a buffer goes on; only the rest is lost."""
    nginx = replace(layer(idle=10), buffering=Buffering.CONTENT_LENGTH)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    got, _ = played(nginx, (send(head + b"x" * 20_000), wait(100)), act=call_to_the_end)

    assert len(got.got) == 16_384


def test_buffering_by_length_passes_chunks_at_once() -> None:
    """Chunks are not held."""
    nginx = replace(layer(idle=10), buffering=Buffering.CONTENT_LENGTH)

    async def act(rig: Rig) -> list[float]:
        caller = await rig.call(request())
        await caller.response()
        return caller.got_at_s

    at_s, _ = played(
        nginx, (send(CHUNKED_HEAD), wait(5), send(b"1\r\nx\r\n"), wait(5), send(b"0\r\n\r\n")), act=act
    )

    assert at_s == [pytest.approx(0), pytest.approx(5), pytest.approx(10)]


@pytest.mark.parametrize("body", [ok(b"x" * 50_000), ok(b"x" * 50_000, chunked=True)])
def test_buffering_all_holds_until_whole(body: bytes) -> None:
    """Nothing reaches the caller before everything has come; then everything does."""

    async def act(rig: Rig) -> tuple[bytes, float]:
        caller = await rig.call(request())
        got = await caller.response()
        return got, caller.got_at_s[0]

    (got, at_s), _ = played(
        replace(layer(idle=10), buffering=Buffering.ALL),
        (send(body[:100]), wait(9), send(body[100:30_000]), wait(9), send(body[30_000:])),
        act=act,
    )

    assert got == body
    assert at_s == pytest.approx(18)


def test_buffering_all_can_still_answer_itself() -> None:
    """A layer that has sent nothing yet answers with its own page in mid-body."""
    got, span, _ = exchange(
        replace(layer(total=29), buffering=Buffering.ALL), send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(30)
    )

    assert got.startswith(b"HTTP/1.1 504 ")
    assert ends(span) == (UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER)


# --- the layer's own retries


def test_a_layer_that_retries_on_timeout_multiplies_the_wait() -> None:
    """Two tries of ten seconds are one answer after twenty, and one cut in the record."""
    retrying = replace(layer(first_byte=10), retries=LayerRetries(tries=2, post=True, on_timeout=True))
    got, span, _ = exchange(retrying, wait(100))

    assert got.startswith(b"HTTP/1.1 504 ")
    assert span.cut.at_s == pytest.approx(20)
    assert span.resent == 1
    assert [cut.at_s for cut in span.cut_tries] == pytest.approx([10])


HOLDING = replace(
    layer(idle=10), buffering=Buffering.ALL, retries=LayerRetries(tries=3, post=True, on_timeout=True)
)
HALF = send(CHUNKED_HEAD + b"1\r\nx\r\n")


@pytest.mark.parametrize("ends", [wait(100), FIN, RST], ids=["stalls", "closes", "resets"])
def test_a_layer_that_holds_a_body_tries_again_in_the_middle_of_it(ends: Part) -> None:
    """The caller has had nothing, so the next try's answer is the whole answer, as behind LiteLLM."""

    async def act(rig: Rig) -> bytes:
        return await (await rig.call(request())).response()

    got, rig = played(HOLDING, (HALF, ends), (send(ok()),), act=act)

    assert got == ok()
    assert rig.upstream.requests == 2
    assert rig.spans[0].resent == 1


def test_a_layer_that_holds_a_body_gives_up_after_its_last_try() -> None:
    """Three tries of ten seconds of silence in mid-body are one answer after thirty."""
    got, span, _ = exchange(HOLDING, HALF, wait(100))

    assert got.startswith(b"HTTP/1.1 504 ")
    assert span.cut.at_s == pytest.approx(30)
    assert [cut.phase for cut in span.cut_tries] == [Phase.STREAM, Phase.STREAM]


def test_a_post_is_not_sent_twice_by_a_layer_that_must_not() -> None:
    """A GET is tried again, a POST never, as by nginx."""
    retrying = replace(layer(first_byte=10), retries=LayerRetries(tries=2, on_timeout=True))

    async def act(rig: Rig) -> float:
        await (await rig.call(GET)).response()
        return asyncio.get_running_loop().time()

    get_s, get_rig = played(retrying, (wait(100),), act=act)
    _, post_span, _ = exchange(retrying, wait(100))

    assert get_s == pytest.approx(20)
    assert get_rig.upstream.requests == 2
    assert post_span.cut.at_s == pytest.approx(10)


FOUR = LayerRetries(connects=4, pause_s=1.0)


@pytest.mark.parametrize(("comes_after_s", "at_s", "status"), [(6, 20, b"504"), (4, 4, b"200")])
def test_a_layer_waits_for_so_many_connections(comes_after_s: float, at_s: float, status: bytes) -> None:
    """Of a request of which nothing was sent, also where it sends none again; each has the whole limit."""
    got, span, _ = exchange(
        replace(layer(connect=5, total=60), retries=FOUR), send(ok()), dial_s=comes_after_s
    )

    assert got.startswith(b"HTTP/1.1 " + status)
    if status == b"504":
        assert (span.cut.timer, span.cut.at_s) == ("connect", pytest.approx(at_s))
        assert [cut.at_s for cut in span.cut_tries] == pytest.approx([5, 10, 15])
    else:
        assert span.cut is None


@pytest.mark.parametrize(("connect_s", "took_s"), [(5.0, 3.0), (0.2, 0.6)])
def test_behind_a_refused_connection_a_layer_waits_before_the_next(connect_s: float, took_s: float) -> None:
    """As long as its limit of a connection, and no longer than its pause."""

    async def main() -> tuple[bytes, float, Any]:
        clock = virtual_clock()
        of = replace(layer(connect=connect_s), retries=FOUR)
        rig = Rig(of, upstream=FakeUpstream((send(ok()),)), clock=clock)
        async with rig:
            rig.hop._address = ("127.0.0.1", 1)
            began_s = clock.now_s()
            got = await answered(rig)
            took = clock.now_s() - began_s
        return got, took, rig.span

    got, took, span = run_virtual(main())

    assert got.startswith(b"HTTP/1.1 502 ")
    assert took == pytest.approx(took_s, abs=0.01)
    assert ends(span) == (UpstreamEnd.REFUSED, DownstreamEnd.OWN_ANSWER)
    assert span.resent == 3


def test_a_caller_that_leaves_between_two_connections_ends_it() -> None:
    """Nothing is dialled for it any more."""

    async def main() -> Any:
        rig = Rig(
            replace(layer(connect=5), retries=FOUR),
            upstream=FakeUpstream((send(ok()),)),
            clock=virtual_clock(),
        )
        async with rig:
            rig.hop._address = ("127.0.0.1", 1)
            caller = await rig.call(GET)
            await asyncio.sleep(1.5)
            caller.transport.abort()
            await asyncio.sleep(10)
        return rig.span

    span = run_virtual(main())

    assert span.resent == 2  # refused at once and after a second, and not a third time
    assert span.cut is None


def test_total_is_over_all_tries() -> None:
    """`total` runs on through the layer's own tries."""
    retrying = replace(
        layer(first_byte=10, total=15), retries=LayerRetries(tries=9, post=True, on_timeout=True)
    )
    _, span, _ = exchange(retrying, wait(100))

    assert span.cut.timer == "total"
    assert span.cut.at_s == pytest.approx(15)


def test_the_second_try_can_succeed_with_the_whole_body() -> None:
    """The request goes up again as it was, body and all."""
    retrying = replace(layer(first_byte=10), retries=LayerRetries(tries=2, post=True))
    upload = request(body=b"x" * 50)
    (got, _), rig = played(
        retrying, (BODY, FIN), (BODY, send(ok())), act=lambda rig: both(rig, upload[:-20], upload[-20:])
    )

    assert got == ok()
    first, second = rig.upstream.connections
    assert first.received == second.received
    assert second.received.endswith(b"x" * 50)


async def both(rig: Rig, *pieces: bytes) -> tuple[bytes, Caller]:
    """Send pieces a second apart; the response and the caller."""
    caller = await rig.call(pieces[0])
    for piece in pieces[1:]:
        await asyncio.sleep(1)
        caller.transport.write(piece)
    return await caller.response(), caller


# --- keep-alive, pooling, pipelining


def test_connections_are_kept_on_both_sides() -> None:
    """Ten requests one after the other use one connection up and one down."""

    async def act(rig: Rig) -> int:
        caller = await rig.call()
        for _ in range(10):
            caller.transport.write(request())
            assert await caller.response() == ok()
        return len(rig.upstream.connections)

    connections, rig = played(layer(), (BODY, send(ok())), act=act)

    assert connections == 1
    assert len(rig.spans) == 10


def test_a_stale_pooled_connection_gets_one_more_try_if_that_is_harmless() -> None:
    """The upstream closes a kept connection under a GET: it is sent again; a POST is not."""

    async def act(rig: Rig) -> list[bytes]:
        caller = await rig.call(GET)
        got = [await caller.response()]
        caller.transport.write(GET)
        got.append(await caller.response())
        caller.transport.write(request())
        got.append(await caller.response())
        return got

    got, rig = played(layer(), (send(ok()),), (FIN,), (send(ok()),), (FIN,), act=act)

    assert [response[9:12] for response in got] == [b"200", b"200", b"502"]
    assert rig.spans[1].resent == 1


def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests that come together, or byte by byte, are answered one after the other."""

    async def act(rig: Rig) -> list[bytes]:
        many = b"".join(request(path=b"/%d" % number, body=b"b" * number) for number in range(5))
        caller = await rig.call(many[:100], *(many[at : at + 1] for at in range(100, 160)), many[160:])
        return [await caller.response() for _ in range(5)]

    parts = [(BODY, wait(1), send(ok(b"%d" % number))) for number in range(5)]
    got, rig = played(layer(), *parts, act=act)

    assert got == [ok(b"%d" % number) for number in range(5)]
    assert [span.path for span in rig.spans] == [f"/{number}" for number in range(5)]
    assert len(rig.upstream.connections) == 1


def test_connection_close_is_honoured() -> None:
    """A caller that asks for the end gets it, told so in the head; the upstream's connection is kept."""
    asking = request(extra=b"Connection: close\r\n")
    got, rig = played(layer(), (send(ok()),), act=lambda rig: call_to_the_end(rig, asking))

    assert got.ended == "fin"
    assert b"\r\nConnection: close\r\n" in got.got
    assert b"onnection" not in rig.upstream.connections[0].received


def test_a_head_answer_has_no_body() -> None:
    """HEAD ends at the head, whatever its length says, and the connection goes on."""

    async def act(rig: Rig) -> bytes:
        caller = await rig.call(request(b"HEAD", body=b""))
        await caller.until(lambda caller: b"\r\n\r\n" in caller.got)
        head, caller.got = caller.got, b""
        caller.transport.write(GET)
        return head + await caller.response()

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    got, rig = played(layer(), (send(head),), (send(ok()),), act=act)

    assert got == head + ok()
    assert len(rig.upstream.connections) == 1


def test_expect_100_continue_goes_through() -> None:
    """The interim answer reaches the caller, who then sends its body; it is nobody's first byte."""
    expecting = request(extra=b"Expect: 100-continue\r\n", body=b"x" * 10)

    async def act(rig: Rig) -> bytes:
        caller = await rig.call(expecting[:-10])
        await caller.until(lambda caller: bool(caller.got))
        interim, caller.got = caller.got, b""
        caller.transport.write(expecting[-10:])
        return interim + await caller.response()

    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    got, rig = played(layer(first_byte=10), (send(interim), BODY, wait(9), send(ok())), act=act)

    assert got == interim + ok()
    assert rig.span.first_byte_s == pytest.approx(9)


def test_an_early_answer_ends_both_connections() -> None:
    """An upstream that answers before the body has come is heard, and neither connection is used again."""
    upload = request(body=b"x" * 50)
    got, rig = played(
        layer(),
        (send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),),
        act=lambda rig: call_to_the_end(rig, upload[:-20]),
    )

    assert got.got.startswith(b"HTTP/1.1 413 Too Large\r\n")
    assert b"Connection: close" in got.got
    assert ends(rig.span) == (UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED)


@pytest.mark.parametrize(
    "bad",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        request(extra=b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_what_is_no_request_is_refused_with_400(bad: bytes) -> None:
    """The caller is told, the connection ends, the upstream never hears of it."""
    got, rig = played(layer(), (send(ok()),), act=lambda rig: call_to_the_end(rig, bad))

    assert got.got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert got.ended == "fin"
    assert rig.upstream.connections == []
    assert rig.spans == []


def test_chunk_garbage_in_a_request_is_refused_with_400() -> None:
    """A body that breaks off into garbage is refused, and the upstream is left."""
    start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    together, one = played(layer(), (wait(9),), act=lambda rig: call_to_the_end(rig, start + b"zz\r\n"))
    (apart, _), two = played(layer(), (wait(9),), act=lambda rig: both(rig, start, b"zz\r\n"))

    assert together.got.startswith(b"HTTP/1.1 400 ")
    assert apart.startswith(b"HTTP/1.1 400 ")
    assert ends(one.span) == (UpstreamEnd.NONE, DownstreamEnd.OWN_ANSWER)
    assert ends(two.span) == (UpstreamEnd.ABANDONED, DownstreamEnd.OWN_ANSWER)


# --- what travels and what is written


def test_the_trace_is_carried_on() -> None:
    """The hop's span is the caller's child and the upstream's parent."""
    came = b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\r\n"
    _, rig = played(layer(), (send(ok()),), act=lambda rig: answered_with(rig, request(extra=came)))

    went = rig.upstream.connections[0].received.split(b"traceparent: ")[1].split(b"\r\n")[0].decode()
    assert parse_traceparent(went) == ("a" * 32, rig.span.span_id)
    assert (rig.span.trace_id, rig.span.parent_id) == ("a" * 32, "b" * 16)


@pytest.mark.parametrize(
    "came", [b"", b"traceparent: nonsense\r\n", b"traceparent: 00-" + b"0" * 32 + b"-1-01\r\n"]
)
def test_a_trace_is_begun_where_none_came(came: bytes) -> None:
    """No traceparent, or a malformed one, starts a trace here."""
    _, rig = played(layer(), (send(ok()),), act=lambda rig: answered_with(rig, request(extra=came)))

    received = rig.upstream.connections[0].received
    assert received.count(b"traceparent") == 1
    assert f"00-{rig.span.trace_id}-{rig.span.span_id}-01".encode() in received
    assert rig.span.parent_id is None


async def answered_with(rig: Rig, *pieces: bytes) -> bytes:
    """Send these bytes and take one response."""
    return await (await rig.call(*pieces)).response()


def test_nothing_else_is_added_or_taken() -> None:
    """But for the traceparent the request and the response pass byte for byte."""
    sent = request(extra=b"X-ODD:   spaced  \r\nAuthorization: Bearer k\r\n")
    body = ok(extra=b"sErVeR:x\r\n")
    got, rig = played(layer(), (send(body),), act=lambda rig: answered_with(rig, sent))

    head, _, rest = rig.upstream.connections[0].received.partition(b"traceparent: ")
    assert head + rest[57:] == sent
    assert got == body


def test_a_span_holds_no_secret() -> None:
    """Neither `Authorization`, nor a query, nor a body is written down."""
    sent = request(path=b"/v1?key=sk-q", extra=b"Authorization: Bearer sk-a\r\n", body=b'"sk-b"')
    _, rig = played(layer(), (send(ok(b"sk-c")),), act=lambda rig: answered_with(rig, sent))

    assert "sk-" not in str(rig.span)
    assert rig.span.path == "/v1"


def test_an_exchange_that_is_open_at_the_end_is_written_down() -> None:
    """Closing a chain records what is under way, as what it is: without an end."""

    async def act(rig: Rig) -> None:
        await rig.call(request())
        await asyncio.sleep(5)

    _, rig = played(layer(idle=60), (wait(100),), act=act)

    assert rig.span.downstream == DownstreamEnd.NONE
    assert [event.name for event in rig.span.events] == ["hop.closed"]


def test_a_fault_of_the_hop_itself_is_written_down_too() -> None:
    """Even then the exchange ends, its caller is not left hanging, and the record says what is known."""
    faults: list[dict[str, Any]] = []

    async def act(rig: Rig) -> str:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
        caller = await rig.call(request())
        await asyncio.sleep(1)
        rig.hop.give_back = None  # type: ignore[assignment,method-assign]  # any fault will do
        await to_the_end(caller)
        return caller.ended

    ended, rig = played(layer(), (wait(5), send(ok())), act=act)

    assert ended
    assert len(faults) == 1
    assert [event.name for event in rig.span.events] == ["hop.failed"]
    assert rig.hop.fallen is not None
    assert [span.error for span in rig.spans if span.kind is SpanKind.DEATH] == [rig.hop.fallen.why]


def test_without_a_sink_nothing_is_written_and_the_trace_passes_untouched() -> None:
    """Nobody listens: no span, no id, and the caller's traceparent goes on as it came."""
    came = b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\r\n"

    async def main() -> bytes:
        async with FakeUpstream((send(ok()),)) as upstream:
            hop = Hop(layer(), upstream=upstream.address, clock=virtual_clock())
            await hop.listen()
            caller = await call(hop.port, request(extra=came))
            await caller.response()
            caller.transport.abort()
            await hop.close()
            return upstream.connections[0].received

    assert came in run_virtual(main())
