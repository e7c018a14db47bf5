"""A check as the programs around it read it: SARIF, GitHub's annotations, JUnit XML, Markdown; one function each.

A finding that decides the first line of the report is an error where the chain is wrong, and else a warning. What
is only unknown is a note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut.chain.audit import BEYOND, RULES
from whocut.show.check import sentences
from whocut.trace.annotations import annotation
from whocut.trace.junit import Case, junit
from whocut.trace.sarif import result, sarif
from whocut.words import UNKNOWN, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.audit import Finding
    from whocut.proof.report import Checked, Report

ANSWER: Final = "chain-cannot-carry"
_ANSWER_SAYS: Final = "the chain does not do what is wanted, or loses most images"
_CUTS: Final = {BEYOND, "limit-below-generation", "total-kills-stream", "idle-below-gap", "buffered-stream"}
_NOT_KNOWN: Final = {"unverified-limit", "unknown-limit"}
# What GitHub's own runner reads out of a line of a job's log.
_COMMANDS: Final = {"error": "error", "warning": "warning", "note": "notice"}


def level_of(report: Report, finding: Finding) -> str:
    """``error``, ``warning`` or ``note``."""
    if finding.code in _NOT_KNOWN:
        return "note"
    return "error" if finding.code in _CUTS and not report.ok else "warning"


def _headline(report: Report) -> str:
    return "\n".join(sentence.strip() for sentence in sentences(report))


def _whole(finding: Finding) -> str:
    """A finding in three lines: who and why, the fix, and the other way out."""
    way_out = f"\nor: {finding.or_else}" if finding.or_else else ""
    return f"{finding.layer}: {finding.directive}: {finding.why}\nfix: {finding.fix}{way_out}"


# --- SARIF ----------------------------------------------------------------------------------------


def as_sarif(report: Report) -> str:
    """SARIF 2.1.0, as code scanning takes it: one result a finding, and one where the chain is not right."""
    rules = [(rule.code, rule.says) for rule in RULES]
    results = [_result(report, finding) for finding in report.findings]
    if not report.ok:
        results.insert(0, _answer(report))
        rules.insert(0, (ANSWER, _ANSWER_SAYS))
    return sarif(rules, results)


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    return result(finding.code, level_of(report, finding), _whole(finding), *_place(report, finding))


def _answer(report: Report) -> dict[str, Any]:
    """The first line of the report, at the place of its first error."""
    first = next((one for one in report.findings if one.file and level_of(report, one) == "error"), None)
    place = (first.file, first.line) if first else ("", None)
    return result(ANSWER, "error", _headline(report), *place)


def _place(report: Report, finding: Finding) -> tuple[str, int | None]:
    """Where a finding is shown: at the next layer inward where it has no place, for code scanning refuses such."""
    if finding.file:
        return finding.file, finding.line
    layers = report.topology.layers
    at = next((number for number, layer in enumerate(layers) if layer.name == finding.layer), 0)
    return next(
        ((layer.file, layer.line) for layer in (*layers[at:], *layers[at::-1]) if layer.file), ("", None)
    )


# --- GitHub's annotations -------------------------------------------------------------------------


def as_github(report: Report) -> str:
    """Workflow commands: GitHub shows each at its file's line in the pull request."""
    lines = [
        annotation(
            _COMMANDS[level_of(report, finding)], finding.file, finding.line, finding.code, _whole(finding)
        )
        for finding in report.findings
    ]
    answer = annotation("notice" if report.ok else "error", "", None, "whocut check", _headline(report))
    return "\n".join([*lines, answer]) + "\n"


# --- JUnit XML ------------------------------------------------------------------------------------


def as_junit(report: Report) -> str:
    """One test case a profile and mode, and one a finding; errors fail."""
    cases = [
        Case(
            name=f"{case.profile.name}, {case.mode.name}",
            failure=_missed(report, case),
        )
        for case in report.cases
    ]
    for finding in report.findings:
        level = level_of(report, finding)
        place = f"{finding.file}:{finding.line}" if finding.line is not None else finding.layer
        name = f"{finding.code} {finding.layer}: {finding.directive} ({place})"
        cases.append(
            Case(name=name, failure=_whole(finding))
            if level == "error"
            else Case(name=name, skipped=f"{level}: {_whole(finding)}")
        )
    return junit(f"whocut check {report.topology.name}", "whocut.check", cases).decode() + "\n"


def _missed(report: Report, case: Checked) -> str | None:
    if case.missed:
        return f"misses {', '.join(map(str, case.missed))}: {percent(case.seen.delivered)} delivered"
    if report.cannot(case):
        return f"{percent(case.seen.delivered)} delivered: the chain cannot carry these generation times"
    return None


# --- Markdown -------------------------------------------------------------------------------------


def as_markdown(report: Report) -> str:
    """A comment or a job's summary: the answer, the cases, the findings with their places."""
    first, *more = sentences(report)
    lines = [f"**{markdown(first)}**", ""]
    lines += [f"- {markdown(sentence.strip())}" for sentence in more]
    lines += [
        "",
        "| profile | mode | delivered | generations a request | who cuts |",
        "|---|---|--:|--:|---|",
    ]
    for case in report.cases:
        cutters = ", ".join(f"{cut.layer} {cut.directive} {percent(cut.share)}" for cut in case.seen.cuts)
        cells = (
            case.profile.name,
            case.mode.name,
            percent(case.seen.delivered),
            f"{case.seen.generations_per_request:.2f}",
            cutters or UNKNOWN,
        )
        lines.append(f"| {' | '.join(map(markdown, cells))} |")
    if report.findings:
        lines += ["", f"{plural(len(report.findings), 'finding')}:", ""]
    for finding in report.findings:
        place = f" in `{finding.file}:{finding.line}`" if finding.line is not None else ""
        fix = f"`{finding.fix}`" if finding.pastes and "`" not in finding.fix else markdown(finding.fix)
        lines.append(
            f"- **{level_of(report, finding)}** {finding.code}, {markdown(finding.layer)}: "
            f"{markdown(finding.directive)}{place}: {markdown(finding.why)}. Fix: {fix}"
        )
    for note in report.not_read:
        lines.append(f"- not read: `{note.place}`: {markdown(note.what)}")
    return "\n".join(lines) + "\n"


def markdown(text: str) -> str:
    """Words that Markdown takes as they are: a file may hold its signs."""
    for sign in "\\`*_<>|[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")


FORMATS: Final[dict[str, Callable[[Report], str]]] = {
    "sarif": as_sarif,
    "github": as_github,
    "junit": as_junit,
    "markdown": as_markdown,
}
