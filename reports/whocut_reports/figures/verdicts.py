"""Verdicts by layer and mode: a bar a mode, a piece a verdict, the attempts counted in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.patches import Patch

from whocut.trace.records import Outcome
from whocut.verdict.phrases import cut_name
from whocut.verdict.verdict import Kind, Verdict
from whocut.words import plural
from whocut_reports import style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from whocut.verdict.figures import ModeFigures

_BAR_IN, _ROW_IN = 0.36, 0.72
_AXIS_IN, _KEY_IN = 0.55, 0.24
_LEFT, _RIGHT = 0.155, 0.985


@dataclass(frozen=True, slots=True)
class Piece:
    """A kind of ending, and how it is filled."""

    label: str
    fill: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bars:
    """What is drawn: for each mode how many attempts ended in each way; pieces in the order of drawing."""

    pieces: tuple[Piece, ...]
    modes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # by mode, by piece
    requests: tuple[int, ...]

    @property
    def attempts(self) -> tuple[int, ...]:
        """How many attempts each mode had."""
        return tuple(sum(counts) for counts in self.counts)


def pieces_of(verdicts: Iterable[Verdict], layers: Sequence[str] = ()) -> tuple[Piece, ...]:
    """The cuts by layer and timer, the commonest first, in their layers' colours; then what no layer cut."""
    cuts: dict[str, int] = {}
    layer_of: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.kind is Kind.CUT:
            name = cut_name(verdict)
            cuts[name] = cuts.get(name, 0) + 1
            layer_of[name] = " and ".join(verdict.tie) or verdict.layer or name
    commonest = sorted(cuts, key=lambda name: -cuts[name])
    colours = style.colours_of([*layers, *(layer_of[name] for name in commonest)])
    seen: dict[str, int] = {}
    pieces = []
    for name in commonest:
        layer = layer_of[name]
        pieces.append(Piece(name, style.cut_fill(colours[layer], seen.get(layer, 0))))
        seen[layer] = seen.get(layer, 0) + 1
    return (*pieces, *_OTHERS)


def count(
    verdicts: Iterable[Verdict], by_mode: Mapping[str, ModeFigures], layers: Sequence[str] = ()
) -> Bars:
    """Every attempt once: the cuts by layer and timer, then what no layer cut.

    `layers` are those of the chain: their places in it give them their colours.
    """
    verdicts = list(verdicts)
    pieces = pieces_of(verdicts, layers)
    modes = tuple(by_mode)
    counts = []
    for mode in modes:
        mine = [piece_name(verdict) for verdict in verdicts if verdict.mode == mode]
        counts.append(tuple(mine.count(piece.label) for piece in pieces))
    used = [i for i in range(len(pieces)) if any(row[i] for row in counts)]
    return Bars(
        tuple(pieces[i] for i in used),
        modes,
        tuple(tuple(row[i] for i in used) for row in counts),
        tuple(by_mode[mode].requests for mode in modes),
    )


_DELIVERED = Piece("delivered", {"facecolor": style.DELIVERED})
_REJECTED = Piece("rejected by the API", {"facecolor": style.REJECTED})
_UNATTRIBUTED = Piece("unattributed", {"facecolor": style.UNATTRIBUTED})
_CENSORED = Piece(
    "censored: the run ended first",
    {"facecolor": style.CENSORED, "edgecolor": style.QUIET, "linewidth": 0.8, "linestyle": "--"},
)
_OTHERS = (_UNATTRIBUTED, _REJECTED, _CENSORED, _DELIVERED)


def piece_name(verdict: Verdict) -> str:
    """The label of the piece that a verdict is counted in."""
    if verdict.kind is Kind.CUT:
        return cut_name(verdict)
    if verdict.kind is Kind.UNATTRIBUTED:
        return _UNATTRIBUTED.label
    if verdict.outcome is Outcome.DELIVERED:
        return _DELIVERED.label
    return _CENSORED.label if verdict.outcome is Outcome.CENSORED else _REJECTED.label


def draw(bars: Bars) -> Figure:
    """The figure; a run without attempts says so."""
    with style.look():
        rows_in = max(1, len(bars.modes)) * _ROW_IN + 0.12
        keys_in = _KEY_IN * len(bars.pieces) + 0.1
        height_in = rows_in + _AXIS_IN + keys_in
        drawn = style.figure(height_in)
        box = (_LEFT, (_AXIS_IN + keys_in) / height_in, _RIGHT - _LEFT, rows_in / height_in)
        axes = drawn.add_axes(box)
        axes.set_ylim(rows_in, 0)
        if not any(bars.attempts):
            axes.text(0.5, rows_in / 2, "no attempt was made", ha="center", va="center")
            axes.set_axis_off()
            return drawn
        most = max(bars.attempts)
        style.seconds_axis(axes, most * 1.02, label="attempts")
        axes.set_xticks([tick for tick in axes.get_xticks() if tick == int(tick)])
        axes.set_yticks([])
        axes.grid(visible=True, axis="x", color=style.RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        for row, mode in enumerate(bars.modes):
            place = 0.22 + _BAR_IN / 2 + row * _ROW_IN
            _mode(drawn, 1 - (place - 0.05) / height_in, mode, bars.attempts[row], bars.requests[row])
            _bar(axes, place, bars.pieces, bars.counts[row])
        totals = [sum(row[i] for row in bars.counts) for i in range(len(bars.pieces))]
        handles = [
            Patch(label=f"{piece.label}: {total}", **piece.fill)
            for piece, total in zip(bars.pieces, totals, strict=True)
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


def _mode(drawn: Figure, at: float, mode: str, attempts: int, requests: int) -> None:
    name = drawn.text(style.MARGIN, at, mode or "(no mode)", va="bottom", fontweight="bold")
    style.shortened(name, (_LEFT - style.MARGIN) * style.WIDTH_IN * style.DPI - 8)
    drawn.text(
        style.MARGIN,
        at,
        f"{plural(attempts, 'attempt')},\n{plural(requests, 'request')}",
        va="top",
        color=style.QUIET,
        fontsize=8.5,
    )


def _bar(axes: Axes, place: float, pieces: Sequence[Piece], counts: Sequence[int]) -> None:
    """Counts are in their piece; of a piece too narrow for it, above, each clear of the one before."""
    start, free_px = 0, float("-inf")
    for piece, number in zip(pieces, counts, strict=True):
        if not number:
            continue
        axes.barh(place, number, _BAR_IN, left=start, zorder=3, **{"edgecolor": style.PAPER, **piece.fill})
        text = axes.text(
            start + number / 2,
            place,
            str(number),
            ha="center",
            va="center",
            color=style.ink_on(piece.fill["facecolor"]),
            fontsize=9,
            zorder=5,
        )
        wide_px = style.text_width(text)
        room_px = axes.transData.transform((number, 0))[0] - axes.transData.transform((0, 0))[0]
        if room_px < wide_px + 6:
            middle_px = max(
                float(axes.transData.transform((start + number / 2, 0))[0]), free_px + wide_px / 2 + 5
            )
            text.set_position(
                (axes.transData.inverted().transform((middle_px, 0))[0], place - _BAR_IN / 2 - 0.08)
            )
            text.set_color(style.INK)
            free_px = middle_px + wide_px / 2
        start += number
