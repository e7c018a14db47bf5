"""A stream breaks off, ends without its image, or says an error: its work had begun."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import ARTICLE_1, SDK_READ, SSE_SCHEMA, Check, Family
from whocut.contract.scenes import STREAM, UNKNOWN, world
from whocut.stage.plants import MockFault

FAMILY: Final = Family(
    20,
    Check(
        id="stream-error",
        sentence="An error inside a stream is not followed by another attempt",
        reason="the stream had begun, so the work had too",
        source=SDK_READ,
        scene=world(MockFault("error_in_stream"), forever=True, ask=STREAM),
        judge=judges.asked_once,
    ),
    Check(
        id="stream-incomplete",
        sentence="A stream that ends without 'completed' is not followed by another attempt",
        reason="all of the work was done, and is billed",
        source=SSE_SCHEMA,
        scene=world(MockFault("stream_without_completed"), forever=True, ask=STREAM),
        judge=judges.asked_once,
    ),
    Check(
        id="stream-incomplete-told",
        sentence="A stream that ends without 'completed' is an error for the caller",
        reason="partial images alone are no image, and silence looks like success",
        source=SDK_READ,
        scene=world(MockFault("stream_without_completed"), forever=True, ask=STREAM),
        judge=judges.noticed,
        obligatory=False,
    ),
    Check(
        id="stream-stall",
        sentence="A stream that falls silent is not followed by another attempt",
        reason=UNKNOWN,
        source=ARTICLE_1,
        scene=world(MockFault("stall=3000"), forever=True, ask=STREAM),
        judge=judges.asked_once,
        virtual_only=True,
    ),
)
