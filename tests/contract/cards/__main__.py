"""The score cards of known clients, made anew: `make score-cards`, or with words of their names only those.

Each client is installed into an environment of its own. The Python SDK of this environment is tried in virtual time
with every check; programs are tried scaled, each as it comes and with the line that mends it. What was measured is
written into docs/score-cards.json card by card, and the pages are made from that. A client that cannot be installed
or run keeps the entry that it has.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.contract.cards import page, places
from tests.contract.cards.known import KNOWN, Known
from whocut.contract.checks import BY_ID, CHECKS
from whocut.contract.client import client_of, command_client
from whocut.contract.hold import hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.contract.card import Card
    from whocut.contract.check import Check

# Frameworks take long to load where several are begun at once.
_START_REAL_S: Final = 240.0
_WATCH_REAL_S: Final = 60.0
_TOLD: Final = ("id", "mark", "why", "at_least", "attempts", "waits_s", "billed_usd", "watched_s")


def main() -> None:
    """Make the cards, each into the record at once, then the pages."""
    wanted = [one for one in KNOWN if not sys.argv[1:] or any(word in one.name for word in sys.argv[1:])]
    logging.getLogger("whocut").setLevel(logging.ERROR)
    for known in wanted:
        try:
            entry = _entry(known)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print(f"left out: {known.name}: {error}", file=sys.stderr)  # noqa: T201  # progress, as below
            continue
        _write_down(entry)
        print(f"{known.name}: {page.mends([entry]).splitlines()[-1]}", file=sys.stderr, flush=True)  # noqa: T201
    write_pages()


def _write_down(entry: dict[str, Any]) -> None:
    """Into the record, in the table's order; another run may be at work beside this one."""
    with page.RECORD.open("a+") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        entries = {one["client"]: one for one in page.read_record()} | {entry["client"]: entry}
        ordered = [entries[one.name] for one in KNOWN if one.name in entries]
        record.truncate(0)
        record.write(json.dumps({"clients": ordered}, indent=1) + "\n")


def write_pages() -> None:
    """The page and the README's table, from the record."""
    entries = page.read_record()
    page.PAGE.write_text(page.page(entries))
    before, _, rest = page.README.read_text().partition(page.BEGINS)
    after = rest.partition(page.ENDS)[2]
    page.README.write_text(before + page.readme_table(entries) + after)


def _entry(known: Known) -> dict[str, Any]:
    checks = CHECKS if known.checks is None else [BY_ID[name] for name in known.checks]
    as_it_comes = _card(known, checks)
    mended = None
    if known.mend is not None:
        broken = {result.id for result in as_it_comes.broken}
        mended = _results(_card(known, [check for check in checks if check.id in broken], mended=True))
    return {
        "client": known.name,
        "version": places.version(known),
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),  # noqa: TID251  # the day of the measure
        "command": _told(known),
        "mend": known.mend,
        "checks": _results(as_it_comes),
        "mended": mended,
    }


def _told(known: Known) -> str:
    """What anyone types for the same card."""
    if known.makes is not None:
        return f"whocut policy {known.makes.__module__}:{known.makes.__name__}"
    runs = {"py": "python", "sh": "sh", "mjs": "node"}[known.script.rpartition(".")[2]]
    return f"whocut policy --command '{runs} tests/contract/cards/clients/{known.script}'"


def _card(known: Known, checks: Sequence[Check], *, mended: bool = False) -> Card:
    if known.makes is not None:
        makes = known.mends if mended else known.makes
        assert makes is not None
        return hold(client_of(makes, known.name), checks=checks)
    written = places.command(known) + (f" {known.mended}" if mended else "")
    return hold(
        command_client(written),
        checks=checks,
        watch_real_s=_WATCH_REAL_S,
        start_real_s=_START_REAL_S,
        at_once=known.at_once,
    )


def _results(card: Card) -> list[dict[str, Any]]:
    root = str(Path(page.ROOT))
    told = [{name: getattr(result, name) for name in _TOLD} for result in card.results]
    return [one | {"why": str(one["why"]).replace(root, ".")[:300]} for one in told]


if __name__ == "__main__":
    main()
