"""Dollars against delivered images: what each mode's bill bought, and what ran on without a caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.patches import Patch

from whocut.chain.money import format_dollars
from whocut.words import plural
from whocut_reports import style
from whocut_reports.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.figure import Figure

    from whocut.trace.records import Attempt

_ROW_IN, _BAR, _TOP_IN, _RIGHT = 0.55, 0.6, 0.1, 0.985
_ROOM = 1.55  # of the longest bar: the words behind it need the rest
_FILLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("for images that were delivered", {"facecolor": style.DELIVERED}),
    ("for generations that ran on without a caller", style.hatched()),
    ("for the rest", {"facecolor": style.QUIET}),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """One mode's bill in dollars, by what it was for, and the images that came."""

    mode: str
    delivered_usd: float
    orphaned_usd: float
    other_usd: float
    images: int

    @property
    def parts(self) -> tuple[float, float, float]:
        """In the order of drawing."""
        return (self.delivered_usd, self.orphaned_usd, self.other_usd)

    @property
    def total_usd(self) -> float:
        """The whole bill."""
        return sum(self.parts)

    @property
    def words(self) -> str:
        """``$13.01 for 2 images: $6.50 each``."""
        bill = f"{format_dollars(self.total_usd)} for {plural(self.images, 'image')}"
        return f"{bill}: {format_dollars(self.total_usd / self.images)} each" if self.images else bill


def spent_of(
    ledger: Iterable[Mapping[str, Any]], attempts: Iterable[Attempt], modes: Sequence[str]
) -> tuple[Spent, ...]:
    """A row a mode with a bill; a row of the ledger finds its mode by its trace."""
    mode_of = {attempt.trace_id: attempt.mode for attempt in attempts}
    sums: dict[str, list[float]] = {mode: [0.0, 0.0, 0.0] for mode in modes}
    images = dict.fromkeys(modes, 0)
    for row in ledger:
        mode = mode_of.get(str(row.get("trace_id")))
        if mode not in sums or row.get("started_s") is None:
            continue
        images[mode] += bool(row.get("delivered"))
        if row.get("billed"):
            part = 0 if row.get("delivered") else 1 if row.get("orphaned") else 2
            sums[mode][part] += float(row.get("billed_usd") or 0)
    return tuple(
        Spent(mode or "(no mode)", sums[mode][0], sums[mode][1], sums[mode][2], images[mode])
        for mode in modes
        if any(sums[mode]) or images[mode]
    )


def draw(rows: Sequence[Spent]) -> Figure:
    """The figure: a bar a mode."""
    with style.look():
        made = Rows(len(rows), _ROW_IN, top_in=_TOP_IN, right=_RIGHT)
        axes = made.axes
        most = max(row.total_usd for row in rows) or 1.0
        made.scaled(most * _ROOM, "dollars billed")
        for number, row in enumerate(rows):
            made.name(number, row.mode, va="center", fontweight="bold")
            start = 0.0
            for (_, fill), usd in zip(_FILLS, row.parts, strict=True):
                if usd:
                    axes.barh(number, usd, _BAR, left=start, zorder=3, **{"edgecolor": style.PAPER, **fill})
                start += usd
            axes.annotate(
                row.words,
                (start, number),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                zorder=5,
            )
        made.key([Patch(label=label, **fill) for label, fill in _FILLS], handlelength=1.5)
    return made.figure


def alt(rows: Sequence[Spent]) -> str:
    """Each bill in words."""
    said = (
        f"{row.mode}: {row.words}, {format_dollars(row.orphaned_usd)} of it without a caller" for row in rows
    )
    return f"Dollars against delivered images. {'; '.join(said)}."


def caption() -> str:
    """What its numbers are."""
    return "By the upstream’s ledger. A generation that had not ended with the run has no bill, and no bar."
