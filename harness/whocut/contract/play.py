"""One scene played on one client: in virtual time if it is async; if not, scaled, in a process or a thread.

On a scaled stage the chain's and the upstream's durations are divided and Retry-After is not. A program, and a sync
client in a child process, keep a clock of their own on which waits pass quickly (`whocut.stage.pace`); without one
their waits are real, and they are watched for as long as their user chooses. The watch begins with the client's
first attempt: how long a program takes to start is no part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import os
import random
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whocut.clock import VirtualLoop
from whocut.clock.clock import pause, wall_s
from whocut.contract.child import asked, heard, listening, parts_of
from whocut.contract.client import API_KEY, Candidate
from whocut.contract.trial import RUNAWAY_ATTEMPTS, Ask, Scene, Trial
from whocut.stage.grouping import attempts_of
from whocut.stage.pace import Pace
from whocut.stage.runners import ScaledRunner, VirtualRunner
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from pathlib import Path

    from whocut.contract.check import Check
    from whocut.contract.children import Children

SCALE: Final = 200.0
WATCH_REAL_S: Final = 12.0
# How long a client may take to its first attempt: a program loads its packages, and may first ask for the models.
START_REAL_S: Final = 60.0
# A client whose waits are shortened is watched on its own clock; this bounds one that works, and one not reached.
_PACED_REAL_S: Final = 30.0
AT_ONCE: Final = 6
KEY_CHECK: Final = "key-kept"  # the one that listens to every log
_AFTER_CANCEL_S: Final = 4_000.0
_POLL_REAL_S: Final = 0.02
_LOOK_S: Final = 5.0
_PROMPT: Final = "a quiet ramen shop at two in the morning, neon on wet pavement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """With what a client is tried. `watch_real_s`: how long one whose waits are real is watched.

    The watch begins with its first attempt, which may take `start_real_s` to come. `library` shortens the waits of
    programs, `children` those of a sync client; `loop_factory` makes the loop of an async one.
    """

    watch_real_s: float = WATCH_REAL_S
    start_real_s: float = START_REAL_S
    library: Path | None = None
    children: Children | None = None
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop

    def shortens(self, target: Candidate) -> bool:
        """Whether this client's waits are to be shortened, as far as it can be done."""
        return self.library is not None if target.command else self.children is not None


@dataclass(frozen=True, slots=True)
class _Played:
    """What came of the asks."""

    results: tuple[Any, ...]
    took_s: float
    over_s: float  # on the stage's clock, before we end what is still at work
    ended: bool
    log: str
    parts: tuple[str, ...]
    cancelled_s: float | None = None


def try_out(target: Candidate, check: Check, scene: Scene, means: Means) -> Trial:
    """Play one scene with a new client; with a program, as often as the scene asks for."""
    if not target.command or target.asks or not scene.runs_of_a_program:
        return _try_once(target, check, scene, means)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        first, *further = pool.map(
            lambda played: _try_once(target, check, played, means),
            [replace(check.scene(), ask=Ask()) for _ in range(scene.runs_of_a_program)],
        )
    return replace(first, further=tuple(further))


def _try_once(target: Candidate, check: Check, scene: Scene, means: Means) -> Trial:
    with contextlib.ExitStack() as stack:
        pace: Pace | None = None
        if target.blocks and means.shortens(target) and means.library is not None:
            pace = stack.enter_context(Pace(means.library, scale=SCALE))
        stage = Stage(
            topology=scene.topology,
            settings=scene.settings,
            plants=scene.plants,
            scale=SCALE if target.blocks else 1.0,
            pace=pace,
        )
        runner = ScaledRunner(stage) if target.blocks else VirtualRunner(stage, means.loop_factory)
        runner.start()
        stack.callback(runner.close)
        began_real_s = wall_s()
        log = stack.enter_context(
            listening() if check.id == KEY_CHECK else contextlib.nullcontext(io.StringIO())
        )
        if target.command:
            played = _play_program(target, check, stage, scene, means)
        elif pace is not None and means.children is not None:
            played = _play_child(means.children, check, stage, scene, means)
        elif target.blocks:
            played = _play_threads(target, stage, scene, means)
        else:
            with _same_chance(check.id):
                played = runner.run(_play_tasks(target, stage, scene))
        # With a pace all instants are the client's already.
        scale = SCALE if target.blocks and pace is None else 1.0
        over_s = played.over_s / scale
        return Trial(
            observed=runner.observed(),
            results=played.results,
            took_s=played.took_s,
            over_s=over_s,
            ended=played.ended,
            log=log.getvalue() + played.log,
            api_key=API_KEY,
            scale=scale,
            cancelled_s=played.cancelled_s,
            parts=played.parts,
            exact=not target.blocks,
            late_real_s=runner.late_real_s if isinstance(runner, ScaledRunner) else 0.0,
            shortened_s=0.0 if pace is None else over_s - (wall_s() - began_real_s),
        )


