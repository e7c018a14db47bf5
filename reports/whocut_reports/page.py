"""The report of a run: figures as files, and one HTML page that holds everything and opens offline."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from whocut.chain.money import format_dollars
from whocut.trace.rundir import FIGURES, REPORT, RunDir
from whocut.verdict.censored import image_times
from whocut.verdict.pick import Pick, Picked, pick_request
from whocut.verdict.waterfall import waterfall
from whocut.words import UNKNOWN, format_duration, percent, plural, rounded_duration
from whocut_reports import generations, story, style
from whocut_reports.figures import limits as limits_figure
from whocut_reports.figures import steps as steps_figure
from whocut_reports.figures import sweep as sweep_figure
from whocut_reports.figures import verdicts as verdicts_figure
from whocut_reports.figures import waterfall as waterfall_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from whocut.chain.layers import Layer, Topology
    from whocut.trace.records import Attempt
    from whocut.verdict.summary import Judged

# What a manifest may tell a reader, by its path; anything else in it stays in the file.
_TOLD = (
    ("scenario", "Scenario"),
    ("chain", "Chain"),
    ("clock.written", "Clock"),
    ("load.users", "Users"),
    ("load.stages", "Stages"),
    ("load.partial_images", "Partial images"),
    ("seed", "Seed"),
    ("command", "Command"),
    ("versions", "Versions"),
    ("python", "Python"),
    ("platform", "Platform"),
)
_KEY_LIKE = re.compile(r"\b(sk|Bearer|--?(?:api-)?key)([-_ =])\S{6,}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure on the page: its picture with words for who cannot see it, and what its numbers are."""

    name: str
    svg: Markup
    caption: str
    phrases: tuple[str, ...] = ()


def write_report(run: RunDir, judged: Judged, topology: Topology) -> Path:
    """Write ``figures/`` and ``report.html`` into the run directory; the page's path."""
    folder = run.path / FIGURES
    folder.mkdir(exist_ok=True)
    attempts, ledger = run.attempts(), run.ledger()
    shown = {
        "falls": _falls(folder, judged, attempts),
        "verdicts": _verdicts(folder, judged),
        "limits": _limits(folder, topology, ledger, attempts),
        "sweep": _sweep(folder, judged.figures.get("sweep")),
        "steps": _steps(folder, steps_figure.steps_of(run.manifest, judged.figures["by_mode"]), judged),
    }
    orphans = story.orphans_by_mode(ledger, attempts)
    modes = _modes(judged.figures, orphans)
    page = _page().render(
        title=f"{run.manifest.get('scenario', 'a run')} through {topology.name}",
        run_name=run.path.name if run.path.is_absolute() else run.path,
        figures=judged.figures,
        headline=_headline(run.manifest, judged.figures, orphans, modes),
        modes=modes,
        levels=_levels(judged.figures.get("sweep")),
        agreement=story.agreement(judged.figures),
        chain=[_box(layer, judged.figures) for layer in topology.layers],
        upstream=topology.upstream,
        told=_told(run.manifest),
        warnings=_warnings(run),
        **shown,
    )
    path = run.path / REPORT
    path.write_text(page, encoding="utf-8")
    return path


def _warnings(run: RunDir) -> list[str]:
    """What speaks against trusting the figures; a run that came to no end of its own cannot have said it itself."""
    summary = run.summary()
    if summary is None and "load" in run.manifest:  # a tap's directory has none, and is not judged
        return ["This run has no summary: it was killed before it was judged, or is still under way."]
    return [str(warning) for warning in (summary or {}).get("warnings", ())]


# --- figures --------------------------------------------------------------------------------------


def _falls(folder: Path, judged: Judged, attempts: Sequence[Attempt]) -> list[Shown]:
    """The most typical request of the first mode, and of the mode that streams if that is another one."""
    modes = list(judged.figures["by_mode"])
    wanted = dict.fromkeys([*modes[:1], *(mode for mode in modes if mode == "stream")])
    shown: list[Shown] = []
    for mode in wanted:
        picked = pick_request(judged.verdicts, attempts, pick=Pick.TYPICAL, mode=mode)
        if picked is None:
            continue
        fall = waterfall(picked.request, judged.attribution, attempts)
        name = "waterfall" if not shown else f"waterfall-{_slug(mode)}"
        whole = waterfall_figure.draw(fall)
        (folder / f"{name}.png").write_bytes(style.png(whole))
        alt = (
            f"Waterfall of request {fall.request}, {len(fall.verdicts)} attempts. {'. '.join(fall.phrases)}."
        )
        figure = _shown(folder, name, whole, alt, _fall_caption(mode, picked))
        document = style.svg(waterfall_figure.draw(fall, phrases=False))
        shown.append(replace(figure, svg=_inlined(document, name, alt), phrases=fall.phrases))
    return shown


