"""What a command prints when its run has ended, and the exit code that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from whocut.chain.want import in_words
from whocut.cli.printing import (
    EXIT_COULD_NOT_RUN,
    EXIT_FINDING,
    Terminal,
    fail,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whocut.run.finish import Finished


def report_finished(
    finished: Finished,
    show: Callable[[Terminal, dict[str, Any], Path | None], None],
    *,
    as_json: bool,
    in_front: str | None = None,
) -> None:
    """Print what came of a run, and end with its exit code; of the JSON, one part's fields come out `in_front`."""
    if as_json:
        summary = finished.summary
        print_json({**(summary.pop(in_front) if in_front else {}), **summary})
    else:
        show(Terminal(), finished.summary, finished.report)
    if finished.ended_early:
        fail(finished.ended_early, EXIT_COULD_NOT_RUN)
    finding = finding_of(finished.summary, warned=not as_json)
    if finding:
        fail(finding, EXIT_FINDING)


def finding_of(summary: Mapping[str, Any], *, warned: bool = False) -> str | None:
    """Why a run that came to its end is still no success, in a sentence: the failed cases of its ``junit.xml``.

    Where whoever reads it was `warned` already, the warnings are not said once more.
    """
    broken = [
        f"{row['want']} ({in_words(row['measured'])})" for row in summary["thresholds"] if not row["holds"]
    ]
    parts = [f"broken thresholds: {', '.join(broken)}"] if broken else []
    parts += [summary["unusable"]] if summary["unusable"] else []
    if not summary["valid"]:
        why = "see the warnings above" if warned else "; ".join(summary["warnings"])
        parts.append(f"the run is not valid: {why}")
    return "; ".join(parts) or None
