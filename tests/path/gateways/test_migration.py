"""A translation of ten routes and the policy that mends it, proved on a real Envoy: requests whose fate is known.

Envoy gets what Envoy Gateway makes of the objects. One process for each of both configurations, all routes at once.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.excused import unless_it_stood_still
from tests.path.fakes import call, whole
from tests.path.gateways import needed
from tests.proof.migration import INGRESS, TRANSLATED, WAYS, Way
from tests.worlds.upstream import PLAN_HEADER, WorldUpstream
from whocut.chain.catalogue import overridden, preset
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, run_real
from whocut.config.leaving import written_for
from whocut.config.sources import read_chain
from whocut.path.gateways import start_gateway
from whocut.trace.logs.formats import formats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.trace.logs.records import Account

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]

SCALE = 50.0  # the shortest silence, 20 s, is 400 ms
BEAT_S = 5.0
# The nearest two instants whose order matters: a beat and the end of the silence that it breaks, 15 s before it.
MARGIN_REAL_S = 0.25
PATIENCE_REAL_S = 120.0
CHAIN = "layers:\n  - gateway: envoy\n    config: {config}\nhost: img.example.com\npath: /v1/previews\n"


@dataclass(frozen=True)
class Stream:
    """A streamed answer through one route: something every few seconds until it is whole, or a long silence."""

    way: Way
    emissions_s: tuple[float, ...]


def beating(way: Way) -> Stream:
    """A stream without a long silence, longer than the translation allows; a minute where that is hours."""
    lasts_s = way.total_s + 6 * BEAT_S if way.total_s < 1000 else 60.0
    return Stream(way, tuple(BEAT_S * n for n in range(1, round(lasts_s / BEAT_S) + 1)))


def silent(way: Way) -> Stream:
    """One that stops for three times as long as the route allows between two bytes."""
    return Stream(way, (BEAT_S, 2 * BEAT_S, 2 * BEAT_S + 3 * way.silence_s))


def delivered(got: bytes) -> bool:
    """Whether an answer came whole, with the mark that ends a stream of images."""
    return got.startswith(b"HTTP/1.1 200") and b"image_generation.completed" in got and bool(whole(got))


async def asked(port: int, stream: Stream) -> bytes:
    """All that a caller gets of it."""
    plan = {
        "ask": stream.way.name,
        "emissions_s": stream.emissions_s,
        "stream": True,
        "fault": None,
        "fault_s": 0.0,
    }
    head = (
        f"POST {stream.way.path} HTTP/1.1\r\nHost: {stream.way.host}\r\n{PLAN_HEADER}: {json.dumps(plan)}\r\n"
        "Content-Length: 2\r\n\r\n{}"
    )
    caller = await call(port, head.encode())
    async with asyncio.timeout(PATIENCE_REAL_S):
        got = await caller.response()
    caller.transport.abort()
    return got


@asynccontextmanager
async def upstream(clock: Clock) -> AsyncIterator[tuple[str, int]]:
    """One that does what a header of the request says."""
    ledger: list[dict[str, Any]] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: WorldUpstream(clock, ledger), "127.0.0.1", 0, backlog=4096
    )
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        await server.wait_closed()


def fates(name: str, layer: Layer, streams: Sequence[Stream], logs: Path) -> dict[Stream, bool]:
    """Which of these streams come whole through a real gateway, all of them at once."""

    async def main() -> dict[Stream, bool]:
        clock = Clock(SCALE)
        async with (
            upstream(clock) as address,
            await start_gateway(name, layer, upstream=address, clock=clock, logs=logs) as gateway,
        ):
            got = await asyncio.gather(*(asked(gateway.port, stream) for stream in streams))
        return {stream: delivered(one) for stream, one in zip(streams, got, strict=True)}

    return run_real(main())


def envoy(folder: Path, objects: str) -> Layer:
    """Envoy as Envoy Gateway would configure it for these objects."""
    (folder / "routes.yaml").write_text(objects)
    (folder / "chain.yaml").write_text(CHAIN.format(config="./routes.yaml"))
    (layer,) = read_chain(folder / "chain.yaml").hops
    return layer


def with_policy() -> str:
    """The translation, and what is printed to mend it, as they are applied one after the other."""
    policy = written_for([str(INGRESS)], [str(TRANSLATED)], "envoy-gateway")
    return f"{TRANSLATED.read_text()}---\n{policy.text}"


def told(logs: Path) -> dict[str, Account]:
    """What Envoy's own log says of each path that it ended."""
    lines = (logs / "access.log").read_text().splitlines()
    accounts = [account for line in lines if (account := formats()["envoy"].read(line)) is not None]
    return {account.path: account for account in accounts if account.directive and account.path}


def test_in_the_translation_every_stream_dies_that_is_longer_than_its_total(tmp_path: Path) -> None:
    """And no other one; Envoy's log says that its route's timeout did it."""
    needed("envoy")
    streams = [beating(way) for way in WAYS]

    with unless_it_stood_still(MARGIN_REAL_S):
        came = fates("envoy", envoy(tmp_path, TRANSLATED.read_text()), streams, tmp_path / "logs")

        assert {stream.way.name for stream, alive in came.items() if not alive} == {
            way.name for way in WAYS if way.total_s < 1000
        }
        directives = {account.directive for account in told(tmp_path / "logs").values()}
        assert directives == {"route timeout"}


def test_under_the_policy_every_stream_lives_and_a_silence_still_ends(tmp_path: Path) -> None:
    """What lived behind ingress-nginx lives; what its limit between two bytes ended is ended by the same limit."""
    needed("envoy")
    lived = [beating(way) for way in WAYS]
    died = [silent(way) for way in WAYS if way.silence_s < 100]

    with unless_it_stood_still(MARGIN_REAL_S):
        came = fates("envoy", envoy(tmp_path, with_policy()), [*lived, *died], tmp_path / "logs")

        assert {stream.way.name for stream in lived if not came[stream]} == set()
        assert {stream.way.name for stream in died if came[stream]} == set()
        assert {account.directive for account in told(tmp_path / "logs").values()} == {"stream_idle_timeout"}


def test_the_same_streams_live_and_die_behind_a_real_nginx(tmp_path: Path) -> None:
    """The truth about before: nginx with an hour and with a minute between two bytes, as the Ingress says."""
    needed("nginx")
    ways = [way for way in WAYS if way.silence_s == 60]
    limits: dict[TimerKind, float | None] = dict.fromkeys((TimerKind.FIRST_BYTE, TimerKind.IDLE), 60.0)
    layer = overridden(preset("nginx"), limits, "this test")

    with unless_it_stood_still(MARGIN_REAL_S):
        lived, died = [beating(way) for way in ways], [silent(way) for way in ways]
        came = fates("nginx", layer, [*lived, *died], tmp_path / "logs")

        assert {stream.way.name for stream in lived if not came[stream]} == set()
        assert {stream.way.name for stream in died if came[stream]} == set()
