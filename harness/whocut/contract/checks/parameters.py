"""Parameters that the API rejects are not sent."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import ARTICLE_3, Check, Family
from whocut.contract.scenes import world
from whocut.contract.trial import Ask

FAMILY: Final = Family(
    90,
    *(
        Check(
            id=f"strip-{name.replace('_', '-')}",
            sentence=f"'{name}' is not sent, even when it is asked for",
            reason="GPT image models answer it with 400",
            source=ARTICLE_3,
            scene=world(ask=Ask(more=((name, value),))),
            judge=judges.never_sent(name),
            obligatory=False,
        )
        for name, value in (("response_format", "b64_json"), ("style", "vivid"))
    ),
)
