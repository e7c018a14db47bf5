"""A chain, or the mock upstream alone, inside any program: on the loop that runs already.

The pytest plugin plays a stage on a loop of its own; here the caller's loop decides what time is. On a
`VirtualLoop` waiting takes no time; elsewhere `scale` divides the durations of the chain and of the upstream.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from whocut.plugin.chain import WhocutChain, WhocutUpstream
from whocut.plugin.marks import scale_of, settings_of, topology_of
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from whocut.chain.layers import Topology
    from whocut.stage.seen import Observed
    from whocut_mock import Settings


@dataclass(slots=True)
class _Here:
    """A stage on the loop of its caller."""

    stage: Stage

    def observed(self) -> Observed:
        """All that is known by now."""
        return self.stage.observed()

    def now_s(self) -> float:
        """Model seconds since the beginning."""
        return self.stage.tap.clock.now_s()

    def client_s(self, model_s: float) -> float:
        """How long a model duration is on the caller's clock."""
        return model_s / self.stage.tap.clock.scale

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await self.stage.settled()


class Chain(WhocutChain):
    """A chain of timeouts in front of a mock Images API, as an async context manager.

    ::

        async with whocut.Chain("edge-60", scale=100) as chain:
            client = openai.AsyncOpenAI(base_url=chain.base_url, api_key="sk-test")
            ...
            print(chain.verdict())

    Args:
        chain: a shipped chain's name, a chain file's path, or a topology; None is no layer at all.
        upstream: the mock's settings by name, or one fault like ``"rate_limited=12"``.
        scale: model seconds in one second of the caller's clock; a `VirtualLoop` ignores it.

    Raises:
        BadInput: a chain, a setting or a scale that cannot be used.
    """

    def __init__(
        self,
        chain: str | Path | Topology | None = None,
        *,
        upstream: Mapping[str, Any] | Settings | str | None = None,
        scale: float = 1.0,
    ) -> None:
        self._stage = Stage(
            topology=topology_of(chain, Path.cwd()), settings=settings_of(upstream), scale=scale_of(scale)
        )
        super().__init__(_Here(self._stage))

    @property
    def upstream(self) -> WhocutUpstream:
        """The mock behind the chain."""
        return WhocutUpstream(self._runner)

    async def __aenter__(self) -> Self:
        await self._stage.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stage.close()
        await asyncio.sleep(0)


class MockUpstream:
    """The mock Images API alone, as an async context manager with a `base_url`.

    Args:
        settings: its settings by name, or one fault like ``"rate_limited=12"``.
        scale: model seconds in one second of the caller's clock; a `VirtualLoop` ignores it.

    Raises:
        BadInput: a setting or a scale that cannot be used.
    """

    def __init__(
        self, settings: Mapping[str, Any] | Settings | str | None = None, *, scale: float = 1.0
    ) -> None:
        self._chain = Chain(upstream=settings, scale=scale)

    @property
    def base_url(self) -> str:
        """What a client of the Images API is given."""
        return self._chain.upstream.base_url

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """Every generation, as it will be when its work is over."""
        return self._chain.upstream.ledger

    async def __aenter__(self) -> Self:
        await self._chain.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._chain.__aexit__(kind, error, trace)
