"""Limits of each layer against what they have to outlast: generation times, and the silences of a stream.

Limits at the same place share a line; labels are above the curve, each clear of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.words import percent
from whocut_reports import style

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from whocut.chain.layers import Topology
    from whocut.verdict.censored import Sample
    from whocut_reports.generations import Silences

_PLOT_IN, _LABEL_IN, _AXIS_IN, _TITLE_IN = 2.1, 0.235, 0.62, 0.42
_LEFT, _RIGHT = 0.075, 0.985
_FAR = 2.4  # a limit this many times beyond the slowest is drawn at the edge, or it would flatten the curve


@dataclass(frozen=True, slots=True)
class Limit:
    """One knob of one layer, with the timers it sets."""

    layer: str
    directive: str
    limit_s: float
    timers: tuple[TimerKind, ...]

    @property
    def label(self) -> str:
        """``nginx proxy_read_timeout 60 s``."""
        return f"{self.layer} {self.directive} {self.limit_s:g} s"


@dataclass(frozen=True, slots=True)
class Panel:
    """A distribution and the limits it is held against."""

    title: str
    axis: str
    curves: tuple[tuple[str, Sample], ...]
    limits: tuple[tuple[Limit, Sample], ...]  # each with the sample it has to outlast


def limits_of(topology: Topology, kinds: Iterable[TimerKind]) -> tuple[Limit, ...]:
    """The limits of these timers in every layer, shortest first; a knob that sets two timers is one limit."""
    wanted = list(kinds)
    found: dict[tuple[str, str, float], list[TimerKind]] = {}
    for layer in topology.layers:
        for kind, timer in layer.timers.items():
            if kind in wanted:
                found.setdefault((layer.name, timer.directive, timer.limit_s), []).append(kind)
    limits = (
        Limit(layer, directive, limit_s, tuple(kinds)) for (layer, directive, limit_s), kinds in found.items()
    )
    return tuple(sorted(limits, key=lambda limit: limit.limit_s))


def panels(topology: Topology, durations: Sample, silences: Silences | None) -> tuple[Panel, ...]:
    """Generation times against what ends a plain request; a stream's silences against what ends a stream."""
    plain = limits_of(topology, (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL))
    whole = Panel(
        "A plain request has to wait for the whole generation",
        "generation time in model seconds",
        (("generations done", durations),),
        tuple((limit, durations) for limit in plain),
    )
    if silences is None:
        return (whole,)
    first = limits_of(topology, (TimerKind.FIRST_BYTE,))
    idle = limits_of(topology, (TimerKind.IDLE,))
    names = {(limit.layer, limit.directive, limit.limit_s) for limit in idle}
    held = [(limit, silences.longest_gaps) for limit in idle]
    held += [
        (limit, silences.waits)
        for limit in first
        if (limit.layer, limit.directive, limit.limit_s) not in names
    ]
    stream = Panel(
        "A stream has to outlast its silences, and the longest one decides",
        "silence in model seconds",
        (("wait for the first event", silences.waits), ("longest gap of a stream", silences.longest_gaps)),
        tuple(sorted(held, key=lambda pair: pair[0].limit_s)),
    )
    return (whole, stream)


def draw(shown: Sequence[Panel]) -> Figure:
    """The figure, a panel below the other."""
    with style.look():
        rows = [_label_rows(panel) for panel in shown]
        tall = [_TITLE_IN + _LABEL_IN * len(row) + _PLOT_IN + _AXIS_IN for row in rows]
        height_in = sum(tall)
        drawn = style.figure(height_in)
        top = height_in
        for panel, row, panel_in in zip(shown, rows, tall, strict=True):
            _panel(drawn, panel, row, top, height_in)
            top -= panel_in
    return drawn


