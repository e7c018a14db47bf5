"""The outcome is unknown: a gateway gave up, a connection broke, a timer fired; the work may run on and cost."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import ARTICLE_1, RFC_RETRY, Check, Family
from whocut.contract.scenes import UNKNOWN, gateway, world
from whocut.stage.plants import MockFault

FAMILY: Final = Family(
    10,
    *(
        Check(
            id=f"unknown-{status}",
            sentence=f"A gateway's {status} is not followed by another attempt",
            reason=UNKNOWN,
            source=ARTICLE_1,
            scene=world(hops=gateway(status, reason)),
            judge=judges.asked_once,
        )
        for status, reason in (
            (504, "Gateway Time-out"),
            (524, "A timeout occurred"),
            (502, "Bad Gateway"),
            (499, "Client Closed Request"),
        )
    ),
    Check(
        id="unknown-reset",
        sentence="A connection reset while waiting is not followed by another attempt",
        reason=UNKNOWN,
        source=RFC_RETRY,
        scene=world(MockFault("reset_before_headers=40"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-closed",
        sentence="A connection closed without an answer is not followed by another attempt",
        reason="the work was done and its answer lost on the way: a second attempt is a second bill",
        source=RFC_RETRY,
        scene=world(MockFault("answer_lost"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-truncated",
        sentence="A body that breaks off is not followed by another attempt",
        reason="the image was made and billed, and broke on the way",
        source=RFC_RETRY,
        scene=world(MockFault("fin_mid_body=0.5"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-half-json",
        sentence="A whole message with half an image in it is not followed by another attempt",
        reason="a layer on the way ended it in good order; the image was made and billed",
        source=RFC_RETRY,
        scene=world(MockFault("truncated_json=0.5"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-timeout",
        sentence="A timeout of the client's own is not followed by another attempt",
        reason=UNKNOWN,
        source=ARTICLE_1,
        scene=world(MockFault("hang"), forever=True),
        judge=judges.asked_once,
        virtual_only=True,
    ),
)
