"""What a terminal and a pull request show of two accounts compared: the answer, what changed, every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from whocut.compare import words
from whocut.compare.decide import Change
from whocut.show.check_formats import markdown
from whocut.show.following import next_command

if TYPE_CHECKING:
    from rich.console import Console

    from whocut.compare.decide import Comparison, Row

_STYLES = {Change.BETTER: "green", Change.WORSE: "red"}
_HEADS = ("", "measure", "before", "after", "change, between", "")


def print_comparison(console: Console, seen: Comparison) -> None:
    """The whole comparison, for people."""

    def say(text: str = "", style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    say(f"{seen.before} → {seen.after}")
    say(words.answer_words(seen), _STYLES.get(seen.answer, "yellow"))
    for sentence in words.more_words(seen):
        say(f"  {sentence}")
    if seen.settings:
        say("\nasked differently:")
        for name, before, after in seen.settings:
            say(f"  {name}: {before} → {after}")
    say()
    console.print(_table(seen.rows))
    changed = [cut for cut in seen.cuts if (cut.before, cut.of_before) != (cut.after, cut.of_after)]
    if changed:
        say(f"\ncuts, in {words.attempts_word(seen.kind)}:")
        for cut in changed:
            where = f"{cut.group}: " if cut.group else ""
            say(
                f"  {where}{cut.phrase}: {cut.before:,} of {cut.of_before:,} → {cut.after:,} of {cut.of_after:,}"
            )
    say(f"\n{words.rule_words(seen)}")
    say(f"next:   {next_command('compare', seen.before, seen.after, '--format', 'markdown')}")


def _table(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(_HEADS):
        table.add_column(head, justify="left" if number < 2 or number == 5 else "right", no_wrap=number != 4)
    for row in rows:
        table.add_row(*_cells(row), style=_STYLES.get(row.change, ""))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    written = row.measure.written
    return (
        row.group,
        row.measure.says,
        written(row.before.value),
        written(row.after.value),
        words.interval(row),
        words.change_word(row),
    )


def as_markdown(seen: Comparison) -> str:
    """A comment of a pull request: the answer above a table."""
    lines = [f"**{markdown(words.answer_words(seen))}**", ""]
    lines += [f"- {markdown(sentence)}" for sentence in words.more_words(seen)]
    lines += [
        f"- asked differently: {markdown(name)}: {markdown(before)} → {markdown(after)}"
        for name, before, after in seen.settings
    ]
    lines += [
        "",
        f"| | measure | {markdown(seen.before)} | {markdown(seen.after)} | change, between | |",
        "|---|---|--:|--:|--:|---|",
    ]
    lines += [f"| {' | '.join(map(markdown, _cells(row)))} |" for row in seen.rows]
    if seen.cuts:
        lines += [
            "",
            f"| | cuts, in {words.attempts_word(seen.kind)} | before | after |",
            "|---|---|--:|--:|",
        ]
        for cut in seen.cuts:
            cells = (
                cut.group,
                cut.phrase,
                f"{cut.before:,} of {cut.of_before:,}",
                f"{cut.after:,} of {cut.of_after:,}",
            )
            lines.append(f"| {' | '.join(map(markdown, cells))} |")
    lines += ["", markdown(words.rule_words(seen))]
    return "\n".join(lines) + "\n"
