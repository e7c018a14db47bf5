"""The same request gets the same answer: no money, a blocked prompt, a wrong request, a wrong key."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import API_ERRORS, ARTICLE_2, Check, Family
from whocut.contract.scenes import BLOCKED, BLOCKED_EVENT, STREAM, error, world
from whocut.stage.plants import Canned

FAMILY: Final = Family(
    40,
    Check(
        id="never-quota",
        sentence="A 429 'insufficient_quota' is never tried again",
        reason="no wait fills an account",
        source=API_ERRORS,
        scene=world(
            error(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
            forever=True,
        ),
        judge=judges.asked_once,
    ),
    Check(
        id="never-moderation-input",
        sentence="A prompt blocked by the input filter is never tried again",
        reason="the same input is blocked the same way every time",
        source=ARTICLE_2,
        scene=world(
            error(400, "moderation_blocked", "image_generation_user_error", BLOCKED),
            forever=True,
        ),
        judge=judges.asked_once,
    ),
    Check(
        id="never-moderation-output",
        sentence="An image blocked by the output filter is never tried again",
        reason="it takes as long as an image, costs as much, and ends the same way",
        source=ARTICLE_2,
        scene=world(
            error(400, "moderation_blocked", "image_generation_user_error", BLOCKED, after_s=80.0),
            forever=True,
        ),
        judge=judges.asked_once,
    ),
    Check(
        id="never-moderation-stream",
        sentence="A block that comes as an event of the stream is never tried again",
        reason="behind a 200 it is the same refusal",
        source=ARTICLE_2,
        scene=world(Canned(status=200, stream=BLOCKED_EVENT, after_s=80.0), forever=True, ask=STREAM),
        judge=judges.asked_once,
    ),
    *(
        Check(
            id=f"never-{status}",
            sentence=f"A {status} is never tried again",
            reason=reason,
            source=API_ERRORS,
            scene=world(error(status, code, "invalid_request_error", message), forever=True),
            judge=judges.asked_once,
        )
        for status, code, message, reason in (
            (400, "invalid_value", "Invalid value: 'standard'.", "the same request is wrong the second time"),
            (401, "invalid_api_key", "Incorrect API key provided.", "a wrong key opens no door by knocking"),
            (
                403,
                None,
                "Your organization must be verified.",
                "it stays until the organization is verified",
            ),
        )
    ),
)
