"""What to do about the cuts of a run: the smallest change of its chain, by the forecast, as lines to paste.

It is the search of `whocut check --fix` without its proof: a page starts nothing. It says which command proves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.audit import audit
from whocut.chain.modes import parse_mode
from whocut.chain.profiles import profile_of
from whocut.chain.remedy import Situation, remedy
from whocut.chain.want import parse_want
from whocut.errors import BadInput
from whocut.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whocut.chain.audit import Finding
    from whocut.chain.layers import Topology
    from whocut.chain.modes import Mode
    from whocut.chain.remedy import Change, Remedy
    from whocut.verdict.figures import RunFigures

_ENOUGH = "delivered>=0.999"


@dataclass(frozen=True, slots=True)
class Advice:
    """One mode's smallest change: `then` says what the forecast promises with it."""

    modes: tuple[str, ...]
    changes: tuple[Change, ...]
    then: str


@dataclass(frozen=True, slots=True)
class ToDo:
    """What the page says under "What to do". `findings` are the audit's, of the layers that cut alone."""

    advice: tuple[Advice, ...] = ()
    findings: tuple[Finding, ...] = ()
    command: str = ""


def to_do(figures: RunFigures, topology: Topology, manifest: Mapping[str, Any]) -> ToDo:
    """What would help the modes in which a layer cut; empty where none did, or the model's times are unknown."""
    cut = [mode or "plain" for mode, mine in figures.by_mode.items() if mine.verdicts]
    if not cut:
        return ToDo()
    try:
        profile = profile_of(topology.upstream)
    except BadInput:
        return ToDo()
    partials = (manifest.get("load") or {}).get("partial_images")
    asked: dict[str, list[str]] = {}
    for mode in cut:
        asked.setdefault(_mode(mode, partials).name, []).append(mode)
    by_lines: dict[tuple[str, ...], Advice] = {}
    for name, modes in asked.items():
        for found in _smallest(Situation(topology=topology, profile=profile, mode=parse_mode(name))):
            lines = tuple(change.line for change in found.changes)
            also = by_lines[lines].modes if lines in by_lines else ()
            then = f"By the forecast {percent(found.figures.delivered)} are delivered then."
            by_lines[lines] = Advice((*also, *modes), found.changes, then)
    knobs = {(layer, row.directive) for row in figures.verdicts for layer in row.layers}
    findings: dict[str, Finding] = {}
    for one in audit(topology, profile):
        if one.pastes and (one.layer, one.directive) in knobs:
            findings.setdefault(one.fix, one)
    chain = manifest.get("chain")
    named = chain if isinstance(chain, str) else topology.name
    flags = " ".join(f"--mode {name}" for name in asked)
    return ToDo(tuple(by_lines.values()), tuple(findings.values()), f"whocut check {named} {flags} --fix")


def _smallest(situation: Situation) -> Iterator[Remedy]:
    """The smallest change, and where that changes a program the smallest that does not, if there is one."""
    smallest = remedy(situation, (parse_want(_ENOUGH),))
    if smallest is None or not smallest.changes:
        return
    yield smallest
    if not all(change.configuration for change in smallest.changes):
        alone = remedy(situation, (parse_want(_ENOUGH),), configuration_alone=True)
        if alone is not None and alone.changes:
            yield alone


def _mode(name: str, partials: object) -> Mode:
    """The way of asking that a run's mode means; a name of the scenario's own is taken as plain."""
    if name == "stream" and isinstance(partials, int):
        name = f"stream-{min(max(partials, 0), 3)}"
    try:
        return parse_mode(name)
    except BadInput:
        return parse_mode("plain")
