"""Verdicts over time: when in the run attempts ended in which way, a bar a span of time, stacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from whocut.words import in_seconds, plural
from whocut_reports import style
from whocut_reports.figures.verdicts import Piece, piece_name, pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.figure import Figure

    from whocut.trace.records import Attempt
    from whocut.verdict.verdict import Verdict

_SPANS = 40
_PLOT_IN, _AXIS_IN, _KEY_IN, _TOP_IN = 2.2, 0.6, 0.24, 0.15
_LEFT, _RIGHT = 0.075, 0.985
_ROUND = (1, 2, 3, 6)


@dataclass(frozen=True, slots=True)
class Spans:
    """Attempts by when they ended: `counts` by piece, then by span of `wide_s` model seconds."""

    wide_s: float
    pieces: tuple[Piece, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def attempts(self) -> int:
        """All that are drawn."""
        return sum(map(sum, self.counts))


def spans_of(
    attempts: Iterable[Attempt], verdicts: Sequence[Verdict], layers: Sequence[str] = ()
) -> Spans | None:
    """Each attempt in the span in which it ended; one that never ended in that of its start. None of none."""
    ended_s = {
        (one.request, one.number): one.ended_s if one.ended_s is not None else one.started_s
        for one in attempts
    }
    placed = [
        (ended_s[key], piece_name(verdict))
        for verdict in verdicts
        if (key := (verdict.request, verdict.attempt)) in ended_s
    ]
    if not placed:
        return None
    last_s = max(at_s for at_s, _ in placed)
    wide_s = _round(last_s / _SPANS)
    many = int(last_s / wide_s) + 1
    pieces = pieces_of(verdicts, layers)
    counts: Mapping[str, list[int]] = {piece.label: [0] * many for piece in pieces}
    for at_s, label in placed:
        counts[label][max(0, int(at_s / wide_s))] += 1
    used = [piece for piece in pieces if any(counts[piece.label])]
    return Spans(wide_s, tuple(used), tuple(tuple(counts[piece.label]) for piece in used))


def _round(at_least_s: float) -> float:
    """The next round number of seconds."""
    return next(
        (base * 10.0**power for power in range(7) for base in _ROUND if base * 10.0**power >= at_least_s), 1e7
    )


def draw(shown: Spans) -> Figure:
    """The figure: bars that begin where their span begins."""
    with style.look():
        keys_in = _KEY_IN * len(shown.pieces) + 0.1
        height_in = _TOP_IN + _PLOT_IN + _AXIS_IN + keys_in
        drawn = style.figure(height_in)
        box = (_LEFT, (_AXIS_IN + keys_in) / height_in, _RIGHT - _LEFT, _PLOT_IN / height_in)
        axes = drawn.add_axes(box)
        many = len(shown.counts[0])
        style.seconds_axis(
            axes,
            many * shown.wide_s,
            label=f"model seconds since the run began, {in_seconds(shown.wide_s)} a bar",
        )
        below = [0] * many
        for piece, counts in zip(shown.pieces, shown.counts, strict=True):
            axes.bar(
                [number * shown.wide_s for number in range(many)],
                counts,
                width=shown.wide_s,
                bottom=below,
                align="edge",
                zorder=3,
                **{"edgecolor": style.PAPER, "linewidth": 0.4, **piece.fill},
            )
            below = [one + more for one, more in zip(below, counts, strict=True)]
        axes.set_ylim(0, max(below) * 1.05)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("attempts that ended")
        axes.grid(visible=True, axis="y", color=style.RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        handles = [
            Patch(label=f"{style.brief(piece.label, 90)}: {sum(counts):,}", **piece.fill)
            for piece, counts in zip(shown.pieces, shown.counts, strict=True)
        ]
        drawn.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(_LEFT - 0.004, 0.02 / height_in),
            fontsize=9,
            borderpad=0,
            handlelength=1.5,
        )
    return drawn


def alt(shown: Spans) -> str:
    """The same for a reader who cannot see it: each way with its count, its first and its last span."""
    said = []
    for piece, counts in zip(shown.pieces, shown.counts, strict=True):
        met = [number for number, count in enumerate(counts) if count]
        first, last = met[0] * shown.wide_s, (met[-1] + 1) * shown.wide_s
        said.append(f"{piece.label}: {sum(counts)}, from {in_seconds(first)} to {in_seconds(last)}")
    return f"Verdicts over time. {'; '.join(said)}."


def caption(shown: Spans) -> str:
    """What its numbers are."""
    return (
        f"One unit is one attempt, in the span of {in_seconds(shown.wide_s)} in which it ended for its client: "
        f"{plural(shown.attempts, 'attempt')}. What never ended is where it began."
    )
