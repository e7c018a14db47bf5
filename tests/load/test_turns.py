"""Users of one load process take turns, also when the bytes of all of them are there already."""

from __future__ import annotations

import subprocess
import sys

READERS = """
from gevent import monkey

monkey.patch_all()

from collections.abc import Iterator

import gevent

import pytest

from whocut.chain.catalogue import preset
from whocut.client.watch import Sinks
from whocut.client.transports import WatchedTransport, wire
from whocut.clock import Clock

pytestmark = pytest.mark.sockets


class Waiting(wire.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield from [b" "] * 4


def answer(request: wire.Request) -> wire.Response:
    return wire.Response(200, stream=Waiting())


def read(name: str) -> None:
    transport = WatchedTransport(
        wire.MockTransport(answer), Clock(1), preset("openai-python"), Sinks(lambda _: None, lambda _: None)
    )
    with wire.Client(transport=transport) as client, client.stream("GET", "http://127.0.0.1/") as came:
        for _ in came.iter_raw():
            print(name, end="")


gevent.joinall([gevent.spawn(read, name) for name in "abc"], raise_error=True)
"""


def test_a_reader_whose_bytes_are_there_lets_the_others_go_on() -> None:
    """Three readers of four chunks each, all there: no reader gets two chunks while another has had none."""
    done = subprocess.run(
        [sys.executable, "-c", READERS], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr == ""
    assert done.stdout == "abc" * 4