def _fall_caption(mode: str, picked: Picked) -> str:
    return (
        f"One bar is one layer’s account of one attempt, from acceptance to its last byte; a generation’s "
        f"bar runs until the model was done, whoever was still there. Drawn is {picked.request}, one of "
        f"{plural(picked.among, 'request')} of mode {mode or '(none)'}, {picked.alike} of them with "
        f"this sequence of verdicts. Rule of choice: {picked.rule}."
    )


def _verdicts(folder: Path, judged: Judged) -> Shown:
    bars = verdicts_figure.count(judged.verdicts, judged.figures["by_mode"])
    alt = "; ".join(
        f"{mode}: "
        + ", ".join(f"{n} {piece.label}" for piece, n in zip(bars.pieces, counts, strict=True) if n)
        for mode, counts in zip(bars.modes, bars.counts, strict=True)
    )
    caption = (
        f"One unit is one attempt on the wire; {plural(sum(bars.attempts), 'attempt')} of "
        f"{plural(sum(bars.requests), 'request')}. None is missing: censored attempts, which the "
        "run’s end stopped, and unattributed ones have pieces of their own."
    )
    return _shown(folder, "verdicts", verdicts_figure.draw(bars), f"Verdicts by mode. {alt}.", caption)


def _limits(
    folder: Path, topology: Topology, ledger: Sequence[dict[str, Any]], attempts: Sequence[Attempt]
) -> Shown:
    if ledger:
        took = generations.durations(ledger, generations.last_instant_s(ledger, attempts))
        caption = (
            f"One step is one generation of the upstream’s ledger, orphaned ones as well: n = {len(took)}. "
        )
        unfinished = "had not finished when the run ended"
    else:
        took = image_times(attempts)
        caption = f"There is no ledger: one step is one attempt, as the client saw it: n = {len(took)}. "
        unfinished = "were ended before their image came"
    silences = generations.silences(ledger, attempts)
    panels = limits_figure.panels(topology, took, silences)
    caption += "“Beyond” is the share that takes longer than the limit. "
    if took.censored_s:
        caption += f"{len(took.censored_s)} {unfinished}; they are censored (Kaplan–Meier estimate). "
    if silences:
        caption += (
            "A stream’s silences are its wait for the first event and its longest gap between two events, "
            f"received or not, of mode {' and '.join(silences.modes) or '(none)'}; total limits count a "
            "stream’s whole generation and stand in the upper panel. "
        )
    caption += "Missing: connect and keepalive limits, which no generation time can reach."
    alt = " ".join(
        f"{panel.title}: "
        + "; ".join(
            f"{limit.label}: {percent(sample.beyond(limit.limit_s), 0)} beyond"
            for limit, sample in panel.limits
        )
        + "."
        for panel in panels
    )
    return _shown(folder, "limits", limits_figure.draw(panels), alt, caption)


def _sweep(folder: Path, found: Mapping[str, Any] | None) -> Shown | None:
    if not found or not found["levels"]:
        return None
    drawn = sweep_figure.draw(found)
    shown = _shown(folder, "sweep", drawn, sweep_figure.alt(found), sweep_figure.caption(found))
    return replace(shown, phrases=tuple(found["says"]))


def _steps(folder: Path, steps: Mapping[str, str], judged: Judged) -> Shown | None:
    if not steps:
        return None
    by_mode = judged.figures["by_mode"]
    alt, caption = steps_figure.alt(steps, by_mode), steps_figure.caption(steps, by_mode)
    return _shown(folder, "steps", steps_figure.draw(steps, by_mode), alt, caption)


def _shown(folder: Path, name: str, drawn: Figure, alt: str, caption: str) -> Shown:
    document = style.svg(drawn)
    (folder / f"{name}.svg").write_text(document, encoding="utf-8")
    return Shown(name, _inlined(document, name, alt), caption)


def _inlined(document: str, name: str, alt: str) -> Markup:
    # The document is our own drawing: its texts were escaped when they were written into it.
    return Markup(style.inline(document, name, alt))  # noqa: S704


# --- tables ---------------------------------------------------------------------------------------


