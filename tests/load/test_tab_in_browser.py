"""The tab in a real browser: Locust's page, driven as a user does, from the start of a test to its report."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.load.browser import Tab, browser, chromium
from whocut.chain.shipped import SCENARIOS
from whocut.clock import run_real
from whocut.path.ports import held_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("browser")]

PANEL = "document.querySelector('iframe#whocut').contentDocument"
TABS = "[...document.querySelectorAll('[role=tab]')]"
BUTTONS = "[...document.querySelectorAll('button')]"
ANSWERED = "performance.getEntriesByType('resource')"
THEME = f"{PANEL}.documentElement.dataset.theme"
JUDGED = f"Number({PANEL}.querySelector('#rows .count b').textContent)"


@contextmanager
def plain_locust(folder: Path, *options: str) -> Iterator[str]:
    """`locust -f` with its page, and the page's address."""
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIOS / "image_generation.py")]
    with held_port() as port, (folder / "locust.log").open("wb") as log:
        command += ["--web-host", "127.0.0.1", "--web-port", str(port), *options]
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(120)


def link_in(log: Path) -> str:
    """The link that Locust's terminal was shown."""
    (link,) = re.findall(r"^whocut: open the page by this link.*: (http\S+)$", log.read_text(), re.MULTILINE)
    return str(link)


async def opened(tab: Tab, url: str, log: Path) -> None:
    """Locust's page, as soon as it listens, with its start form, and having heard how the test stands.

    An answer `ready` that was asked for before Start and comes after it sends the page back to its form, for good.
    """
    async with asyncio.timeout(90):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            break
    await tab.go(link_in(log))
    await tab.until("document.querySelector('button[type=submit]')")
    await tab.until(f"{ANSWERED}.some(answer => answer.name.endsWith('/stats/requests'))")


async def started(tab: Tab) -> None:
    """Press Start, and choose our tab."""
    await tab.ask("document.querySelector('button[type=submit]').click()")
    await tab.until(f"{TABS}.find(t => t.innerText.toLowerCase() === 'which layer cut')")
    await tab.ask(f"{TABS}.find(t => t.innerText.toLowerCase() === 'which layer cut').click()")


async def pressed(tab: Tab, button: str) -> None:
    """Press one of Locust's own buttons."""
    await tab.until(f"{BUTTONS}.find(b => b.innerText.toLowerCase() === '{button}')")
    await tab.ask(f"{BUTTONS}.find(b => b.innerText.toLowerCase() === '{button}').click()")


def agree(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the live judge says of a run, and the final judgement, under the names they share."""
    live, end = (json.loads((run / name).read_text()) for name in ("live.json", "summary.json"))
    shared = (
        "requests",
        "attempts",
        "censored",
        "outcomes",
        "attempt_outcomes",
        "unattributed",
        "share_429",
        "ledger",
    )
    row = ("layer", "timer", "directive", "phase", "grade", "attempts")
    first, second = (
        {name: figures[name] for name in shared}
        | {"rows": [[v[n] for n in row] for v in figures["verdicts"]]}
        for figures in (live, end)
    )
    assert live["ended"]
    return first, second


def test_verdicts_come_in_while_the_test_runs_and_the_report_when_it_is_stopped(tmp_path: Path) -> None:
    """Start, watch nginx cut and the numbers grow, stop, read the report; start again, and lose nothing."""
    chromium()

    async def a_users_way(url: str) -> None:
        async with browser(tmp_path / "profile") as tab:
            await opened(tab, url, tmp_path / "locust.log")
            await started(tab)
            await tab.until(f"{PANEL}.body.innerText.includes('nginx cut by first_byte')")
            first = await tab.ask(JUDGED)
            await tab.until(f"{JUDGED} > {first}")
            assert await tab.ask(
                f"{PANEL}.querySelector('#drawing').textContent.includes('proxy_read_timeout 60 s')"
            )

            assert await tab.ask(THEME) == "light"
            await tab.ask(f"{BUTTONS}.findLast(b => !b.innerText).click()")  # Locust's own switch
            await tab.until(f"{THEME} === 'dark'")

            await pressed(tab, "stop")
            await tab.until(f"{PANEL}.querySelector('a.report')")
            report = await tab.ask(
                f"fetch({PANEL}.querySelector('a.report').href).then(answer => answer.text())"
            )
            assert "proxy_read_timeout" in report

            await pressed(tab, "new")
            await started(tab)
            await tab.until(f"{PANEL}.querySelector('#state').innerText.startsWith('Run 2: under load')")
            shown = await tab.ask(f"{PANEL}.body.innerText")
            # Nothing of the first run is taken for the second one's, which may have a verdict of its own by now.
            assert "Billed" not in shown or "Run 2: under load · the first" not in shown
            await tab.until(f"{PANEL}.querySelector('#runs a.report')")
            assert tab.complaints == []

    with plain_locust(tmp_path, "--requests", "5000", "--users", "4") as url:
        run_real(a_users_way(url))

    first, second = sorted((tmp_path / "runs").iterdir())
    assert (first.name, second.name) == ("image_generation-article", "image_generation-article-2")
    live, end = agree(first)
    assert live == end
    assert live["rows"][0][:5] == ["nginx", "first_byte", "proxy_read_timeout", "wait", "proven"]


def test_mistake_in_the_form_is_said_in_the_tab_and_the_page_goes_on(tmp_path: Path) -> None:
    """A chain that does not exist: the sentence, and Start works as before."""
    chromium()

    async def a_mistake(url: str) -> None:
        async with browser(tmp_path / "profile") as tab:
            await opened(tab, url, tmp_path / "locust.log")
            form = "new URLSearchParams({user_count: 2, spawn_rate: 9, whocut_chain: 'artcle'})"
            await tab.ask(f"fetch('./swarm', {{method: 'POST', body: {form}}}).then(answer => answer.text())")
            await tab.go(f"{url}/whocut/")
            await tab.until("document.querySelector('#state').innerText.startsWith('refused')")
            sentence = await tab.ask("document.querySelector('#sentence').innerText")
            assert "there is no chain 'artcle' (did you mean 'article'?)" in sentence
            await tab.go(url)
            await tab.until(f"{BUTTONS}.find(b => /start|new/i.test(b.innerText))")

    with plain_locust(tmp_path) as url:
        run_real(a_mistake(url))
