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


def comparison_page(seen: Sequence[Comparison]) -> str:
    """The page of a comparison, whole."""
    from whocut_reports import comparison  # noqa: PLC0415  # it needs the packages of the extra

    return comparison.comparison_page(seen)
