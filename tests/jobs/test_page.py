"""The page in Chromium: by keyboard alone, over a cut network, through a reload, with a refused prompt; and axe."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.jobs.place import Place, a_mock, a_service
from tests.load.browser import Tab, axe, browser, chromium, held_to_axe
from whocut.clock import run_real
from whocut.clock.clock import calendar_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from whocut_mock import Settings

pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("browser")]

CARD = "document.querySelector('.card')"
STATE = f"{CARD}.querySelector('.state').textContent"
PICTURE = f"{CARD}.querySelector('.picture img')"
SEEN = f"{PICTURE}.complete && {PICTURE}.naturalWidth > 0 && !{CARD}.querySelector('.picture').hidden"
SAID = "document.querySelector('#said').textContent"


class Cable:
    """The network between the browser and the service; it can be cut, and joined again."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: set[asyncio.StreamWriter] = set()
        self.cut = False
        self.url = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass the bytes of one connection on, both ways."""
        if self.cut:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends |= {writer, forth}
        await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))
        self._ends -= {writer, forth}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def break_it(self) -> None:
        """End every connection with a reset, and take no other."""
        self.cut = True
        for writer in list(self._ends):
            writer.transport.abort()


@asynccontextmanager
async def cable(port: int) -> AsyncIterator[Cable]:
    """A cable to this port."""
    made = Cable(port)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.break_it()
        server.close()


def in_browser(
    play: Callable[[Place, Tab, Cable], Coroutine[Any, Any, None]],
    folder: Path,
    *,
    scale: float = 20.0,
    settings: Settings | None = None,
) -> None:
    """Play it in a browser that has entered by the link of the ready line."""
    chromium()

    async def run() -> None:
        async with (
            a_mock(settings, scale) as mock,
            a_service(mock, folder / "jobs.db", calendar=calendar_s, budget_usd=5.0) as place,
            cable(int(place.base_url.rpartition(":")[2])) as wire,
            browser(folder / "profile") as tab,
        ):
            await tab.go(place.entry.replace(place.base_url, wire.url))
            await tab.until("document.querySelector('#credits dd')")
            await play(place, tab, wire)

    run_real(run())


async def pressed(tab: Tab, key: str, code: int, text: str = "") -> None:
    """One key, down and up."""
    for kind in ("keyDown", "keyUp"):
        await tab.send(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text
        )


async def by_tabs_to(tab: Tab, chosen: str) -> None:
    """Press Tab until this element has the focus."""
    for _ in range(30):
        if await tab.ask(f"document.activeElement.matches({chosen!r})"):
            return
        await pressed(tab, "Tab", 9)
    raise AssertionError(f"the keyboard does not reach {chosen}")


async def wished(tab: Tab, prompt: str) -> None:
    """Write a prompt and send it, by keyboard."""
    await by_tabs_to(tab, "#prompt")
    await tab.send("Input.insertText", text=prompt)
    await by_tabs_to(tab, "#send")
    await pressed(tab, "Enter", 13, "\r")


def test_picture_by_keyboard_alone_partial_images_come_first(tmp_path: Path) -> None:
    """Ordered, seen as it comes, seen when it is there, saved, removed; each step by keys; the sum is right."""

    async def play(place: Place, tab: Tab, _: Cable) -> None:
        await wished(tab, "a heron in the fog")
        await tab.until(f"{PICTURE}.src.includes('/partials/')")
        await tab.until(f"{STATE}.startsWith('The image is there')")
        await tab.until(SEEN)
        assert await tab.ask(f"{PICTURE}.alt") == "Image for: a heron in the fog"
        await tab.until("document.querySelector('#credits dd').textContent !== '$0.0000'")
        await by_tabs_to(tab, ".card .save")
        await by_tabs_to(tab, ".card .remove")
        await pressed(tab, "Enter", 13, "\r")
        await tab.until(f"!{CARD}")
        assert await tab.ask("document.activeElement.id") == "gallery"
        assert place.billed == 1
        assert tab.complaints == []

    in_browser(play, tmp_path)


def test_network_cut_in_mid_stream_loses_nothing(tmp_path: Path) -> None:
    """The page says so in plain words, comes back by itself, and the image is made and paid once."""

    async def play(place: Place, tab: Tab, wire: Cable) -> None:
        await wished(tab, "a gull over a pier")
        await tab.until(f"{PICTURE}.src.includes('/partials/')")
        wire.break_it()
        await tab.until(f"{SAID}.startsWith('The connection was lost')")
        wire.cut = False
        await tab.until(f"{STATE}.startsWith('The image is there')")
        await tab.until(SEEN)
        assert place.billed == 1

    in_browser(play, tmp_path, scale=10.0)


def test_order_while_the_network_is_away_is_one_order(tmp_path: Path) -> None:
    """The page tries again with one key until the service hears it."""

    async def play(place: Place, tab: Tab, wire: Cable) -> None:
        await tab.ask("document.querySelector('#prompt').value = 'a kingfisher'")
        wire.break_it()
        await tab.ask("send(), null")
        await tab.until(f"{SAID}.startsWith('The service cannot be reached')")
        wire.cut = False
        await tab.until(f"{STATE}.startsWith('The image is there')")
        assert place.billed == 1

    in_browser(play, tmp_path)


def test_reload_finds_the_job_and_its_image(tmp_path: Path) -> None:
    """A page that is loaded anew in mid-stream shows the card, and then the image."""

    async def play(place: Place, tab: Tab, wire: Cable) -> None:
        await wished(tab, "an owl at noon")
        await tab.until(CARD)
        await tab.go(f"{wire.url}/")
        await tab.until(f"{STATE}.startsWith('The image is there')")
        await tab.until(SEEN)
        assert place.billed == 1

    in_browser(play, tmp_path)


def test_prompt_that_would_be_refused_is_said_kindly_before_it_costs(tmp_path: Path) -> None:
    """The pre-check names the word and another wording; nothing is ordered until the person insists.

    The refused card says what it may have cost, and offers to order again, not to save.
    """

    async def play(place: Place, tab: Tab, _: Cable) -> None:
        await wished(tab, "Pikachu asleep")
        await tab.until("!document.querySelector('#advice').hidden")
        advice = await tab.ask("document.querySelector('#advice').innerText")
        assert "Pikachu" in advice
        assert place.service.store.newest(9) == []
        await by_tabs_to(tab, "#anyway")
        await pressed(tab, "Enter", 13, "\r")
        await tab.until(f"{STATE}.startsWith('The image could not be made')")
        kindly = await tab.ask(f"{CARD}.querySelector('.kindly').textContent")
        assert kindly.startswith("A safety filter refused this one; that happens with harmless wishes too.")
        assert "It may have cost $0.0" in kindly
        shown = "getComputedStyle({}).display !== 'none'"
        assert not await tab.ask(shown.format(f"{CARD}.querySelector('.save')"))
        assert await tab.ask(shown.format(f"{CARD}.querySelector('.again')"))

    in_browser(play, tmp_path)


def test_browser_without_the_cookie_is_asked_for_the_token_and_enters_with_it(tmp_path: Path) -> None:
    """The form takes the token from the file; a wrong one is refused in a sentence."""

    async def play(place: Place, tab: Tab, wire: Cable) -> None:
        await tab.send("Network.clearBrowserCookies")
        await tab.go(f"{wire.url}/")
        await tab.until("!document.querySelector('#entry').hidden")
        await by_tabs_to(tab, "#token")
        await tab.send("Input.insertText", text="x" * 32)
        await pressed(tab, "Enter", 13, "\r")
        await tab.until("document.querySelector('#entry-said').textContent.startsWith('the token is wrong')")
        await tab.ask("document.querySelector('#token').value = ''")
        await by_tabs_to(tab, "#token")
        await tab.send("Input.insertText", text=place.service.door.token)
        await pressed(tab, "Enter", 13, "\r")
        await tab.until("document.querySelector('#credits dd')")
        assert await tab.ask("document.cookie") == ""

    in_browser(play, tmp_path)


def test_axe_finds_nothing_serious_and_no_width_scrolls_sideways(tmp_path: Path) -> None:
    """With cards in each state and the advice open, in light and dark, at three widths."""
    script = axe()

    async def play(place: Place, tab: Tab, _: Cable) -> None:
        await place.ordered(prompt="Pikachu asleep")
        await place.ordered(prompt="a heron")
        await tab.until("document.querySelector('#credits dd')")
        await asyncio.wait_for(_both_over(place), 60)
        await place.ordered(prompt="a slow one", quality="high")
        await tab.send("Page.reload")
        await tab.until("document.querySelectorAll('.card').length === 3")
        await tab.ask("document.querySelector('#prompt').value = 'Mickey Mouse'; check(new Event('submit'))")
        await tab.until("!document.querySelector('#advice').hidden")
        motion = {"name": "prefers-reduced-motion", "value": "reduce"}
        async for scheme, width in held_to_axe(tab, script, motion):
            if kept := os.environ.get("WHOCUT_PICTURES"):
                (Path(kept) / f"jobs-{scheme}-{width}.png").write_bytes(await tab.picture())

    in_browser(play, tmp_path, scale=5.0)


async def _both_over(place: Place) -> None:
    while not all(job.over for job in place.service.store.newest(9)):  # noqa: ASYNC110  # the store tells no event
        await asyncio.sleep(0.1)
