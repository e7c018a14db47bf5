"""Checks played on a client: in virtual time if it is async, scaled in a thread or a process of its own if not.

On a scaled stage the chain's and the upstream's durations are divided and Retry-After is not: the client's waits
are real ones. So what takes minutes is tried in virtual time alone, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.clock import VirtualLoop
from whocut.clock.clock import wall_s
from whocut.contract.card import Card, Result
from whocut.contract.checks import CHECKS
from whocut.contract.client import API_KEY, Candidate
from whocut.contract.trial import RUNAWAY_ATTEMPTS, Ask, Scene, Trial
from whocut.stage.runners import ScaledRunner, VirtualRunner
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from whocut.contract.check import Check

SCALE: Final = 200.0
WATCH_REAL_S: Final = 12.0
_AT_ONCE: Final = 6
_AFTER_CANCEL_S: Final = 90.0
_LOOK_S: Final = 5.0
_PROMPT: Final = "a quiet ramen shop at two in the morning, neon on wet pavement"
_KEY_CHECK: Final = "key-kept"  # the one that listens to every log


@dataclass(frozen=True, slots=True)
class _Played:
    """What came of the asks."""

    results: tuple[Any, ...]
    took_s: float
    ended: bool
    cancelled_s: float | None
    log: str
    parts: tuple[str, ...]


def hold(
    target: Candidate,
    *,
    allow: Mapping[str, str] | None = None,
    checks: Sequence[Check] = CHECKS,
    show: Callable[[Result], None] = lambda _result: None,
    watch_real_s: float = WATCH_REAL_S,
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop,
) -> Card:
    """Hold a client to the contract, check by check; `loop_factory` makes the loop of an async one."""
    allowed = allow or {}

    def judged(check: Check) -> Result:
        return _judged(target, check, allowed.get(check.id), watch_real_s, loop_factory)

    # A client that blocks spends its time waiting; the one check that listens to all logs is tried alone.
    together = [check for check in checks if target.blocks and check.id != _KEY_CHECK]
    alone = [check for check in checks if check not in together]
    results = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for result in itertools.chain(pool.map(judged, together), map(judged, alone)):
            results[result.id] = result
            show(result)
    return Card(target.name, tuple(results[check.id] for check in checks))


def _judged(
    target: Candidate,
    check: Check,
    allowed: str | None,
    watch_real_s: float,
    loop_factory: Callable[[], VirtualLoop],
) -> Result:
    scene = check.scene()
    skip = _why_not(target, check, scene)
    if skip:
        return Result.of(check, passed=None, why=skip)
    trial = try_out(target, check, scene, watch_real_s, loop_factory)
    if not trial.observed.sightings:
        return Result.of(check, passed=False, why=_never_came(trial), allowed=allowed)
    broken = check.judge(trial)
    return Result.of(
        check,
        passed=broken is None,
        why=broken or _how(trial),
        evidence=tuple(trial.evidence),
        allowed=allowed if broken else None,
    )


def _why_not(target: Candidate, check: Check, scene: Scene) -> str | None:
    if target.blocks and check.virtual_only:
        return "it takes minutes: tried with async clients only, in virtual time"
    if target.blocks and scene.ask.cancel_s is not None:
        return "a call that blocks cannot be cancelled"
    if target.command and not scene.ask.plain:
        return "a program asks for one image, as it likes; this check asks for something else"
    return None


def _never_came(trial: Trial) -> str:
    error = next((result for result in trial.results if isinstance(result, BaseException)), None)
    said = f": {type(error).__name__}: {error}" if error is not None else ""
    return f"no request reached the upstream{said}"


def _how(trial: Trial) -> str:
    waits = ", ".join(f"{wait_s:.3g} s" for wait_s in trial.waits_s[:5])
    if not waits:
        return "one attempt" if len(trial.attempts) == 1 else f"{len(trial.attempts)} attempts"
    return f"{len(trial.attempts)} attempts; it waited {waits}"


def try_out(
    target: Candidate,
    check: Check,
    scene: Scene,
    watch_real_s: float = WATCH_REAL_S,
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop,
) -> Trial:
    """Play one scene with a new client."""
    scale = SCALE if target.blocks else 1.0
    stage = Stage(topology=scene.topology, settings=scene.settings, plants=scene.plants, scale=scale)
    runner = ScaledRunner(stage) if target.blocks else VirtualRunner(stage, loop_factory)
    runner.start()
    try:
        with _listening() if check.id == _KEY_CHECK else contextlib.nullcontext(io.StringIO()) as log:
            if target.command:
                played = _play_program(target, stage, watch_real_s)
            elif target.blocks:
                played = _play_threads(target, stage, scene, watch_real_s)
            else:
                played = runner.run(_play_tasks(target, stage, scene))
        return Trial(
            observed=runner.observed(),
            results=played.results,
            took_s=played.took_s,
            ended=played.ended,
            log=log.getvalue() + played.log,
            api_key=API_KEY,
            scale=scale,
            cancelled_s=played.cancelled_s,
            parts=played.parts,
        )
    finally:
        runner.close()


@contextlib.contextmanager
def _listening() -> Iterator[io.StringIO]:
    """Everything that is logged or printed meanwhile, at every level."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            yield heard
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


