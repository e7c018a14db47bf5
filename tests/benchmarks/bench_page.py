"""How long a page of many requests takes to be made, and in Chromium to open, to sort, and to show one of them.

Run it alone: ``python -m tests.benchmarks.bench_page 10000 100000``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.load.browser import browser
from tests.reports.made_run import MadeRun, delivered, nginx_cut, stream_cut
from whocut.clock import run_real
from whocut.clock.clock import wall_s
from whocut_reports import write_report

READY = "!document.querySelector('#requests-live').hidden && document.querySelector('#rows tr')"
SORTED_MS = (
    "(() => { const began = performance.now(); document.querySelector('#heads button[name=took]').click();"
    " return performance.now() - began })()"
)


def made_page(folder: Path, requests: int) -> tuple[Path, float]:
    """A page of so many requests, a third of each kind, and how long it took to be made of what was judged."""
    made = MadeRun()
    kinds = ((nginx_cut,), (stream_cut,), (delivered,))
    modes = ("plain", "stream", "fast")
    for number in range(requests):
        made.request(modes[number % 3], *(kind() for kind in kinds[number % 3]))
    run = made.write(folder / "run")
    judged = made.judged()
    began_s = wall_s()
    return write_report(run, judged, made.topology), wall_s() - began_s


def measured(requests: int) -> None:
    """One line."""
    with tempfile.TemporaryDirectory() as folder:
        page, made_s = made_page(Path(folder), requests)

        async def look() -> None:
            async with browser(Path(folder) / "profile") as tab:
                began_s = wall_s()
                await tab.go(page.as_uri())
                await tab.until(READY)
                open_s = wall_s() - began_s
                sort_ms = await tab.ask(SORTED_MS)
                began_s = wall_s()
                await tab.ask("document.querySelector('#rows a').click()")
                await tab.until("document.querySelector('#one h3')")
                one_s = wall_s() - began_s
                heap = await tab.ask("performance.memory.usedJSHeapSize")
                print(
                    f"{requests:,} requests, {page.stat().st_size / 1e6:.1f} MB, made in {made_s:.1f} s: "
                    f"opens in {open_s:.2f} s, sorts in {sort_ms:.0f} ms, shows one in {one_s:.2f} s, "
                    f"{heap / 1e6:.0f} MB of heap"
                )
                assert tab.complaints == []

        run_real(look())


if __name__ == "__main__":
    for written in sys.argv[1:] or ["10000", "100000"]:
        measured(int(written))
