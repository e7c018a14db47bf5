"""The report of a run: figures as files, and one HTML page that holds everything and opens offline."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from whocut.chain.load import Load
from whocut.chain.money import format_dollars
from whocut.errors import BadInput
from whocut.trace.rundir import FIGURES, REPORT, RunDir, write_whole
from whocut.verdict.censored import image_times
from whocut.verdict.pick import Pick, Picked, pick_request
from whocut.waterfall.rows import waterfall
from whocut.words import UNKNOWN, format_duration, percent, plural, rounded_duration
from whocut_reports import generations, story, style
from whocut_reports.advice import to_do
from whocut_reports.comparison import look
from whocut_reports.figures import jobs as jobs_figure
from whocut_reports.figures import limits as limits_figure
from whocut_reports.figures import over_time as over_time_figure
from whocut_reports.figures import spending as spending_figure
from whocut_reports.figures import steps as steps_figure
from whocut_reports.figures import sweep as sweep_figure
from whocut_reports.figures import verdicts as verdicts_figure
from whocut_reports.figures import waits as waits_figure
from whocut_reports.figures import waterfall as waterfall_figure
from whocut_reports.pack import pack
from whocut_reports.templating import environment, static
from whocut_reports.whole import doubts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.timers import Timer
    from whocut.trace.records import Attempt
    from whocut.verdict.figures import ModeFigures, RunFigures, SweepFigures
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
    if folder.is_symlink():
        raise BadInput(
            f"{folder} is a link, and what is written there would land elsewhere. Remove the link."
        )
    folder.mkdir(exist_ok=True)
    attempts, ledger = run.attempts(), run.ledger()
    manifest = _readable(run.manifest)
    shown = {
        "falls": _falls(folder, judged, attempts),
        "verdicts": _verdicts(folder, judged, topology),
        "limits": _limits(folder, topology, ledger, attempts),
        "sweep": _sweep(folder, judged.figures.sweep),
        "over_time": _over_time(folder, judged, attempts, topology),
        "waits": _waits(folder, attempts, list(judged.figures.by_mode)),
        "spending": _spending(folder, ledger, attempts, list(judged.figures.by_mode)),
        "jobs": _jobs(folder, attempts),
        "steps": _steps(folder, steps_figure.steps_of(manifest, judged.figures.by_mode), judged),
    }
    orphans = story.orphans_by_mode(ledger, attempts)
    modes = _modes(judged.figures, orphans)
    page = _page().render(
        title=f"{run.manifest.get('scenario', 'a run')} through {topology.name}",
        run_name=run.path.name if run.path.is_absolute() else run.path,
        figures=judged.figures,
        headline=_headline(manifest, judged.figures, orphans, modes),
        modes=modes,
        levels=judged.figures.sweep,
        agreement=story.agreement(judged.figures),
        chain=[_box(layer, judged.figures) for layer in topology.layers],
        upstream=topology.upstream,
        told=_told(manifest),
        warnings=doubts(run),
        to_do=to_do(judged.figures, topology, manifest),
        packed=pack(judged.attribution, attempts),
        colours=style.colours_of(layer.name for layer in topology.layers),
        look=look(),
        script=static("page.js"),
        **shown,
    )
    path = run.path / REPORT
    write_whole(path, page.encode())
    return path


def _readable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest whose parts have the form that the page reads; it may come from elsewhere."""
    load, steps = manifest.get("load"), manifest.get("steps")
    return {
        **manifest,
        "load": Load.from_plain(load).to_plain() if load else None,
        "steps": steps if isinstance(steps, dict) else {},
    }


# --- figures --------------------------------------------------------------------------------------


def _falls(folder: Path, judged: Judged, attempts: Sequence[Attempt]) -> list[Shown]:
    """The most typical request of the first mode, and of the mode that streams if that is another one."""
    modes = list(judged.figures.by_mode)
    wanted = dict.fromkeys([*modes[:1], *(mode for mode in modes if mode == "stream")])
    shown: list[Shown] = []
    for mode in wanted:
        picked = pick_request(judged.verdicts, attempts, pick=Pick.TYPICAL, mode=mode)
        if picked is None:
            continue
        fall = waterfall(picked.request, judged.attribution, attempts)
        name = "waterfall" if not shown else f"waterfall-{_slug(mode)}"
        whole = waterfall_figure.draw(fall)
        write_whole(folder / f"{name}.png", style.png(whole))
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
        f"bar runs until the model was done, with or without a caller. Drawn is {picked.request}, one of "
        f"{plural(picked.among, 'request')} of mode {mode or '(none)'}, {picked.alike} of them with "
        f"this sequence of verdicts. Rule of choice: {picked.rule}."
    )


def _verdicts(folder: Path, judged: Judged, topology: Topology) -> Shown:
    layers = [layer.name for layer in topology.layers]
    bars = verdicts_figure.count(judged.verdicts, judged.figures.by_mode, layers)
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
            "stream’s whole generation and are in the upper panel. "
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


