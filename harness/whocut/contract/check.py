"""One check of the retry contract as data: a sentence, a reason, a source, a small scene, and a judge.

A check is obligatory where breaking it costs money, gets a key blocked or gives it away; the others are what a good
client does for its caller. The checks are in `checks/`, one file a family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.contract.judgement import Judgement
    from whocut.contract.trial import Scene, Trial

# Where a rule comes from.
ARTICLE_1 = "the article §1: 'don't retry on timeout'"
ARTICLE_2 = "the article §2: 'retrying the same prompt does nothing'"
ARTICLE_3 = "the article §3: 'strip it'"
ARTICLE_4 = "the article §4: '3 concurrent + 2s gap: stable'; 'backoff that honors Retry-After'"
API_ERRORS = "OpenAI's error guide: never retry image_generation_user_error; 429 and 5xx with backoff"
API_SPEC = "OpenAI's published schema: Retry-After is the 'minimum number of seconds to wait'"
RFC_9110 = "RFC 9110 §10.2.3: Retry-After is a number of seconds or a date"
RFC_RETRY = (
    "RFC 9110 §9.2.2: a POST is not repeated automatically unless it is known not to have been applied"
)
SSE_SCHEMA = "OpenAI's published schema: an image stream ends with 'completed' or 'error'"
SDK_READ = "openai-python: stream consumption is never retried; an end without 'completed' raises nothing"
OURS = "whocut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `virtual_only`: it takes minutes, and is tried in virtual time alone."""

    id: str
    sentence: str
    reason: str
    source: str
    scene: Callable[[], Scene]
    judge: Callable[[Trial], Judgement]
    obligatory: bool = True
    virtual_only: bool = False


class Family:
    """The checks of one file, and the place of that file on the card: lower is earlier.

    `by_name`: they are tried only where they are asked for.
    """

    def __init__(self, place: int, *checks: Check, by_name: bool = False) -> None:
        self.place = place
        self.checks = checks
        self.by_name = by_name
