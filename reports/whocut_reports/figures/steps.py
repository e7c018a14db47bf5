"""A ladder of modes, each keeping what the one before it changed: what every step gains, measure by measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.money import format_dollars
from whocut.words import in_seconds, percent, plural
from whocut_reports import style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from whocut.verdict.figures import Figures

_ROW_IN, _BAR_IN, _HEAD_IN, _FOOT_IN = 0.52, 0.2, 0.62, 0.1
_NAMES, _RIGHT, _BETWEEN = 0.31, 0.995, 0.012
_BAR = 0.6  # of a panel's width is for its longest bar, the rest for the number behind it


@dataclass(frozen=True, slots=True)
class Measure:
    """One column: what it is called, where its number is, how it is written and filled."""

    title: str
    of: Callable[[Figures], float | None]
    written: Callable[[float | None], str]
    fill: Mapping[str, Any]
    whole: float | None = None  # a share's bar is as long as the whole of it; others as their longest

    def values(self, by_mode: Mapping[str, Figures], modes: Sequence[str]) -> list[float | None]:
        """This column's numbers, step by step; None where a step has none."""
        return [self.of(by_mode[mode]) for mode in modes]


def _whole(share: float | None) -> str:
    return percent(share, 0)


MEASURES = (
    Measure("delivered", lambda mode: mode.delivered_share, _whole, {"facecolor": style.DELIVERED}, 1.0),
    Measure(
        "first byte,\nmedian", lambda mode: mode.first_byte_p50_s, in_seconds, {"facecolor": style.WAITING}
    ),
    Measure("image,\nmedian", lambda mode: mode.p50_s, in_seconds, {"facecolor": style.WORKING}),
    Measure("429s of\nattempts", lambda mode: mode.share_429, _whole, {"facecolor": style.REJECTED}, 1.0),
    Measure(
        "orphaned\ngenerations",
        lambda mode: mode.ledger.orphaned,
        lambda value: "–" if value is None else f"{value:.0f}",
        style.hatched(),
    ),
    Measure(
        "dollars per\ndelivered image",
        lambda mode: mode.ledger.usd_per_delivered,
        format_dollars,
        {"facecolor": style.QUIET},
    ),
)


def steps_of(manifest: Mapping[str, Any], by_mode: Mapping[str, Figures]) -> dict[str, str]:
    """The steps of a run with their descriptions, as far as they were asked; empty where it is no ladder."""
    return {mode: str(told) for mode, told in (manifest.get("steps") or {}).items() if mode in by_mode}


def draw(steps: Mapping[str, str], by_mode: Mapping[str, Figures]) -> Figure:
    """The figure: a row a step, a column a measure."""
    modes = list(steps)
    with style.look():
        height_in = _HEAD_IN + _ROW_IN * len(modes) + _FOOT_IN
        drawn = style.figure(height_in)
        wide = (_RIGHT - _NAMES) / len(MEASURES)
        for number, measure in enumerate(MEASURES):
            box = (
                _NAMES + number * wide,
                _FOOT_IN / height_in,
                wide - _BETWEEN,
                _ROW_IN * len(modes) / height_in,
            )
            axes = drawn.add_axes(box)
            axes.set_ylim(_ROW_IN * len(modes), 0)
            values = measure.values(by_mode, modes)
            longest = measure.whole or max((value for value in values if value), default=1.0)
            axes.set_xlim(0, longest / _BAR)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines["bottom"].set_visible(False)
            for row, value in enumerate(values):
                place = (row + 0.5) * _ROW_IN
                if value:
                    axes.barh(place, value, _BAR_IN, zorder=3, **measure.fill)
                axes.annotate(
                    measure.written(value),
                    (value or 0.0, place),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9,
                )
            drawn.text(
                box[0],
                1 - 0.52 * _HEAD_IN / height_in,
                measure.title,
                va="center",
                fontsize=9,
                fontweight="bold",
                linespacing=1.15,
            )
        for row, (mode, told) in enumerate(steps.items()):
            at = 1 - (_HEAD_IN + (row + 0.5) * _ROW_IN) / height_in
            room_px = (_NAMES - style.MARGIN) * style.WIDTH_IN * style.DPI - 10
            name = drawn.text(style.MARGIN, at, mode, va="bottom", fontweight="bold")
            style.shortened(name, room_px)
            told_text = drawn.text(style.MARGIN, at, told, va="top", fontsize=8, color=style.QUIET)
            style.shortened(told_text, room_px)
    return drawn


def alt(steps: Mapping[str, str], by_mode: Mapping[str, Figures]) -> str:
    """The picture in words."""
    rows = (
        f"{mode}: "
        + ", ".join(
            f"{' '.join(measure.title.split())} {measure.written(measure.of(by_mode[mode]))}"
            for measure in MEASURES
        )
        for mode in steps
    )
    return f"What each step gains. {'; '.join(rows)}."


def caption(steps: Mapping[str, str], by_mode: Mapping[str, Figures]) -> str:
    """What its numbers are, and what is missing."""
    requests = [by_mode[mode].requests for mode in steps]
    each = f"{requests[0]}" if len(set(requests)) == 1 else f"{min(requests)} to {max(requests)}"
    censored = sum(by_mode[mode].censored for mode in steps)
    none = sum(by_mode[mode].p50_s is None for mode in steps)
    came = ", ".join(str(by_mode[mode].delivered) for mode in steps)
    text = (
        f"One row is one step on the same seed, {each} requests; it keeps what the steps above it changed. Medians "
        f"count from when a request was due, of delivered requests only: {came} of them, from above. "
    )
    if none:
        text += f"A dash: {plural(none, 'step')} delivered nothing, so that there is no time and no price. "
    if censored:
        text += f"{plural(censored, 'request')} the run’s end stopped count as not delivered. "
    return text + "Orphaned generations ran on without a caller, and were billed."
