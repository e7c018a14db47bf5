"""What a terminal shows of a check: the answer first, then the cases, then what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from whocut.chain.durations import format_duration
from whocut.show.following import next_command
from whocut.show.progress import ProgressLine

if TYPE_CHECKING:
    from rich.console import Console

    from whocut.chain.audit import Finding
    from whocut.chain.forecast import CutShare
    from whocut.proof.check import Checked, Fixed, Progress, Report

_MOST_CUTS = 3
_HOW = {"smallest": "fix", "configuration alone": "or by configuration alone,"}
_WIDE = 100


class ShowCheck(ProgressLine):
    """How far a check is; a quick one says nothing of it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, after_real_s=2.0)

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""
        self.say(f"{progress.what}: {progress.done} of {progress.asked} requests")


def print_report(console: Console, report: Report, chain: str) -> None:
    """The whole report; `chain` is as the caller wrote it."""
    for sentence in sentences(report):
        console.print(sentence, highlight=False, markup=False, soft_wrap=False)
    console.print()
    console.print(_cases(report.cases, narrow=console.width < _WIDE))
    console.print(
        f"\nforecast: {max(case.foretold.requests for case in report.cases):,} generations by formula; the rest: "
        f"seen, in virtual time, through real sockets ({', '.join(dict.fromkeys(_who(c) for c in report.cases))})",
        highlight=False,
        markup=False,
        style="dim",
    )
    console.print(_compared(report.cases), highlight=False, markup=False, style="dim")
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    if report.findings:
        console.print(
            f"\n{len(report.findings)} finding{'s' if len(report.findings) > 1 else ''}:",
            highlight=False,
            markup=False,
        )
        for finding in report.findings:
            _print_finding(console, finding)
    for fixed in report.fixes:
        _print_fix(console, fixed)
    if not report.asked_for_fix and any(case.seen.delivered < 1 for case in report.cases):
        console.print(
            f"\nnext:   {next_command('check', chain, '--fix', '--want', 'delivered>=0.999')}",
            highlight=False,
            markup=False,
        )


def sentences(report: Report) -> list[str]:
    """The answer: can the chain carry these images, and who will cut."""
    missed = [case for case in report.cases if case.missed]
    said = []
    if missed:
        wants = dict.fromkeys(str(want) for case in missed for want in case.missed)
        said.append(f"{report.topology.name}: NOT what is wanted: {', '.join(wants)} is missed.")
    elif all(case.seen.delivered == 1 for case in report.cases):
        said.append(f"{report.topology.name}: this chain carries every image that was asked for.")
    elif any(case.seen.delivered < 0.5 for case in report.cases):
        said.append(f"{report.topology.name}: this chain cannot carry these generation times.")
    else:
        said.append(f"{report.topology.name}: this chain loses images.")
    for case in report.cases:
        said.extend(_sentence(case))
    return said


def _sentence(case: Checked) -> list[str]:
    seen = case.seen
    if not seen.cuts:
        return []
    paid = seen.generations_per_request
    bill = f"; {paid:.2g} generations are paid for each request" if paid > 1.005 else ""
    said = [_cut(cut) for cut in seen.cuts[:_MOST_CUTS]]
    rest = sum(cut.share for cut in seen.cuts[_MOST_CUTS:])
    others = f"; others {_percent(rest)}" if rest else ""
    return [f"  {case.profile.name}, {case.mode.name}: {'; '.join(said)}{others}{bill}."]


def _cut(cut: CutShare) -> str:
    when = {"wait": ", while waiting for the first byte", "stream": ", in mid-stream"}.get(cut.phase, "")
    who = f"{cut.layer} cuts" if cut.timer else cut.layer
    return f"{who} {_percent(cut.share)} of requests by {cut.directive}{when}"


def _cases(cases: tuple[Checked, ...], *, narrow: bool) -> Table:
    """One line a case; who cuts stands in the sentences above it where the terminal is narrow."""
    table = Table(box=None, pad_edge=False)
    table.add_column("profile", overflow="fold", min_width=9)
    table.add_column("mode", no_wrap=True)
    for name in ("delivered", "forecast", "gen/req", "orphaned", "p95", "$/image"):
        table.add_column(name, justify="right", no_wrap=True)
    if not narrow:
        table.add_column("who cuts", overflow="fold")
    for case in cases:
        seen = case.seen
        cutters = ", ".join(f"{cut.layer} {cut.timer} {_percent(cut.share)}" for cut in seen.cuts)
        row = (
            Text(case.profile.name),
            case.mode.name,
            _percent(seen.delivered),
            _percent(case.foretold.delivered),
            f"{seen.generations_per_request:.2f}",
            f"{seen.orphaned_s_per_request:.0f} s",
            "-" if seen.p95_s is None else f"{seen.p95_s:.0f} s",
            "-" if seen.usd_per_delivered is None else f"{seen.usd_per_delivered:.3f}",
        )
        table.add_row(*row, *(() if narrow else (Text(cutters or "-"),)))
    return table


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


def _print_finding(console: Console, finding: Finding) -> None:
    console.print(Text.assemble(("  " + finding.code, "bold"), f"  {finding.layer}: {finding.directive}"))
    console.print(Padding(Text(finding.why), (0, 0, 0, 4)))
    console.print(Padding(Text.assemble(("fix: ", "green"), finding.fix), (0, 0, 0, 4)))


def _print_fix(console: Console, fixed: Fixed) -> None:
    wants = " and ".join(str(want) for want in fixed.wants)
    console.print(
        f"\n{_HOW[fixed.how]} for {fixed.profile.name}, {fixed.mode.name} ({wants}):",
        style="bold",
        highlight=False,
        markup=False,
    )
    if fixed.remedy is None:
        console.print("  no set of up to four changes keeps it", highlight=False, markup=False)
        return
    if not fixed.remedy.changes:
        console.print("  the forecast keeps it as it is: what was seen is chance, ask for more with --n")
    for change in fixed.remedy.changes:
        console.print(Padding(Text.assemble((f"{change.layer}: ", "bold"), change.says), (0, 0, 0, 2)))
        console.print(Padding(Text(change.line, style="green"), (0, 0, 0, 6)))
    seen = fixed.seen
    assert seen is not None
    p95 = format_duration(round(seen.p95_s, 1)) if seen.p95_s is not None else "none"
    proved = "proved" if fixed.holds else "NOT proved"
    console.print(
        f"  {proved}: {_percent(seen.delivered)} delivered of {seen.requests} requests, p95 {p95}, "
        f"{seen.generations_per_request:.2f} generations a request",
        highlight=False,
        markup=False,
    )


def _percent(share: float) -> str:
    if 0 < share < 0.001 or 0.999 < share < 1:
        return f"{share:.2%}"
    return f"{share:.1%}" if share not in {0.0, 1.0} else f"{share:.0%}"
