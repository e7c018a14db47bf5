"""Chromium, driven by its own DevTools protocol over one websocket; no driver beside it is needed."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WIDTHS_PX: Final = (390, 768, 1440)
_PATIENCE_S = 90.0
_LOOK_EVERY_S = 0.1


def chromium() -> str:
    """The program; without it the test is skipped, and on a CI machine it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        words = "there is no Chromium; apt install chromium, and run again"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found


def axe() -> str:
    """The text of axe-core from npm's global folder; without it the test is skipped, on a CI machine it fails."""
    npm = shutil.which("npm")
    root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=True) if npm else None
    file = Path(root.stdout.strip()) / "axe-core" / "axe.min.js" if root else None
    if file is None or not file.is_file():
        words = "there is no axe-core; npm install --global axe-core@4, and run again"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return file.read_text(encoding="utf-8")


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            said = await self._socket.receive_json(timeout=_PATIENCE_S)
            if said.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(said["params"]["exceptionDetails"]))
            if said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.complaints.append(str(said["params"]["entry"]))
            if said.get("id") == number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    async def go(self, url: str) -> None:
        """Open a page."""
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)

    async def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str, patience_s: float = _PATIENCE_S) -> None:
        """Wait until an expression is true in the page; one that cannot be asked yet is not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while True:
                    if await self.ask(
                        f"(() => {{ try {{ return !!({script}) }} catch {{ return false }} }})()"
                    ):
                        return
                    await asyncio.sleep(_LOOK_EVERY_S)
        shown = await self.ask("document.body.innerText")
        raise AssertionError(f"it did not become true within {patience_s:g} s: {script}\n{shown}")

    async def picture(self) -> bytes:
        """What it looks like, as a PNG."""
        shot = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


async def held_to_axe(tab: Tab, script: str, *features: dict[str, str]) -> AsyncIterator[tuple[str, int]]:
    """Each scheme and width in turn, once nothing serious was found there and nothing scrolls sideways.

    `script` is axe-core's, `features` are media features beside the scheme.
    """
    # A script of the test's own, past the page's policy, in the page's world.
    await tab.send("Runtime.evaluate", expression=script)
    for scheme in ("light", "dark"):
        told = [{"name": "prefers-color-scheme", "value": scheme}, *features]
        await tab.send("Emulation.setEmulatedMedia", features=told)
        for width in WIDTHS_PX:
            await tab.send(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=1200,
                deviceScaleFactor=1,
                mobile=False,
            )
            found = await tab.ask(
                "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
                ".map(v => `${v.id}: ${v.nodes.map(n => n.target).join(' ')}`))"
            )
            assert found == [], (scheme, width)
            assert await tab.ask("document.documentElement.scrollWidth <= innerWidth"), (scheme, width)
            yield scheme, width


@asynccontextmanager
async def browser(profile: Path, *options: str) -> AsyncIterator[Tab]:
    """A browser of its own, with one empty page; nothing outside this machine is asked."""
    process = await asyncio.create_subprocess_exec(
        chromium(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "--window-size=1280,1400",
        *options,
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                page = next(target for target in await answer.json() if target["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _port(file: Path) -> int:
    """The port it chose, which it writes down when it listens."""
    async with asyncio.timeout(_PATIENCE_S):
        while (port := _written(file)) is None:  # noqa: ASYNC110  # another process's file tells no event
            await asyncio.sleep(_LOOK_EVERY_S)
    return port


def _written(file: Path) -> int | None:
    lines = file.read_text().splitlines() if file.is_file() else []
    return int(lines[0]) if lines else None
