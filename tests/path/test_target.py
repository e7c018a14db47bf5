"""An upstream behind TLS, and a tap before it: real handshakes on the loopback, with a certificate made here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.path.certificates import certificate_in
from whocut.chain.layers import Layer
from whocut.clock import Clock, run_real
from whocut.errors import BadFile, BadInput, CouldNotRun
from whocut.path import Hop, Target
from whocut.path.http1 import parse_request
from whocut.run.tap import parse_listen
from whocut.trace.records import DownstreamEnd, LayerRecord, UpstreamEnd
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    from pathlib import Path

TAP = Layer(name="tap", title="the tap")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ASKED = b"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-made certificate for `localhost`, in one file."""
    return certificate_in(tmp_path_factory.mktemp("tls"))


class Secure:
    """An upstream behind TLS: what it was asked under which name, and one answer to everything."""

    def __init__(self, certificate: Path, answer: bytes = ANSWER) -> None:
        self.asked: list[bytes] = []
        self.server_names: list[str | None] = []
        self._answer = answer
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._context.sni_callback = lambda _, name, __: self.server_names.append(name)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # a knock
            writer.close()
            return
        self.asked.append(head)
        writer.write(self._answer)
        await writer.drain()
        if b"Content-Length" not in self._answer:
            writer.transport.abort()


async def asked_through(target: Target, raw: bytes = ASKED) -> tuple[bytes, Any]:
    """One request through a tap to a target."""
    spans: list[Any] = []
    hop = Hop(TAP, upstream=target, clock=Clock(), sink=spans.append)
    await hop.listen()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", hop.port)
        writer.write(raw)
        got = await asyncio.wait_for(reader.read(4096), 10)
        writer.close()
        for _ in range(100):
            if spans:
                break
            await asyncio.sleep(0.01)
    finally:
        await hop.close()
    return got, spans[0]


@pytest.mark.sockets
def test_a_hop_speaks_tls_with_the_target_s_name_and_host(certificate: Path) -> None:
    """SNI, a checked certificate, the target's own Host, a traceparent; and the answer comes back as it was."""

    async def main() -> None:
        async with Secure(certificate) as upstream:
            target = Target.parse(f"https://localhost:{upstream.port}/v1", trust=certificate)
            got, span = await asked_through(target)

        assert got == ANSWER
        (head,) = upstream.asked
        assert upstream.server_names == ["localhost"]
        assert f"\r\nHost: localhost:{upstream.port}\r\n".encode() in head
        assert head.lower().count(b"\r\nhost:") == 1
        assert span.span_id.encode() in head
        assert span.upstream == UpstreamEnd.COMPLETE
        assert span.downstream == DownstreamEnd.ANSWERED

    run_real(main())


@pytest.mark.sockets
def test_a_certificate_nobody_vouches_for_is_refused(certificate: Path) -> None:
    """It looks like no timeout: the span says that TLS failed, and why; a knock says what to do."""

    async def main() -> None:
        async with Secure(certificate) as upstream:
            target = Target.parse(f"https://localhost:{upstream.port}/v1")
            got, span = await asked_through(target)
            with pytest.raises(CouldNotRun, match=r"not to be trusted: .*--ca FILE"):
                await target.knock()

        assert got.startswith(b"HTTP/1.1 502 ")
        assert upstream.asked == []
        assert span.upstream == UpstreamEnd.REFUSED
        assert [event.name for event in span.events] == ["tls.failed"]

    run_real(main())


@pytest.mark.sockets
def test_a_certificate_for_another_name_is_refused(certificate: Path) -> None:
    """The right authority, and the wrong house."""

    async def main() -> None:
        async with Secure(certificate) as upstream:
            with pytest.raises(CouldNotRun, match="not to be trusted"):
                await Target.parse(f"https://127.0.0.1:{upstream.port}/v1", trust=certificate).knock()

    run_real(main())


@pytest.mark.sockets
def test_a_reset_behind_tls_is_seen_as_one_that_ended_early(certificate: Path) -> None:
    """Half an answer, and the connection is gone: the tap's upstream side ended by itself."""

    async def main() -> Any:
        half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        async with Secure(certificate, half) as upstream:
            target = Target.parse(f"https://localhost:{upstream.port}/v1", trust=certificate)
            _, span = await asked_through(target)
        return span

    span = run_real(main())

    assert span.upstream.by_them
    assert span.downstream == DownstreamEnd.TRUNCATED


