"""A mock that serves for days holds what is under way, and little of what was."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.mock_upstream.stage import KEY, MINIMAL, on_stage
from whocut_mock import Settings, remembered, upstream
from whocut_mock.remembered import Remembered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mock_upstream.stage import Stage

MOST_BYTES = 600


def test_what_is_over_leaves_some_hundred_bytes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is in the ledger's file alone; that its body was seen is what must be known."""
    monkeypatch.setattr(upstream, "_KNOWN_MOST", 20)

    async def play(stage: Stage) -> None:
        async def ask(begin: int, count: int) -> int:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session:
                session.headers["Authorization"] = f"Bearer {KEY}"
                for number in range(begin, begin + count):
                    body = MINIMAL | {"prompt": f"heron {number}"}
                    async with session.post(
                        f"{stage.running.base_url}/images/generations", json=body
                    ) as answer:
                        assert answer.status == 200
                        await answer.read()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        await ask(0, 100)
        tracemalloc.start()
        try:
            before = await ask(100, 50)
            after = await ask(150, 300)
        finally:
            tracemalloc.stop()
        assert (after - before) / 300 < MOST_BYTES
        assert len(stage.ledger.rows()) == 450
        assert stage.ledger.totals().delivered == 450

    on_stage(play, Settings.model_validate({"latency": {"constant_s": 0.5}}), ledger_file=tmp_path / "ledger")


@pytest.mark.parametrize("most", [10, remembered.MOST])
def test_the_oldest_is_forgotten_and_the_rest_stays(most: int) -> None:
    """Twice as many as the bound at most; the younger half is always there."""
    seen = Remembered[int](most)
    for number in range(3 * most):
        seen.put(number, "body", number)

    assert len(seen) <= 2 * most
    assert seen.get("body", 0) is None
    assert all(seen.get("body", number) == number for number in range(2 * most + 1, 3 * most))


def test_what_is_forgotten_by_name_was_never_seen() -> None:
    """Also where it had come to the older half; a name of other parts is another one."""
    seen = Remembered[str](2)
    for name in ("a", "b", "c"):
        seen.put(name, name, 1)

    seen.forget("a", 1)

    assert [seen.get(name, 1) for name in ("a", "b", "c")] == [None, "b", "c"]
    assert seen.get("b", 2) is None
