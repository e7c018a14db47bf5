"""Whether a run directory is whole: what is missing of it, where a run was killed or a copy was cut off.

Records are whole lines, so that a file that ends in mid-line is read up to there. What cannot be read is named.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile
from whocut.trace.rundir import ATTEMPTS, LEDGER, MANIFEST, SPANS, SUMMARY
from whocut.verdict.figures import doubts_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.trace.rundir import RunDir

# What each file of records is the account of.
_ACCOUNTS: Final = {
    ATTEMPTS: "the client's account: no request is known",
    SPANS: "the layers' account: who cut is known by the client's view alone",
    LEDGER: "the upstream's account: what became of generations is unknown",
}


def doubts(run: RunDir) -> tuple[str, ...]:
    """Why the figures of this run cannot be trusted, and what is missing of its files; empty where all is there."""
    try:
        said = doubts_of(run)
    except BadFile:
        said = (f"{SUMMARY} is cut off or no summary: whether the run was valid is unknown.",)
    return (*said, *_missing(run))


def _missing(run: RunDir) -> Iterator[str]:
    for name, account in _ACCOUNTS.items():
        path = run.path / name
        if not path.is_file():
            if "load" in run.manifest and not (name == LEDGER and run.manifest.get("to")):
                yield f"{name} is missing, {account}."
        elif _ends_in_mid_line(path):
            yield f"{name} is cut off in mid-line: its last record is missing, and perhaps others after it."


def _ends_in_mid_line(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def unreadable(folder: Path) -> str:
    """What a directory without a readable manifest still has, for its page."""
    found = [name for name in (*_ACCOUNTS, SUMMARY) if (folder / name).is_file()]
    has = f"It has {', '.join(found)}." if found else "It has none of a run's other files."
    return f"{MANIFEST} is missing or cut off: without it no record can be judged. {has}"