@pytest.mark.sockets
def test_nobody_there_is_said_before_anything_is_sent() -> None:
    """A port without a listener: exit 3, with the place."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

        with pytest.raises(CouldNotRun, match=f"127.0.0.1:{port} cannot be reached"):
            run_real(Target.parse(f"http://127.0.0.1:{port}/v1").knock())


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: old\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\nhOST:old\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close, x-gone\r\nX-Gone: 1\r\nHost: old\r\n\r\n",
        b"GET / HTTP/1.1\r\ntraceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\r\nHost: old\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
    ids=["first", "last", "with lines that end here", "with a traceparent", "none, HTTP/1.0"],
)
@pytest.mark.parametrize("traceparent", [None, b"00-new"])
def test_the_host_is_replaced_wherever_it_stands(raw: bytes, traceparent: bytes | None) -> None:
    """Exactly one Host goes on, and it is the target's; nothing else of the head is lost."""
    sent = parse_request(raw).forwarded(traceparent, b"api.example")

    lines = sent.removesuffix(b"\r\n\r\n").split(b"\r\n")
    hosts = [line for line in lines if line.lower().startswith(b"host:")]
    assert hosts == [b"Host: api.example"]
    assert (b"X: y" in lines) == (b"X: y" in raw)
    assert sum(line.startswith(b"traceparent:") for line in lines) == (
        1 if traceparent or b"traceparent" in raw else 0
    )


@pytest.mark.parametrize(
    ("written", "authority", "url"),
    [
        ("https://API.example/v1/", "api.example", "https://api.example/v1"),
        ("https://api.example:443/v1", "api.example", "https://api.example/v1"),
        ("https://api.example:8443/openai/v1", "api.example:8443", "https://api.example:8443/openai/v1"),
        ("http://127.0.0.1:8080/v1", "127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080", "[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_one_address_has_one_spelling(written: str, authority: str, url: str) -> None:
    """Case, default ports and a slash at the end make no second address."""
    target = Target.parse(written)

    assert (target.authority, target.url) == (authority, url)


def test_certificates_that_cannot_be_read_are_a_file_s_mistake(tmp_path: Path) -> None:
    """Bad input, with its place."""
    (tmp_path / "none.pem").write_text("nothing")
    for name in ("none.pem", "missing.pem"):
        with pytest.raises(BadFile, match=name):
            Target.parse("https://localhost/v1", trust=tmp_path / name).context()


@pytest.mark.parametrize(
    ("written", "address"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), (":0", ("127.0.0.1", 0)), ("9000", ("127.0.0.1", 9000))],
)
def test_where_to_listen_is_written_as_people_write_it(written: str, address: tuple[str, int]) -> None:
    """A port alone is this machine's."""
    assert parse_listen(written) == address


@pytest.mark.parametrize("written", ["localhost", "127.0.0.1:", "127.0.0.1:99999", ""])
def test_an_address_to_listen_on_that_is_none_names_the_way_out(written: str) -> None:
    """Bad input is one sentence."""
    with pytest.raises(BadInput, match=r"write 127\.0\.0\.1:8080"):
        parse_listen(written)


@pytest.mark.sockets
def test_the_command_watches_until_it_is_told_to_stop(certificate: Path, tmp_path: Path) -> None:
    """A key passes through and is written down nowhere; the run directory holds one exchange with both edges."""

    async def main() -> None:
        async with Secure(certificate) as upstream:
            tap = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "whocut",
                    "tap",
                    "--listen",
                    "127.0.0.1:0",
                    "--name",
                    "edge",
                    "--json",
                ),
                *("--to", f"https://localhost:{upstream.port}/v1", "--out", "watched"),
                cwd=tmp_path,
                env={**os.environ, "SSL_CERT_FILE": str(certificate)},
                stdout=asyncio.subprocess.PIPE,
            )
            assert tap.stdout is not None
            ready = json.loads(await tap.stdout.readline())
            host, _, port = ready["base_url"].removeprefix("http://").removesuffix("/v1").partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(ASKED.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer sk-secret\r\n\r\n"))
            assert await asyncio.wait_for(reader.read(4096), 10) == ANSWER
            writer.close()
            tap.send_signal(signal.SIGINT)
            told = json.loads((await tap.communicate())[0])

        assert tap.returncode == 0
        assert (told["exchanges"], told["warning"]) == (1, None)
        assert b"Bearer sk-secret" in upstream.asked[0]

    run_real(main())

    (span,) = RunDir.open(tmp_path / "watched").spans()
    assert isinstance(span, LayerRecord)
    assert (span.layer, span.position, span.status) == ("edge", 1, 200)
    written = [path for path in (tmp_path / "watched").rglob("*") if path.is_file()]
    assert not [path for path in written if b"sk-secret" in path.read_bytes()]
