"""Checks played on a client: in virtual time if it is async, scaled in a thread or a process of its own if not.

On a scaled stage the chain's and the upstream's durations are divided and Retry-After is not: the client's waits
are real ones. So it is watched for a while that its user chooses, and what takes minutes is tried in virtual time
alone. The watch begins with the client's first attempt: how long a program takes to start is no part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import itertools
import logging
import os
import random
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whocut.clock import VirtualLoop
from whocut.clock.clock import pause, wall_s
from whocut.contract.card import Card, Result
from whocut.contract.checks import CHECKS
from whocut.contract.client import API_KEY, Candidate
from whocut.contract.judgement import Ruling
from whocut.contract.scenes import world
from whocut.contract.trial import RUNAWAY_ATTEMPTS, Ask, Scene, Trial, time_in_words
from whocut.stage.grouping import attempts_of
from whocut.stage.runners import ScaledRunner, VirtualRunner
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from whocut.contract.check import Check

SCALE: Final = 200.0
WATCH_REAL_S: Final = 12.0
# How long a client may take to its first attempt: a program loads its packages, and may first ask for the models.
START_REAL_S: Final = 60.0
_AT_ONCE: Final = 6
_AFTER_CANCEL_S: Final = 4_000.0
_POLL_REAL_S: Final = 0.02
_LOOK_S: Final = 5.0
_PROMPT: Final = "a quiet ramen shop at two in the morning, neon on wet pavement"
_KEY_CHECK: Final = "key-kept"  # the one that listens to every log


@dataclass(frozen=True, slots=True)
class _Played:
    """What came of the asks."""

    results: tuple[Any, ...]
    took_s: float
    ended: bool
    log: str
    parts: tuple[str, ...]
    cancelled_s: float | None = None


def hold(
    target: Candidate,
    *,
    allow: Mapping[str, str] | None = None,
    checks: Sequence[Check] = CHECKS,
    show: Callable[[Result], None] = lambda _result: None,
    watch_real_s: float = WATCH_REAL_S,
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop,
) -> Card:
    """Hold a client to the contract, check by check.

    `watch_real_s` is how long a client that blocks, or a program, is watched from its first attempt on;
    `loop_factory` makes the loop of an async one.
    """
    allowed = allow or {}
    if target.blocks and target.make is not None:
        target = _as_it_answers(target)

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
        return Result.of(check, ruling=Ruling.NOT_TRIED, why=skip)
    trial = try_out(target, check, scene, watch_real_s, loop_factory)
    if not trial.attempts:
        return Result.of(
            check,
            ruling=Ruling.NOT_TRIED,
            why=_never_came(target, trial),
            evidence=tuple(trial.evidence),
            unreached=True,
        )
    judgement = check.judge(trial)
    return Result.of(
        check,
        ruling=judgement.ruling,
        why=judgement.why or _how(trial, scene.ask),
        evidence=tuple(trial.evidence),
        at_least=judgement.at_least,
        watched_s=round(trial.watched_s, 3),
        allowed=allowed if judgement.ruling is Ruling.BROKEN else None,
    )


def _as_it_answers(target: Candidate) -> Candidate:
    """The candidate as its first answer shows it: a plain function may return an awaitable, and is async then."""
    assert target.make is not None
    scene = world(work_s=1.0)()
    stage = Stage(topology=scene.topology, settings=scene.settings, scale=SCALE)
    runner = ScaledRunner(stage)
    runner.start()
    try:
        client = target.make(base_url=stage.base_url, api_key=API_KEY)
        answers: list[object] = []

        def ask() -> None:
            with contextlib.suppress(Exception):  # the checks will say what it raises
                answers.append(client.images.generate(**_wanted(scene.ask, 0)))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(START_REAL_S)
        _close(client)
    finally:
        runner.close()
    if not any(inspect.isawaitable(answer) for answer in answers):
        return target
    for answer in answers:
        if inspect.iscoroutine(answer):
            answer.close()
    return replace(target, blocks=False)


def _why_not(target: Candidate, check: Check, scene: Scene) -> str | None:
    if target.blocks and check.virtual_only:
        return "it takes minutes: tried with async clients only, in virtual time"
    if target.blocks and scene.ask.cancel_s is not None:
        return "a call that blocks cannot be cancelled"
    if target.command and not (scene.ask.plain or scene.runs_of_a_program):
        return "a program asks for one image, as it likes; this check asks for something else"
    return None


def _never_came(target: Candidate, trial: Trial) -> str:
    """Why nothing can be said: a client may refuse a parameter itself, and a program may ask somewhere else."""
    error = next((result for result in trial.results if isinstance(result, BaseException)), None)
    beside = ", ".join(dict.fromkeys(sighting.name for sighting in trial.observed.beside))
    why = "no request for an image reached the upstream"
    if beside:
        why += f", only {beside}"
    if error is not None:
        return f"{why}: {error if target.command else f'{type(error).__name__}: {error}'}"
    if not trial.ended:
        return f"{why} within {time_in_words(START_REAL_S)} of its start"
    return f"{why}; a program must ask the address in OPENAI_BASE_URL" if target.command else why


def _how(trial: Trial, ask: Ask) -> str:
    number = len(trial.attempts)
    if number == 1:
        return "one attempt"
    if ask.images > 1:
        return f"{number} attempts of {ask.images} requests"
    waits_s = trial.waits_s[:5]
    waited = ", ".join(f"{wait_s:.3g} s" for wait_s in waits_s if wait_s >= 0)
    early = sum(wait_s < 0 for wait_s in waits_s)
    parts = [f"{number} attempts"]
    if waited:
        parts.append(f"it waited {waited}")
    if early:
        parts.append(f"{early} began before the former one had ended")
    return "; ".join(parts)


def try_out(
    target: Candidate,
    check: Check,
    scene: Scene,
    watch_real_s: float = WATCH_REAL_S,
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop,
) -> Trial:
    """Play one scene with a new client; with a program, as often as the scene asks for."""
    if not target.command or not scene.runs_of_a_program:
        return _try_once(target, check, scene, watch_real_s, loop_factory)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        first, *further = pool.map(
            lambda played: _try_once(target, check, played, watch_real_s, loop_factory),
            [replace(check.scene(), ask=Ask()) for _ in range(scene.runs_of_a_program)],
        )
    return replace(first, further=tuple(further))


def _try_once(
    target: Candidate,
    check: Check,
    scene: Scene,
    watch_real_s: float,
    loop_factory: Callable[[], VirtualLoop],
) -> Trial:
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
                with _same_chance(check.id):
                    played = runner.run(_play_tasks(target, stage, scene))
        over_s = runner.now_s() / scale
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
        )
    finally:
        runner.close()


@contextlib.contextmanager
def _same_chance(seed: str) -> Iterator[None]:
    """A client that draws its jitter from `random` draws the same in every trial: one client, one verdict."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


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
    ended = all(task.done() for task in tasks) and not _runs_away(stage, scene)
    for task in tasks:
        task.cancel()
    results = tuple(await asyncio.gather(*tasks, return_exceptions=True))
    while (  # noqa: ASYNC110  # the client is a stranger, and tells of nothing
        cancelled_s is not None
        and loop.time() < cancelled_s + _AFTER_CANCEL_S
        and not _runs_away(stage, scene)
    ):
        await asyncio.sleep(_LOOK_S)  # in virtual time
    parts = _parts(client, results)
    closing = _closing(client)
    if closing is not None:
        await closing
    return _Played(results, took_s, ended, "", parts, cancelled_s)


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
    ended = _watched(stage, watch_real_s, lambda: not any(thread.is_alive() for thread in threads))
    _close(client)
    return _Played(tuple(results), wall_s() - began, ended, "", _parts(client, results))


