"""One request in a terminal: its waterfall in characters, then each attempt's verdict and what it rests on.

Any width from 60 columns. A terminal that knows only ASCII gets the second row of signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from whocut.verdict.verdict import Kind, Verdict
from whocut.verdict.waterfall import Doing, MarkKind, Part, Row, Segment, Waterfall, ticks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

_NARROWEST: Final = 60
_GREY, _CUT, _ORPHAN, _DELIVERED = "bright_black", "bold red", "magenta", "green"


@dataclass(frozen=True, slots=True)
class Signs:
    """The characters of a drawing."""

    doing: dict[Doing, str]
    marks: dict[MarkKind, str]
    axis: str
    tick: str
    bullet: str
    more: str


_UNICODE = Signs(
    {
        Doing.ASKING: "━",
        Doing.WAITING: "─",
        Doing.STREAMING: "═",
        Doing.WORKING: "█",
        Doing.ORPHANED: "░",
    },
    {MarkKind.CUT: "×", MarkKind.EVENT: "◆", MarkKind.DELIVERED: "●"},
    axis="─",
    tick="┴",
    bullet="·",
    more="…",
)
_ASCII = Signs(
    {
        Doing.ASKING: "=",
        Doing.WAITING: "-",
        Doing.STREAMING: "~",
        Doing.WORKING: "#",
        Doing.ORPHANED: ":",
    },
    {MarkKind.CUT: "x", MarkKind.EVENT: "*", MarkKind.DELIVERED: "o"},
    axis="-",
    tick="+",
    bullet="-",
    more="...",
)
_KEY = {
    Doing.WAITING: "waiting",
    Doing.STREAMING: "streaming",
    Doing.WORKING: "model at work",
    Doing.ORPHANED: "at work for nobody",
}


def render(fall: Waterfall, console: Console) -> None:
    """Print the drawing and the verdicts on this request."""
    signs = _ASCII if console.options.ascii_only else _UNICODE
    for line in drawing(fall, max(_NARROWEST, console.width), signs):
        console.print(line, no_wrap=True, crop=False, overflow="ignore", highlight=False)
    for verdict in fall.verdicts:
        console.print()
        number = f"attempt {verdict.attempt}: " if len(fall.verdicts) > 1 else ""
        console.print(Text(_plain(number + verdict.phrase, signs), style="bold"), highlight=False)
        facts = Table.grid(padding=(0, 1, 0, 0))
        for text, style in _rests_on(verdict, fall.origin_s):
            facts.add_row(f"  {signs.bullet}", Text(_plain(text, signs), style=style))
        if facts.row_count:
            console.print(facts, highlight=False)


def drawing(fall: Waterfall, width: int, signs: Signs = _UNICODE) -> list[Text]:
    """The waterfall as lines, none wider than `width`."""
    if not fall.rows:
        return [Text(f"no span of request {fall.request} was written")]
    names = [_indented(row) for row in fall.rows]
    at_most = max(18, width // 3)
    if max(map(len, names)) > at_most:
        names = [name.removeprefix("request ").removeprefix("attempt ") for name in names]
    left = min(max(map(len, names)), at_most) + 1
    canvas = _Canvas(width - left, _end_s(fall, width - left), signs)
    lines = [*_key(fall, width, signs), Text()]
    for name, row in zip(names, fall.rows, strict=True):
        if row.depth == 1 and row.attempt > 1:
            lines.append(Text())
        short = name if len(name) < left else name[: left - 1 - len(signs.more)] + signs.more
        bar, overflow = canvas.row(row, fall.visible(row))
        lines.append(Text(_plain(short.ljust(left), signs), style=_style(row, label=True)) + bar)
        if overflow:
            lines.append(Text(" " * left) + overflow)
    return [*lines, *(Text(" " * left) + line for line in canvas.axis())]


def _end_s(fall: Waterfall, width: int) -> float:
    """Far enough that all notes have room beside their bars, where that costs the bars little."""
    end_s = max(fall.end_s, 0.001)
    rows = [row for row in fall.rows if row.note and not _orphaned(row)]
    reach_s = max([end_s, *(row.end_s / max(0.05, 1 - (len(row.note) + 3) / width) for row in rows)])
    return reach_s if reach_s <= 1.25 * end_s else end_s


class _Canvas:
    """The part right of the names: model seconds as columns."""

    def __init__(self, width: int, end_s: float, signs: Signs) -> None:
        self.width = width
        self.end_s = end_s
        self.signs = signs

    def row(self, row: Row, segments: Iterable[Segment]) -> tuple[Text, Text | None]:
        """The bar with its note beside it, or under it where neither side has room."""
        line = Text(" " * self.width)
        for piece in segments:
            start, end = self.column(piece.start_s), self.column(piece.end_s)
            line = _put(
                line, start, self.signs.doing[piece.doing] * (end - start + 1), _fill(row, piece.doing)
            )
        last = self.column(row.end_s)
        for mark in row.marks:
            at = self.column(mark.at_s)
            style = {MarkKind.CUT: _CUT, MarkKind.DELIVERED: _DELIVERED, MarkKind.EVENT: "default"}[mark.kind]
            line = _put(line, at, self.signs.marks[mark.kind], style)
        note, style = _plain(row.note, self.signs), _style(row, label=False)
        first = self.column(row.start_s)
        if not note:
            return _ended(line), None
        if last + 2 + len(note) <= self.width:
            return _ended(_put(line, last + 2, note, style)), None
        orphan = next((self.column(p.start_s) for p in row.segments if p.doing is Doing.ORPHANED), None)
        if orphan is not None and last - orphan >= len(note) + 5:
            return _ended(_put(line, last - len(note) - 3, f" {note} ", style)), None
        if orphan is None and first >= len(note) + 1:
            return _ended(_put(line, first - len(note) - 1, note, style)), None
        under = Text(note[: self.width], style=style)
        under.pad_left(max(0, min(first, self.width - len(note))))
        return _ended(line), under

    def axis(self) -> list[Text]:
        """A line with its ticks, and their seconds beneath."""
        line, numbers = Text(self.signs.axis * self.width), Text(" " * self.width)
        free = 0
        for tick in ticks(self.end_s, at_most=max(2, self.width // 9)):
            at, number = self.column(tick), f"{tick:g} s"
            line = _put(line, at, self.signs.tick, "")
            place = min(max(0, at - len(number) // 2), self.width - len(number))
            if place >= free:
                numbers = _put(numbers, place, number, "")
                free = place + len(number) + 1
        line.stylize(_GREY)
        numbers.stylize(_GREY)
        return [line, _ended(numbers)]

    def column(self, at_s: float) -> int:
        """The column of an instant."""
        return max(0, min(self.width - 1, int(at_s / self.end_s * self.width)))


def _key(fall: Waterfall, width: int, signs: Signs) -> list[Text]:
    """What the signs mean, of those that are drawn."""
    doing = {piece.doing for row in fall.rows for piece in fall.visible(row)}
    marks = {mark.kind for row in fall.rows for mark in row.marks}
    parts = [f"{signs.doing[kind] * 2} {words}" for kind, words in _KEY.items() if kind in doing]
    parts += [f"{signs.marks[kind]} {kind}" for kind in MarkKind if kind in marks]
    lines = [parts[0]] if parts else []
    for part in parts[1:]:
        if len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines.append(part)
    return [Text(line, style=_GREY) for line in lines]


def _rests_on(verdict: Verdict, origin_s: float) -> list[tuple[str, str]]:
    """The evidence, what followed, what contradicts and what is missing, with the style of each."""
    lines = []
    for fact in verdict.evidence:
        when = f", at {fact.at_s - origin_s:.2f} s" if fact.at_s is not None else ""
        lines.append((f"{fact.witness}: {fact.fact} ({fact.grade}{when})", ""))
    lines += [(f"then {cascade.layer}: {cascade.fact}", _GREY) for cascade in verdict.cascade]
    lines += [(f"contradiction: {text}", _CUT) for text in verdict.contradictions]
    if verdict.kind is Kind.CUT:
        lines += [(f"not heard: {text}", "yellow") for text in verdict.missing]
    return lines


def _fill(row: Row, doing: Doing) -> str:
    if doing is Doing.ORPHANED:
        return _ORPHAN
    if doing is Doing.WORKING:
        return "cyan"
    return _GREY if row.part is Part.CASCADE else "blue" if row.part is not Part.REQUEST else "default"


def _style(row: Row, *, label: bool) -> str:
    if row.part is Part.CUTTER:
        return _CUT
    if label:
        return "bold" if row.part is Part.REQUEST else ""
    return _ORPHAN if _orphaned(row) else _GREY


def _orphaned(row: Row) -> bool:
    return any(piece.doing is Doing.ORPHANED for piece in row.segments)


def _indented(row: Row) -> str:
    return "  " * min(row.depth - 1, 1) + row.label if row.depth else row.label


def _put(line: Text, at: int, text: str, style: str) -> Text:
    """The line with `text` written over it from column `at`."""
    return line[:at] + Text(text, style=style) + line[at + len(text) :]


def _ended(line: Text) -> Text:
    line.rstrip()
    return line


def _plain(text: str, signs: Signs) -> str:
    """Text that an ASCII terminal can show."""
    if signs is not _ASCII:
        return text
    return text.replace("·", "-").replace("…", "...").encode("ascii", "replace").decode()
