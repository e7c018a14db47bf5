"""Lines of logs in a pasted text: what `attribute` reads, read the same way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.trace.logs.formats import recognise
from whocut.trace.logs.reading import told_together
from whocut.trace.logs.records import EndedBy

if TYPE_CHECKING:
    from whocut.trace.logs.records import Account
    from whocut.verdict.triage.unwrap import Unwrapped

_MOST: Final = 2000  # lines of each end of a text that are tried
_BEFORE: Final = 200  # characters that may stand in front of a record
_SIGNS: Final = frozenset(
    {"logger", "response_flags", "termination_state", "DownstreamStatus", "upstream_host"}
)
_TELLING: Final = frozenset({EndedBy.CLIENT, EndedBy.LAYER, EndedBy.UPSTREAM})


def accounts_in(pasted: Unwrapped) -> tuple[list[Account], str]:
    """One account a request that lines of logs in the text tell of: those that say who ended it, or how it failed.

    `layer` is the format's name, `place` the number of the line among those of the text. Beside them the lines that
    no log's format reads.
    """
    lines = pasted.lines
    if len(lines) > 2 * _MOST:
        lines = (*lines[:_MOST], *lines[-_MOST:])
    by_format: dict[str, list[Account]] = {}
    rest = []
    for number, forms in enumerate(lines, start=1):
        for form in (*forms, *_json_within(forms[0])):
            found = recognise(form)
            if found is not None:
                log, account = found
                by_format.setdefault(log.name, []).append(
                    replace(account, layer=log.name, place=f"line {number}")
                )
                break
        else:
            rest.append(forms[0])
    for value in pasted.objects:
        found = recognise(json.dumps(value)) if _is_laid_out(value, pasted) else None
        if found is not None:
            log, account = found
            by_format.setdefault(log.name, []).append(replace(account, layer=log.name, place="the record"))
    told = [account for accounts in by_format.values() for account in told_together(accounts)]
    telling = [account for account in told if account.ended_by in _TELLING or _failed_unsaid(account)]
    return telling, "\n".join(rest)


def _json_within(line: str) -> list[str]:
    """A record in a line behind other words, as a collector of one's own writes it."""
    start = line.find('{"', 1, _BEFORE)
    return [line[start:]] if start > 0 and line.rstrip().endswith("}") else []


def _is_laid_out(value: object, pasted: Unwrapped) -> bool:
    """Whether an object is a record of a log that was pasted over several lines."""
    return isinstance(value, dict) and bool(_SIGNS & set(value)) and "\n" in pasted.levels[0].strip()


def _failed_unsaid(account: Account) -> bool:
    """Whether a line gives an answer of 500 or above, and not whose it is."""
    return account.ended_by is EndedBy.UNSAID and (account.status or 0) >= 500
