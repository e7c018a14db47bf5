"""A small part of `make hostile`, with what it has found before."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.hostile.doors import DOORS, Door
from tests.hostile.mutating import mutated
from tests.hostile.watching import Watch, stopping_what_hangs

FOUND = Path(__file__).parent / "found"
FEW = 25


@pytest.mark.sockets
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_hostile_bytes_end_in_an_answer_or_a_sentence(door: Door, tmp_path: Path) -> None:
    """Changed inputs of each door, and every input that has broken it once."""
    draw = random.Random(f"{door.name} 1")
    corpus = door.corpus(tmp_path)
    known = [path.read_bytes() for path in sorted((FOUND / door.name).glob("*"))]
    watch = Watch()

    with stopping_what_hangs():
        door.play(tmp_path, [*corpus[:5], *known, *(mutated(draw, corpus) for _ in range(FEW))], watch)

    assert not watch.findings, watch.report()
    assert watch.inputs[door.name] >= FEW


def test_a_watch_finds_what_is_wrong() -> None:
    """A traceback, an exit code that is not ours, a sentence that is none: each is a finding by its kind."""
    watch = Watch()
    for number in range(3):
        with watch.over("door", bytes(number)):
            raise KeyError("missing")

    assert [finding.times for finding in watch.findings.values()] == [3]
    assert "KeyError" in watch.report()
