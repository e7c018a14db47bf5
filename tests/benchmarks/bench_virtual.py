"""Our virtual loop beside the `looptime` package: what each costs, and which mistakes each makes.

    python -m tests.benchmarks.bench_virtual            (pip install looptime, to have the peer)

Prints, for each: real seconds for bare timers and for requests through two hops, the ratio, and whether the
loop jumped over work in a thread or over bytes on their way.
"""

from __future__ import annotations

import asyncio
import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.path.fakes import FakeUpstream, call, layer, ok, request, send, topology, wait
from whocut.clock import Clock, VirtualLoop
from whocut.clock.clock import pause, wall_s
from whocut.path import start_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

TIMERS = 20_000
REQUESTS = 2_000


async def timers() -> float:
    """Many deadlines of their own."""
    await asyncio.gather(*(asyncio.sleep(1 + number * 0.001) for number in range(TIMERS)))
    return 0.0


async def requests() -> float:
    """Requests through two hops, one after the other due, each cut or delivered; the share told rightly."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    clock = Clock(1.0, origin=started_s, epoch_unix_s=0.0, reader=loop.time)
    right = 0

    async def one(port: int, number: int) -> None:
        nonlocal right
        await asyncio.sleep(number * 0.1)
        sent_s = loop.time()
        caller = await call(port, request())
        got = await caller.response()
        caller.transport.abort()
        right += got.startswith(b"HTTP/1.1 504") and abs(loop.time() - sent_s - 60) < 0.001

    async with FakeUpstream((wait(195), send(ok()))) as upstream:
        chain = await start_chain(
            topology(layer("edge", first_byte=100), layer("gateway", first_byte=60)),
            upstream=upstream.address,
            clock=clock,
            sink=None,
        )
        await asyncio.gather(*(one(chain.port, number) for number in range(REQUESTS)))
        await chain.close()
    return right / REQUESTS


async def thread() -> float:
    """A minute's timer beside a thread that works a tenth of a real second: 1.0 where time stood still."""
    fired: list[str] = []
    asyncio.get_running_loop().call_later(60, fired.append, "jumped")
    await asyncio.to_thread(pause, 0.1)
    return 0.0 if fired else 1.0


def looptime_loop() -> asyncio.AbstractEventLoop | None:
    """The peer, if it is installed."""
    with suppress(ImportError):
        package: Any = importlib.import_module("looptime")
        loop: Any = package.new_event_loop()
        loop.setup_looptime(start=0)
        made: asyncio.AbstractEventLoop = loop
        return made
    return None


def measured(
    make: Callable[[], asyncio.AbstractEventLoop], work: Callable[[], Coroutine[Any, Any, float]]
) -> tuple[float, float]:
    """Real seconds, and what the work returned."""
    with asyncio.Runner(loop_factory=make) as runner:
        started_s = wall_s()
        got = runner.run(work())
        return wall_s() - started_s, got


def main() -> None:
    """Run each on both loops, and print ratios."""
    peer = looptime_loop()
    if peer is None:
        print("looptime is not installed: pip install looptime")  # a benchmark prints
    else:
        peer.close()
    for name, work, says in (
        (f"{TIMERS} timers", timers, ""),
        (f"{REQUESTS} requests, two hops", requests, "cut on their millisecond"),
        ("a thread at work", thread, "time stood still"),
    ):
        ours_s, ours = measured(VirtualLoop, work)
        line = f"{name:28} VirtualLoop {ours_s:7.3f} s" + (f"  {says}: {ours:.1%}" if says else "")
        if peer is not None:
            theirs_s, theirs = measured(lambda: looptime_loop() or VirtualLoop(), work)
            line += f"   looptime {theirs_s:7.3f} s" + (f"  {says}: {theirs:.1%}" if says else "")
            line += f"   ratio {ours_s / theirs_s:.2f}"
        print(line)  # as above


if __name__ == "__main__":
    main()
