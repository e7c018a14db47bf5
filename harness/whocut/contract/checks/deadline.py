"""The caller's deadline: a request that was given so much time is over by then."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import Check, Family
from whocut.contract.scenes import limited, world
from whocut.contract.trial import Ask
from whocut.stage.plants import MockFault

_GIVEN_S: Final = 30.0

FAMILY: Final = Family(
    75,
    Check(
        id="deadline-kept",
        sentence="A request that is asked for with timeout=30 is over after 30 s, waits and retries included",
        reason="its caller plans with that time, and may have gone when the image comes",
        source="openai-python: timeout= holds for one attempt, and begins anew with each",
        scene=world(
            limited(("retry-after", "10")),
            MockFault("hang"),
            forever=True,
            ask=Ask(more=(("timeout", _GIVEN_S),)),
        ),
        judge=judges.within(_GIVEN_S),
        obligatory=False,
    ),
)
