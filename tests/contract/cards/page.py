"""The record of all cards, as a page and as the README's table: pure, from what was measured and written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from whocut.contract.trial import time_in_words

ROOT: Final = Path(__file__).parents[3]
RECORD: Final = ROOT / "docs" / "score-cards.json"
PAGE: Final = ROOT / "docs" / "score-cards.md"
README: Final = ROOT / "README.md"
BEGINS, ENDS = "<!-- score cards -->\n", "<!-- end of score cards -->\n"

# What a row of the tables shows, by the check behind it.
COLUMNS: Final = {
    "unknown-504": "a gateway's 504",
    "unknown-reset": "the connection is reset",
    "unknown-closed": "the answer is lost",
    "never-quota": "no money left",
    "rate-121": "Retry-After: 121",
}
# Of a client that submits jobs it is the submit that a gateway cuts.
_OF_A_JOB: Final = {"unknown-504": "job-submit-504"}
SHORT: Final = ("unknown-504", "unknown-reset", "unknown-closed")
IN_THE_README: Final = (
    "whocut's reference client",
    "openai-python 3.x",
    "openai-node 7.x",
    "AI SDK",
    "LangChain JS with an image tool",
    "Haystack's OpenAIImageGenerator",
    "LiteLLM",
    "OpenRouter's SDK for Python",
    "fal's client for Python",
    "Google's SDK for Python",
    "tenacity around the SDK",
    "curl --retry 3",
)

Entry = dict[str, Any]


def read_record() -> list[Entry]:
    """Every entry that was written down, in the order of `known.KNOWN`."""
    written = RECORD.read_text() if RECORD.exists() else ""
    entries: list[Entry] = json.loads(written)["clients"] if written else []
    return entries


def page(entries: list[Entry]) -> str:
    """All cards as one page: the table first."""
    return "\n".join(
        [
            "# Score cards",
            "",
            "What known clients do with an image request that goes wrong, as `whocut policy` saw it, and the one",
            "line of configuration that mends it. Each row was measured by `make score-cards` on its date; the",
            "same figures for a program are in [score-cards.json](score-cards.json). A client is asked for one",
            "image whose work takes 200 s and costs $0.21. *Mended* is the same client with that line, held to the",
            "same checks: which obligatory ones it still breaks.",
            "",
            "## What the defaults do",
            "",
            table(entries, tuple(COLUMNS)),
            "",
            "## What mends it",
            "",
            mends(entries),
            "",
            "`once` is a fetch of three lines, in `tests/contract/cards/clients/once.mjs`, for a client that no",
            "option keeps from trying a submit again. `Once` beside it is the same as a transport, for LiteLLM:",
            "it does not hand `max_retries` on for images. `asked_once.handler` brings it to LiteLLM's proxy.",
            "",
            *(card(entry) for entry in entries),
        ]
    )


def readme_table(entries: list[Entry]) -> str:
    """The short table of the README."""
    shown = [entry for entry in entries if entry["client"] in IN_THE_README]
    return f"{BEGINS}{table(shown, SHORT)}\n{ENDS}"


def table(entries: list[Entry], columns: tuple[str, ...]) -> str:
    """One row a client: how often it asked, after which waits, and what that cost."""
    rows = [
        "| client | " + " | ".join(COLUMNS[name] for name in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for entry in entries:
        found = {one["id"]: one for one in entry["checks"]}
        cells = [_cell(name, found.get(_OF_A_JOB.get(name, ""), found.get(name))) for name in columns]
        rows.append(f"| {entry['client']} {entry['version']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def mends(entries: list[Entry]) -> str:
    """One row a client: what is broken as it comes, the line, and what is broken with it."""
    rows = ["| client | breaks | the line | with it breaks |", "|---|---|---|---|"]
    for entry in entries:
        line = f"`{entry['mend']}`" if entry["mend"] else "–"
        after = _names(entry["mended"]) if entry["mended"] is not None else "–"
        rows.append(
            f"| {entry['client']} {entry['version']} | {_names(entry['checks'])} | {line} | {after} |"
        )
    return "\n".join(rows)


def card(entry: Entry) -> str:
    """One client: every check it was put to."""
    counted = ", ".join(
        f"{count} {mark}"
        for mark in ("kept", "broken", "missing", "not tried")
        if (count := sum(one["mark"] == mark for one in entry["checks"]))
    )
    rows = ["| check | | what it did |", "|---|---|---|"]
    rows += [
        f"| `{one['id']}` | **{one['mark']}** | {one['why'].replace('|', '/')} |" for one in entry["checks"]
    ]
    head = f"## {entry['client']} {entry['version']}"
    told = f"{counted}. Measured on {entry['date']} by `{entry['command']}`."
    return "\n".join([head, "", told, "", *rows, ""])


def _names(checks: list[Entry]) -> str:
    broken = [one["id"] for one in checks if one["mark"] == "broken"]
    return ", ".join(f"`{name}`" for name in broken) or "nothing"


def _cell(name: str, one: Entry | None) -> str:
    if one is None or one["mark"] == "not tried":
        return "not tried"
    if name == "rate-121":
        waits_s = one["waits_s"]
        said = "gives up" if not waits_s else f"waits {time_in_words(waits_s[0])}"
        return said if one["mark"] == "kept" else f"**{said}**"
    if one["mark"] == "kept":
        return "asks once"
    least = "at least " if one["at_least"] is not None else ""
    cost = f", {least}${one['billed_usd']:.2f}" if one["billed_usd"] else ""
    waits = ", ".join(time_in_words(wait_s) for wait_s in one["waits_s"][:3])
    more = " …" if len(one["waits_s"]) > 3 else ""
    return f"**{least}{one['attempts']} times{cost}**; after {waits}{more}"