def _modes(figures: Mapping[str, Any], orphans: Mapping[str, story.Orphans]) -> list[dict[str, Any]]:
    none = story.Orphans(0, 0.0)
    return [
        {
            "name": mode or "(no mode)",
            "headline": story.headline(mine, orphans.get(mode, none)),
            "orphans": orphans.get(mode, none),
            "delivered": percent(mine["delivered_share"], 0),
            "per_delivered": format_dollars(mine["ledger"]["usd_per_delivered"])
            if mine["ledger"]["usd_per_delivered"] is not None
            else "none delivered",
            "per_request": _number(mine["ledger"]["generations_per_request"]),
            "first_byte": _duration(mine["first_byte_p50_s"]),
            "p50": _duration(mine["p50_s"]),
            "p95": _duration(mine["p95_s"]),
            "gap": mine["gap"]["sentence"] if mine.get("gap") else "",
            "estimate": mine["image_time"]["sentence"],
            "figures": mine,
        }
        for mode, mine in figures["by_mode"].items()
    ]


def _levels(found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not found:
        return []
    advice = (found["recommend"]["max_in_flight"], found["recommend"]["gap_s"])
    return [
        {
            "concurrency": level["concurrency"],
            "chosen": (level["concurrency"], level["gap_s"]) == advice,
            "gap": format_duration(level["gap_s"]) if level["gap_s"] else "–",
            "requests": level["requests"],
            "share": percent(level["share_429"], 0),
            "interval": "–" if level["ci95"] is None else _outward(*level["ci95"]),
            "batches": f"{level['batches_refused']} of {level['batches']}" if level["batches"] else "–",
            "rate": _number(level["delivered_per_min"]),
            "p50": _duration(level["p50_s"]),
            "p95": _duration(level["p95_s"]),
            "per_image": format_dollars(level["usd_per_delivered"]),
        }
        for level in (*found["levels"], *found["with_gap"])
    ]


def _headline(
    manifest: Mapping[str, Any],
    figures: Mapping[str, Any],
    orphans: Mapping[str, story.Orphans],
    modes: Sequence[Mapping[str, Any]],
) -> str:
    """The page's first words: the whole run's where its modes were one load, or the first mode's with its name.

    Modes that ran one after another are different questions: a sum over them would depend on which were asked.
    """
    if not modes:
        return "No attempt was made."
    stages = (manifest.get("load") or {}).get("stages", ())
    if any(len(stage["mix"]) > 1 for stage in stages):
        return story.headline(figures, story.together(orphans.values()))
    first = str(modes[0]["headline"])
    return first if len(modes) == 1 else f"Mode {modes[0]['name']}: {first}"


def _box(layer: Layer, figures: Mapping[str, Any]) -> dict[str, Any]:
    """A layer in the row of boxes and in the table of limits."""
    cut = sum(row["attempts"] for row in figures["verdicts"] if layer.name in (row["tie"] or [row["layer"]]))
    return {"layer": layer, "timers": list(layer.timers.values()), "cut": cut}


def _told(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    began = datetime.fromtimestamp(float(manifest["epoch_unix_s"]), UTC)
    found = [(label, _plain(key, _at(manifest, key))) for key, label in _TOLD]
    return [("Began", f"{began:%Y-%m-%d %H:%M} UTC"), *((label, text) for label, text in found if text)]


def _at(manifest: Mapping[str, Any], path: str) -> Any:
    value: Any = manifest
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _plain(key: str, value: Any) -> str:
    """A value as people read it; whatever looks like a key is left out."""
    if value is None:
        return ""
    if key == "load.stages":
        text = "; ".join(_stage(stage) for stage in value)
    elif isinstance(value, dict):
        text = ", ".join(f"{name} {inner}" for name, inner in value.items())
    elif isinstance(value, list | tuple):
        text = shlex.join(["whocut", *map(str, value)]) if key == "command" else ", ".join(map(str, value))
    else:
        text = str(value)
    return _KEY_LIKE.sub(r"\1\2…", text)


def _stage(stage: Mapping[str, Any]) -> str:
    who = ", ".join(f"{percent(share, 0)} {mode}" for mode, share in stage["mix"].items())
    words = f"{stage['requests']} requests {stage['name'] if len(stage['mix']) == 1 else who}"
    if stage["at_once"]:
        words += f", {stage['at_once']} at once"
    arrivals = stage["arrivals"]
    return words + (f", {arrivals['kind']} arrivals, {arrivals['per_s'] * 60:g} a minute" if arrivals else "")


def _duration(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else rounded_duration(seconds)


def _outward(low: float, high: float) -> str:
    """An interval of shares that promises no more than it holds."""
    return f"{math.floor(low * 100)}% to {math.ceil(high * 100)}%"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "mode"


@cache
def _page() -> Any:
    environment = Environment(
        loader=PackageLoader("whocut_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=format_duration, dollars=format_dollars)
    return environment.get_template("report.html.j2")
