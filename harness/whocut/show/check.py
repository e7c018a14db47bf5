"""What a terminal shows of a check: the answer first, then the cases, then what to change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from whocut.chain.money import format_dollars
from whocut.proof.report import Answer
from whocut.show.following import next_command
from whocut.show.progress import ProgressLine
from whocut.verdict.verdict import Kind
from whocut.words import UNKNOWN, in_seconds, percent, plural, rounded_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from whocut.chain.audit import Finding
    from whocut.chain.forecast import CutShare
    from whocut.proof.check import Progress
    from whocut.proof.report import Checked, Fixed, Report

_MOST_CUTS = 3
_HOW = {"smallest": "fix", "configuration alone": "or by configuration alone,"}
_WIDE = 100
_UNBOUNDED = 1_000
_ANSWERS = {
    Answer.CARRIES: "this chain carries every image that was asked for.",
    Answer.LOSES: "this chain loses images.",
    Answer.CANNOT: "this chain cannot carry these generation times.",
    Answer.BEYOND: "this chain has a limit that its vendor does not allow.",
}
_NO_LAYER: dict[str, str] = {Kind.NONE: "without a cut", Kind.UNATTRIBUTED: "for an unknown cause"}


class ShowCheck(ProgressLine):
    """How far a check is; a quick one says nothing of it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, after_real_s=2.0)

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""
        self.say(f"{progress.what}: {progress.done} of {progress.asked} requests")


def print_report(console: Console, report: Report, asked: Sequence[str]) -> None:
    """The whole report; `asked` are the sources and their flags, as the caller wrote them."""
    page = Page(console)
    for sentence in sentences(report):
        page.say(sentence)
    page.say()
    page.table(_cases(report.cases, narrow=page.narrow))
    page.say(
        f"\nforecast: {max(case.foretold.requests for case in report.cases):,} generations by formula; the rest: "
        f"seen, in virtual time, through real sockets ({', '.join(dict.fromkeys(_who(c) for c in report.cases))})",
        style="dim",
    )
    page.say(_compared(report.cases), style="dim")
    for warning in report.warnings:
        page.say(f"warning: {warning}", style="yellow")
    for note in report.not_read:
        page.say(f"not read: {note.place}: {note.what}", style="yellow")
    if report.findings:
        page.say(f"\n{plural(len(report.findings), 'finding')}:")
        for finding in report.findings:
            print_finding(page, finding)
    for fixed in report.fixes:
        _print_fix(page, fixed)
    if report.patch.after:
        page.say("\nin your own files:", style="bold")
        for line in report.patch.diff.splitlines():
            page.paste(line)
    for turn in report.patch.by_hand:
        page.say(f"by hand: {turn.layer}: {turn.directive}: no file of yours has a line for it", indent=2)
    if not report.asked_for_fix and any(case.seen.delivered < 1 for case in report.cases):
        page.paste(f"\nnext:   {next_command('check', *asked, '--fix', '--want', 'delivered>=0.999')}")


class Page:
    """Where the report goes: words are wrapped to a terminal, and never in a pipe; a line to paste never is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._in_a_pipe = not console.is_terminal and "COLUMNS" not in os.environ
        self.narrow = console.width < _WIDE and not self._in_a_pipe

    def say(self, sentence: str = "", *, indent: int = 0, style: str = "") -> None:
        """Words."""
        text = Text(sentence, style=style)
        if self._in_a_pipe:
            self._console.print(Text(" " * indent).append_text(text), soft_wrap=True)
        else:
            for line in _wrapped(self._console, text, self._console.width - indent):
                self._console.print(Text(" " * indent).append_text(line), soft_wrap=True)

    def paste(self, line: str, *, indent: int = 0, style: str = "") -> None:
        """A line that is to be copied: on one line, whole, with nothing behind it."""
        self._console.print(Text(" " * indent).append_text(Text(line, style=style)), soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table, as wide as it is in a pipe, without blanks behind a row."""
        width = _UNBOUNDED if self._in_a_pipe else self._console.width
        options = self._console.options.update(width=width)
        for row in self._console.render_lines(table, options, pad=False):
            text = Text.assemble(*((part.text, part.style or "") for part in row))
            text.rstrip()
            self._console.print(text, soft_wrap=True)


def _wrapped(console: Console, text: Text, width: int) -> list[Text]:
    """The text in lines of this width, without blanks behind them."""
    lines = list(text.wrap(console, max(width, 20)))
    for line in lines:
        line.rstrip()
    return lines


def sentences(report: Report) -> list[str]:
    """The answer: can the chain carry these images, and what will cut."""
    name, answer = report.topology.name, report.answer
    said = [f"{name}: {_ANSWERS.get(answer, '')}"]
    unknown = [
        f"{knob} of {layer.name}" for layer in report.topology.layers for knob in set(layer.unknown.values())
    ]
    if answer is Answer.CARRIES and unknown:
        known = "this chain carries every image that was asked for, as far as its limits are known"
        said = [f"{name}: {known}; unknown: {', '.join(sorted(unknown))}."]
    if answer is Answer.MISSES:
        wants = dict.fromkeys(str(want) for case in report.cases for want in case.missed)
        said = [f"{name}: the chain misses {', '.join(wants)}."]
    for case in report.cases:
        said.extend(_sentence(case))
    return said


