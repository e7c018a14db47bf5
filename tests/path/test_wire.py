"""A tap is a tap: every ending and every keep-alive race looks through it as it looks without it.

Both ends are bare sockets, so that the kernel says what came and how it ended. A script is played twice, once with
the caller dialling the upstream and once with a tap between them.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.path.fakes import CHUNKED_HEAD, ok, request
from tests.path.test_timers import virtual_clock
from whocut.chain.layers import Layer
from whocut.clock import run_virtual
from whocut.path import Hop
from whocut.path.tap import Tap
from whocut.trace.records import DownstreamEnd, LayerRecord, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.trace.records import Span

TAP = Layer(name="tap", title="the tap")
OURS = re.compile(rb"traceparent: [^\r]*\r\n")


@dataclass
class End:
    """A bare socket, and what it saw."""

    sock: socket.socket
    got: bytes = b""
    ended: str = ""

    def send(self, data: bytes) -> None:
        """Send; a peer that has gone is no matter here."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            self.ended = self.ended or type(error).__name__

    def fin(self) -> None:
        """Send no more."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """As a program closes: a FIN, or a reset where bytes are unread."""
        self.look()
        self.sock.close()
        self.ended = self.ended or "closed by itself"

    def rst(self) -> None:
        """Reset."""
        self.look()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.ended = self.ended or "reset by itself"

    def close_unread(self) -> None:
        """Close without having read what came: the kernel resets where there was something."""
        self.sock.close()
        self.ended = self.ended or "closed by itself"

    def look(self) -> None:
        """Take what has come."""
        while not self.ended:
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                return
            except OSError as error:
                self.ended = type(error).__name__
                return
            if not data:
                self.ended = "fin"
            self.got += data


@dataclass
class Stage:
    """A caller, an upstream, and perhaps a tap between them."""

    port: int
    listener: socket.socket
    callers: list[End] = field(default_factory=list)
    upstreams: list[End] = field(default_factory=list)

    @property
    def c(self) -> End:
        """The caller's last connection."""
        return self.callers[-1]

    @property
    def s(self) -> End:
        """The upstream's last connection."""
        return self.upstreams[-1]

    async def dial(self) -> None:
        """The caller dials; the upstream accepts what comes."""
        caller = socket.socket()
        caller.setblocking(False)  # noqa: FBT003  # as the module has it
        self.callers.append(End(caller))
        try:
            await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", self.port))
        except OSError as error:
            self.c.ended = type(error).__name__
        await settled()
        try:
            accepted, _ = self.listener.accept()
        except OSError:
            return
        accepted.setblocking(False)  # noqa: FBT003  # as above
        self.upstreams.append(End(accepted))

    def seen(self) -> list[tuple[bytes, str]]:
        """What each side saw, connection by connection."""
        both_look(self)
        for end in (*self.callers, *self.upstreams):
            end.sock.close()
        return [(OURS.sub(b"", end.got), end.ended) for end in (*self.callers, *self.upstreams)]


async def settled() -> None:
    """Let everything that is on its way arrive."""
    for _ in range(3):
        await asyncio.sleep(0.01)


Step = tuple["Callable[[Stage], object]", ...]
"""What is done at once; between two steps everything arrives."""


async def played(
    steps: tuple[Step, ...], spans: list[Span] | None, *, listens: bool
) -> list[tuple[bytes, str]]:
    """One script, directly or (with a list for its spans) through a tap."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if listens:
            listener.listen(8)
        listener.setblocking(False)  # noqa: FBT003  # as above
        address = listener.getsockname()
        stage = Stage(address[1], listener)
        tap = None
        if spans is not None:
            tap = Hop(TAP, upstream=address, clock=virtual_clock(), sink=spans.append, tap=Tap())
            await tap.listen()
            stage.port = tap.port
        await stage.dial()
        for step in steps:
            for do in step:
                do(stage)
            await settled()
        seen = stage.seen()
        if tap is not None:
            await settled()
            await tap.close()
    return seen


def ends(span: Span) -> tuple[UpstreamEnd, DownstreamEnd]:
    """How both sides ended."""
    assert isinstance(span, LayerRecord)
    return span.upstream, span.downstream


def both(steps: tuple[Step, ...], *, listens: bool = True) -> tuple[list[tuple[bytes, str]], list[Span]]:
    """What is seen through a tap, when it is what is seen without it; and the tap's spans."""
    spans: list[Span] = []
    direct = run_virtual(played(steps, None, listens=listens))
    through = run_virtual(played(steps, spans, listens=listens))
    assert through == direct
    return through, spans


def _send(side: str, piece: bytes, stage: Stage) -> None:
    end: End = getattr(stage, side)
    end.send(piece)


