"""The waterfall of one request: a row a layer and attempt, the cut where it was, the orphan drawn past it.

Colour is only on the layer that cut and on what ran on; what followed from the cut is grey.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from whocut.trace.records import SpanKind
from whocut.waterfall.rows import Doing, MarkKind, Part, Row, Segment, Waterfall
from whocut_reports import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_ROW_IN = 0.27
_GAP_IN = 0.14  # above each attempt
_HEAD_IN, _AXIS_IN, _LINE_IN = 0.42, 0.6, 0.2
_LINES_AT_MOST = 5
_WIDEST_LEFT, _RIGHT = 0.3, 0.985
_INDENT = 0.018
_THICK = {SpanKind.REQUEST: 0.24, SpanKind.ATTEMPT: 0.62, SpanKind.HOP: 0.62, SpanKind.GENERATION: 0.62}
_PAD_PX = 6
_AT_EITHER_END = 20  # attempts that are drawn of a request that has many
_NOTE_PT = 8.8
_LEAST_NOTE_PX = 150
_LABELS = {
    Doing.WAITING: "waiting for the first byte",
    Doing.STREAMING: "streaming",
    Doing.WORKING: "model at work, a caller waits",
    Doing.ORPHANED: "model at work, orphaned",
}


def draw(fall: Waterfall, *, phrases: bool = True) -> Figure:
    """The figure; an empty waterfall says so. A page that writes the phrases itself leaves them out."""
    fall, left_out = _with_few_attempts(fall)
    with style.look():
        places, depth = _places(fall)
        said = [*(_said(fall) if phrases else []), *left_out]
        foot_in = _AXIS_IN + _LINE_IN * len(said) + 0.08
        height_in = depth + _HEAD_IN + foot_in
        drawn = style.figure(height_in)
        labels = [
            _label(drawn, row, 1 - (_HEAD_IN + at) / height_in)
            for row, at in zip(fall.rows, places, strict=True)
        ]
        left = _left(labels)
        axes = drawn.add_axes((left, foot_in / height_in, _RIGHT - left, depth / height_in))
        for number, line in enumerate(reversed(said)):
            drawn.text(style.MARGIN, (0.1 + _LINE_IN * number) / height_in, line, fontsize=9, va="bottom")
        axes.set_ylim(depth, 0)
        if not fall.rows:
            axes.text(0.5, depth / 2, "no span of this request was written", ha="center", va="center")
            axes.set_axis_off()
            return drawn
        axis = "model seconds since the request began"
        style.seconds_axis(axes, _axis_end_s(axes, fall), label=axis)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=True, axis="x", color=style.RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        _past_the_cut(axes, fall, places)
        for row, place in zip(fall.rows, places, strict=True):
            _bar(axes, row, place)
        for row, place in zip(fall.rows, places, strict=True):
            _note(axes, row, place)
        _legend(drawn, fall, height_in)
    return drawn


def _with_few_attempts(fall: Waterfall) -> tuple[Waterfall, list[str]]:
    """The same with its first and last attempts, and a sentence on those that are left out.

    A client that asks for ever has hundreds, and a picture of them is larger than any program draws.
    """
    begins = [number for number, row in enumerate(fall.rows) if row.kind is SpanKind.ATTEMPT]
    if len(begins) <= 2 * _AT_EITHER_END:
        return fall, []
    rows = (*fall.rows[: begins[_AT_EITHER_END]], *fall.rows[begins[-_AT_EITHER_END] :])
    sentence = (
        f"Drawn are the first {_AT_EITHER_END} and the last {_AT_EITHER_END} of {len(begins)} attempts."
    )
    return replace(fall, rows=rows), [sentence]


def _places(fall: Waterfall) -> tuple[list[float], float]:
    """The middle of each row, in inches from the top, and the depth of them all."""
    places, at_in = [], 0.0
    for row in fall.rows:
        at_in += _GAP_IN if row.kind is SpanKind.ATTEMPT else 0.0
        places.append(at_in + _ROW_IN / 2)
        at_in += _ROW_IN
    return places, max(at_in, 0.6) + 0.06


def _said(fall: Waterfall) -> list[str]:
    """The verdicts' phrases as lines that fit; of many attempts the first few, and how many more."""
    lines = _wrapped(fall.phrases)
    if len(lines) <= _LINES_AT_MOST:
        return lines
    kept = 1
    while len(_wrapped(fall.phrases[: kept + 1])) < _LINES_AT_MOST:
        kept += 1
    left = len(fall.phrases) - kept
    return [*_wrapped(fall.phrases[:kept]), f"… and {left} more attempt{'' if left == 1 else 's'}"]


