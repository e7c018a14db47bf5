"""What a command prints when its run has ended, and the exit code that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.want import in_words
from whocut.cli.printing import EXIT_COULD_NOT_RUN, EXIT_FINDING, fail, print_json, say
from whocut.cli.terminal import Terminal
from whocut.path.gateways.own import DIFF
from whocut.trace.logs.in_run import LOGS
from whocut.verdict.figures import as_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.run.finish import Finished
    from whocut.verdict.figures import Summary


def print_diffs(run: Path) -> None:
    """What a run's gateways got of their users' configurations, as diffs on the standard error."""
    for diff in sorted((run / LOGS).glob(f"*/{DIFF}")):
        say(diff.read_text(encoding="utf-8").rstrip("\n"), to_stderr=True)


def report_finished(
    finished: Finished,
    show: Callable[[Terminal, Summary, Path | None], None],
    *,
    as_json: bool,
    in_front: str | None = None,
) -> None:
    """Print what came of a run, and end with its exit code; of the JSON, one part's fields come out `in_front`."""
    summary = finished.summary
    if as_json:
        fields = as_fields(summary)
        print_json({**(as_fields(fields.pop(in_front)) if in_front else {}), **fields})
    else:
        show(Terminal(), summary, finished.report)
    if summary.ended_early:
        fail(summary.ended_early, EXIT_COULD_NOT_RUN)
    finding = finding_of(summary, warned=not as_json)
    if finding:
        fail(finding, EXIT_FINDING)


def finding_of(summary: Summary, *, warned: bool = False) -> str | None:
    """Why a run that came to its end is still no success, in a sentence: the failed cases of its ``junit.xml``.

    Where the warnings were printed already (`warned`), they are not said once more.
    """
    broken = [f"{row.want} ({in_words(row.measured)})" for row in summary.thresholds if not row.holds]
    parts = [f"broken thresholds: {', '.join(broken)}"] if broken else []
    parts += [summary.unusable] if summary.unusable else []
    if not summary.valid:
        why = "see the warnings above" if warned else "; ".join(summary.warnings)
        parts.append(f"the run is not valid: {why}")
    return "; ".join(parts) or None
