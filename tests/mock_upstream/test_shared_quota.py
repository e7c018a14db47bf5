"""One quota for several processes, through a real Redis that the test starts."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.mock_upstream.test_process import process
from tests.processes import doors, wait_until
from whocut.path.ports import held_port
from whocut_mock.buckets import Draw, MemoryStore, StoreGone
from whocut_mock.redis_store import RedisStore

pytestmark = pytest.mark.sockets


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis of our own."""
    binary = shutil.which("redis-server")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed, and on a CI machine nothing may be missing")
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    with (
        held_port() as port,
        subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=tmp_path_factory.mktemp("redis"),
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        try:
            assert server.stdout is not None
            while "Ready to accept connections" not in server.stdout.readline():
                assert server.poll() is None
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.communicate(timeout=60)


def test_redis_and_memory_agree(redis: str) -> None:
    """The same draws at the same instants leave the same levels in both stores."""
    instants = [(0.0, 3.0), (0.0, 2.0), (1.0, 1.0), (12.0, 1.0), (11.0, 1.0), (60.0, 5.0), (61.0, 0.25)]

    async def play() -> None:
        memory, shared = MemoryStore(), RedisStore(redis, "agree:")
        try:
            for now_s, amount in instants:
                draws = [Draw("images", 5, 5 / 60, amount), Draw("tokens", 100, 1.0, amount)]
                here, there = await memory.draw(draws, now_s), await shared.draw(draws, now_s)
                assert there.granted == here.granted
                assert there.levels == pytest.approx(here.levels)
            await shared.clear()
            assert (await shared.draw([Draw("images", 5, 1, 5)], 0.0)).granted
        finally:
            await shared.close()

    asyncio.run(play())


def test_two_processes_share_one_quota(redis: str, tmp_path: Path) -> None:
    """Two mocks let in together what one would, and never one image more."""
    limit, asked = 50, 120
    config = tmp_path / "mock.yaml"
    quota = {"tier": "3", "redis": redis, "redis_prefix": "two:"}
    config.write_text(json.dumps({"latency": {"constant_s": 1.0}, "quota": quota}))
    with process("--config", str(config)) as (_, one), process("--config", str(config)) as (_, other):

        async def ask(session: aiohttp.ClientSession, number: int) -> int:
            port = (one, other)[number % 2]["port"]
            async with session.post(
                f"http://127.0.0.1:{port}/v1/images/generations",
                json={"prompt": f"cat {number}"},
                headers={"Authorization": "Bearer k"},
            ) as response:
                await response.read()
                return response.status

        async def ask_all() -> tuple[list[int], float]:
            loop = asyncio.get_running_loop()
            begun_s = loop.time()
            async with aiohttp.ClientSession() as session:
                statuses = await asyncio.gather(*(ask(session, number) for number in range(asked)))
            return list(statuses), loop.time() - begun_s

        statuses, took_s = asyncio.run(ask_all())

    admitted = statuses.count(200)
    assert statuses.count(429) == asked - admitted
    assert limit <= admitted <= limit + took_s * limit / 60


def test_processes_started_minutes_apart_fill_no_bucket_twice(redis: str) -> None:
    """A process that began later counts from a later origin; the bucket they share fills by one clock."""

    async def play() -> list[bool]:
        early, late = RedisStore(redis, "apart:", lambda: 100.0), RedisStore(redis, "apart:", lambda: 400.0)
        draw = [Draw("images", 5, 5 / 60, 5)]
        try:
            return [
                (await late.draw(draw, 0.0)).granted,
                (await early.draw(draw, 301.0)).granted,
                (await early.draw(draw, 361.0)).granted,
            ]
        finally:
            await early.close()
            await late.close()

    assert asyncio.run(play()) == [True, False, True]


@pytest.mark.parametrize("prefix", ["*", "mine*:", "[a-z]:", "?:", "a\\:"])
def test_clearing_takes_only_what_is_ours(redis: str, prefix: str) -> None:
    """A prefix is text: what SCAN would read as a pattern matches no key of anybody else's."""

    async def play() -> list[bytes]:
        other = Redis.from_url(redis)
        store = RedisStore(redis, prefix)
        try:
            await other.flushdb()
            await other.set("mine too:x", "theirs")
            await other.set("a:x", "theirs")
            await store.draw([Draw("images", 5, 1, 1)], 0.0)
            await store.clear()
            return sorted(bytes(key) for key in await other.keys() if isinstance(key, bytes))
        finally:
            await store.close()
            await other.aclose()

    assert asyncio.run(play()) == [b"a:x", b"mine too:x"]


def test_store_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared quota that cannot be reached is said so, without its password, and lets nobody in."""
    monkeypatch.setenv("THE_WORD", "s3cret")

    async def play(port: int) -> None:
        store = RedisStore(f"redis://:$THE_WORD@127.0.0.1:{port}/0", "gone:")
        try:
            with pytest.raises(
                StoreGone, match=f"at redis://...@127.0.0.1:{port}/0 cannot be reached"
            ) as gone:
                await store.draw([Draw("images", 5, 1, 1)], 0.0)
            assert "s3cret" not in str(gone.value)
        finally:
            await store.close()

    with held_port() as port:  # held, and nobody listens
        asyncio.run(play(port))


def test_several_processes_on_one_port(tmp_path: Path) -> None:
    """With --processes 2 two processes answer on one port, keep one ledger, and end together."""
    file = tmp_path / "ledger.jsonl"
    flags = ("--processes", "2", "--clock", "scaled:1000", "--ledger", str(file))
    with process(*flags) as (started, ready):

        async def ask(number: int) -> tuple[int, str]:
            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"http://127.0.0.1:{ready['port']}/v1/images/generations",
                    json={"prompt": f"cat {number}"},
                    headers={"Authorization": "Bearer k"},
                ) as response,
            ):
                await response.read()
                return response.status, response.headers["x-request-id"]

        async def ask_all() -> list[tuple[int, str]]:
            return list(await asyncio.gather(*(ask(number % 8) for number in range(24))))

        answers = asyncio.run(ask_all())
        said: dict[int, list[int]] = {}

        def all_say_so() -> bool:
            with urllib.request.urlopen(doors(ready, "health")) as health:
                one = json.load(health)
            said[one["pid"]] = [one["totals"][name] for name in ("started", "delivered")]
            # The kernel draws lots for who is given a caller; elsewhere one may be given them all.
            return len(said) >= (sys.platform == "linux") + 1 and list(said.values()) == [[24, 24]] * len(
                said
            )

        wait_until(all_say_so)  # an image is booked as delivered a moment after its caller has it
        started.terminate()
        _, words = started.communicate(timeout=60)

    assert started.returncode == 0, words
    assert [status for status, _ in answers] == [200] * 24
    assert len({request_id for _, request_id in answers}) == 24
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({row["generation"] for row in rows}) == 24
    assert sum(row["state"] == "settled" for row in rows) == 24
    assert "Traceback" not in words