def _panel(
    drawn: Figure, panel: Panel, labels: Sequence[tuple[Limit, str]], top_in: float, height_in: float
) -> None:
    drawn.text(
        style.MARGIN, (top_in - 0.1) / height_in, panel.title, va="top", fontsize=11, fontweight="bold"
    )
    plot_top = top_in - _TITLE_IN - _LABEL_IN * len(labels)
    box = (_LEFT, (plot_top - _PLOT_IN) / height_in, _RIGHT - _LEFT, _PLOT_IN / height_in)
    axes = drawn.add_axes(box)
    end_s = _end_s(panel)
    style.seconds_axis(axes, end_s, label=panel.axis)
    axes.set_ylim(0, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.grid(visible=True, axis="y", color=style.RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    _curves(axes, panel, end_s)
    for number, (limit, text) in enumerate(reversed(labels)):
        _limit(axes, limit, text, number, end_s)


def _curves(axes: Axes, panel: Panel, end_s: float) -> None:
    colours = (style.STREAMING, style.DELIVERED)
    for (name, sample), colour, dashes in zip(panel.curves, colours, ("-", (0, (5, 2))), strict=False):
        if not sample.seen_s:
            continue
        durations_s, done = sample.curve()
        axes.step(
            [0.0, *durations_s, end_s],
            [0.0, *done, done[-1] if len(done) else 0.0],
            where="post",
            color=colour,
            lw=2,
            ls=dashes,
            zorder=4,
            label=f"{name} (n = {len(sample)})",
        )
    if any(sample.seen_s for _, sample in panel.curves):
        axes.legend(
            loc="lower right", fontsize=9, frameon=True, facecolor=style.PAPER, edgecolor="none", framealpha=1
        )
    else:
        started = sum(len(sample) for _, sample in panel.curves)
        nothing = f"none of {started} was seen to finish" if started else "no generation was started"
        axes.text(0.5, 0.5, nothing, ha="center", va="center", transform=axes.transAxes)


def _limit(axes: Axes, limit: Limit, text: str, number: int, end_s: float) -> None:
    """A line at the limit, its label on a row of its own above the plot; `number` counts rows from below.

    The label begins right of its line, and further left only where it would not fit: then the line ends
    beneath it.
    """
    row = 1.0 + (number + 0.55) * _LABEL_IN / _PLOT_IN
    beyond_axis = limit.limit_s > end_s
    left_px, line_px, right_px = (
        float(axes.transData.transform((x, 0))[0]) for x in (0, min(limit.limit_s, end_s), end_s)
    )
    label = axes.text(
        0,
        row,
        text + (" →" if beyond_axis else ""),
        transform=axes.get_xaxis_transform(),
        va="center",
        fontsize=8.8,
        color=style.INK,
        clip_on=False,
        zorder=6,
        bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.0},
    )
    style.shortened(label, max(right_px - line_px - 5, 0.5 * (right_px - left_px)), limit.directive)
    at_px = min(line_px + 5, right_px - style.text_width(label))
    label.set_x(axes.transData.inverted().transform((at_px, 0))[0])
    if not beyond_axis:
        reach = row if at_px > line_px else row - 0.4 * _LABEL_IN / _PLOT_IN
        axes.plot(
            [limit.limit_s, limit.limit_s],
            [0, reach],
            color=style.CUT,
            lw=1.2,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            zorder=3,
        )


def _label_rows(panel: Panel) -> list[tuple[Limit, str]]:
    """Longest limit on top, so that no line runs through another's label to its right."""
    rows = []
    for limit, sample in panel.limits:
        share = sample.beyond(limit.limit_s)
        what = "share beyond unknown" if share is None else f"{percent(share, 0)} beyond"
        rows.append((limit, f"{limit.label} ({', '.join(limit.timers)}) · {what}"))
    return rows


def _end_s(panel: Panel) -> float:
    slowest = max((max((*s.seen_s, *s.censored_s), default=0.0) for _, s in panel.curves), default=0.0)
    near = [limit.limit_s for limit, _ in panel.limits if limit.limit_s <= _FAR * slowest]
    if not slowest:
        near = [limit.limit_s for limit, _ in panel.limits][:1] or [1.0]
    return max([slowest, *near]) * 1.06