def _sweep(folder: Path, found: SweepFigures | None) -> Shown | None:
    if found is None or not found.levels:
        return None
    drawn = sweep_figure.draw(found)
    shown = _shown(folder, "sweep", drawn, sweep_figure.alt(found), sweep_figure.caption(found))
    return replace(shown, phrases=found.says)


def _steps(folder: Path, steps: Mapping[str, str], judged: Judged) -> Shown | None:
    if not steps:
        return None
    by_mode = judged.figures.by_mode
    alt, caption = steps_figure.alt(steps, by_mode), steps_figure.caption(steps, by_mode)
    return _shown(folder, "steps", steps_figure.draw(steps, by_mode), alt, caption)


def _over_time(folder: Path, judged: Judged, attempts: Sequence[Attempt], topology: Topology) -> Shown | None:
    layers = [layer.name for layer in topology.layers]
    found = over_time_figure.spans_of(attempts, judged.verdicts, layers)
    if found is None or len(found.counts[0]) == 1:
        return None
    alt, caption = over_time_figure.alt(found), over_time_figure.caption(found)
    return _shown(folder, "over-time", over_time_figure.draw(found), alt, caption)


def _waits(folder: Path, attempts: Sequence[Attempt], modes: Sequence[str]) -> Shown | None:
    rows = waits_figure.waits_of(attempts, modes)
    if not rows:
        return None
    return _shown(
        folder, "waits", waits_figure.draw(rows), waits_figure.alt(rows), waits_figure.caption(rows)
    )


def _spending(
    folder: Path, ledger: Sequence[dict[str, Any]], attempts: Sequence[Attempt], modes: Sequence[str]
) -> Shown | None:
    rows = spending_figure.spent_of(ledger, attempts, modes)
    if not rows:
        return None
    drawn = spending_figure.draw(rows)
    return _shown(folder, "spending", drawn, spending_figure.alt(rows), spending_figure.caption())


def _jobs(folder: Path, attempts: Sequence[Attempt]) -> Shown | None:
    found = jobs_figure.jobs_of(attempts)
    if not found:
        return None
    return _shown(folder, "jobs", jobs_figure.draw(found), jobs_figure.alt(found), jobs_figure.caption(found))


def _shown(folder: Path, name: str, drawn: Figure, alt: str, caption: str) -> Shown:
    document = style.svg(drawn)
    write_whole(folder / f"{name}.svg", document.encode())
    return Shown(name, _inlined(document, name, alt), caption)


def _inlined(document: str, name: str, alt: str) -> Markup:
    # The document is our own drawing: its texts were escaped when they were written into it.
    return Markup(style.inline(document, name, alt))  # noqa: S704


# --- tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mode:
    """One mode in the tables of the page: its figures, and what is said of them."""

    name: str
    headline: str
    orphans: story.Orphans
    figures: ModeFigures

    @property
    def per_delivered(self) -> str:
        """What a delivered image cost."""
        usd = self.figures.ledger.usd_per_delivered
        return "none delivered" if usd is None else format_dollars(usd)

    @property
    def decided(self) -> str:
        """What most of its cuts ran into."""
        return self.figures.decided.sentence if self.figures.decided else ""


def _modes(figures: RunFigures, orphans: Mapping[str, story.Orphans]) -> list[_Mode]:
    none = story.Orphans(0, 0.0)
    return [
        _Mode(
            mode or "(no mode)",
            story.headline(mine, orphans.get(mode, none)),
            orphans.get(mode, none),
            mine,
        )
        for mode, mine in figures.by_mode.items()
    ]


def _headline(
    manifest: Mapping[str, Any],
    figures: RunFigures,
    orphans: Mapping[str, story.Orphans],
    modes: Sequence[_Mode],
) -> str:
    """The page's first words: the whole run's where its modes were one load, or the first mode's with its name.

    Modes that ran one after another are different questions: a sum over them would depend on which were asked.
    """
    if not modes:
        return "No attempt was made."
    stages = (manifest.get("load") or {}).get("stages", ())
    if any(len(stage["mix"]) > 1 for stage in stages):
        return story.headline(figures, story.together(orphans.values()))
    first = modes[0].headline
    return first if len(modes) == 1 else f"Mode {modes[0].name}: {first}"


@dataclass(frozen=True, slots=True)
class _Box:
    """A layer in the row of boxes and in the table of limits; `cut` counts the attempts that it cut."""

    layer: Layer
    timers: tuple[Timer, ...]
    cut: int


def _box(layer: Layer, figures: RunFigures) -> _Box:
    cut = sum(row.attempts for row in figures.verdicts if layer.name in row.layers)
    return _Box(layer, tuple(layer.timers.values()), cut)


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


def _interval(ends: tuple[float, float] | None) -> str:
    """An interval of shares that promises no more than it holds."""
    return UNKNOWN if ends is None else f"{math.floor(ends[0] * 100)}% to {math.ceil(ends[1] * 100)}%"


def _share(part: float | None) -> str:
    return percent(part, 0)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "mode"


@cache
def _page() -> Any:
    templates = environment()
    templates.filters.update(
        duration=format_duration,
        took=_duration,
        dollars=format_dollars,
        share=_share,
        number=_number,
        interval=_interval,
    )
    return templates.get_template("report.html.j2")
