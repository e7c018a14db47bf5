"""The small things every test of the mock needs: a server, a caller, a reader of event streams."""

import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from tests.mock_upstream.virtual_time import run_virtual
from whocut_mock import Ledger, ModelClock, Running, Settings, serve
from whocut_mock.serve import Doors

KEY = "sk-made-up-for-the-tests"
Body = dict[str, Any]
MINIMAL: Body = {"model": "gpt-image-2", "prompt": "a ramen shop at two in the morning"}


@dataclass
class Stage:
    """A mock that serves, and one client of it."""

    running: Running
    session: aiohttp.ClientSession

    @property
    def ledger(self) -> Ledger:
        """The mock's books."""
        return self.running.ledger

    def url(self, path: str) -> str:
        """The full address of this path."""
        return f"{self.running.base_url.removesuffix('/v1')}{path}"

    def now_s(self) -> float:
        """Model time."""
        return self.running.upstream.clock.now_s()

    async def post(
        self, body: Body | bytes, path: str = "/v1/images/generations", **headers: str
    ) -> "Answer":
        """Send this body with a made-up key; `_` in a header's name is `-`."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.session.post(self.url(path), data=data, headers=sent) as response:
            return await Answer.read(response)

    async def get(self, path: str, **headers: str) -> "Answer":
        """Fetch this path without a key; `_` in a header's name is `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.url(path), headers=sent) as response:
            return await Answer.read(response)

    async def door(self, method: str, name: str, body: Any = None, **headers: str) -> "Answer":
        """One of the mock's own doors, with its token."""
        control = self.running.control
        assert control is not None
        sent = {"x-mock-token": control.token} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        url = f"http://127.0.0.1:{control.port}/_mock/{name}"
        async with self.session.request(method, url, json=body, headers=sent) as response:
            return await Answer.read(response)


@dataclass(frozen=True)
class Answer:
    """One answer, read in full."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    async def read(cls, response: aiohttp.ClientResponse) -> "Answer":
        """All of a response; header names in lower case."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        return cls(response.status, headers, await response.read())

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The inside of the error envelope."""
        return self.json["error"]

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Name and data of each event; a frame of any other shape fails."""
        frames = self.body.decode().split("\n\n")
        assert frames.pop() == ""
        found = []
        for frame in frames:
            name, data = frame.split("\n")
            assert name.startswith("event: ")
            assert data.startswith("data: ")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        return found


@asynccontextmanager
async def mock(
    settings: Settings | None = None,
    *,
    ledger_file: Path | None = None,
    scale: float = 1.0,
    clock: ModelClock | None = None,
) -> AsyncIterator[Stage]:
    """A mock and a client, closed at the end."""
    running = await serve(
        settings,
        clock=clock or ModelClock(scale),
        ledger=Ledger(ledger_file),
        warm=(),
        control=Doors.new("127.0.0.1"),
    )
    try:
        async with aiohttp.ClientSession() as session:
            yield Stage(running, session)
    finally:
        await running.close()


def on_stage(
    play: Callable[[Stage], Coroutine[Any, Any, None]],
    settings: Settings | None = None,
    *,
    ledger_file: Path | None = None,
    clock: ModelClock | None = None,
) -> None:
    """Play it in virtual time."""

    async def run() -> None:
        async with mock(settings, ledger_file=ledger_file, clock=clock) as stage:
            await play(stage)

    run_virtual(run())


def picture(b64: str) -> Image.Image:
    """The decoded picture; it fails if any byte of it is wrong."""
    image = Image.open(io.BytesIO(base64.b64decode(b64, validate=True)))
    image.load()
    return image
