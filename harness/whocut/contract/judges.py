"""What can be wrong with a trial: pure questions, each answered by a sentence, or by None where all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.money import format_dollars
from whocut.verdict.retry_audit import ending
from whocut.words import plural, rounded_duration, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.contract.trial import Trial

# A wait that is short by less than this was kept: HTTP dates have whole seconds, event loops are not exact.
TOLERANCE_S: Final = 0.05
# The waits of a client that backs off grow by more than this, and need not once they are as long as that.
GROWTH: Final = 1.1
CAPPED_S: Final = 6.0
# Waits that differ by less than this share are no spread. Chance brings three jittered ones as near in one of
# fifty rounds, so three rounds are looked at.
TOGETHER: Final = 0.02
LONGEST_WAIT_S: Final = 600.0
TOTAL_S: Final = 1_200.0


def asked_once(trial: Trial) -> str | None:
    """One attempt, and no other."""
    if len(trial.attempts) <= 1:
        return None
    first, again = trial.attempts[0], len(trial.attempts) - 1
    price = f"; together they cost {format_dollars(trial.billed_usd)}" if trial.billed_usd else ""
    return f"it asked again {times(again)}, {_time(trial.waits_s[0])} after {ending(first)}{price}"


def waited(asked_s: float, rounding_s: float = TOLERANCE_S) -> Callable[[Trial], str | None]:
    """No attempt sooner after the first than it was told."""

    def judge(trial: Trial) -> str | None:
        if len(trial.attempts) < 2:
            return None
        wait_s = trial.waits_s[0]
        if wait_s >= asked_s - rounding_s:
            return None
        return f"it was told to wait {_time(asked_s)} and waited {_time(wait_s)}"

    return judge


def delivered(trial: Trial) -> str | None:
    """The image came in the end."""
    if trial.delivered:
        return None
    how = "it is still trying" if not trial.ended else "it gave up"
    return f"{how} after {plural(len(trial.attempts), 'attempt')}, and no image came"


def grew(trial: Trial) -> str | None:
    """Some later wait is longer than the first; chance may shorten one of them."""
    waits = trial.waits_s
    if len(waits) < 2 or waits[0] >= CAPPED_S or max(waits[1:]) >= GROWTH * waits[0]:
        return None
    return f"it waited {_time(waits[0])}, then {', '.join(map(_time, waits[1:]))}: nothing grew"


def jittered(trial: Trial) -> str | None:
    """Requests that fail together come again apart, at least once of three times."""
    together = []
    for number in (1, 2, 3):
        waits_s = [
            (tries[number].started_s - (tries[number - 1].ended_s or 0.0)) / trial.scale
            for tries in trial.observed.requests.values()
            if len(tries) > number
        ]
        if len(waits_s) < 2:
            break
        if max(waits_s) - min(waits_s) > TOGETHER * max(waits_s):
            return None
        together.append(_time(min(waits_s)))
    if not together:
        return None
    return f"requests that failed together came again together, after {' and '.join(together)}"


def bounded(trial: Trial) -> str | None:
    """It gives up one day, and no wait is endless."""
    if not trial.ended:
        return f"it was still asking after {plural(len(trial.attempts), 'attempt')}"
    longest_s = max(trial.waits_s, default=0.0)
    return f"it waited {_time(longest_s)} between two attempts" if longest_s > LONGEST_WAIT_S else None


def ended_in_time(trial: Trial) -> str | None:
    """All of it within the bound."""
    if trial.ended and trial.took_s <= TOTAL_S:
        return None
    how = f"it took {_time(trial.took_s)}" if trial.ended else f"it had not ended after {_time(trial.took_s)}"
    return f"{how}, with {plural(len(trial.attempts), 'attempt')}"


def noticed(trial: Trial) -> str | None:
    """A stream without its last event is an error for the caller."""
    if trial.ended and not trial.delivered:
        return None
    return "the stream ended without 'completed', and the caller was told nothing"


def at_most(images: int, each: int = 1) -> Callable[[Trial], str | None]:
    """Never more images under way at once."""

    def judge(trial: Trial) -> str | None:
        most, _ = trial.observed.most_in_flight
        found = most * each
        return f"{found} images were under way at once; {images} are stable" if found > images else None

    return judge


def left_with_the_caller(trial: Trial) -> str | None:
    """The attempt ended when its caller did, and none followed."""
    if trial.cancelled_s is None:
        return None  # it had ended before its caller lost patience
    late_s = [
        (attempt.ended_s or float("inf")) / trial.scale - trial.cancelled_s for attempt in trial.attempts[:1]
    ]
    if late_s and late_s[0] > 1.0:
        return "its caller had gone, and the attempt went on"
    later = [
        attempt
        for attempt in trial.attempts
        if attempt.started_s / trial.scale > trial.cancelled_s + TOLERANCE_S
    ]
    return f"its caller had gone, and it asked again {times(len(later))}" if later else None


def nothing_followed(trial: Trial) -> str | None:
    """No attempt after the caller had gone."""
    if trial.cancelled_s is None:
        return None  # as above
    later = [
        attempt
        for attempt in trial.attempts
        if attempt.started_s / trial.scale > trial.cancelled_s + TOLERANCE_S
    ]
    return f"its caller had gone while it waited, and it asked again {times(len(later))}" if later else None


def never_sent(name: str) -> Callable[[Trial], str | None]:
    """No attempt carried this parameter."""

    def judge(trial: Trial) -> str | None:
        if any(name in sighting.body for sighting in trial.observed.sightings):
            return f"it sent '{name}', and the API answers 400"
        return None

    return judge


def key_kept(trial: Trial) -> str | None:
    """The key stands in nothing that was written."""
    places = [
        name for name, text in (("its log", trial.log), *enumerate_parts(trial)) if trial.api_key in text
    ]
    return f"the key stands in {' and in '.join(places)}" if places else None


def enumerate_parts(trial: Trial) -> list[tuple[str, str]]:
    """The other texts a key could stand in: what was raised, and how the client prints."""
    return [("what it raised or prints", text) for text in trial.parts]


def _time(seconds: float) -> str:
    return rounded_duration(seconds, 2) if seconds >= 0 else "at once"
