"""The rate limit refuses: no work was done, and the next attempt comes as politely as the answer asks."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import API_ERRORS, API_SPEC, ARTICLE_4, OURS, RFC_9110, Check, Family
from whocut.contract.scenes import ASKED_S, limited, world
from whocut.contract.trial import Ask

FAMILY: Final = Family(
    30,
    Check(
        id="rate-seconds",
        sentence="After a 429 with Retry-After in seconds it waits at least that long",
        reason="a request that comes early is refused again, and uses up the quota of the others",
        source=ARTICLE_4,
        scene=world(limited(("retry-after", "5"))),
        judge=judges.waited(ASKED_S),
    ),
    Check(
        id="rate-milliseconds",
        sentence="After a 429 with retry-after-ms it waits at least that long",
        reason="the API sends the exact time beside the rounded one",
        source=API_SPEC,
        scene=world(limited(("retry-after-ms", "3500"))),
        judge=judges.waited(3.5),
    ),
    Check(
        id="rate-date",
        sentence="After a 429 with Retry-After as a date it waits until then",
        reason="HTTP allows both forms, and CDNs send the date",
        source=RFC_9110,
        scene=world(limited(retry_at_s=9.0)),
        # A date has whole seconds, and the calendar of a client's machine runs on while virtual time does not: on a
        # busy machine 0.4 s passed there between the answer and its reading. A client that reads no date waits 1 s.
        judge=judges.waited(9.0, rounding_s=3.0),
    ),
    Check(
        id="rate-121",
        sentence="After a 429 with Retry-After: 121 it waits that long, or gives up",
        reason="beyond a limit of their own some clients fall back to half a second",
        source="openai-python 1.x and openai-node 7.x: above 60 s Retry-After is ignored",
        scene=world(limited(("retry-after", "121"))),
        judge=judges.waited(121.0),
    ),
    Check(
        id="rate-growing",
        sentence="After a 429 without Retry-After its waits grow",
        reason="equal waits keep the load where it was when it was too much",
        source=ARTICLE_4,
        scene=world(limited(), forever=True, ask=Ask(images=24), runs_of_a_program=8),
        judge=judges.grew,
        obligatory=False,
    ),
    Check(
        id="rate-spread",
        sentence="Requests that are refused together come again apart",
        reason="without chance in the waits a crowd stays a crowd",
        source=ARTICLE_4,
        scene=world(*[limited()] * 3, by_body=True, ask=Ask(images=8)),
        judge=judges.jittered,
        obligatory=False,
    ),
    Check(
        id="rate-storm",
        sentence="Requests that get the same Retry-After do not all come again at that instant",
        reason="a crowd that waits exactly as long as the header says is the next storm",
        source=OURS,
        scene=world(limited(("retry-after", "5")), by_body=True, ask=Ask(images=8)),
        judge=judges.jittered,
        obligatory=False,
    ),
    Check(
        id="rate-bounded",
        sentence="It gives up one day, and no single wait is longer than ten minutes",
        reason="a retry loop without an end is an outage that no monitor sees",
        source=OURS,
        scene=world(limited(), forever=True),
        judge=judges.bounded,
        virtual_only=True,
    ),
    Check(
        id="rate-recovers",
        sentence="A 429 is tried again, and the image comes",
        reason="a refusal by the rate limit did no work: to try again is right",
        source=API_ERRORS,
        scene=world(limited(("retry-after", "1"))),
        judge=judges.delivered,
        obligatory=False,
    ),
)
