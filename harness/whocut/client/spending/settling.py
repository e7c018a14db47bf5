"""What an attempt cost, judged by how it ended: what the API says, nothing, or unknown.

Unknown is the full reservation: a timeout, a cut, a reset, an answer without its end. The work may have been done
and billed. Nothing is only what certainly ended before a generation: no connection, or the API's own refusal of the
request. Whether a block at the output stage or a failure of the server is billed is not published, so both keep
their reservation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.refusals import NEVER_STATUS, NO_MONEY
from whocut.chain.timers import Phase
from whocut.client.spending.bound import cost_of
from whocut.trace.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.client.spending.bound import Price
    from whocut.trace.records import Attempt

# Refusals that come before any work: of the request, of the key, of the rate.
_BEFORE_THE_WORK: Final = NEVER_STATUS | {429}
_HOPELESS_STATUSES: Final = frozenset({401, 403})
_MODERATED: Final = "moderation_blocked"


@dataclass(frozen=True, slots=True)
class Charge:
    """What to write into the account. `nano_usd` None keeps the reservation; `failed` None counts neither way."""

    nano_usd: int | None
    because: str
    failed: bool | None


def charge(attempt: Attempt, price: Price, usage: object, error: Mapping[str, Any] | None) -> Charge:
    """What an attempt that has ended cost; `usage` and `error` as the answer's body has them, or None."""
    found = _charge(attempt, price, usage, error)
    # What is free by its method, as the GET after a redirect, costs nothing whatever its answer says.
    return found if price.nano_usd else replace(found, nano_usd=0)


def _charge(attempt: Attempt, price: Price, usage: object, error: Mapping[str, Any] | None) -> Charge:
    outcome = attempt.outcome
    if outcome is Outcome.DELIVERED:
        cost = cost_of(usage, price)
        return Charge(
            cost, "usage" if cost is not None else "delivered without a usage to go by", failed=False
        )
    if outcome is Outcome.REFUSED or attempt.phase == Phase.CONNECT:
        return Charge(0, "nothing was sent", failed=True)
    if outcome is Outcome.REJECTED:
        return _rejected(attempt, error or {})
    if outcome is Outcome.CENSORED:
        return Charge(None, "its end was not seen", failed=None)
    return Charge(None, f"unknown outcome: {outcome}", failed=True)


def _rejected(attempt: Attempt, error: Mapping[str, Any]) -> Charge:
    if attempt.redirected:
        return Charge(0, "sent elsewhere", failed=None)
    code = str(error.get("code"))
    details = error.get("moderation_details")
    stage = details.get("moderation_stage") if isinstance(details, dict) else None
    if code == _MODERATED:
        if stage == "input":
            return Charge(0, "refused before the work", failed=False)
        return Charge(None, "blocked, perhaps after the work", failed=False)
    if attempt.status not in _BEFORE_THE_WORK:
        return Charge(None, f"rejected with {attempt.status}, perhaps after the work", failed=True)
    hopeless = attempt.status in _HOPELESS_STATUSES or code in NO_MONEY
    if attempt.status == 429 and not hopeless:
        return Charge(0, "rate limited", failed=None)
    return Charge(0, "refused before the work", failed=hopeless)