def _wrapped(phrases: Sequence[str]) -> list[str]:
    return [line for phrase in phrases for line in textwrap.wrap(phrase, 155, subsequent_indent="    ")]


def _label(drawn: Figure, row: Row, at: float) -> Text:
    loud = row.part in {Part.CUTTER, Part.REQUEST}
    return drawn.text(
        style.MARGIN + (_INDENT if row.depth > 1 else 0.0),
        at,
        row.label,
        va="center",
        color=style.CUT_INK if row.part is Part.CUTTER else style.INK,
        fontweight="bold" if loud else "normal",
    )


def _left(labels: Sequence[Text]) -> float:
    """Where the bars begin: right of the widest label, and labels beyond measure are cut short."""
    width_px = style.WIDTH_IN * style.DPI
    ends = [0.1]
    for label in labels:
        start = float(label.get_position()[0])
        style.shortened(label, (_WIDEST_LEFT - start) * width_px - 12)
        ends.append(start + style.text_width(label) / width_px)
    return max(ends) + 0.014


def _axis_end_s(axes: Axes, fall: Waterfall) -> float:
    """Far enough that notes of bars near the end have room beside them, within reason."""
    end_s = max(fall.end_s, 0.001)
    room_px = axes.get_window_extent().width
    reach = [end_s * 1.01]
    for row in fall.rows:
        if row.note and not _orphaned_s(row):
            probe = axes.text(0, 0, row.note, fontsize=_NOTE_PT, fontweight="bold")
            needs = style.text_width(probe) + 4 * _PAD_PX
            probe.remove()
            reach.append(row.end_s / max(0.05, 1 - needs / room_px))
    return min(max(reach), end_s * 1.3)


def _fill(row: Row, piece: Segment) -> dict[str, Any]:
    if piece.doing is Doing.ORPHANED:
        return style.hatched()
    if piece.doing is Doing.ASKING:
        return {"facecolor": style.QUIET, "edgecolor": "none"}
    if piece.doing is Doing.WORKING:
        return {"facecolor": style.WORKING, "edgecolor": "none"}
    streaming = piece.doing is Doing.STREAMING
    if row.part is Part.CASCADE:
        grey = style.CASCADE_STREAMING if streaming else style.CASCADE
        return {"facecolor": grey, "edgecolor": "none"}
    return {"facecolor": style.STREAMING if streaming else style.WAITING, "edgecolor": "none"}


def _bar(axes: Axes, row: Row, place: float) -> None:
    thick = _ROW_IN * _THICK[row.kind]
    for piece in row.segments:
        width = piece.end_s - piece.start_s
        axes.barh(place, width, thick, left=piece.start_s, zorder=3, **_fill(row, piece))
    for mark in row.marks:
        if mark.kind is MarkKind.EVENT:
            axes.vlines(
                mark.at_s, place - thick * 0.72, place + thick * 0.72, color=style.INK, lw=1.4, zorder=5
            )
        elif mark.kind is MarkKind.CUT:
            axes.plot(
                mark.at_s,
                place,
                marker="X",
                ms=11,
                mfc=style.CUT,
                mec=style.PAPER,
                mew=1.0,
                zorder=7,
                clip_on=False,
            )
        else:
            axes.plot(
                mark.at_s,
                place,
                marker="o",
                ms=7,
                mfc=style.DELIVERED,
                mec=style.PAPER,
                zorder=6,
                clip_on=False,
            )