def c_sends(*pieces: bytes) -> Step:
    """The caller sends."""
    return tuple(partial(_send, "c", piece) for piece in pieces)


def s_sends(*pieces: bytes) -> Step:
    """The upstream sends."""
    return tuple(partial(_send, "s", piece) for piece in pieces)


def both_look(stage: Stage) -> None:
    """Both take what has come: what is read before an end is read, whatever the kernel would do with it later."""
    for end in (*stage.callers, *stage.upstreams):
        if end.sock.fileno() >= 0:
            end.look()


C_FIN: Step = (lambda stage: stage.c.fin(),)
C_CLOSE: Step = (lambda stage: stage.c.close(),)
C_RST: Step = (lambda stage: stage.c.rst(),)
S_FIN: Step = (lambda stage: stage.s.fin(),)
S_CLOSE: Step = (lambda stage: stage.s.close(),)
S_RST: Step = (lambda stage: stage.s.rst(),)
S_BLIND: Step = (lambda stage: stage.s.close_unread(),)
ASK = c_sends(request())
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 300
CHUNKED = CHUNKED_HEAD + b"1\r\nx\r\n"
CLOSING = ok(extra=b"Connection: close\r\n")
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000
UPGRADE = request(b"GET", body=b"", extra=b"Connection: Upgrade\r\nUpgrade: x\r\n")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
HALF = request(body=b"x" * 1000)[:-700]

N, C, R, M = (UpstreamEnd.COMPLETE, UpstreamEnd.CLOSED, UpstreamEnd.RESET, UpstreamEnd.MALFORMED)
GONE = (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT)
WHOLE = (N, DownstreamEnd.ANSWERED)
# How an exchange ends, and what the tap writes down of each request.
ENDINGS: dict[str, tuple[tuple[Step, ...], list[tuple[UpstreamEnd, DownstreamEnd]]]] = {
    "a whole counted response": ((ASK, s_sends(ok())), [WHOLE]),
    "a whole chunked response, piece by piece": (
        (ASK, s_sends(CHUNKED), s_sends(b"1\r\ny\r\n"), s_sends(b"0\r\n\r\n")),
        [WHOLE],
    ),
    "a response that ends with its connection": (
        (ASK, s_sends(b"HTTP/1.1 200 OK\r\n\r\nabc"), S_CLOSE),
        [WHOLE],
    ),
    "a response that announces the close": ((ASK, s_sends(CLOSING), S_CLOSE), [WHOLE]),
    "a large response": ((ASK, s_sends(LARGE), (both_look,), (both_look,)), [WHOLE]),
    "FIN before the head": ((ASK, S_CLOSE), [(C, DownstreamEnd.TRUNCATED)]),
    "RST before the head": ((ASK, S_RST), [(R, DownstreamEnd.TRUNCATED)]),
    "closed on an unread request": ((ASK, S_BLIND), [(R, DownstreamEnd.TRUNCATED)]),
    "FIN in the head": ((ASK, s_sends(b"HTTP/1.1 200 O"), S_CLOSE), [(C, DownstreamEnd.TRUNCATED)]),
    "RST in the head": ((ASK, s_sends(b"HTTP/1.1 200 O"), S_RST), [(R, DownstreamEnd.TRUNCATED)]),
    "FIN in a counted body": ((ASK, s_sends(COUNTED), S_CLOSE), [(C, DownstreamEnd.TRUNCATED)]),
    "RST in a counted body": ((ASK, s_sends(COUNTED), S_RST), [(R, DownstreamEnd.TRUNCATED)]),
    "FIN instead of the last chunk": ((ASK, s_sends(CHUNKED), S_CLOSE), [(C, DownstreamEnd.TRUNCATED)]),
    "RST instead of the last chunk": ((ASK, s_sends(CHUNKED), S_RST), [(R, DownstreamEnd.TRUNCATED)]),
    "RST right behind the bytes": (
        (ASK, (*s_sends(CHUNKED), *S_RST)),
        [(R, DownstreamEnd.TRUNCATED)],
    ),
    "what is not HTTP": ((ASK, s_sends(b"SSH-2.0-x\r\n\r\n"), S_CLOSE), [(M, DownstreamEnd.TRUNCATED)]),
    "broken chunks": ((ASK, s_sends(CHUNKED), s_sends(b"zz\r\n"), S_RST), [(M, DownstreamEnd.TRUNCATED)]),
    "an interim response": (
        (ASK, s_sends(b"HTTP/1.1 100 Continue\r\n\r\n"), s_sends(ok())),
        [WHOLE],
    ),
    "another protocol": (
        (
            c_sends(UPGRADE),
            s_sends(SWITCHED + b"\x00abc"),
            c_sends(b"\x01\r\n\r\n"),
            s_sends(b"\x02"),
            S_CLOSE,
        ),
        [WHOLE],
    ),
    "an answer before the request is whole": (
        (c_sends(HALF), s_sends(CLOSING), S_BLIND),
        [WHOLE],
    ),
    "the caller closes while it waits": ((ASK, C_CLOSE), [GONE]),
    "… and is answered all the same": (
        (ASK, (both_look,), C_CLOSE, s_sends(CHUNKED), s_sends(b"1\r\ny\r\n"), s_sends(b"0\r\n\r\n")),
        [GONE],
    ),
    "the caller resets while it waits": ((ASK, C_RST), [GONE]),
    "the caller has said all and waits": ((ASK, C_FIN, s_sends(ok()), S_CLOSE), [GONE]),
    "the caller closes in mid-stream": ((ASK, s_sends(CHUNKED), (both_look,), C_CLOSE), [GONE]),
    "the caller resets in mid-stream": ((ASK, s_sends(CHUNKED), C_RST), [GONE]),
    "the caller closes in its body": ((c_sends(HALF), C_CLOSE), [GONE]),
    "the caller resets in its body": ((c_sends(HALF), C_RST), [GONE]),
    "the caller closes in its head": ((c_sends(b"POST / HTTP/1.1\r\nHo"), C_CLOSE), []),
    "a head that comes in pieces": (
        (*(c_sends(bytes([byte])) for byte in request()), s_sends(ok())),
        [WHOLE],
    ),
    "a request that is not HTTP": ((c_sends(b"\x00\x01\n\n"), s_sends(b"what?"), S_CLOSE), []),
    "a request in HTTP/1.0": ((c_sends(b"GET / HTTP/1.0\r\n\r\n"), s_sends(ok()), S_CLOSE), [WHOLE]),
    "two requests at once": (
        (c_sends(request() + request(path=b"/2")), s_sends(ok(b"1") + ok(b"2", chunked=True))),
        [WHOLE, WHOLE],
    ),
    "a HEAD": ((c_sends(request(b"HEAD", body=b"")), s_sends(ok(b"")[:-1] + b"\n")), [WHOLE]),
    "the upstream has said all, and listens on": ((ASK, s_sends(ok()), S_FIN, c_sends(b"more")), [WHOLE]),
}


