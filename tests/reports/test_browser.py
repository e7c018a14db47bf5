"""The page in Chromium: its table sorts, filters, and opens a request by a link; axe in light and dark; print."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.load.browser import Tab, axe, browser, chromium, held_to_axe
from tests.reports.made_run import MadeRun, delivered, nginx_cut, stream_cut
from whocut.clock import run_real
from whocut_reports import write_report

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("browser")]

ROWS = "document.querySelectorAll('#rows tr').length"
CELL = "document.querySelectorAll('#rows tr')[{}].children[{}].textContent"
COUNT = "document.querySelector('#count').textContent"
READY = "!document.querySelector('#requests-live').hidden && document.querySelector('#rows tr')"
ONE = "document.querySelector('#one')"


def made_page(folder: Path, requests: int = 150) -> Path:
    """The page of a run in which a third each was cut plain, cut streamed, and delivered."""
    made = MadeRun()
    for number in range(requests // 3):
        made.request("plain", nginx_cut(150.0 + number), nginx_cut(150.0 + number))
        made.request("stream", stream_cut())
        made.request("plain", delivered(30.0 + number))
    run = made.write(folder / "run")
    return write_report(run, made.judged(), made.topology)


def in_browser(page: Path, play: Callable[[Tab], Coroutine[Any, Any, None]], after: str = "") -> None:
    """Play it on the page, opened as a file, with what comes behind its address."""
    chromium()

    async def run() -> None:
        async with browser(page.parent.parent / "profile") as tab:
            await tab.go(page.as_uri() + after)
            await tab.until(READY)
            await play(tab)
            assert tab.complaints == []

    run_real(run())


async def chosen(tab: Tab, name: str, value: str) -> None:
    """Choose in a filter, as a person does."""
    await tab.ask(
        f"(f => {{ f.value = {value!r}; f.onchange() }})(document.querySelector('#f-{name}')), null"
    )


def test_table_sorts_filters_and_opens_a_request_by_a_link_that_survives_a_reload(tmp_path: Path) -> None:
    """Each of them is in the address, so that going back, loading anew and sending it work."""
    page = made_page(tmp_path)

    async def play(tab: Tab) -> None:
        assert (await tab.ask(COUNT)) == "150 of 150 requests, shown 1 to 100"
        await chosen(tab, "layer", "nginx")
        await tab.until(f"{COUNT}.startsWith('100 of 150')")
        await chosen(tab, "mode", "plain")
        await tab.until(f"{COUNT}.startsWith('50 of 150')")
        await tab.ask("document.querySelector('#heads button[name=took]').click()")
        await tab.ask("document.querySelector('#heads button[name=took]').click()")
        assert await tab.ask("document.querySelector('#heads [aria-sort=descending]').textContent") == "Took"
        took = [float((await tab.ask(CELL.format(row, 7))).split()[0]) for row in range(50)]
        assert took == sorted(took, reverse=True)

        name = await tab.ask(CELL.format(0, 0))
        await tab.ask("document.querySelector('#rows a').click()")
        await tab.until(f"{ONE}.querySelector('svg.fall')")
        assert await tab.ask("document.activeElement.textContent") == f"Request {name}"
        told = await tab.ask(f"{ONE}.innerText")
        assert "nginx cut by first_byte after 60" in told
        assert "its timer proxy_read_timeout (first_byte) fired while waiting" in told
        assert f"request={name}" in await tab.ask("location.hash")

        await tab.send("Page.reload")
        await tab.until(f"{ONE} && {ONE}.querySelector('svg.fall')")
        assert await tab.ask(f"{ONE}.querySelector('h3').textContent") == f"Request {name}"
        assert (await tab.ask(COUNT)).startswith("50 of 150")
        await tab.ask("history.back()")
        await tab.until(f"{ONE}.hidden")

    in_browser(page, play)


def test_sent_link_opens_its_request(tmp_path: Path) -> None:
    """A colleague opens the address; a name that the run does not have is said."""
    page = made_page(tmp_path, 30)

    async def play(tab: Tab) -> None:
        await tab.until(f"{ONE}.querySelector('svg.fall')")
        assert "delivered" in await tab.ask(f"{ONE}.innerText")
        await tab.ask("location.hash = '#request=plain-9999'")
        await tab.until(f"{ONE}.innerText.includes('no request of this name')")

    in_browser(page, play, "#request=plain-0002")


def test_axe_finds_nothing_serious_and_no_width_scrolls_sideways(tmp_path: Path) -> None:
    """With a request open, in light and dark, at three widths; pictures are kept where they are asked for."""
    page, script = made_page(tmp_path, 60), axe()

    async def play(tab: Tab) -> None:
        await tab.until(f"{ONE}.querySelector('svg.fall')")
        async for scheme, width in held_to_axe(tab, script):
            if kept := os.environ.get("WHOCUT_PICTURES"):
                for part in ("top", "requests", "end"):
                    where = {"top": "0", "end": "document.body.scrollHeight"}.get(
                        part, "document.querySelector('#requests').offsetTop"
                    )
                    await tab.ask(f"scrollTo(0, {where}), null")
                    (Path(kept) / f"report-{scheme}-{width}-{part}.png").write_bytes(await tab.picture())

    in_browser(page, play, "#request=plain-0001")


def test_printed_it_is_a_report(tmp_path: Path) -> None:
    """In print's own dress there are no controls; the verdict, the table and the open request are there."""
    page = made_page(tmp_path, 30)

    async def play(tab: Tab) -> None:
        await tab.until(f"{ONE}.querySelector('svg.fall')")
        document = base64.b64decode((await tab.send("Page.printToPDF", printBackground=True))["data"])
        assert document.startswith(b"%PDF")
        assert len(document) > 30_000
        await tab.send("Emulation.setEmulatedMedia", media="print")
        shown = "getComputedStyle(document.querySelector('{}')).display !== 'none'"
        assert not await tab.ask(shown.format("#filters"))
        assert not await tab.ask(shown.format(".pages"))
        for part in (".verdict", "#one", ".requests", "figure svg"):
            assert await tab.ask(shown.format(part)), part

    in_browser(page, play, "#request=plain-0001")
