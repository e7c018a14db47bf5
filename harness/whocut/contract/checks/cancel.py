"""The caller cancels: the attempt ends, and no other follows."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import OURS, Check, Family
from whocut.contract.scenes import limited, world
from whocut.contract.trial import Ask

FAMILY: Final = Family(
    80,
    Check(
        id="cancel-waiting",
        sentence="When its caller cancels, the attempt ends",
        reason="no caller is left to take the image",
        source=OURS,
        scene=world(ask=Ask(cancel_s=20.0)),
        judge=judges.left_with_the_caller,
    ),
    Check(
        id="cancel-between",
        sentence="When its caller cancels between two attempts, no other follows",
        reason="an image that no caller waits for is begun and billed",
        source=OURS,
        scene=world(limited(("retry-after", "60")), ask=Ask(cancel_s=20.0), bound_s=400.0),
        judge=judges.nothing_followed,
    ),
)
