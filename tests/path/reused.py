"""``python -m tests.path.reused [CALLS]``: SDK calls through `whocut tap --to https` on connections used again.

The endpoint speaks TLS and keeps its connections; the tap is started as its users start it; twenty callers ask one
after the other. Exits 1 where a call hangs, fails, or where connections were not used again.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import openai

from tests.path.certificates import certificate_in
from whocut.client.transports import wire
from whocut.clock import run_real
from whocut.path.certificates import Certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 20
_HANGS_S = 30.0  # the endpoint answers at once: a call that takes this long would have hung
_IMAGE = json.dumps({"created": 1, "data": [{"b64_json": "aGVsbG8="}]}).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@dataclass(slots=True)
class Calls:
    """What came of the calls, and how many connections and requests the endpoint saw."""

    ends: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    requests: int = 0

    @property
    def delivered(self) -> int:
        """Calls that had their image."""
        return self.ends["delivered"]


@asynccontextmanager
async def _endpoint(certificate: Path, calls: Calls) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
                calls.requests += 1
                writer.write(_ANSWER % (len(_IMAGE), _IMAGE))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=Certificate(certificate).context())
    async with server:
        yield server.sockets[0].getsockname()[1]
        server.close()


async def _ask(base_url: str, share: int, calls: Calls) -> None:
    """One caller with one client: so many calls, one after the other, on the connection that it has."""
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key="sk-of-this-test", max_retries=0, timeout=_HANGS_S
    ) as sdk:
        for number in range(share):
            try:
                answer = await sdk.images.generate(model="gpt-image-2", prompt=f"a cat, {number}")
                calls.ends["delivered" if answer.data else "no image"] += 1
            except (openai.APIError, wire.HTTPError) as error:
                calls.ends[type(error).__name__] += 1


async def ask_many(count: int, folder: Path) -> Calls:
    """So many calls, divided among the callers."""
    calls = Calls()
    certificate = certificate_in(folder)
    async with _endpoint(certificate, calls) as port:
        to = f"https://localhost:{port}/v1"
        tap = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "whocut", "tap", "--json", "--listen", "127.0.0.1:0"),
            *("--to", to, "--ca", str(certificate), "--out", str(folder / "tap")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        assert tap.stdout is not None
        try:
            base_url = json.loads(await tap.stdout.readline())["base_url"]
            shares = [count // AT_ONCE + (number < count % AT_ONCE) for number in range(AT_ONCE)]
            await asyncio.gather(*(_ask(base_url, share, calls) for share in shares))
        finally:
            tap.send_signal(signal.SIGINT)
            await tap.communicate()
    return calls


def main() -> int:
    """Ask, say what came of it, and judge."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with TemporaryDirectory() as folder:
        calls = run_real(ask_many(count, Path(folder)))
    sys.stdout.write(
        f"{count} calls at {AT_ONCE} at once: {dict(calls.ends)}; the endpoint saw {calls.requests} requests on "
        f"{calls.connections} connections\n"
    )
    return 0 if calls.delivered == count == calls.requests and calls.connections <= 2 * AT_ONCE else 1


if __name__ == "__main__":
    sys.exit(main())
