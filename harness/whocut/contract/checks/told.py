"""An error that is not tried again reaches the caller: a client that swallows it looks like one that succeeded."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import OURS, Check, Family
from whocut.contract.scenes import error, gateway, world

_REASON: Final = "a caller that hears of no error takes nothing for an image, or asks again and pays again"

FAMILY: Final = Family(
    85,
    Check(
        id="told-refused",
        sentence="A request that the API refuses is an error for the caller",
        reason=_REASON,
        source=OURS,
        scene=world(
            error(400, "invalid_value", "invalid_request_error", "Invalid value: 'standard'."), forever=True
        ),
        judge=judges.told,
    ),
    Check(
        id="told-unknown",
        sentence="An unknown outcome is an error for the caller",
        reason=_REASON,
        source=OURS,
        scene=world(hops=gateway(504, "Gateway Time-out")),
        judge=judges.told,
    ),
)