@contextlib.contextmanager
def _same_chance(seed: str) -> Iterator[None]:
    """A client that draws its jitter from `random` draws the same in every trial: one client, one verdict."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def wanted_of(ask: Ask, number: int) -> dict[str, Any]:
    """The arguments of one of the calls for images."""
    prompt = _PROMPT if ask.images == 1 else f"{_PROMPT}, number {number}"
    wanted = {
        "model": "gpt-image-2",
        "prompt": prompt,
        "size": "1024x1024",
        "quality": "high",
        "output_format": "jpeg",
        **dict(ask.more),
    }
    return wanted | ({"stream": True, "partial_images": 2} if ask.stream else {})


# --- async: virtual time --------------------------------------------------------------------------


async def _play_tasks(target: Candidate, stage: Stage, scene: Scene) -> _Played:
    assert target.make is not None
    loop, ask = asyncio.get_running_loop(), scene.ask
    client = target.make(base_url=stage.base_url, api_key=API_KEY)
    tasks = [asyncio.ensure_future(_ask(client, wanted_of(ask, number))) for number in range(ask.images)]
    took_s, cancelled_s = await _supervise(tasks, stage, scene)
    ended = all(task.done() for task in tasks) and not _runs_away(stage, scene)
    over_s = loop.time()
    for task in tasks:
        task.cancel()
    results = tuple(await asyncio.gather(*tasks, return_exceptions=True))
    while (  # the client is a stranger, and tells of nothing
        cancelled_s is not None
        and loop.time() < cancelled_s + _AFTER_CANCEL_S
        and not _runs_away(stage, scene)
    ):
        await asyncio.sleep(_LOOK_S)  # in virtual time
        over_s = loop.time()
    parts = parts_of(client, results)
    closing = _closing(client)
    if closing is not None:
        await closing
    return _Played(results, took_s, over_s, ended, "", parts, cancelled_s)


def _runs_away(stage: Stage, scene: Scene) -> bool:
    """Whether it has asked so often that it will never end."""
    return len(attempts_of(stage.tap.seen)) > RUNAWAY_ATTEMPTS * scene.ask.images


async def _supervise(
    tasks: Sequence[asyncio.Future[Any]], stage: Stage, scene: Scene
) -> tuple[float, float | None]:
    """Until all have ended, the bound is reached, or a client runs away; when the caller lost patience."""
    loop, cancel_s = asyncio.get_running_loop(), scene.ask.cancel_s
    pending: set[asyncio.Future[Any]] = set(tasks)
    while pending and loop.time() < scene.bound_s and not _runs_away(stage, scene):
        step_s = _LOOK_S if cancel_s is None else min(_LOOK_S, max(0.001, cancel_s - loop.time()))
        _, pending = await asyncio.wait(pending, timeout=step_s)
        if cancel_s is not None and loop.time() >= cancel_s:
            now_s = loop.time()
            for task in pending:
                task.cancel()
            return now_s, now_s
    return loop.time(), None


async def _ask(client: Any, wanted: dict[str, Any]) -> Any:
    answer = client.images.generate(**wanted)
    if inspect.isawaitable(answer):
        answer = await answer
    if hasattr(answer, "__aiter__"):
        answer = [event async for event in answer]
    return answer


# --- sync: a child process, or threads, scaled ----------------------------------------------------


def _play_child(children: Children, check: Check, stage: Stage, scene: Scene, means: Means) -> _Played:
    assert stage.pace is not None
    asks = [wanted_of(scene.ask, number) for number in range(scene.ask.images)]
    began_s = stage.pace.clock.now_s()
    child = children.begin(stage.base_url, asks, stage.pace, check=check.id, listen=check.id == KEY_CHECK)
    ended = _watched(stage, scene, means, lambda: child.over)
    over_s = stage.pace.clock.now_s()
    took_s = over_s - began_s
    child.end()
    told = child.told() if ended else None
    if told is None:
        lost = RuntimeError("the process of the client ended without an answer") if ended else None
        return _Played((lost,) * len(asks), took_s, over_s, ended, "", ())
    results = tuple(heard(result) for result in told["results"])
    return _Played(results, took_s, over_s, ended, told["log"], tuple(told["parts"]))


def _play_threads(target: Candidate, stage: Stage, scene: Scene, means: Means) -> _Played:
    assert target.make is not None
    client = target.make(base_url=stage.base_url, api_key=API_KEY)
    began_real_s = wall_s()
    results, threads = asked(client, [wanted_of(scene.ask, number) for number in range(scene.ask.images)])
    ended = _watched(stage, scene, means, lambda: not any(thread.is_alive() for thread in threads))
    over_s = stage.tap.instants.now_s()
    close(client)
    return _Played(tuple(results), wall_s() - began_real_s, over_s, ended, "", parts_of(client, results))


def close(client: Any) -> None:
    """Let it give back its connections; one that is still at work meets closed ones."""
    with contextlib.suppress(Exception):  # it is a stranger, and nothing more is asked of it
        closing = _closing(client)
        if closing is not None:
            asyncio.run(closing)


def _closing(client: Any) -> Coroutine[Any, Any, Any] | None:
    """Close a client that can be closed; what is still to be awaited for it."""
    closes = getattr(client, "close", None)
    closing = closes() if callable(closes) else None
    return closing if inspect.iscoroutine(closing) else None


def _watched(
    stage: Stage, scene: Scene, means: Means, over: Callable[[], bool], until_s: float | None = None
) -> bool:
    """Wait until it is over, or the watch is, which begins with the first attempt; whether it is over.

    A client with a clock of its own is watched on that clock, for as long as an async one, or for `until_s`.
    """
    scale = 1.0 if stage.pace else stage.scale
    bound_s = until_s if until_s is not None else scene.bound_s if stage.pace else float("inf")
    until_real_s, began_s = wall_s() + means.start_real_s, None
    while not over():
        now_s = stage.tap.instants.now_s()
        if began_s is None and attempts_of(stage.tap.seen):
            watch_real_s = max(means.watch_real_s, _PACED_REAL_S) if stage.pace else means.watch_real_s
            until_real_s, began_s = wall_s() + watch_real_s, now_s
        if wall_s() >= until_real_s or _runs_away(stage, scene):
            return False
        if began_s is not None and (now_s - began_s) / scale >= bound_s:
            return False
        pause(_POLL_REAL_S)
    return True


# --- a program of its own, scaled -----------------------------------------------------------------


def _play_program(target: Candidate, check: Check, stage: Stage, scene: Scene, means: Means) -> _Played:
    environment = {
        **os.environ,
        **(stage.pace.environment() if stage.pace else {}),
        "OPENAI_BASE_URL": stage.base_url,
        "OPENAI_API_KEY": API_KEY,
        "WHOCUT_CHECK": check.id,  # for its log
        "WHOCUT_ASKS": json.dumps([wanted_of(scene.ask, number) for number in range(scene.ask.images)]),
    }
    began_s, cancelled_s = stage.tap.instants.now_s(), None
    with (
        tempfile.TemporaryFile() as says,  # not a pipe: nothing reads it while the program is watched
        subprocess.Popen(  # noqa: S603  # the command is what the user asked to be run
            target.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=says,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        ended = _watched(stage, scene, means, lambda: process.poll() is not None, until_s=scene.ask.cancel_s)
        if not ended and scene.ask.cancel_s is not None:
            cancelled_s = stage.tap.instants.now_s()
            if stage.pace is not None:
                stage.pace.tell(wrote=True)  # no wait of the client's passes while the signal is on its way
            os.killpg(process.pid, signal.SIGTERM)
            ended = _watched(stage, scene, means, lambda: process.poll() is not None)
        over_s = stage.tap.instants.now_s()
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        says.seek(0)
        words = says.read().decode(errors="replace")
    result: object = None  # it did not end: that it was killed is our doing
    if ended:
        result = words if process.returncode == 0 else RuntimeError(_last_words(words, process.returncode))
    scale = 1.0 if stage.pace else stage.scale
    cancelled_s = None if cancelled_s is None else cancelled_s / scale
    return _Played((result,), (over_s - began_s) / scale, over_s, ended, words, (), cancelled_s)


def _last_words(words: str, code: int) -> str:
    return words.strip()[-300:] or f"it ended with exit code {code} and no word"
