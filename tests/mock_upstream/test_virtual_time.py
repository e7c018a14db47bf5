"""The tests' own loop: its clock stands while anything is on its way."""

import asyncio
import threading

from tests.mock_upstream.virtual_time import run_virtual


def test_no_time_passes_while_a_thread_works() -> None:
    """A thread that takes longer than the loop's patience is not overtaken by a deadline an hour away."""

    async def main() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        rang = loop.create_task(asyncio.sleep(3600))
        await asyncio.to_thread(threading.Event().wait, 0.05)
        return loop.time() - began_s, rang.done()

    assert run_virtual(main()) == (0.0, False)


def test_a_wait_takes_no_time() -> None:
    """An hour passes on the loop's clock at once, beside a thread that has ended."""

    async def main() -> float:
        await asyncio.to_thread(int)
        began_s = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - began_s

    assert run_virtual(main()) == 3600.0
