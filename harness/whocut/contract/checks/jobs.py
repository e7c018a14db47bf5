"""A client that asks for images as jobs: how it polls and hears of ends, and that it submits no order twice.

These are tried where they are asked for by name: a client that submits no job can neither keep nor break them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from whocut.contract.check import OURS, Check, Family
from whocut.contract.judgement import Judgement, broken, kept, not_tried
from whocut.contract.scenes import world
from whocut.contract.trial import time_in_words
from whocut_mock import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.contract.trial import Scene, Trial
    from whocut.stage.sighting import Sighting

POLITE_S: Final = 1.0
ASKED_S: Final = 20.0
LONG_S: Final = 1_500.0
BOUND_S: Final = 4 * 3_600.0
TOLERANCE_S: Final = 0.05
RETRY_AFTER_S: Final = 30.0
QUICK_S: Final = 5.0  # a sender waits for 15 s and more, and then calls again


def _scene(*, work_s: float, bound_s: float = 4_000.0, **settings: Any) -> Callable[[], Scene]:
    def scene() -> Scene:
        made = world(work_s=work_s, bound_s=bound_s)()
        told = made.settings.model_dump(mode="json") | settings
        return replace(made, settings=Settings.model_validate(told))

    return scene


def _submits(trial: Trial) -> int:
    return sum(row.get("job") is not None for row in trial.observed.ledger)


def _polls(trial: Trial) -> list[Sighting]:
    """The requests that asked for a job, in their order."""
    polls = (one for one in trial.observed.beside if one.method == "GET" and "/responses/" in one.path)
    return sorted(polls, key=lambda poll: poll.started_s)


def _pauses_s(trial: Trial) -> list[float]:
    """From each answer to the next poll, the submit's answer first; the client's seconds."""
    told = [*trial.attempts[-1:], *(poll.record for poll in _polls(trial))]
    return [
        (after.started_s - (before.ended_s or before.started_s)) / trial.scale
        for before, after in pairwise(told)
    ]


def _by_job(judge: Callable[[Trial], Judgement]) -> Callable[[Trial], Judgement]:
    """The judgement where a job was submitted and polled; nothing can be said of any other client."""

    def judged(trial: Trial) -> Judgement:
        if not _submits(trial):
            return not_tried("it submitted no job")
        if not _polls(trial):
            return not_tried("it never polled")
        return judge(trial)

    return judged


def _politely(least_s: float) -> Callable[[Trial], Judgement]:
    def judge(trial: Trial) -> Judgement:
        pauses_s = _pauses_s(trial)
        shortest_s = min(pauses_s)
        if shortest_s >= least_s - TOLERANCE_S:
            return kept(f"{len(pauses_s)} polls, the shortest pause {time_in_words(shortest_s)}")
        early = sum(pause_s < least_s - TOLERANCE_S for pause_s in pauses_s)
        return broken(
            f"{early} of {len(pauses_s)} polls came sooner than {time_in_words(least_s)} after the answer before, "
            f"the soonest after {time_in_words(shortest_s)}"
        )

    return judge


def _once(trial: Trial) -> Judgement:
    submits = _submits(trial)
    if submits > 1:
        return broken(f"it submitted the order {submits} times, and each is a bill")
    return kept("one submit") if trial.ended else not_tried(trial.unseen)


def _ended(trial: Trial) -> Judgement:
    if trial.ended:
        return kept(f"it gave up after {time_in_words(trial.took_s)}")
    return broken(f"it still polled after {time_in_words(trial.took_s)}")


def _heeds_a_429(trial: Trial) -> Judgement:
    polls = _polls(trial)
    refused = next((number for number, poll in enumerate(polls) if poll.record.status == 429), None)
    if refused is None:
        return not_tried("no poll of it was refused")
    if refused == len(polls) - 1:
        return broken("it asked no more after a 429, and the job runs on and is paid")
    before, after = polls[refused].record, polls[refused + 1].record
    pause_s = (after.started_s - (before.ended_s or before.started_s)) / trial.scale
    asked = f"the 429 asked for {time_in_words(RETRY_AFTER_S)}, and it waited {time_in_words(pause_s)}"
    return kept(asked) if pause_s >= RETRY_AFTER_S - TOLERANCE_S else broken(asked)


def _callbacks(trial: Trial) -> list[dict[str, Any]]:
    """The callbacks of the first job, in their order."""
    jobs = (row["job"] for row in trial.observed.ledger if row.get("job"))
    return next((list(job["callbacks"]) for job in jobs), [])


def _by_callback(judge: Callable[[Trial, list[dict[str, Any]]], Judgement]) -> Callable[[Trial], Judgement]:
    """The judgement where a receiver was called; nothing can be said of a client that registers none."""

    def judged(trial: Trial) -> Judgement:
        if not _submits(trial):
            return not_tried("it submitted no job")
        callbacks = _callbacks(trial)
        return judge(trial, callbacks) if callbacks else not_tried("it registered no receiver of callbacks")

    return judged


def _verifies(_: Trial, callbacks: list[dict[str, Any]]) -> Judgement:
    forged = [one for one in callbacks if one["forged"]]
    real = [one for one in callbacks if not one["forged"]]
    if any(one["said"] == "accepted" for one in forged):
        return broken("it accepted a callback whose signature is wrong")
    if not any(one["said"] == "accepted" for one in real):
        return broken("it refused a callback whose signature is right")
    return kept(f"it answered the forged callback with {forged[0]['status'] or forged[0]['said']}")


def _takes_once(trial: Trial, callbacks: list[dict[str, Any]]) -> Judgement:
    slow = [one for one in callbacks if one["took_s"] is None or one["took_s"] / trial.scale > QUICK_S]
    if slow:
        return broken(
            f"{len(slow)} of {len(callbacks)} callbacks had no answer within {time_in_words(QUICK_S)}"
        )
    again = [one for one in callbacks[1:] if one["said"] != "accepted"]
    if again:
        return broken("it refused a callback that came again, so that it would come for days")
    heard_s = callbacks[0]["at_s"]
    fetched = sum(poll.record.started_s >= heard_s for poll in _polls(trial))
    if fetched > 1:
        return broken(f"it fetched the image {fetched} times for one job that was called back twice")
    return kept(f"{len(callbacks)} callbacks accepted, and the image fetched once")


FAMILY: Final = Family(
    110,
    Check(
        id="job-polls-politely",
        sentence="A job is asked for at most once a second",
        reason="polls count against the rate limit that the images need",
        source=OURS,
        scene=_scene(work_s=60.0),
        judge=_by_job(_politely(POLITE_S)),
        obligatory=False,
        virtual_only=True,
    ),
    Check(
        id="job-poll-after",
        sentence="openai-poll-after-ms is waited out before the next poll",
        reason="the API says how soon an answer can have changed",
        source="openai-python: its own poll helpers read openai-poll-after-ms",
        scene=_scene(work_s=200.0, jobs={"poll_after_s": ASKED_S}),
        judge=_by_job(_politely(ASKED_S)),
        obligatory=False,
        virtual_only=True,
    ),
    Check(
        id="job-retry-after",
        sentence="A poll that is answered 429 is made again, and not before its Retry-After",
        reason="the job is paid already; only its caller can lose it now",
        source="RFC 9110 10.2.3: Retry-After",
        scene=_scene(
            work_s=200.0,
            faults=[
                {
                    "fault": f"rate_limited={RETRY_AFTER_S:g}",
                    "when": {"endpoint": "responses.poll", "attempt": 2},
                }
            ],
        ),
        judge=_by_job(_heeds_a_429),
        virtual_only=True,
    ),
    Check(
        id="callback-verified",
        sentence="A callback whose signature is wrong is refused",
        reason="a receiver's address is no secret, and whatever comes there is believed",
        source="Standard Webhooks: verify the signature before anything else",
        scene=_scene(work_s=60.0, jobs={"callback_forged": 1.0}),
        judge=_by_callback(_verifies),
        virtual_only=True,
    ),
    Check(
        id="callback-once",
        sentence="A callback is answered within five seconds, and one that comes again does nothing again",
        reason="callbacks come at least once; a slow answer brings them again",
        source="Standard Webhooks: 15 to 30 s for an answer, at-least-once delivery",
        scene=_scene(work_s=60.0, jobs={"callback_twice": 1.0}),
        judge=_by_callback(_takes_once),
        virtual_only=True,
    ),
    Check(
        id="job-submitted-once",
        sentence="A job that takes long is asked for by its id, and not submitted again",
        reason="the job runs on, and a second one is a second bill",
        source=OURS,
        scene=_scene(work_s=LONG_S, bound_s=BOUND_S),
        judge=_by_job(_once),
        virtual_only=True,
    ),
    Check(
        id="job-wait-bounded",
        sentence="A job that never ends is given up within four hours",
        reason="a caller that waits for ever holds its place for ever",
        source=OURS,
        scene=_scene(
            work_s=60.0, bound_s=BOUND_S, faults=[{"fault": "job_never_ends"}], jobs={"kept_s": BOUND_S}
        ),
        judge=_by_job(_ended),
        obligatory=False,
        virtual_only=True,
    ),
    by_name=True,
)
