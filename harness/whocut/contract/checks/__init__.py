"""The retry contract: every check, one file a family. A file that defines a `FAMILY` is found by being here."""

from __future__ import annotations

from typing import Final

from whocut.registry import found_in

CHECKS: Final = tuple(
    check
    for family in sorted(found_in(__name__, "FAMILY").values(), key=lambda family: family.place)
    for check in family.checks
)
BY_ID: Final = {check.id: check for check in CHECKS}
