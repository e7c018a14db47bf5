"""The end of a run, however it comes: named while there is load, named while the last generations run on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from whocut.chain.load import DRAIN_S
from whocut.clock import Clock
from whocut.clock.virtual import run_virtual
from whocut.errors import ChildDied
from whocut.path.fallen import Fallen
from whocut.run.processes import PATIENCE_REAL_S
from whocut.run.progress import RunFollower, RunProgress
from whocut.run.watching import RunWatch, StopAsked
from whocut.trace.records import Attempt
from whocut.trace.rundir import ATTEMPTS, GENERATOR, LEDGER, LineFile, RunDir, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.path.chain import RunningChain

KILLED = Fallen("upstream", 42.0, "its process was killed", title="the mock upstream")


@dataclass
class Stands:
    """A chain, or an upstream, that stands until it has fallen."""

    fallen: Fallen | None = None

    def look(self) -> Fallen | None:
        """What is to be seen of it."""
        return self.fallen


class Done:
    """A load that has done its work."""

    returncode: int | None = 0

    async def stop(self, patience_real_s: float = 0.0) -> None:
        """It has ended."""

    def died(self) -> ChildDied:
        """Never asked for."""
        return ChildDied("it ended")


class Busy(Done):
    """A load with images in flight, which come 200 s after it was asked to end; `ended_s` is how long it had."""

    returncode = None

    def __init__(self) -> None:
        self.asked_s: float | None = None
        self.ended_s = 0.0
        self._ended = asyncio.Event()

    async def stop(self, patience_real_s: float = 0.0) -> None:
        """It drains, or is killed."""
        loop = asyncio.get_running_loop()
        self.asked_s = loop.time() if self.asked_s is None else self.asked_s
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), min(200.0, patience_real_s))
        if not self._ended.is_set():
            self.ended_s = loop.time() - self.asked_s
            self._ended.set()


@dataclass
class Scene:
    """Two orders answered, one generation that nobody waits for, still running."""

    run_dir: RunDir
    upstream: Stands = field(default_factory=Stands)
    spans: list[Any] = field(default_factory=list)
    stop: StopAsked = field(default_factory=StopAsked)

    def __post_init__(self) -> None:
        progress = RunProgress(asked=2)
        self.follower = RunFollower(self.run_dir, progress, self.spans.append)
        chain = cast("RunningChain", Stands())
        self.watch = RunWatch(
            self.run_dir, self.upstream, chain, self.follower, progress, lambda _: None, self.stop, DRAIN_S
        )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A run whose load is over, and whose last generation is not."""
    run = RunDir.create(tmp_path / "run", {"epoch_unix_s": 1.8e9})
    write_json(run.path / GENERATOR, {"answered": 2})
    with LineFile(run.path / ATTEMPTS) as file:
        file.write_json(
            Attempt(
                request="r-1", number=1, mode="plain", trace_id="1" * 32, span_id="1" * 16, user=1,
                started_s=1.0, ended_s=50.0,
            )
        )  # fmt: skip
    with LineFile(run.path / LEDGER) as file:
        file.write_json({"generation": "g1", "state": "running", "accepted_s": 1.0, "started_s": 1.0})
    return Scene(run)


def test_upstream_that_falls_under_load_is_named_although_every_order_was_answered(scene: Scene) -> None:
    """An answer of 'refused' is an answer: the run measured nothing from then on."""
    scene.upstream.fallen = KILLED

    said = run_virtual(scene.watch.load(Done()))

    assert said is not None
    assert said.startswith("the mock upstream died 42.0 model seconds into the run: its process was killed; ")
    assert "2 of 2 orders were answered, 1 was under way then" in said


def test_who_asks_once_gets_what_is_in_flight(scene: Scene) -> None:
    """It may be paid already; the load is given the time it needs."""
    load = Busy()
    scene.stop.ask()

    said = run_virtual(scene.watch.load(load))

    assert load.ended_s == pytest.approx(200)
    assert said is None  # so in the end every order was answered


@pytest.mark.parametrize("way", ["ask", "ask_at_once"])
def test_who_asks_again_waits_no_longer(scene: Scene, way: str) -> None:
    """A second Ctrl-C, or a service manager that will kill in a moment."""
    load = Busy()

    async def main() -> None:
        scene.stop.ask()
        asyncio.get_running_loop().call_later(20.0, getattr(scene.stop, way))
        await scene.watch.load(load)

    run_virtual(main())

    assert load.ended_s == pytest.approx(20 + PATIENCE_REAL_S, abs=0.3)


def test_who_will_not_wait_does_not(scene: Scene) -> None:
    """A polite kill is followed by another one."""
    load = Busy()
    scene.stop.ask_at_once()

    run_virtual(scene.watch.load(load))

    assert load.ended_s == pytest.approx(PATIENCE_REAL_S)


def test_nothing_is_drained_behind_what_has_fallen(scene: Scene) -> None:
    """Nobody will answer what is in flight, whether it fell before the end was asked for or after."""
    before, after = Busy(), Busy()

    async def main() -> None:
        scene.stop.ask()
        asyncio.get_running_loop().call_later(20.0, setattr, scene.upstream, "fallen", KILLED)
        await scene.watch.load(after)
        await scene.watch.load(before)

    run_virtual(main())

    assert after.ended_s == pytest.approx(20 + PATIENCE_REAL_S, abs=0.3)
    assert before.ended_s == pytest.approx(PATIENCE_REAL_S)


def test_generation_in_the_hands_of_a_fallen_upstream_ended_by_that(scene: Scene) -> None:
    """Not by a reset that nobody can explain."""
    scene.upstream.fallen = KILLED
    run_virtual(scene.watch.load(Done()))

    scene.follower.close()

    assert [span.fault for span in scene.spans] == ["its process was killed"]


def test_upstream_that_falls_in_the_drain_is_named(scene: Scene) -> None:
    """What the orphans cost will never be known."""
    scene.upstream.fallen = KILLED

    said = run_virtual(_drained(scene))[0] or ""

    assert said.startswith("the mock upstream died 42.0 model seconds into the run")
    assert "1 generation was still running" in said


def test_signal_in_the_drain_is_said(scene: Scene) -> None:
    """It is an end before the end like any other."""
    scene.stop.ask()

    said = run_virtual(_drained(scene))[0] or ""

    assert said.startswith("stopped by a signal; the load was over, 1 generation was still running")


def test_drain_ends_in_good_order_when_it_has_been_long_enough(scene: Scene) -> None:
    """The run is whole but for what still runs; the judgement warns of that."""
    said, took_s = run_virtual(_drained(scene))

    assert said is None
    assert took_s == pytest.approx(DRAIN_S, abs=1)


async def _drained(scene: Scene) -> tuple[str | None, float]:
    clock = Clock(reader=asyncio.get_running_loop().time)
    return await scene.watch.drain(clock), clock.now_s()
