"""The catalogue: every layer we know, read from `presets/*.yaml`, each limit with its source.

A preset says today's values; `editions` holds what another source says of the same layer (the article of 2026
that this project was born from: ``article-2026``). A `variant` is the same layer on another plan.
A figure whose only source is a memory carries `tag: memory`, and is shown as unverified everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.preset_file import TODAY, presets_in
from whocut.chain.timers import Timer, TimerKind
from whocut.errors import BadInput, nearest
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whocut.chain.layers import Layer
    from whocut.chain.preset_file import PresetEntry

_MISSPELT = 0.7  # how alike two names must be for one to be the other's misspelling


@cache
def catalogue() -> dict[str, PresetEntry]:
    """Every preset by name, its plans among them (``vercel-hobby``), sorted.

    Raises:
        BadFile: an entry of a file is wrong.
    """
    presets: dict[str, PresetEntry] = {}
    for path in _files():
        for name, entry in presets_in(path).items():
            presets[name] = entry
            for plan in entry.variants:
                presets[f"{name}-{plan}"] = entry
    return dict(sorted(presets.items()))


@cache
def find_entry(name: str) -> PresetEntry | None:
    """The entry of that name, if there is one; the file that writes it is read alone."""
    path = next((path for path in _files() if f"\n{name}:" in f"\n{path.read_text(encoding='utf-8')}"), None)
    return presets_in(path).get(name) if path else catalogue().get(name)


def _files() -> list[Path]:
    return sorted(Path(__file__).with_name("presets").glob("*.yaml"))


def editions() -> list[str]:
    """The editions any preset has, `today` first."""
    found = {edition for entry in catalogue().values() for edition in entry.editions}
    return [TODAY, *sorted(found)]


@cache
def _aliases() -> dict[str, str]:
    """The preset that each other name means."""
    first = {id(entry): name for name, entry in reversed(catalogue().items())}
    return {alias: first[id(entry)] for entry in catalogue().values() for alias in entry.also}


def entry_of(name: str) -> tuple[PresetEntry, str | None]:
    """What the catalogue says of a name, and the plan the name means.

    Raises:
        BadInput: there is no such preset; names the nearest one, unless the name is another product's.
    """
    known = catalogue()
    entry = known.get(_aliases().get(name, name))
    if entry is not None:
        return entry, next((plan for plan in entry.variants if name.endswith(f"-{plan}")), None)
    if name.lower() in without_limits():
        raise BadInput(
            f"no limits of '{name}' are known; write it as a layer of your own, with `name` and `timers`, "
            f"or look at the other {len(known)} with `whocut presets`"
        )
    near = nearest(name, [*known, *_aliases()], cutoff=_MISSPELT)
    raise BadInput(f"there is no preset '{name}'{near}; `whocut presets` lists all {len(known)}")


@cache
def without_limits() -> frozenset[str]:
    """Products that exist and whose limits are not in the catalogue: no misspelling of another's name."""
    text = Path(__file__).with_name("without_limits.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def preset(name: str, edition: str = TODAY) -> Layer:
    """The layer of that name.

    Raises:
        BadInput: there is no such preset; names the nearest one.
    """
    entry, plan = entry_of(name)
    layer = replace(entry.layer(_aliases().get(name, name), edition, plan), name=name)
    return replace(layer, title=f"{entry.title} ({plan.title()})") if plan else layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit as a file says it: None is no timer, or where it is `unknown`, one that may be there.

    `file` and `line` are the place, where there is one; the name of the knob, the line that sets it and its highest
    value are those of the preset, unless they are written.
    """

    limit_s: float | None
    source: str
    file: str = ""
    line: int | None = None
    inherited: bool = False
    unknown: bool = False
    directive: str = ""
    knob: str = ""
    most_s: float | None = None


def overridden(layer: Layer, limits: Mapping[TimerKind, float | None], source: str) -> Layer:
    """The same layer with some limits changed by a program; None takes a timer away. Knobs move as one."""
    return with_limits(
        layer, {kind: Limit(limit_s=limit_s, source=source) for kind, limit_s in limits.items()}
    )


def with_limits(layer: Layer, limits: Mapping[TimerKind, Limit]) -> Layer:
    """The same layer with some limits changed by a file; None takes a timer away.

    One knob may be two timers (nginx's `proxy_read_timeout` is `first_byte` and `idle`). A change of one of them
    turns the knob: the other moves with it, also where it is off by default, unless it is written as well.
    """
    known = known_timers(layer)
    knobs = {known[kind].directive: limit for kind, limit in limits.items() if kind in known}
    moved = {kind: knobs[timer.directive] for kind, timer in known.items() if timer.directive in knobs}
    timers, unknown = dict(layer.timers), dict(layer.unknown)
    for kind, limit in {**moved, **limits}.items():
        timers.pop(kind, None)
        unknown.pop(kind, None)
        timer = _written(known.get(kind) or Timer(kind=kind, limit_s=1.0, directive=str(kind)), limit)
        if limit.unknown:
            unknown[kind] = timer.directive
        elif limit.limit_s is not None:
            timers[kind] = replace(timer, limit_s=limit.limit_s)
    return replace(layer, timers=timers, unknown=unknown)


def _written(timer: Timer, limit: Limit) -> Timer:
    """What the file says of a timer beside its limit."""
    return replace(
        timer,
        source=limit.source,
        verified=True,
        file=limit.file,
        line=limit.line,
        inherited=limit.inherited,
        directive=limit.directive or timer.directive,
        sending_directive=None if limit.directive else timer.sending_directive,
        knob=limit.knob or ("" if limit.directive else timer.knob),
        most_s=limit.most_s if limit.most_s is not None or limit.directive else timer.most_s,
    )


def settled(layer: Layer) -> Layer:
    """The layer with what follows from its limits, when all of them are known.

    Of two timers that both run in the wait the shorter one ends it; where the timer of one try is off, no timer of
    this layer is followed by another try.
    """
    if layer.preset not in catalogue():
        return layer
    entry, _ = entry_of(layer.preset)
    timers, retries = dict(layer.timers), layer.retries
    first, idle = timers.get(TimerKind.FIRST_BYTE), timers.get(TimerKind.IDLE)
    if entry.idle_watches == "all" and first and idle and idle.limit_s <= first.limit_s:
        del timers[TimerKind.FIRST_BYTE]
    one_try = entry.retries.per_try
    if one_try and one_try not in timers:
        retries = replace(retries, on_timeout=False, needs=entry.timers[one_try].directive)
    return replace(layer, timers=timers, retries=retries)


def refuse_beyond(layer: Layer, limits: Mapping[TimerKind, Limit]) -> None:
    """Say no to limits that the vendor is known not to allow, and to taking such a limit away.

    Raises:
        BadInput: one of them is beyond; `field` is its kind.
    """
    for kind, timer in known_timers(layer).items():
        if kind not in limits or timer.most_s is None or not timer.most_sure:
            continue
        limit_s = limits[kind].limit_s
        if limit_s is not None and limit_s <= timer.most_s:
            continue
        most = format_duration(timer.most_s)
        wrong = "cannot be taken away" if limit_s is None else f"cannot be {format_duration(limit_s)}"
        plans = ", ".join(_plans_beyond(layer, kind, limit_s))
        other = f"name the plan that allows more ({plans})" if plans else "write a layer of your own"
        raise BadInput(
            f"{timer.directive} of {layer.title} {wrong}: the vendor allows at most {most}; "
            f"write {timer.most_s:g}s or less, or {other}",
            field=str(kind),
        )


def _plans_beyond(layer: Layer, kind: TimerKind, limit_s: float | None) -> Iterator[str]:
    """The other plans of a layer under which this limit is allowed."""
    entry, _ = entry_of(layer.preset)
    base = next(name for name in catalogue() if catalogue()[name] is entry)
    for plan in entry.variants:
        timer = entry.written(variant=plan).get(kind)
        if timer and (timer.most is None or (limit_s is not None and limit_s <= timer.most)):
            yield f"{base}-{plan}"


def known_timers(layer: Layer) -> dict[TimerKind, Timer]:
    """Every timer whose knob is known: those of the layer, and those that its preset has and that are off."""
    return {**_dormant(layer), **layer.timers}


def _dormant(layer: Layer) -> dict[TimerKind, Timer]:
    """The timers that the layer's preset has and that are off: their knobs are known nevertheless."""
    if layer.preset not in catalogue():
        return {}
    entry, plan = entry_of(layer.preset)
    written = entry.written(variant=plan).items()
    return {kind: entry.timer(kind, timer, 1.0) for kind, timer in written if kind not in layer.timers}