def _past_the_cut(axes: Axes, fall: Waterfall, places: list[float]) -> None:
    """A line from each cut down to the generation behind it: what is right of it was orphaned."""
    for row, place in zip(fall.rows, places, strict=True):
        if row.cut_s is None:
            continue
        below = [
            at
            for other, at in zip(fall.rows, places, strict=True)
            if other.attempt == row.attempt and other.kind is SpanKind.GENERATION
        ]
        if below:
            reach = below[-1] + _ROW_IN * _THICK[SpanKind.GENERATION] / 2
            axes.vlines(row.cut_s, place, reach, color=style.CUT, lw=1.1, ls=(0, (3, 2)), zorder=6)


def _note(axes: Axes, row: Row, place: float) -> None:
    """The note goes to the side that has more room; an orphan's, where need be, onto its hatching."""
    if not row.note:
        return
    orphaned, cutter = _orphaned_s(row), row.part is Part.CUTTER
    text = axes.text(
        0,
        place,
        row.note,
        va="center",
        color=style.CUT_INK if cutter else style.ORPHAN if orphaned else style.QUIET,
        fontsize=_NOTE_PT,
        fontweight="bold" if cutter or orphaned else "normal",
        zorder=8,
    )
    needs = style.text_width(text) + 2 * _PAD_PX
    left_px, right_px, start_px, end_px, orphan_px = (
        float(axes.transData.transform((at_s, 0))[0])
        for at_s in (*axes.get_xlim(), row.start_s, row.end_s, orphaned)
    )
    end_px += 5 if any(mark.at_s == row.end_s or mark.kind is MarkKind.CUT for mark in row.marks) else 0
    after, before = right_px - end_px, start_px - left_px
    beside = after >= needs or (not orphaned and before < needs and after >= _LEAST_NOTE_PX)
    if beside:
        style.shortened(text, after - 2 * _PAD_PX)
        text.set_horizontalalignment("left")
        at_px = end_px + _PAD_PX
    elif before >= needs and orphan_px - left_px < needs:
        text.set_horizontalalignment("right")
        at_px = start_px - _PAD_PX
    else:
        text.set_horizontalalignment("right")
        text.set_bbox({"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.4, "alpha": 0.94})
        at_px = end_px - 2 * _PAD_PX
        style.shortened(text, at_px - left_px - _PAD_PX)
    text.set_x(axes.transData.inverted().transform((at_px, 0))[0])


def _orphaned_s(row: Row) -> float:
    """How long the row shows orphaned work; 0 is not at all."""
    return sum(piece.end_s - piece.start_s for piece in row.segments if piece.doing is Doing.ORPHANED)


def _legend(drawn: Figure, fall: Waterfall, height_in: float) -> None:
    """Only what is on the picture."""
    seen = {piece.doing for row in fall.rows for piece in fall.visible(row)}
    fills: dict[Doing, dict[str, Any]] = {
        Doing.WAITING: {"facecolor": style.WAITING},
        Doing.STREAMING: {"facecolor": style.STREAMING},
        Doing.WORKING: {"facecolor": style.WORKING},
        Doing.ORPHANED: style.hatched(),
    }
    keys: list[Artist] = [
        Patch(label=_LABELS[doing], **fill) for doing, fill in fills.items() if doing in seen
    ]
    if any(row.part is Part.CASCADE for row in fall.rows):
        keys.append(Patch(facecolor=style.CASCADE, label="followed from the cut"))
    if any(mark.kind is MarkKind.EVENT for row in fall.rows for mark in row.marks):
        keys.append(Line2D([], [], color=style.INK, lw=0, marker="|", ms=9, mew=1.4, label="an image event"))
    drawn.legend(
        handles=keys,
        loc="upper left",
        bbox_to_anchor=(style.MARGIN - 0.004, 1 - 0.04 / height_in),
        ncols=len(keys),
        fontsize=8.5,
        handlelength=1.5,
        columnspacing=1.4,
        handletextpad=0.5,
        borderpad=0,
    )
