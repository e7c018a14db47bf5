"""Two doors between machines: what a worker sends to its master, and what comes to the chain's door."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgpack

from tests.hostile.watching import Refused, Wrong, wind_up
from tests.load.test_words import WORD
from tests.reports.made_run import article_run
from whocut.chain.plain import topology_from_plain
from whocut.load.words import Word, read_word
from whocut.path.door import Door, Porter
from whocut.token import hello, key_of
from whocut.trace.rundir import ATTEMPTS, LEDGER, SPANS, RunDir
from whocut.verdict.of_run import judge_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.hostile.watching import Watch

_KEY: Final = key_of("a-token-of-the-hostile-tests", "chain")
_KEPT_UP: Final = {**WORD["kept_up"], "clock_off_real_s": -0.5}


def words(folder: Path) -> list[bytes]:
    """Words with the lines of a run: as msgpack, which Locust speaks."""
    run = article_run(requests=2).write(folder / "run-of-workers")
    lines = {name: (run.path / name).read_bytes() for name in (ATTEMPTS, SPANS, LEDGER)}
    each = [{name: some[: some.find(b"\n") + 1]} for name, some in lines.items()]
    return [msgpack.dumps({**WORD, "kept_up": _KEPT_UP, "lines": posted}) for posted in ({}, lines, *each)]


def hear(folder: Path, data: bytes) -> None:
    """A word that is taken leaves a run that can be judged."""
    try:
        said = msgpack.loads(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):  # as the sealed socket does
        raise Refused from None
    run = RunDir.open(folder / "run-of-workers")
    word = read_word("far", said, run.epoch_unix_s)
    if not isinstance(word, Word):
        raise Wrong("no word")
    taken = folder / "taken-from-workers"
    taken.mkdir(exist_ok=True)
    for name in (ATTEMPTS, SPANS, LEDGER):
        (taken / name).write_bytes(word.lines.get(name, b""))
    judge_run(replace(run, path=taken), topology_from_plain(run.manifest["topology"]))


def knocks(_: Path) -> list[bytes]:
    """What a caller of the door says before its proof, and after it."""
    first = hello(b"0" * 32)
    return [first, first + b"0" * 64 + b"\nPOST / HTTP/1.1\r\n\r\n", first[:-1], b"GET / HTTP/1.1\r\n\r\n"]


class _Wire:
    """A transport that remembers how it was ended."""

    def __init__(self) -> None:
        self.said = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.said += data

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended

    def set_protocol(self, _: object) -> None:
        raise Wrong("it was let in without a proof")


def knock(_: Path, inputs: Sequence[bytes], watch: Watch) -> None:
    """Each input is a connection of its own, and comes in as many pieces as it has to."""

    async def play() -> None:
        door = Door(_KEY, asyncio.BufferedProtocol)
        for data in inputs:
            wind_up()
            with watch.over("door", data):
                wire: Any = _Wire()
                porter = Porter(door)
                porter.connection_made(wire)
                rest = data
                while rest and not wire.ended:
                    room = porter.get_buffer(-1)
                    count = min(len(rest), len(room))
                    room[:count] = rest[:count]
                    porter.buffer_updated(count)
                    rest = rest[count:]
                refused = wire.ended
                porter.connection_lost(None)
                if door.waiting:
                    raise Wrong("it is waited for after its end")
                if refused:
                    raise Refused

    asyncio.run(play())
