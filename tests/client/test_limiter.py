from __future__ import annotations

import asyncio
import threading

import pytest

from whocut.client.limiter import AsyncLimiter, Limiter, Places
from whocut.clock import Clock, run_virtual


def test_a_place_rests_before_it_is_free() -> None:
    """Given back at 10 s with a gap of 2 s, it can be taken at 12 s and not before."""
    places = Places(most=1, gap_s=2.0)
    assert places.take(0.0, 1) == 0

    places.give_back(10.0, 1)

    assert places.take(10.5, 1) == 1.5
    assert places.take(12.0, 1) == 0


def test_only_giving_back_helps_when_all_are_held() -> None:
    """None says that no wait is worth it."""
    places = Places(most=2)
    places.take(0.0, 2)

    assert places.take(5.0, 1) is None


def test_more_images_than_places_take_all_of_them() -> None:
    """A request for ten images is let in when it is alone."""
    assert Places(most=3).weight(10) == 3


def test_no_places_at_all_is_refused() -> None:
    """Zero would be a queue without an end."""
    with pytest.raises(ValueError, match="at least one"):
        Places(most=0)


def test_tasks_are_let_in_three_at_a_time_in_their_order() -> None:
    """Seven tasks of ten seconds: three at 0 s, three at 12 s, one at 24 s, as they came."""
    began: list[tuple[int, float]] = []

    async def main() -> None:
        limiter = AsyncLimiter(Places(3, 2.0))

        async def one(number: int) -> None:
            async with limiter.place():
                began.append((number, asyncio.get_running_loop().time()))
                await asyncio.sleep(10.0)

        await asyncio.gather(*(one(number) for number in range(7)))

    run_virtual(main())

    assert [(number, round(at_s, 3)) for number, at_s in began] == [
        (0, 0.0), (1, 0.0), (2, 0.0), (3, 12.0), (4, 12.0), (5, 12.0), (6, 24.0),
    ]  # fmt: skip


def test_a_cancelled_task_leaves_its_place_to_the_next() -> None:
    """Who gives up in the queue holds nobody else up."""

    async def main() -> float:
        limiter = AsyncLimiter(Places(1, 0.0))

        async def hold(for_s: float) -> None:
            async with limiter.place():
                await asyncio.sleep(for_s)

        first = asyncio.ensure_future(hold(10.0))
        await asyncio.sleep(1.0)
        second, third = asyncio.ensure_future(hold(10.0)), asyncio.ensure_future(hold(1.0))
        await asyncio.sleep(1.0)
        second.cancel()
        await asyncio.gather(first, third)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(11.0)


@pytest.mark.sockets
def test_threads_are_let_in_three_at_a_time() -> None:
    """Never more than three of eight threads are inside."""
    limiter = Limiter(Places(3, 1.0), Clock(100.0))
    inside, most, lock = 0, 0, threading.Lock()

    def one() -> None:
        nonlocal inside, most
        with limiter.place():
            with lock:
                inside += 1
                most = max(most, inside)
            Clock(100.0).sleep(2.0)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert most == 3
