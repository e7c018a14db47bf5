"""A client held to the contract, check by check, and its card.

How a scene is played is in `play`; here is which checks can be tried on which client, and what is said of those
that cannot.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.clock import VirtualLoop
from whocut.contract import play
from whocut.contract.card import Card, Result
from whocut.contract.checks import CHECKS
from whocut.contract.children import Children
from whocut.contract.client import API_KEY, Candidate
from whocut.contract.judgement import Ruling, unclear
from whocut.contract.play import (
    AT_ONCE,
    KEY_CHECK,
    SCALE,
    START_REAL_S,
    WATCH_REAL_S,
    Means,
    try_out,
    wanted_of,
)
from whocut.contract.scenes import world
from whocut.contract.trial import Ask, Scene, Trial, time_in_words
from whocut.stage.pace import library
from whocut.stage.runners import ScaledRunner
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whocut.contract.check import Check

# A check that chance or this machine's delays left unclear is played so often, and then not tried.
MOST_PLAYS: Final = 3
# A scene whose events come so late in real time is another one: the image may be there before the gateway gives up.
LATE_REAL_S: Final = 0.4


def hold(
    target: Candidate,
    *,
    allow: Mapping[str, str] | None = None,
    checks: Sequence[Check] = CHECKS,
    show: Callable[[Result], None] = lambda _result: None,
    watch_real_s: float = WATCH_REAL_S,
    shorten: bool = True,
    loop_factory: Callable[[], VirtualLoop] = VirtualLoop,
    start_real_s: float = START_REAL_S,
    at_once: int = AT_ONCE,
) -> Card:
    """Hold a client to the contract, check by check.

    `watch_real_s` is how long a client that blocks, or a program, is watched in real time from its first attempt;
    `shorten` lets its waits pass quickly where that can be done. `loop_factory` makes the loop of an async one.
    A client may take `start_real_s` to its first attempt. Of one that blocks, `at_once` checks are tried at the
    same time.
    """
    allowed = allow or {}
    if target.blocks and target.make is not None:
        target = _as_it_answers(target)
    made = library() if shorten and target.blocks else None
    with contextlib.ExitStack() as stack:
        children = None
        if made is not None and target.importable is not None:
            children = stack.enter_context(Children(target.importable, made))
        means = Means(
            watch_real_s=watch_real_s,
            library=made,
            children=children if children is not None and children.loads else None,
            loop_factory=loop_factory,
            start_real_s=start_real_s,
        )

        def judged(check: Check) -> tuple[Result, bool]:
            return _judged(target, check, allowed.get(check.id), means)

        # A client that blocks spends its time waiting; the one check that listens to all logs is tried alone, and
        # so is what was not clear beside others.
        together = [check for check in checks if target.blocks and check.id != KEY_CHECK]
        alone = [check for check in checks if check not in together]
        results: dict[str, Result] = {}
        to_show = [check.id for check in reversed(checks)]

        def decided(result: Result) -> None:
            """Show results in the order of the checks, whichever is decided first."""
            results[result.id] = result
            while to_show and to_show[-1] in results:
                show(results[to_show.pop()])

        pool = stack.enter_context(ThreadPoolExecutor(at_once))
        for check, (result, again) in zip(together, pool.map(judged, together), strict=True):
            if again:
                alone.append(check)
                continue
            decided(result)
        for check in alone:
            for _ in range(MOST_PLAYS - (check in together)):
                result, again = judged(check)
                if not again or not target.blocks:  # in virtual time the next play is the same
                    break
            decided(result)
    return Card(target.name, tuple(results[check.id] for check in checks))


def _judged(target: Candidate, check: Check, allowed: str | None, means: Means) -> tuple[Result, bool]:
    """One play of a check: its result, and whether another play may decide what this one does not."""
    scene = check.scene()
    skip = _why_not(target, check, scene, means)
    if skip:
        return Result.of(check, ruling=Ruling.NOT_TRIED, why=skip), False
    trial = try_out(target, check, scene, means)
    if not trial.attempts:
        unreached = Result.of(
            check,
            ruling=Ruling.NOT_TRIED,
            why=_never_came(target, trial, means),
            evidence=tuple(trial.evidence),
            unreached=True,
        )
        return unreached, False
    judgement = check.judge(trial)
    if trial.most_late_real_s > LATE_REAL_S:
        judgement = unclear(
            f"this machine was busy, and the scene {time_in_words(trial.most_late_real_s)} late"
        )
    result = Result.of(
        check,
        ruling=judgement.ruling,
        why=judgement.why or _how(trial, scene.ask),
        evidence=tuple(trial.evidence),
        at_least=judgement.at_least,
        attempts=len(trial.attempts),
        waits_s=tuple(round(wait_s, 3) for wait_s in trial.waits_s),
        billed_usd=round(trial.billed_usd, 6),
        watched_s=round(trial.watched_s, 3),
        shortened=not target.blocks or trial.shortened_s > 0.0,
        allowed=allowed if judgement.ruling is Ruling.BROKEN else None,
    )
    return result, judgement.unclear


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
                answers.append(client.images.generate(**wanted_of(scene.ask, 0)))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(START_REAL_S)
        play.close(client)
    finally:
        runner.close()
    if not any(inspect.isawaitable(answer) for answer in answers):
        return target
    for answer in answers:
        if inspect.iscoroutine(answer):
            answer.close()
    return replace(target, blocks=False)


def _why_not(target: Candidate, check: Check, scene: Scene, means: Means) -> str | None:
    if target.blocks and check.virtual_only and not means.shortens(target):
        return "it takes minutes, and the waits of this client cannot be shortened here"
    if target.make is not None and target.blocks and scene.ask.cancel_s is not None:
        return "a call that blocks cannot be cancelled"
    as_it_likes = replace(scene.ask, cancel_s=None).plain or scene.runs_of_a_program
    if target.command and not target.asks and not as_it_likes:
        return "a program asks for one image, as it likes; this check asks for more: see --asks"
    return None


def _never_came(target: Candidate, trial: Trial, means: Means) -> str:
    """Why nothing can be said: a client may refuse a parameter itself, and a program may ask somewhere else."""
    error = next((result for result in trial.results if isinstance(result, BaseException)), None)
    beside = ", ".join(dict.fromkeys(sighting.name for sighting in trial.observed.beside))
    why = "no request for an image reached the upstream"
    if beside:
        why += f", only {beside}"
    if error is not None:
        return f"{why}: {error if target.command else f'{type(error).__name__}: {error}'}"
    if not trial.ended:
        return f"{why} within {time_in_words(means.start_real_s)} of its start"
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
