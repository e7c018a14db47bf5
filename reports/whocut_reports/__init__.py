"""Pictures and pages from a run directory; starts nothing. The only importer of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from whocut.chain.layers import Topology
    from whocut.compare.decide import Comparison
    from whocut.trace.rundir import RunDir
    from whocut.verdict.summary import Judged


def write_report(run: RunDir, judged: Judged, topology: Topology) -> Path:
    """Write a run's figures and its page; the page's path."""
    from whocut_reports import page  # noqa: PLC0415  # matplotlib takes a second to import: only who draws pays for it

    return page.write_report(run, judged, topology)


def write_unreadable(folder: Path) -> Path:
    """Write the page of a run directory without a readable manifest: it says what is missing; the page's path."""
    from whocut.trace.rundir import REPORT, write_whole  # noqa: PLC0415  # as above
    from whocut_reports import comparison, whole  # noqa: PLC0415  # as above

    path = folder / REPORT
    write_whole(path, comparison.unreadable_page(folder.name, whole.unreadable(folder)).encode())
    return path


def comparison_page(seen: Sequence[Comparison]) -> str:
    """The page of a comparison, whole."""
    from whocut_reports import comparison  # noqa: PLC0415  # it needs the packages of the extra

    return comparison.comparison_page(seen)
