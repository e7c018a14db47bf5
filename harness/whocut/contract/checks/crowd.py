"""Several images at once: no more than the rate limit carries."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import ARTICLE_4, Check, Family
from whocut.contract.scenes import world
from whocut.contract.trial import Ask

FAMILY: Final = Family(
    60,
    Check(
        id="crowd-three",
        sentence="Of eight images asked for at once no more than three are under way",
        reason="five at once meet an occasional 429, ten a nearly certain one",
        source=ARTICLE_4,
        scene=world(ask=Ask(images=8)),
        judge=judges.at_most(3),
        obligatory=False,
    ),
    Check(
        id="crowd-n",
        sentence="n=2 counts as two images",
        reason="each unit counts separately against the rate limit",
        source="the article §3: 'each unit counts separately for rate-limit budgeting'",
        scene=world(ask=Ask(images=4, more=(("n", 2),))),
        judge=judges.at_most(3, each=2),
        obligatory=False,
    ),
)
