"""The key is kept out of everything that is written."""

from __future__ import annotations

from typing import Final

from whocut.contract import judges
from whocut.contract.check import OURS, Check, Family
from whocut.contract.scenes import error, world

FAMILY: Final = Family(
    100,
    Check(
        id="key-kept",
        sentence="The key is in no log, no error and no representation of the client",
        reason="logs are read by more people than keys are meant for",
        source=OURS,
        scene=world(error(401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided.")),
        judge=judges.key_kept,
    ),
)