def _close(client: Any) -> None:
    """Let it give back its connections; one that is still at work meets closed ones."""
    with contextlib.suppress(Exception):  # it is a stranger, and nothing more is asked of it
        closing = _closing(client)
        if closing is not None:
            asyncio.run(closing)


def _closing(client: Any) -> Coroutine[Any, Any, Any] | None:
    """Close a client that can be closed; what is still to be awaited for it."""
    close = getattr(client, "close", None)
    closing = close() if callable(close) else None
    return closing if inspect.iscoroutine(closing) else None


def _watched(stage: Stage, watch_real_s: float, over: Callable[[], bool]) -> bool:
    """Wait until it is over, or the watch is, which begins with the first attempt; whether it is over."""
    until_s, began = wall_s() + START_REAL_S, False
    while not over():
        if not began and attempts_of(stage.tap.seen):
            until_s, began = wall_s() + watch_real_s, True
        if wall_s() >= until_s:
            return False
        pause(_POLL_REAL_S)
    return True


# --- a program of its own, scaled -----------------------------------------------------------------


def _play_program(target: Candidate, stage: Stage, watch_real_s: float) -> _Played:
    environment = {**os.environ, "OPENAI_BASE_URL": stage.base_url, "OPENAI_API_KEY": API_KEY}
    began = wall_s()
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
        ended = _watched(stage, watch_real_s, lambda: process.poll() is not None)
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        says.seek(0)
        words = says.read().decode(errors="replace")
    result: object = None  # it did not end: that it was killed is our doing
    if ended:
        result = words if process.returncode == 0 else RuntimeError(_last_words(words, process.returncode))
    return _Played((result,), wall_s() - began, ended, words, ())


def _last_words(words: str, code: int) -> str:
    return words.strip()[-300:] or f"it ended with exit code {code} and no word"
