"""What the Images API says when it is of no use to ask again. Vocabulary of both arms: who retries, who judges it.

Codes and statuses from the published error tables and from captured answers (reference "OpenAI Images API", §4).
"""

from __future__ import annotations

from typing import Final

NO_MONEY: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
    }
)
MODERATION: Final = frozenset({"moderation_blocked", "content_policy_violation"})
NEVER_AGAIN: Final = NO_MONEY | MODERATION
# A wrong request, a wrong key, a wall: the same request gets the same answer.
NEVER_STATUS: Final = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
# A page with one of these was written by a layer that had passed the request on, or may have.
UNKNOWN_STATUS: Final = frozenset({408, 499})


def unknown_page(status: int | None) -> bool:
    """Whether a page that is not the API's own leaves open what became of the work behind it."""
    return status is None or status >= 500 or status in UNKNOWN_STATUS
