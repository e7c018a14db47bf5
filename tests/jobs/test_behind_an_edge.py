"""The article's second fix, measured in virtual time: behind an edge that ends every response after 100 s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import openai

from tests.jobs.place import ORDER, Place, a_mock, a_service
from whocut.chain.chainfile import find_chain
from whocut.clock import VirtualLoop, run_virtual
from whocut.config.sources import read_chain
from whocut.path.chain import start_chain

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.path.chain import RunningChain

ORDERS = 60
HARD = read_chain(find_chain("hard-100"))


async def edge_before(port: int) -> RunningChain:
    """The edge, in front of whatever listens there."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return await start_chain(HARD, upstream=("127.0.0.1", port), clock=loop.clock(), sink=None)


async def by_the_service(place: Place, edge: str, n: int) -> bool:
    """One order through the edge to the service: submit, polls, the file; whether the image came."""
    headers = place.headers(Idempotency_Key=f"order-{n}")
    order = ORDER | {"prompt": f"heron number {n}", "quality": "high"}
    async with place.session.post(f"{edge}/jobs", json=order, headers=headers) as answer:
        job = await answer.json()
    while not job["over"]:
        await asyncio.sleep(10)
        async with place.session.get(f"{edge}/jobs/{job['id']}", headers=place.headers()) as answer:
            job = await answer.json()
    if not job["images"]:
        return False
    async with place.session.get(edge + job["images"][0], headers=place.headers()) as answer:
        return (await answer.read()).startswith(b"\x89PNG")


async def by_the_sdk(base_url: str, n: int, **how: Any) -> bool:
    """One order through the edge to the API itself, with the SDK's defaults."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="sk-x") as client:
        try:
            answer: Any = await client.images.generate(
                model="gpt-image-2", prompt=f"heron number {n}", quality="high", **how
            )
            if how:
                return any([event.type == "image_generation.completed" async for event in answer])
        except openai.APIError:
            return False
        return bool(answer.data)


def test_service_behind_a_hard_edge_delivers_one_generation_an_image_where_plain_and_streams_fail(
    tmp_path: Path,
) -> None:
    """Orders as jobs: each delivered, one generation each; plain ones pay three times for nearly nothing."""

    async def run() -> None:
        async with a_mock() as mock:
            direct = await edge_before(mock.port)
            base_url = f"http://127.0.0.1:{direct.port}/v1"
            shares: dict[str, float] = {}
            generations: dict[str, float] = {}
            for way, how in (("plain", {}), ("stream", {"stream": True, "partial_images": 2})):
                came = await asyncio.gather(*(by_the_sdk(base_url, n, **how) for n in range(10)))
                shares[way], generations[way] = sum(came) / 10, len(mock.ledger.rows()) / 10
                await asyncio.sleep(1_000)
                mock.ledger.clear()
            async with a_service(mock, tmp_path / "jobs.db", at_once=20) as place:
                edge = await edge_before(int(place.base_url.rpartition(":")[2]))
                url = f"http://127.0.0.1:{edge.port}"
                came = await asyncio.gather(*(by_the_service(place, url, n) for n in range(ORDERS)))
                shares["jobs"], generations["jobs"] = sum(came) / ORDERS, len(mock.ledger.rows()) / ORDERS
                await edge.close()
            await direct.close()

            assert shares["jobs"] >= 0.99
            assert generations["jobs"] == 1.0
            assert place.billed == ORDERS
            assert max(shares["plain"], shares["stream"]) < 0.5
            assert generations["plain"] > 2

    run_virtual(run())