@pytest.mark.parametrize(("steps", "written"), ENDINGS.values(), ids=ENDINGS.keys())
def test_an_ending_looks_through_a_tap_as_without_it(
    steps: tuple[Step, ...], written: list[tuple[UpstreamEnd, DownstreamEnd]]
) -> None:
    """The same bytes and the same end on both sides; and the tap writes down what it saw."""
    _, spans = both(steps)

    assert [ends(span) for span in spans] == written


FIRST: tuple[Step, ...] = (ASK, s_sends(ok()), (both_look,))
RACES: dict[str, tuple[tuple[Step, ...], list[UpstreamEnd]]] = {
    "an idle connection is closed, and the caller sees it": ((*FIRST, S_CLOSE), [N]),
    "… and is used all the same": ((*FIRST, S_CLOSE, ASK), [N, C]),
    "the request crosses the close": ((*FIRST, (*S_CLOSE, *ASK)), [N, C]),
    "the request comes first, and is not read": ((*FIRST, ASK, S_BLIND), [N, R]),
    "the request is read and closed on": ((*FIRST, ASK, S_CLOSE), [N, C]),
    "the request is read and reset": ((*FIRST, ASK, S_RST), [N, R]),
    "the close was announced": ((ASK, s_sends(CLOSING), S_CLOSE, ASK), [N, C]),
    "a connection that never asked is closed": ((S_CLOSE,), []),
    "… with a word": ((*FIRST, s_sends(b"HTTP/1.1 408 Request Timeout\r\n\r\n"), S_CLOSE), [N]),
    "… with a word that crosses the request": (
        (*FIRST, (*s_sends(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"), *S_CLOSE), ASK),
        [N, C],
    ),
    "the caller dials anew for each": ((*FIRST, C_CLOSE), [N]),
}


@pytest.mark.parametrize(("steps", "written"), RACES.values(), ids=RACES.keys())
def test_a_keep_alive_race_looks_through_a_tap_as_without_it(
    steps: tuple[Step, ...], written: list[UpstreamEnd]
) -> None:
    """The tap keeps no pool: who closes an idle connection, and who is too late for it, stays as it is."""
    _, spans = both(steps)

    upstreams = [ends(span)[0] for span in spans]
    assert [end if end is not R or R in written else C for end in upstreams] == written
