"""Idempotency-Key: what makes a second attempt harmless, where a layer on the way counts them."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import OURS, Check, Family
from whocut.contract.scenes import limited, world
from whocut.contract.trial import Ask

_SOURCE: Final = (
    "draft-ietf-httpapi-idempotency-key-header: a key is a request's own, and kept over its retries"
)
_SCENE: Final = world(limited(("retry-after", "1")), by_body=True, ask=Ask(images=2), runs_of_a_program=2)

FAMILY: Final = Family(
    95,
    Check(
        id="idempotency-kept",
        sentence="An Idempotency-Key stays the same over the retries of a request, and belongs to it alone",
        reason="a key that changes pays twice, and one that is shared gets the image of another request",
        source=_SOURCE,
        scene=_SCENE,
        judge=judges.one_key_a_request,
    ),
    Check(
        id="idempotency-sent",
        sentence="Each attempt carries an Idempotency-Key",
        reason="a gateway or a vendor that knows it can give the same image twice instead of making two",
        source=OURS,
        scene=_SCENE,
        judge=judges.keys_sent,
        obligatory=False,
    ),
)
