"""`whocut tap` and what it stands on: TLS on either side, the Host, and what it says of clients it cannot read."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.path.certificates import certificate_in
from tests.path.fakes import FIN, RST, Caller, FakeUpstream, call, ok, request, send
from tests.path.test_timers import virtual_clock
from whocut.chain.layers import Layer
from whocut.clock import Clock, new_loop, run_real, run_virtual
from whocut.errors import BadFile, BadInput
from whocut.path import Hop, Target
from whocut.path.certificates import Certificate, self_made
from whocut.path.tap import Tap
from whocut.run.tap import TapPlan
from whocut.trace.records import DownstreamEnd, LayerRecord, Span, UpstreamEnd
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

TAP = Layer(name="tap", title="the tap")
BODY_BYTES = 2000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For `localhost`, key and certificate in one file."""
    return certificate_in(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def secure_upstream(certificate: Path) -> AsyncIterator[tuple[int, list[bytes]]]:
    """An upstream behind TLS that reads whole requests on connections that stay; its port, and the heads it saw."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(BODY_BYTES)
                writer.write(ok(b"%d" % len(heads)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=Certificate(certificate).context())
    async with server:
        yield server.sockets[0].getsockname()[1], heads
        server.close()


LOOPS: dict[str, Callable[[Coroutine[object, object, None]], None]] = {
    "asyncio": asyncio.run,
    "uvloop, where it is installed": run_real,
}


@pytest.mark.sockets
@pytest.mark.parametrize("tapped", [True, False], ids=["tap", "hop"])
@pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS.keys())
def test_a_body_in_a_packet_of_its_own_reaches_an_upstream_behind_tls(
    certificate: Path,
    run: Callable[[Coroutine[object, object, None]], None],
    tapped: bool,  # noqa: FBT001
) -> None:
    """Three hundred requests on one connection that is used again: none of them hangs."""

    async def main() -> None:
        async with secure_upstream(certificate) as (port, heads):
            target = Target.parse(f"https://localhost:{port}/v1", trust=certificate)
            hop = Hop(TAP, upstream=target, clock=Clock(), tap=Tap() if tapped else None)
            await hop.listen()
            reader, writer = await asyncio.open_connection("127.0.0.1", hop.port)
            for number in range(1, 301):
                writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
                while len(heads) < number and tapped:  # noqa: ASYNC110  # the hop sends it with the body
                    await asyncio.sleep(0)
                await asyncio.sleep(0)
                writer.write(b"x" * BODY_BYTES)
                whole = ok(b"%d" % number)
                assert await asyncio.wait_for(reader.readexactly(len(whole)), 30) == whole
            writer.close()
            await hop.close()

        assert len(heads) == 300

    run(main())


def through(
    *part: tuple[str, object],
    act: Callable[[Hop], Coroutine[object, object, Caller]],
    upstream_port: int | None = None,
) -> tuple[Caller, list[Span], list[str]]:
    """A caller that has acted, what the tap wrote down, and what it said."""

    async def main() -> tuple[Caller, list[Span], list[str]]:
        spans: list[Span] = []
        said: list[str] = []
        async with FakeUpstream(part) as upstream:
            address = upstream.address if upstream_port is None else ("127.0.0.1", upstream_port)
            hop = Hop(
                TAP,
                upstream=address,
                clock=virtual_clock(),
                sink=spans.append,
                tap=Tap(),
                complain=said.append,
            )
            await hop.listen()
            caller = await act(hop)
            await asyncio.sleep(0.1)
            caller.transport.abort()
            await hop.close()
        return caller, spans, said

    return run_virtual(main())


def ends(span: Span) -> tuple[object, object]:
    """How both sides ended."""
    assert isinstance(span, LayerRecord)
    return span.upstream, span.downstream


def test_a_refused_dial_is_a_reset_and_is_written_down() -> None:
    """The caller is reset when it has said what it wants; the record says that nothing took the connection."""

    async def act(hop: Hop) -> Caller:
        caller = await call(hop.port)
        await asyncio.sleep(0.1)
        caller.transport.write(request())
        await caller.until(lambda caller: bool(caller.ended))
        return caller

    caller, spans, said = through(act=act, upstream_port=1)

    assert (caller.got, caller.ended) == (b"", "rst")
    assert caller.ended_s == pytest.approx(0.1)
    assert [ends(span) for span in spans] == [(UpstreamEnd.REFUSED, DownstreamEnd.TRUNCATED)]
    assert len(said) == 1
    assert said[0].startswith("the upstream took no connection: ")


def test_a_caller_that_says_nothing_is_not_kept_by_a_refused_dial() -> None:
    """It is reset after a second, and nothing is written down."""

    async def act(hop: Hop) -> Caller:
        caller = await call(hop.port)
        await caller.until(lambda caller: bool(caller.ended))
        return caller

    caller, spans, _ = through(act=act, upstream_port=1)

    assert (caller.ended, spans) == ("rst", [])
    assert caller.ended_s == pytest.approx(1)


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a client spoke TLS to a port without it"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04", "a client spoke HTTP/2"),
    ],
    ids=["TLS", "HTTP/2"],
)
def test_a_client_that_cannot_be_read_is_passed_on_and_told_of_once(first: bytes, says: str) -> None:
    """Its bytes reach the upstream as they came; one sentence says what it did and what to do."""

    async def main() -> tuple[bytes, list[str]]:
        said: list[str] = []
        async with FakeUpstream((FIN,)) as upstream:
            hop = Hop(TAP, upstream=upstream.address, clock=virtual_clock(), tap=Tap(), complain=said.append)
            await hop.listen()
            callers = [await call(hop.port, first) for _ in range(3)]
            await asyncio.sleep(0.1)
            for caller in callers:
                caller.transport.abort()
            await asyncio.sleep(0.1)
            await hop.close()
        return upstream.connections[0].received, said

    received, said = run_virtual(main())

    assert received == first
    assert [sentence.startswith(says) for sentence in said] == [True]


@pytest.mark.parametrize("how", [FIN, RST])
def test_a_tap_opens_nothing_before_it_is_asked(how: tuple[str, object]) -> None:
    """No knock at the start; one connection for each that a caller makes."""

    async def main() -> list[int]:
        async with FakeUpstream((send(ok()), how)) as upstream:
            hop = Hop(TAP, upstream=upstream.address, clock=virtual_clock(), tap=Tap())
            await hop.listen()
            await asyncio.sleep(5)
            counts = [len(upstream.connections)]
            for _ in range(3):
                caller = await call(hop.port, request())
                await caller.response()
                caller.transport.abort()
                counts.append(len(upstream.connections))
            await hop.close()
        return counts

    assert run_virtual(main()) == [0, 1, 2, 3]


# --- Host


def plan(to: str, *, keeps_host: bool | None = None) -> TapPlan:
    """A tap before this address."""
    return TapPlan(
        name="tap",
        position=1,
        host="127.0.0.1",
        port=0,
        to=Target.parse(to),
        out=Path("unused"),
        replace=False,
        keeps_host=keeps_host,
    )


@pytest.mark.parametrize(
    ("to", "told", "stays"),
    [
        ("http://127.0.0.1:8080/v1", None, True),
        ("https://localhost:8443/v1", None, True),
        ("https://api.example/v1", None, False),
        ("https://api.example/v1", True, True),
        ("http://127.0.0.1:8080/v1", False, False),
    ],
)
def test_the_host_goes_on_as_it_came_save_to_an_endpoint_elsewhere(
    to: str,
    told: bool | None,  # noqa: FBT001  # a column
    stays: bool,  # noqa: FBT001  # a column
) -> None:
    """An https endpoint on another machine serves by its own name; a flag says otherwise."""
    assert plan(to, keeps_host=told).host_stays is stays


@pytest.mark.parametrize("keeps", [True, False])
def test_a_tap_changes_no_more_of_a_head_than_it_says(keeps: bool) -> None:  # noqa: FBT001  # a column
    """The traceparent, and Host where it is told so: hop-by-hop fields, order and case stay."""
    came = (
        b"POST /v1?x HTTP/1.1\r\nhOST: somewhere\r\nConnection: close, x-mine\r\nX-Mine: 1\r\n"
        b"TraceParent: 00-"
        + b"1" * 32
        + b"-"
        + b"2" * 16
        + b"-01\r\nTE: trailers\r\nContent-Length: 2\r\n\r\n{}"
    )

    async def main() -> bytes:
        async with FakeUpstream((send(ok()),)) as upstream:
            target = Target("http", *upstream.address, "/v1")
            hop = Hop(
                TAP, upstream=target, clock=virtual_clock(), sink=lambda _: None, tap=Tap(keeps_host=keeps)
            )
            await hop.listen()
            caller = await call(hop.port, came)
            await caller.response()
            await hop.close()
            caller.transport.abort()
        assert upstream.connections
        authority = target.authority.encode()
        return upstream.connections[0].received.replace(authority, b"THE-TARGET")

    head, _, body = run_virtual(main()).partition(b"\r\n\r\n")

    *lines, ours = head.split(b"\r\n")
    assert lines == [
        b"POST /v1?x HTTP/1.1",
        b"hOST: somewhere" if keeps else b"Host: THE-TARGET",
        b"Connection: close, x-mine",
        b"X-Mine: 1",
        b"TE: trailers",
        b"Content-Length: 2",
    ]
    assert ours.startswith(b"traceparent: 00-" + b"1" * 32 + b"-")
    assert b"2" * 16 not in ours
    assert body == b"{}"


# --- addresses in the clear


PRIVATE = ("10.0.0.7", "192.168.1.1", "172.16.0.9", "[fd00::1]")


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_plain_only_when_told(host: str) -> None:
    """Without the flag it is refused, and the refusal names the flag; with it, it is taken."""
    with pytest.raises(BadInput, match=r"in the clear; use https, or --plain inside a private network"):
        Target.parse(f"http://{host}:8000/v1")

    assert Target.parse(f"http://{host}:8000/v1", plain=True).scheme == "http"


@pytest.mark.parametrize("host", ["8.8.8.8", "0.0.0.0", "[2001:4860::8888]", "192.0.2.1.invalid"])
def test_no_other_address_is_plain(host: str) -> None:
    """The network outside, no address at all, a name that is not known."""
    with pytest.raises(BadInput, match=r"not an address of a private network"):
        Target.parse(f"http://{host}/v1", plain=True)


# --- listening with TLS


@pytest.mark.parametrize("written", ["", "nothing that is PEM"])
def test_a_certificate_that_cannot_be_read_is_a_file_s_mistake(tmp_path: Path, written: str) -> None:
    """Bad input, with its place and the flags."""
    (tmp_path / "c.pem").write_text(written)

    with pytest.raises(BadFile, match=r"c\.pem: no certificate with its key can be read: .*--cert, --key"):
        Certificate(tmp_path / "c.pem").context()


def test_a_made_certificate_is_for_this_machine_s_names(tmp_path: Path) -> None:
    """Trusting its file is enough for a client that checks names."""
    certificate_in(tmp_path)  # skips where there is no openssl

    async def main() -> list[bytes]:
        made = self_made(tmp_path)
        got = []
        async with FakeUpstream((send(ok()),)) as upstream:
            hop = Hop(TAP, upstream=upstream.address, clock=Clock(), tap=Tap())
            await hop.listen(tls=made.context())
            trusting = ssl.create_default_context(cafile=made.chain)
            for host in ("localhost", "127.0.0.1"):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", hop.port, ssl=trusting, server_hostname=host
                )
                writer.write(request())
                got.append(await asyncio.wait_for(reader.readexactly(len(ok())), 10))
                writer.close()
            await hop.close()
        return got

    assert run_real(main()) == [ok(), ok()]


def test_a_close_before_a_caller_behind_tls_is_a_close(certificate: Path) -> None:
    """TLS knows no half-closed connection: what came is sent, and then it ends."""

    async def main() -> bytes:
        async with FakeUpstream((send(ok()[:-2]), FIN)) as upstream:
            hop = Hop(TAP, upstream=upstream.address, clock=Clock(), tap=Tap())
            await hop.listen(tls=Certificate(certificate).context())
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                hop.port,
                ssl=ssl.create_default_context(cafile=certificate),
                server_hostname="localhost",
            )
            writer.write(request())
            got = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await hop.close()
        return got

    assert run_real(main()) == ok()[:-2]


COMMAND = [sys.executable, "-m", "whocut", "tap", "--listen", "127.0.0.1:0", "--json", "--out", "seen"]


@pytest.mark.sockets
def test_the_command_listens_with_tls_and_says_what_it_cannot_see(tmp_path: Path, certificate: Path) -> None:
    """Its ready line names the certificate to trust; an upstream that is not there is said when it is dialled."""
    del certificate  # skips where there is no openssl
    command = [*COMMAND, "--tls", "--to", "http://127.0.0.1:1/v1"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tap:
        assert tap.stdout is not None
        assert tap.stderr is not None
        ready = json.loads(tap.stdout.readline())
        address = ready["base_url"].removeprefix("https://").removesuffix("/v1")
        host, _, port = address.partition(":")

        async def ask() -> None:
            trusting = ssl.create_default_context(cafile=ready["certificate"])
            reader, writer = await asyncio.open_connection(
                host, int(port), ssl=trusting, server_hostname=host
            )
            writer.write(request())
            with suppress(ConnectionError):  # the TLS layer may tell of a reset as of an end
                assert await asyncio.wait_for(reader.read(100), 20) == b""
            writer.close()

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(ask())
        assert tap.stderr.readline().startswith("warning: the upstream took no connection: ")
        assert not Path(ready["certificate"]).parent.stat().st_mode & 0o077
        tap.send_signal(signal.SIGTERM)
        told = json.loads(tap.stdout.read())

    assert tap.returncode == 0
    assert told["exchanges"] == 1
    (span,) = RunDir.open(tmp_path / "seen").spans()
    assert ends(span)[0] == UpstreamEnd.REFUSED


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--key", "k.pem"], "--key: it belongs to a certificate"),
        (["--tls", "--cert", "c.pem"], "--tls: it makes a certificate, and --cert gives one"),
        (["--cert", "c.pem"], "c.pem: no certificate with its key can be read"),
    ],
)
def test_flags_that_do_not_fit_are_one_sentence(tmp_path: Path, flags: list[str], says: str) -> None:
    """Exit 2, and no tap."""
    done = subprocess.run(
        [*COMMAND, "--to", "http://127.0.0.1:1/v1", *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"whocut: {says}")