def _sentence(case: Checked) -> list[str]:
    seen = case.seen
    if not seen.cuts:
        return []
    paid = seen.generations_per_request
    bill = f"; {paid:.2g} generations are paid for each request" if paid > 1.005 else ""
    said = [cut_words(cut) for cut in seen.cuts[:_MOST_CUTS]]
    rest = sum(cut.share for cut in seen.cuts[_MOST_CUTS:])
    others = f"; others {percent(rest)}" if rest else ""
    return [f"  {case.profile.name}, {case.mode.name}: {'; '.join(said)}{others}{bill}."]


def cut_words(cut: CutShare) -> str:
    """One cut and its share in half a sentence; an end that is no layer's cut is named as what it is."""
    when = {"wait": ", while waiting for the first byte", "stream": ", in mid-stream"}.get(cut.phase, "")
    if cut.layer in _NO_LAYER:
        return f"{percent(cut.share)} of requests end {_NO_LAYER[cut.layer]}: {cut.directive}{when}"
    verb = "cuts" if cut.timer else "ends"
    return f"{cut.layer} {verb} {percent(cut.share)} of requests by {cut.directive}{when}"


def _cases(cases: tuple[Checked, ...], *, narrow: bool) -> Table:
    """One line a case. What a narrow terminal has no room for is elsewhere: the forecast in the line below."""
    columns: dict[str, Callable[[Checked], str]] = {
        "delivered": lambda case: percent(case.seen.delivered),
        "forecast": lambda case: percent(case.foretold.delivered),
        "gen/req": lambda case: f"{case.seen.generations_per_request:.2f}",
        "orphaned": lambda case: in_seconds(case.seen.orphaned_s_per_request),
        "p95": lambda case: in_seconds(case.seen.p95_s),
        "per image": lambda case: format_dollars(case.seen.usd_per_delivered),
    }
    if narrow:
        del columns["forecast"], columns["orphaned"]
    table = Table(box=None, pad_edge=False)
    table.add_column("profile", overflow="fold", min_width=9)
    table.add_column("mode", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("who cuts", overflow="fold")
    for case in cases:
        cutters = [_cutter(cut) for cut in case.seen.cuts]
        figures = [figure(case) for figure in columns.values()]
        who = "\n".join(cutters) if narrow else ", ".join(cutters)
        table.add_row(Text(case.profile.name), case.mode.name, *figures, Text(who or UNKNOWN))
    return table


def _cutter(cut: CutShare) -> str:
    who = "no cut" if cut.layer == Kind.NONE else "unknown" if cut.layer == Kind.UNATTRIBUTED else cut.layer
    return " ".join(part for part in (who, cut.timer, percent(cut.share)) if part)


def _compared(cases: tuple[Checked, ...]) -> str:
    """Forecast and proof beside each other: how far apart, and whether by more than chance."""
    widest = max(cases, key=lambda case: abs(case.difference.delivered)).difference
    chance = "chance" if all(case.difference.within_sampling_error for case in cases) else "MORE than chance"
    asked = sum(case.seen.requests for case in cases)
    surprises = sum(case.difference.requests for case in cases)
    return (
        f"difference: {widest.delivered * 100:+.1f} points delivered at most, which is {chance}; given the same "
        f"generations, {asked - surprises:,} of {asked:,} requests ended as the formula says"
    )


def _who(case: Checked) -> str:
    return "the openai SDK" if case.caller == "openai-sdk" else "a light caller with the SDK's policy"


def print_finding(page: Page, finding: Finding) -> None:
    """One finding: its place, why, and what to write instead."""
    place = f"  {finding.file}:{finding.line}" if finding.line is not None else ""
    page.say(f"{finding.code}  {finding.layer}: {finding.directive}{place}", indent=2, style="bold")
    page.say(finding.why, indent=4)
    put = page.paste if finding.pastes else page.say
    put(f"fix: {finding.fix}", indent=4, style="green")
    if finding.or_else:
        page.say(f"or: {finding.or_else}", indent=4)


def _print_fix(page: Page, fixed: Fixed) -> None:
    wants = " and ".join(str(want) for want in fixed.wants)
    page.say(f"\n{_HOW[fixed.how]} for {fixed.profile.name}, {fixed.mode.name} ({wants}):", style="bold")
    if fixed.remedy is None:
        page.say("no combination of up to four changes meets this threshold", indent=2)
        return
    if not fixed.remedy.changes:
        page.say(
            "the forecast meets it unchanged: the miss may be chance; repeat the check with a larger --n",
            indent=2,
        )
    for change in fixed.remedy.changes:
        page.say(f"{change.layer}: {change.says}", indent=2)
        page.paste(change.line, indent=6, style="green")
    seen = fixed.seen
    assert seen is not None
    p95 = rounded_duration(seen.p95_s) if seen.p95_s is not None else "none"
    proved = "proved" if fixed.holds else "NOT proved"
    page.say(
        f"{proved}: {percent(seen.delivered)} delivered of {seen.requests} requests, p95 {p95}, "
        f"{seen.generations_per_request:.2f} generations a request",
        indent=2,
    )
