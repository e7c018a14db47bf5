"""Lines of logs in a pasted text: what `attribute` reads, read the same way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.trace.logs.formats import recognise
from whocut.trace.logs.reading import told_together
from whocut.trace.logs.records import EndedBy

if TYPE_CHECKING:
    from whocut.trace.logs.records import Account
    from whocut.verdict.triage.unwrap import Unwrapped

_MOST: Final = 2000  # lines of each end of a text that are tried
_TELLING: Final = frozenset({EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM})


def accounts_in(pasted: Unwrapped) -> list[Account]:
    """One account a request that lines of logs in the text tell of: those that say who ended it, or how it failed.

    `layer` is the format's name, `place` the number of the line among those of the text.
    """
    lines = pasted.lines
    if len(lines) > 2 * _MOST:
        lines = (*lines[:_MOST], *lines[-_MOST:])
    by_format: dict[str, list[Account]] = {}
    for number, forms in enumerate(lines, start=1):
        for form in forms:
            found = recognise(form)
            if found is not None:
                log, account = found
                by_format.setdefault(log.name, []).append(
                    replace(account, layer=log.name, place=f"line {number}")
                )
                break
    told = [account for accounts in by_format.values() for account in told_together(accounts)]
    return [account for account in told if account.ended_by in _TELLING or _failed_unsaid(account)]


def _failed_unsaid(account: Account) -> bool:
    """Whether a line gives an answer of 500 or above, and not whose it is."""
    return account.ended_by is EndedBy.UNSAID and (account.status or 0) >= 500
