"""Levels of concurrency: the share of 429s with its interval, images a minute, and the level to set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whocut.words import percent, plural
from whocut_reports import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Level = Mapping[str, Any]

_HEIGHT_IN = 5.6
_LEFT, _WIDTH = 0.075, 0.91
_SHARE, _RATE = (0.44, 0.45), (0.095, 0.25)  # bottom and height of the two panels, as shares of the figure
_TICKS = 16


def draw(found: Mapping[str, Any]) -> Figure:
    """The figure, from a summary's part `sweep`."""
    levels, with_gap = found["levels"], found["with_gap"]
    with style.look():
        drawn = style.figure(_HEIGHT_IN)
        title = "429s by the number of requests at once"
        drawn.text(style.MARGIN, 0.985, title, va="top", fontsize=11, fontweight="bold")
        share = drawn.add_axes((_LEFT, _SHARE[0], _WIDTH, _SHARE[1]))
        rate = drawn.add_axes((_LEFT, _RATE[0], _WIDTH, _RATE[1]), sharex=share)
        drawn.text(style.MARGIN, 0.385, "Images a minute", va="top", fontsize=11, fontweight="bold")
        _share(share, levels, with_gap)
        _rate(rate, levels, with_gap)
        places = sorted({level["concurrency"] for level in levels})
        rate.set_xlim(places[0] - 0.5, places[-1] + 0.5)
        rate.set_xticks(places if len(places) <= _TICKS else places[:: -(-len(places) // _TICKS)])
        rate.set_xlabel("requests at once")
        share.tick_params(labelbottom=False)
        _mark(share, rate, found["recommend"], places)
    return drawn


def _share(axes: Axes, levels: Sequence[Level], with_gap: Sequence[Level]) -> None:
    seen = [level for level in levels if level["ci95"] is not None]
    axes.fill_between(
        [level["concurrency"] for level in seen],
        [level["ci95"][0] for level in seen],
        [level["ci95"][1] for level in seen],
        color=style.REJECTED_PAPER,
        label="95% interval",
        zorder=2,
    )
    gap_s = levels[0]["gap_s"]
    axes.plot(
        [level["concurrency"] for level in seen],
        [level["share_429"] for level in seen],
        **_line(style.REJECTED),
        label=f"gap of {gap_s:g} s" if gap_s else "no gap",
    )
    tried = [level for level in with_gap if level["ci95"] is not None]
    if tried:
        axes.errorbar(
            [level["concurrency"] + 0.12 for level in tried],
            [level["share_429"] for level in tried],
            yerr=[
                [level["share_429"] - level["ci95"][0] for level in tried],
                [level["ci95"][1] - level["share_429"] for level in tried],
            ],
            label=f"gap of {tried[0]['gap_s']:g} s",
            **_points(),
        )
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.legend(loc="upper left", fontsize=9)
    _grid(axes)


def _rate(axes: Axes, levels: Sequence[Level], with_gap: Sequence[Level]) -> None:
    came = [level for level in levels if level["delivered_per_min"]]
    axes.plot(
        [level["concurrency"] for level in came],
        [level["delivered_per_min"] for level in came],
        **_line(style.DELIVERED),
    )
    tried = [level for level in with_gap if level["delivered_per_min"]]
    if tried:
        axes.errorbar(
            [level["concurrency"] + 0.12 for level in tried],
            [level["delivered_per_min"] for level in tried],
            **_points(),
        )
    if not came:
        axes.text(0.5, 0.5, "no image came", ha="center", va="center", transform=axes.transAxes)
    axes.set_ylim(bottom=0)
    _grid(axes)


def _mark(share: Axes, rate: Axes, advice: Mapping[str, Any], places: Sequence[int]) -> None:
    """A line through both panels at what is recommended, its label on the side that has room."""
    at_once, gap_s = advice["max_in_flight"], advice["gap_s"]
    if at_once is None:
        return
    for axes in (share, rate):
        axes.axvline(at_once, color=style.INK, lw=1.1, ls=(0, (4, 3)), zorder=3)
    left = at_once > (places[0] + places[-1]) / 2
    share.annotate(
        f"set: {at_once} at once" + (f", gap {gap_s:g} s" if gap_s else ", no gap"),
        (at_once, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if left else 5, 4),
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom",
        fontweight="bold",
        fontsize=9.5,
    )


def _line(colour: str) -> dict[str, Any]:
    return {
        "color": style.QUIET,
        "lw": 1.3,
        "marker": "o",
        "markersize": 6.5,
        "markerfacecolor": colour,
        "markeredgecolor": style.INK,
        "zorder": 4,
    }


def _points() -> dict[str, Any]:
    """Where a gap was tried: another shape, and empty."""
    return {
        "ls": "none",
        "marker": "D",
        "markersize": 6.5,
        "markerfacecolor": style.PAPER,
        "markeredgecolor": style.INK,
        "ecolor": style.INK,
        "elinewidth": 1.0,
        "zorder": 5,
    }


def _grid(axes: Axes) -> None:
    axes.grid(visible=True, axis="y", color=style.RULE, linewidth=0.7)
    axes.set_axisbelow(True)


def alt(found: Mapping[str, Any]) -> str:
    """The picture in words."""
    said = "; ".join(
        f"{level['concurrency']} at once{_gap(level)}: {_percent(level['share_429'])} met a 429"
        for level in (*found["levels"], *found["with_gap"])
    )
    return f"Share of 429s and images a minute by level. {said}. {found['says'][0]}"


def caption(found: Mapping[str, Any]) -> str:
    """What its numbers are, and what is missing."""
    levels = (*found["levels"], *found["with_gap"])
    requests = sum(level["requests"] for level in levels)
    censored = sum(level["censored"] for level in levels)
    fewest, most = (f(level["requests"] for level in levels) for f in (min, max))
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    unasked = sum(level["planned"] for level in levels) - requests
    gone = (
        [f"{plural(censored, 'request')} the run’s end stopped are in no time and no rate."]
        if censored
        else []
    )
    gone += [f"{plural(unasked, 'request')} of those planned were never asked."] if unasked else []
    missing = " ".join(gone) or "None is missing."
    return (
        f"One point is one level, {each} requests each; {plural(requests, 'request')} in all. A request counts as "
        "refused when its first attempt met a 429; the band is Wilson’s 95% interval. Images a minute are "
        f"those of a level with all places taken, rests included. {missing} {found['rule']}"
    )


def _gap(level: Level) -> str:
    return f" with a gap of {level['gap_s']:g} s" if level["gap_s"] else ""


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else percent(share, int(0 < share < 0.1))
