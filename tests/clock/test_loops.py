"""Real and scaled time run on uvloop where there is one, and just as well without it.

A loop ends, whatever was left open.
"""

from __future__ import annotations

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


async def left_open() -> None:
    """Listen, and never close."""
    await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)


def test_an_error_with_a_listener_left_open_is_the_error() -> None:
    """Where warnings are errors, uvloop would wait for ever for the listener."""

    async def main() -> None:
        await left_open()
        raise ValueError("the coroutine's own")

    with pytest.raises(ValueError, match="the coroutine's own"):
        run_real(main())


def test_a_listener_left_open_without_an_error_is_warned_of() -> None:
    """It is a fault of ours, and a test where warnings are errors fails by it."""
    with pytest.warns(ResourceWarning, match="unclosed"):
        run_real(left_open())
