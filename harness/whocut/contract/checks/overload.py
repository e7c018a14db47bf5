"""The model is overloaded: it asks for a later attempt, and says when."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import API_SPEC, Check, Family
from whocut.contract.scenes import ASKED_S, overloaded, world

FAMILY: Final = Family(
    50,
    Check(
        id="overload-polite",
        sentence="After a 503 with Retry-After it waits at least that long",
        reason="who hammers an overloaded model keeps it overloaded",
        source=API_SPEC,
        scene=world(overloaded(("retry-after", "5"))),
        judge=judges.waited(ASKED_S),
    ),
    Check(
        id="overload-recovers",
        sentence="A 503 'server_is_overloaded' is tried again, and the image comes",
        reason="the API asks for it: 'please retry your request after a brief delay'",
        source=API_SPEC,
        scene=world(overloaded(("retry-after", "1"))),
        judge=judges.delivered,
        obligatory=False,
    ),
    Check(
        id="overload-told-not-to",
        sentence="A 503 with 'x-should-retry: false' is not tried again",
        reason="the answer says so",
        source="openai-python: x-should-retry",
        scene=world(overloaded(("x-should-retry", "false")), forever=True),
        judge=judges.asked_once,
    ),
)
