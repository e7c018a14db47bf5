"""What can be said of a trial: pure questions, each answered by a ruling and a sentence.

A judge acquits on what was seen alone. Where the watch was over before the client was, what it would have done
later is not known: a rule that is broken by then is broken, with a floor for its count; any other is not tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.money import format_dollars
from whocut.contract.growth import growth
from whocut.contract.judgement import KEPT, Judgement, broken, kept, not_tried, unclear
from whocut.contract.trial import time_in_words
from whocut.trace.records import Outcome
from whocut.verdict.retry_audit import ending
from whocut.words import plural, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.contract.trial import Trial

# A wait that is short by less than this was kept: HTTP dates have whole seconds, event loops are not exact.
TOLERANCE_S: Final = 0.05
# Waits that differ by less than this share are no spread. Chance brings three jittered ones as near in one of
# fifty rounds, so three rounds are looked at.
TOGETHER: Final = 0.02
# In virtual time a wait without chance in it is the same to the last digit. Half a second of back-off, a quarter of
# it left to chance, is an eighth of a second after a Retry-After of 5 s: eight come within 25 ms in one of 10,000.
SAME: Final = 0.005
# Where this machine's own delays are in the waits: from so much on they are spread by the client.
APART: Final = 0.05
_DELAYS_S: Final = 0.06
LATE: Final = 0.1  # a request that is over so much later than its time, as a share, is over in time
LONGEST_WAIT_S: Final = 600.0
TOTAL_S: Final = 1_200.0


def asked_once(trial: Trial) -> Judgement:
    """One attempt, and no other."""
    again = len(trial.attempts) - 1
    if again <= 0:
        return KEPT if trial.ended else not_tried(trial.unseen)
    return broken(
        f"it asked again {_times(again, trial)}, {_when(trial)}{_price(trial)}", at_least=_floor(trial)
    )


def waited(asked_s: float, rounding_s: float = TOLERANCE_S) -> Callable[[Trial], Judgement]:
    """No attempt comes sooner after the first than the answer asked."""

    def judge(trial: Trial) -> Judgement:
        if len(trial.attempts) > 1:
            wait_s = trial.waits_s[0]
            if wait_s >= asked_s - rounding_s:
                return KEPT
            return broken(f"it was asked to wait {time_in_words(asked_s)} and {_waited(wait_s)}")
        if trial.ended:
            return KEPT
        if trial.idle_s is not None and trial.idle_s >= asked_s - rounding_s:
            return kept(f"it was still waiting after {time_in_words(trial.idle_s)}")
        return not_tried(trial.unseen)

    return judge


def delivered(trial: Trial) -> Judgement:
    """The image came in the end."""
    if trial.delivered:
        return KEPT
    if not trial.ended:
        return not_tried(trial.unseen)
    return broken(f"it gave up after {_attempts(len(trial.attempts))}, and no image came")


def grew(trial: Trial) -> Judgement:
    """The last wait of a request is longer than its first."""
    return growth(trial.waits_by_request_s)


def jittered(trial: Trial) -> Judgement:
    """Requests that fail together come again apart, at least once of three times."""
    together, near = [], False
    for number in (0, 1, 2):
        waits_s = sorted(waits[number] for waits in trial.waits_by_request_s if len(waits) > number)
        if len(waits_s) < 2:
            break
        # A thread that is late by chance is no spread: half of them are looked at, where such chance is.
        spread_s = (waits_s[-1] if trial.exact else waits_s[len(waits_s) // 2]) - waits_s[0]
        least, delays_s = (SAME, 0.0) if trial.exact else (APART, _DELAYS_S)
        if spread_s > max(least * waits_s[-1], delays_s):
            return KEPT
        near = near or spread_s > TOGETHER * waits_s[-1] + delays_s / 3
        together.append(time_in_words(waits_s[0]))
    if not together:
        return not_tried("no two requests came again" if trial.ended else trial.unseen)
    if near:
        return unclear("its waits differ by no more than this machine's own delays may do")
    return broken(f"requests that failed together came again together, after {' and '.join(together)}")


def bounded(trial: Trial) -> Judgement:
    """It gives up one day, and no wait is endless."""
    if not trial.ended:
        return broken(
            f"it was still asking after {_attempts(len(trial.attempts))}", at_least=len(trial.attempts)
        )
    longest_s = max(trial.waits_s, default=0.0)
    if longest_s > LONGEST_WAIT_S:
        return broken(f"it waited {time_in_words(longest_s)} between two attempts")
    return KEPT


def ended_in_time(trial: Trial) -> Judgement:
    """All of it within the bound."""
    if trial.ended and trial.took_s <= TOTAL_S:
        return KEPT
    if not trial.ended and trial.took_s <= TOTAL_S:
        return not_tried(trial.unseen)
    took = time_in_words(trial.took_s)
    how = f"it took {took}" if trial.ended else f"it had not ended after {took}"
    return broken(f"{how}, with {_attempts(len(trial.attempts))}", at_least=_floor(trial))


def within(limit_s: float) -> Callable[[Trial], Judgement]:
    """Over by then, waits and further attempts included; counted from the first attempt on."""
    late_s = limit_s * (1 + LATE)

    def judge(trial: Trial) -> Judgement:
        if trial.watched_s <= late_s:
            return KEPT if trial.ended else not_tried(trial.unseen)
        took = f"{'took' if trial.ended else 'had not ended after'} {time_in_words(trial.watched_s)}"
        many = _attempts(len(trial.attempts))
        return broken(
            f"it was given {time_in_words(limit_s)} and {took}, with {many}", at_least=_floor(trial)
        )

    return judge


def one_key_a_request(trial: Trial) -> Judgement:
    """All attempts of a request carry the same Idempotency-Key, and no other request does."""
    keys = trial.idempotency_keys
    if not any(key for each in keys for key in each):
        return not_tried("it sends no Idempotency-Key")
    if any(len(set(each)) > 1 for each in keys):
        return broken(
            "a request was tried again with another Idempotency-Key: whatever counts them bills both"
        )
    own = [each[0] for each in keys]
    if len(set(own)) < len(own):
        return broken("two requests had the same Idempotency-Key: the second one gets the image of the first")
    if all(len(each) == 1 for each in keys):
        return not_tried("no request was tried again")
    return KEPT if trial.ended else not_tried(trial.unseen)


def keys_sent(trial: Trial) -> Judgement:
    """Each attempt carries an Idempotency-Key."""
    bare = sum(not key for each in trial.idempotency_keys for key in each)
    if bare:
        return broken(f"{bare} of {_attempts(sum(map(len, trial.idempotency_keys)))} had no Idempotency-Key")
    return KEPT


def noticed(trial: Trial) -> Judgement:
    """A stream without its last event is an error for the caller."""
    if not trial.ended:
        return not_tried(trial.unseen)
    return (
        KEPT
        if trial.raised
        else broken("the stream ended without 'completed', and the caller learned nothing of it")
    )


def told(trial: Trial) -> Judgement:
    """The caller hears of an image that does not come: an error, or at least an answer that is not empty."""
    if not trial.ended:
        return not_tried(trial.unseen)
    if any(attempt.outcome is Outcome.DELIVERED for attempt in trial.attempts):
        return not_tried("the image came, and there was no error to tell of")
    silent = [result for result in trial.results if result is None or result in ("", [], (), {})]
    if not silent:
        return KEPT
    last = ending(trial.attempts[-1])
    return broken(f"it ended with {last}, and its caller got {silent[0]!r} and no error")


def at_most(images: int, each: int = 1) -> Callable[[Trial], Judgement]:
    """Never more images under way at once."""

    def judge(trial: Trial) -> Judgement:
        most, _ = trial.observed.most_in_flight
        found = most * each
        if found > images:
            return broken(f"{found} images were under way at once; {images} are stable")
        return KEPT if trial.ended else not_tried(trial.unseen)

    return judge


def left_with_the_caller(trial: Trial) -> Judgement:
    """The attempt ended when its caller did, and none followed."""
    if trial.cancelled_s is None:
        return not_tried("it had ended before its caller lost patience")
    first = trial.attempts[0]
    ended_s = float("inf") if first.ended_s is None else first.ended_s / trial.scale
    if ended_s - trial.cancelled_s > (1.0 if trial.exact else 3.0):
        return broken("its caller had gone, and the attempt went on")
    return _none_after(trial, trial.cancelled_s, "its caller had gone")


def nothing_followed(trial: Trial) -> Judgement:
    """No attempt after the caller had gone."""
    if trial.cancelled_s is None:
        return not_tried("it had ended before its caller lost patience")
    return _none_after(trial, trial.cancelled_s, "its caller had gone while it waited")


def _none_after(trial: Trial, cancelled_s: float, caller: str) -> Judgement:
    later = [one for one in trial.attempts if one.started_s / trial.scale > cancelled_s + TOLERANCE_S]
    return broken(f"{caller}, and it asked again {_times(len(later))}") if later else KEPT


def never_sent(name: str) -> Callable[[Trial], Judgement]:
    """No attempt carried this parameter."""

    def judge(trial: Trial) -> Judgement:
        if any(name in sighting.body for sighting in trial.observed.sightings):
            return broken(f"it sent '{name}', and the API answers 400")
        return KEPT

    return judge


def key_kept(trial: Trial) -> Judgement:
    """The key is in nothing that was written."""
    texts = (("its log", trial.log), *(("what it raised or prints", text) for text in trial.parts))
    places = dict.fromkeys(name for name, text in texts if trial.api_key in text)
    if places:
        return broken(f"the key is in {' and in '.join(places)}")
    return KEPT if trial.ended else not_tried(trial.unseen)


def _floor(trial: Trial) -> int | None:
    return None if trial.ended else len(trial.attempts)


def _when(trial: Trial) -> str:
    """When the second attempt came, seen from the end of the first."""
    wait_s, first = trial.waits_s[0], trial.attempts[0]
    if wait_s < 0:
        return f"{time_in_words(-wait_s)} before {ending(first)}"
    return f"{time_in_words(wait_s) if wait_s >= 0.005 else 'at once'} after {ending(first)}"


def _waited(wait_s: float) -> str:
    if wait_s < 0:
        return f"asked again {time_in_words(-wait_s)} before that answer had come"
    return f"waited {time_in_words(wait_s)}"


def _price(trial: Trial) -> str:
    if not trial.billed_usd:
        return ""
    return f"; together they cost {'' if trial.ended else 'at least '}{format_dollars(trial.billed_usd)}"


def _attempts(number: int) -> str:
    return plural(number, "attempt")


def _times(number: int, trial: Trial | None = None) -> str:
    least = "at least " if trial is not None and not trial.ended else ""
    return f"{least}{times(number)}"