def _wanted(ask: Ask, number: int) -> dict[str, Any]:
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


def _parts(client: object, results: Sequence[Any]) -> tuple[str, ...]:
    errors = [result for result in results if isinstance(result, BaseException)]
    told = [f"{error!r} {error} {getattr(error, '__notes__', '')} {error.__cause__!r}" for error in errors]
    return (repr(client), str(client), *told)


# --- async: virtual time --------------------------------------------------------------------------


async def _play_tasks(target: Candidate, stage: Stage, scene: Scene) -> _Played:
    assert target.make is not None
    loop, ask = asyncio.get_running_loop(), scene.ask
    client = target.make(base_url=stage.base_url, api_key=API_KEY)
    tasks = [asyncio.ensure_future(_ask(client, _wanted(ask, number))) for number in range(ask.images)]
    took_s, cancelled_s = await _supervise(tasks, stage, scene)
    ended = all(task.done() for task in tasks) and len(stage.tap.seen) <= RUNAWAY_ATTEMPTS
    for task in tasks:
        task.cancel()
    results = tuple(await asyncio.gather(*tasks, return_exceptions=True))
    if cancelled_s is not None:
        await asyncio.sleep(max(0.0, cancelled_s + _AFTER_CANCEL_S - loop.time()))
    parts = _parts(client, results)
    close = getattr(client, "close", None)
    if close is not None:
        closing = close()
        if asyncio.iscoroutine(closing):
            await closing
    return _Played(results, took_s, ended, cancelled_s, "", parts)


async def _supervise(
    tasks: Sequence[asyncio.Future[Any]], stage: Stage, scene: Scene
) -> tuple[float, float | None]:
    """Until all have ended, the bound is reached, or a client runs away; when the caller lost patience."""
    loop, cancel_s = asyncio.get_running_loop(), scene.ask.cancel_s
    pending: set[asyncio.Future[Any]] = set(tasks)
    while pending and loop.time() < scene.bound_s and len(stage.tap.seen) <= RUNAWAY_ATTEMPTS:
        step_s = _LOOK_S if cancel_s is None else min(_LOOK_S, max(0.001, cancel_s - loop.time()))
        _, pending = await asyncio.wait(pending, timeout=step_s)
        if cancel_s is not None and loop.time() >= cancel_s:
            now_s = loop.time()
            for task in pending:
                task.cancel()
            return now_s, now_s
    return loop.time(), None


async def _ask(client: Any, wanted: dict[str, Any]) -> Any:
    answer = await client.images.generate(**wanted)
    if hasattr(answer, "__aiter__"):
        answer = [event async for event in answer]
    return answer


# --- sync: threads, scaled ------------------------------------------------------------------------


def _play_threads(target: Candidate, stage: Stage, scene: Scene, watch_real_s: float) -> _Played:
    assert target.make is not None
    client = target.make(base_url=stage.base_url, api_key=API_KEY)
    results: list[Any] = [None] * scene.ask.images

    def ask(number: int) -> None:
        try:
            answer = client.images.generate(**_wanted(scene.ask, number))
            results[number] = list(answer) if scene.ask.stream else answer
        except Exception as error:  # noqa: BLE001  # whatever a client raises is its answer
            results[number] = error

    began = wall_s()
    threads = [
        threading.Thread(target=ask, args=(number,), daemon=True) for number in range(scene.ask.images)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + watch_real_s - wall_s()))
    ended = not any(thread.is_alive() for thread in threads)
    return _Played(tuple(results), wall_s() - began, ended, None, "", _parts(client, results))


# --- a program of its own, scaled -----------------------------------------------------------------


def _play_program(target: Candidate, stage: Stage, watch_real_s: float) -> _Played:
    environment = {**os.environ, "OPENAI_BASE_URL": stage.base_url, "OPENAI_API_KEY": API_KEY}
    began = wall_s()
    with subprocess.Popen(  # noqa: S603  # the command is what the user asked to be run
        target.command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=watch_real_s)
            ended = True
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            ended = False
    words = said.decode(errors="replace")
    result = (
        words
        if process.returncode == 0
        else RuntimeError(words.strip()[-300:] or f"exit {process.returncode}")
    )
    return _Played((result,), wall_s() - began, ended, None, words, ())
