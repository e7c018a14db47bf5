from __future__ import annotations

import asyncio

import pytest

from whocut.clock import run_real
from whocut.clock.clock import pause
from whocut.clock.pulse import Pulse

pytestmark = pytest.mark.real_time


def test_what_holds_the_loop_up_is_felt() -> None:
    """A loop that does nothing else for a while is late by that while, or by more where the machine is slow."""

    async def main() -> float:
        pulse = Pulse()
        async with pulse.felt():
            await asyncio.sleep(0.05)
            pause(0.3)
            await asyncio.sleep(0.05)
        return pulse.worst_stall_real_s

    assert run_real(main()) > 0.3 - 0.03  # one beat of 20 ms may have been under way
