from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import openai
import pytest

from whocut.client import async_reference, reference
from whocut.client.policy import Policy
from whocut.client.prompt_check import PromptRefused

if TYPE_CHECKING:
    from whocut.plugin.chain import WhocutChain

WANTED: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a cat", "quality": "medium"}


async def test_an_answer_is_whole_and_was_streamed(whocut_chain: WhocutChain) -> None:
    """The caller gets what a plain request would give; on the wire two partial images came first."""
    partials: list[Any] = []
    async with async_reference(whocut_chain.base_url, "sk-test", on_partial=partials.append) as client:
        answer = await client.images.generate(**WANTED)

    assert answer.data[0].b64_json
    assert answer.usage.total_tokens > 0
    assert [event.partial_image_index for event in partials] == [0, 1]
    assert len(whocut_chain.attempts[0].arrivals_s) == 3


async def test_events_are_handed_on_where_they_are_asked_for(whocut_chain: WhocutChain) -> None:
    """``stream=True`` gives the SDK's own events."""
    async with async_reference(whocut_chain.base_url, "sk-test") as client:
        kinds = [event.type async for event in await client.images.generate(**WANTED, stream=True)]

    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]


@pytest.mark.whocut(chain="edge-60")
async def test_the_error_says_why_nothing_was_tried_again(whocut_chain: WhocutChain) -> None:
    """The SDK's own error comes with a note."""
    async with async_reference(whocut_chain.base_url, "sk-test") as client:
        with pytest.raises(openai.APIError) as caught:
            await client.images.generate(**WANTED | {"quality": "high"})

    assert any("it may still be running, and is billed" in note for note in caught.value.__notes__)
    whocut_chain.assert_billed_once()


async def test_a_risky_prompt_is_not_sent(whocut_chain: WhocutChain) -> None:
    """It costs nothing, and the error says how to reword it; whoever insists can."""
    async with async_reference(whocut_chain.base_url, "sk-test") as client:
        with pytest.raises(PromptRefused, match="brands-and-characters"):
            await client.images.generate(**WANTED | {"prompt": "Pikachu asleep"})
    async with async_reference(whocut_chain.base_url, "sk-test", check_prompts=False) as insists:
        with pytest.raises(openai.APIError):
            await insists.images.generate(**WANTED | {"prompt": "Pikachu asleep"})

    assert len(whocut_chain.attempts) == 1


@pytest.mark.whocut(upstream="hang")
async def test_time_is_bounded(whocut_chain: WhocutChain) -> None:
    """A request that nobody answers ends when its time is over, to the second."""
    policy = Policy(total_s=45.0)
    async with async_reference(whocut_chain.base_url, "sk-test", policy=policy) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.images.generate(**WANTED)

    assert whocut_chain.now_s() == pytest.approx(45.0, abs=0.1)


@pytest.mark.whocut(upstream={"latency": {"constant_s": 50}})
async def test_a_crowd_is_let_in_three_at_a_time(whocut_chain: WhocutChain) -> None:
    """Seven images of fifty seconds: three, three and one, two seconds apart."""
    async with async_reference(whocut_chain.base_url, "sk-test") as client:
        await asyncio.gather(
            *(client.images.generate(**WANTED | {"prompt": f"cat {number}"}) for number in range(7))
        )

    whocut_chain.assert_max_in_flight(3)
    starts = sorted(round(attempt.started_s) for attempt in whocut_chain.attempts)
    assert starts == [0, 0, 0, 52, 52, 52, 104]


@pytest.mark.sockets
@pytest.mark.whocut(upstream={"faults": [{"fault": "rate_limited=30", "when": {"attempt": 1}}]}, scale=50)
def test_the_sync_client_does_the_same(whocut_chain: WhocutChain) -> None:
    """A thread waits out a 429, and gets its image by stream."""
    with reference(whocut_chain.base_url, "sk-test") as client:
        answer = client.images.generate(**WANTED | {"quality": "low"})

    assert answer.data[0].b64_json
    assert [attempt.number for attempt in whocut_chain.attempts] == [1, 2]
    whocut_chain.assert_honoured_retry_after()
    whocut_chain.assert_billed_once()
