"""A request that is never answered: how long its caller is kept."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import Check, Family
from whocut.contract.scenes import world
from whocut.stage.plants import MockFault

FAMILY: Final = Family(
    70,
    Check(
        id="total-bounded",
        sentence="A request without an answer is over within twenty minutes",
        reason="three times ten minutes of silence are half an hour of a caller's time",
        source="openai-python: 3 × 600 s",
        scene=world(MockFault("hang"), forever=True),
        judge=judges.ended_in_time,
        virtual_only=True,
    ),
)
