"""Time to the first byte beside time to the image, mode by mode: what a stream changes for the one who waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from whocut.chain.percentiles import percentile
from whocut.trace.records import Outcome
from whocut.trace.requests import by_request, due_s
from whocut.words import in_seconds, plural
from whocut_reports import style
from whocut_reports.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from whocut.trace.records import Attempt

_ROW_IN, _TOP_IN, _RIGHT = 0.62, 0.1, 0.93
_APART = 0.17
_SHARES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class Wait:
    """One mode's delivered requests: the 5th, 25th, 50th, 75th and 95th percentile of both waits."""

    mode: str
    requests: int
    first_byte_s: tuple[float, ...]
    image_s: tuple[float, ...]


def waits_of(attempts: Iterable[Attempt], modes: Sequence[str]) -> tuple[Wait, ...]:
    """A row a mode in which something was delivered; from when a request was due."""
    first: dict[str, list[float]] = {mode: [] for mode in modes}
    whole: dict[str, list[float]] = {mode: [] for mode in modes}
    for tries in by_request(attempts).values():
        last = tries[-1]
        if last.outcome is Outcome.DELIVERED and last.ended_s is not None and last.mode in whole:
            whole[last.mode].append(last.ended_s - due_s(tries[0]))
            began_s = last.first_byte_s if last.first_byte_s is not None else last.ended_s
            first[last.mode].append(began_s - due_s(tries[0]))
    return tuple(
        Wait(mode or "(no mode)", len(whole[mode]), _spread(first[mode]), _spread(whole[mode]))
        for mode in modes
        if whole[mode]
    )


def _spread(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(percentile(values, share) or 0.0 for share in _SHARES)


def draw(rows: Sequence[Wait]) -> Figure:
    """The figure: a thin line from 5 to 95 of a hundred, a thick one for the middle half, a dot for the median."""
    with style.look():
        made = Rows(len(rows), _ROW_IN, top_in=_TOP_IN, right=_RIGHT)
        axes = made.axes
        end_s = max(row.image_s[-1] for row in rows)
        made.scaled(max(end_s * 1.04, 0.001), "model seconds since the request was due")
        for number, row in enumerate(rows):
            made.name(number, row.mode, up_in=0.03, va="bottom", fontweight="bold")
            made.figure.text(
                style.MARGIN,
                made.place(number) - 0.02 / made.height_in,
                f"{row.requests:,} delivered",
                va="top",
                color=style.QUIET,
                fontsize=8.5,
            )
            _range(axes, row.first_byte_s, number - _APART, style.STREAMING)
            _range(axes, row.image_s, number + _APART, style.DELIVERED)
        handles = [
            Line2D([], [], color=style.STREAMING, lw=4, marker="o", label="to the first byte"),
            Line2D([], [], color=style.DELIVERED, lw=4, marker="o", label="to the image"),
        ]
        made.key(handles)
    return made.figure


def _range(axes: Axes, spread: Sequence[float], place: float, colour: str) -> None:
    low, quarter, median, three, high = spread
    axes.plot([low, high], [place, place], color=colour, lw=1.2, zorder=3, solid_capstyle="butt")
    axes.plot([quarter, three], [place, place], color=colour, lw=5, zorder=4, solid_capstyle="butt")
    axes.plot([median], [place], marker="o", ms=7, mfc=style.PAPER, mec=colour, mew=2, zorder=5, lw=0)
    axes.annotate(
        in_seconds(median),
        (high, place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=style.INK,
        annotation_clip=False,
        zorder=6,
    )


def alt(rows: Sequence[Wait]) -> str:
    """The medians in words."""
    said = (
        f"{row.mode}: first byte {in_seconds(row.first_byte_s[2])}, image {in_seconds(row.image_s[2])}"
        for row in rows
    )
    return f"Time to the first byte and to the image, medians. {'; '.join(said)}."


def caption(rows: Sequence[Wait]) -> str:
    """What its numbers are."""
    return (
        f"Delivered requests alone, {plural(sum(row.requests for row in rows), 'request')}: failed ones are in no "
        "percentile. Thin: 5 to 95 of a hundred; thick: the middle half; dot and number: the median."
    )
