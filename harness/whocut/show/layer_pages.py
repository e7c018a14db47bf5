"""The catalogue as pages: a page a group, a section a layer, each limit with its source.

``python -m whocut.show.layer_pages FOLDER`` writes them; a test holds the pages to the catalogue.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue
from whocut.chain.preset_file import GROUPS
from whocut.chain.products import products
from whocut.show.check_formats import markdown
from whocut.words import format_duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.preset_file import Group, PresetEntry, TimerEntry

_MADE = (
    "<!-- made by `python -m whocut.show.layer_pages docs/layers`; "
    "tests/docs/test_site.py holds it to the catalogue -->"
)


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    entries: dict[int, tuple[str, PresetEntry]] = {}
    for name, entry in catalogue().items():
        entries.setdefault(id(entry), (name, entry))
    by_group = {group: [one for one in entries.values() if one[1].group == group] for group in GROUPS}
    made = {f"{group}.md": _page(GROUPS[group], mine) for group, mine in by_group.items() if mine}
    made["index.md"] = _index(by_group)
    return made


def _index(by_group: dict[Group, list[tuple[str, PresetEntry]]]) -> str:
    total = sum(map(len, by_group.values()))
    said = (
        f"{plural(total, 'layer')} with the limits that can end a request. `whocut presets NAME` says the same "
        "in a terminal, and `preset: NAME` in a chain file takes one. A limit marked *unverified* is known from "
        "memory alone."
    )
    lines = [
        "# Layers",
        "",
        _MADE,
        "",
        said,
        "",
        "| group | layers |",
        "|---|---|",
    ]
    for group, mine in by_group.items():
        if mine:
            links = ", ".join(f"[{name}]({group}.md#{_anchor(name)})" for name, _ in mine)
            lines.append(f"| [{markdown(GROUPS[group])}]({group}.md) | {links} |")
    return "\n".join(lines) + "\n"


def _anchor(heading: str) -> str:
    """The anchor that GitHub and the site make of a heading."""
    return re.sub(r"[^\w-]", "", heading.lower())


def _page(title: str, mine: list[tuple[str, PresetEntry]]) -> str:
    lines = [f"# {title}", "", _MADE, ""]
    for name, entry in mine:
        lines += [*_section(name, entry), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(name: str, entry: PresetEntry) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield f"{markdown(entry.title)}. Source: {markdown(entry.source)} (read {entry.read})."
    yield ""
    timers = entry.written()
    if timers:
        yield "| timer | limit | at most | its knob | known from | note |"
        yield "|---|--:|--:|---|---|---|"
        for kind, timer in timers.items():
            cells = (
                str(kind),
                _limit(timer),
                _most(timer),
                _code(timer.directive),
                _known(timer),
                _note(timer.note),
            )
            yield f"| {' | '.join(cells)} |"
    else:
        yield "No timer of this layer ends a request."
    facts = list(_facts(name, entry))
    if facts:
        yield ""
        yield from (f"- {fact}" for fact in facts)


def _limit(timer: TimerEntry) -> str:
    if timer.limit is not None:
        return format_duration(timer.limit)
    return "unknown" if timer.unknown else "off"


def _most(timer: TimerEntry) -> str:
    if timer.most is None:
        return "–"
    return "fixed" if timer.most == timer.limit else format_duration(timer.most)


def _known(timer: TimerEntry) -> str:
    return "*unverified*" if timer.tag == "memory" else str(timer.tag)


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text and "|" not in text else markdown(text)


def _note(text: str) -> str:
    return markdown(text) if text else "–"


def _facts(name: str, entry: PresetEntry) -> Iterator[str]:
    retries = entry.retries
    if retries.tries > 1:
        what = "any request" if retries.post else "requests that may be repeated, never a POST"
        yield f"asks again by itself: up to {plural(retries.tries, 'try', 'tries')} of {what}"
    if retries.connects > 1:
        yield f"waits up to {plural(retries.connects, 'time')} for a connection that does not come"
    if not entry.notices_abort:
        yield "does not notice that its caller has left"
    if entry.silent:
        yield "ends the connection without an answer"
    if entry.variants:
        yield f"plans: {', '.join(f'`{plan}`' for plan in entry.variants)}"
    if name in products():
        yield f"the real product runs as this layer: `gateway: {name}`; [what it does]({_CARDS})"
    for edition, told in entry.editions.items():
        said = ", ".join(f"{kind} {format_duration(one.limit)}" for kind, one in told.items())
        yield f"the edition {edition} says: {said}"
    yield from (f"*unverified*: {markdown(doubt)}" for doubt in entry.doubts)


_CARDS = "../gateway-cards.md"


def main() -> None:
    """Write the pages into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
