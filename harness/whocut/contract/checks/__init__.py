"""The retry contract: every check, one file a family. A file that defines a `FAMILY` is found by being here."""

from __future__ import annotations

from typing import Final

from whocut.registry import found_in

_FAMILIES: Final = sorted(found_in(__name__, "FAMILY").values(), key=lambda family: family.place)
CHECKS: Final = tuple(check for family in _FAMILIES if not family.by_name for check in family.checks)
JOBS: Final = tuple(check for family in _FAMILIES if family.by_name for check in family.checks)
BY_ID: Final = {check.id: check for check in (*CHECKS, *JOBS)}
