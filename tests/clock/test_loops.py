"""Real and scaled time run on uvloop where there is one, and just as well without it."""

import asyncio
import sys

import pytest
import uvloop

from whocut.clock import run_real


async def _whose() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_real_time_runs_on_uvloop() -> None:
    """It is installed with the project."""
    assert run_real(_whose()) is uvloop.Loop


def test_without_uvloop_real_time_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some platforms have none."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_real(_whose()) is not uvloop.Loop
