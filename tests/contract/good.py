"""Clients that do nothing wrong, and not what a judge expects: they list models first, or return awaitables.

Each is the reference client behind one harmless habit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai

from whocut.client import async_reference, reference

if TYPE_CHECKING:
    from collections.abc import Callable

REJECTED = ("response_format", "style")


class Habit:
    """The reference client, async; `images.generate` is this object's own."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.inner = async_reference(base_url, api_key)
        self.beside = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        self.images = self

    async def generate(self, **wanted: Any) -> Any:
        """An image, after the habit."""
        await self.first(wanted)
        return await self.inner.images.generate(**wanted)

    async def first(self, wanted: dict[str, Any]) -> None:
        """What it does before it asks."""

    async def close(self) -> None:
        """Close both."""
        await self.inner.close()
        await self.beside.close()


class ListsModelsFirst(Habit):
    """Asks which models there are, every time."""

    async def first(self, wanted: dict[str, Any]) -> None:
        """GET /v1/models."""
        del wanted
        await self.beside.models.list()


class ModeratesFirst(Habit):
    """Has its prompt looked at before it asks; where that cannot be done it asks all the same."""

    async def first(self, wanted: dict[str, Any]) -> None:
        """POST /v1/moderations."""
        try:
            await self.beside.moderations.create(input=str(wanted["prompt"]))
        except openai.APIStatusError:
            return


class RefusesParameters(Habit):
    """Raises for what the API would reject, and sends nothing."""

    async def first(self, wanted: dict[str, Any]) -> None:
        """Look at the arguments."""
        for name in REJECTED:
            if name in wanted:
                raise TypeError(f"this client has no parameter '{name}'")


class ReturnsAwaitable:
    """A plain function that hands the coroutine on: not a coroutine function, and not a client that blocks."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.inner = async_reference(base_url, api_key)
        self.images = self

    def generate(self, **wanted: Any) -> Any:
        """What is awaited is the inner client's."""
        return self.inner.images.generate(**wanted)

    async def close(self) -> None:
        """Close the connections."""
        await self.inner.close()


class ListsModelsAndBlocks:
    """The sync reference client, which lists the models first."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.inner = reference(base_url, api_key)
        self.beside = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        self.images = self

    def generate(self, **wanted: Any) -> Any:
        """An image, after the list."""
        self.beside.models.list()
        return self.inner.images.generate(**wanted)

    def close(self) -> None:
        """Close both."""
        self.inner.close()
        self.beside.close()


GOOD: dict[str, Callable[..., Any]] = {
    "lists models first": ListsModelsFirst,
    "moderates first": ModeratesFirst,
    "refuses parameters itself": RefusesParameters,
    "returns an awaitable": ReturnsAwaitable,
}
