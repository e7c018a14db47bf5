"""The catalogue: every layer we know, read from `presets/*.yaml`, each limit with its source.

A preset says today's values; `editions` holds what another source says of the same layer (the article of 2026
that this project was born from: ``article-2026``). A `variant` is the same layer on another plan.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from harness.chain.durations import parse_duration
from harness.chain.layers import Answer, Buffering, Layer, LayerRetries, MidBody, Role
from harness.chain.timers import Timer, TimerKind
from harness.chain.yamlfile import YamlFile
from harness.errors import BadInput, nearest

TODAY = "today"
Duration = Annotated[float | None, BeforeValidator(parse_duration)]
Tag = Literal["code", "docs", "measured", "secondary", "memory", "article"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimerEntry(_Strict):
    """One timer of a preset. `tag` says how the limit is known; `memory` is nobody's proof."""

    limit: Duration
    directive: str
    while_sending: str | None = None
    tag: Tag = "docs"
    note: str = ""


class AnswerEntry(_Strict):
    """What the layer answers by itself."""

    status: int = Field(ge=200, le=599)
    reason: str
    headers: dict[str, str] = {}
    body: str = ""


class RetryEntry(_Strict):
    """How often the layer tries by itself; `tries` counts the first."""

    tries: int = Field(default=1, ge=1)
    post: bool = False
    on_timeout: bool = False


class PresetEntry(_Strict):
    """One layer as the catalogue files write it."""

    title: str
    group: str
    role: Role = Role.HOP
    timers: dict[TimerKind, TimerEntry] = {}
    answers: dict[str, AnswerEntry] = {}
    mid_body: MidBody = MidBody.FIN
    closes_upstream_with_reset: bool = False
    buffering: Buffering = Buffering.NONE
    retries: RetryEntry = RetryEntry()
    notices_abort: bool = True
    work_behind: str = ""
    log_signal: str = ""
    source: str
    read: str
    editions: dict[str, dict[TimerKind, TimerEntry]] = {}
    variants: dict[str, dict[TimerKind, TimerEntry]] = {}

    def layer(self, name: str, edition: str = TODAY, variant: str | None = None) -> Layer:
        """This preset as a layer, with the timers of an edition and a plan."""
        written = dict(self.timers)
        if variant:
            written |= self.variants[variant]
        written |= self.editions.get(edition, {})
        source = f"{self.source} (read {self.read})"
        timers = {
            kind: Timer(
                kind=kind,
                limit_s=entry.limit,
                directive=entry.directive,
                sending_directive=entry.while_sending,
                source=entry.note or source,
                verified=entry.tag != "memory",
            )
            for kind, entry in written.items()
            if entry.limit is not None
        }
        return Layer(
            name=name,
            title=self.title,
            preset=name,
            role=self.role,
            timers=timers,
            answers={
                event: Answer(
                    status=answer.status,
                    reason=answer.reason,
                    headers=tuple(answer.headers.items()),
                    body=answer.body,
                )
                for event, answer in self.answers.items()
            },
            mid_body=self.mid_body,
            closes_upstream_with_reset=self.closes_upstream_with_reset,
            buffering=self.buffering,
            retries=LayerRetries(
                tries=self.retries.tries, post=self.retries.post, on_timeout=self.retries.on_timeout
            ),
            notices_abort=self.notices_abort,
            work_behind=self.work_behind,
        )


@cache
def catalogue() -> dict[str, PresetEntry]:
    """Every preset by name, its plans among them (``vercel-hobby``), sorted."""
    presets: dict[str, PresetEntry] = {}
    for path in sorted(Path(__file__).with_name("presets").glob("*.yaml")):
        file = YamlFile.read(path)
        for name in file.data:
            entry = _entry(file, name)
            presets[name] = entry
            for plan in entry.variants:
                presets[f"{name}-{plan}"] = entry
    return dict(sorted(presets.items()))


def _entry(file: YamlFile, name: str) -> PresetEntry:
    class One(_Strict):
        model_config = ConfigDict(extra="ignore")
        entry: PresetEntry = Field(alias=name)

    return file.validate(One).entry


def editions() -> list[str]:
    """The editions any preset has, `today` first."""
    found = {edition for entry in catalogue().values() for edition in entry.editions}
    return [TODAY, *sorted(found)]


def preset(name: str, edition: str = TODAY) -> Layer:
    """The layer of that name.

    Raises:
        BadInput: there is no such preset; names the nearest one.
    """
    known = catalogue()
    entry = known.get(name)
    if entry is None:
        raise BadInput(
            f"there is no preset '{name}'{nearest(name, known)}; `whocut presets` lists all {len(known)}"
        )
    plan = next((plan for plan in entry.variants if name.endswith(f"-{plan}")), None)
    layer = entry.layer(name, edition, plan)
    return replace(layer, title=f"{entry.title} ({plan.title()})") if plan else layer


def overridden(layer: Layer, limits: dict[TimerKind, float | None], source: str) -> Layer:
    """The same layer with some limits changed by hand; None takes a timer away."""
    timers: dict[TimerKind, Any] = dict(layer.timers)
    for kind, limit_s in limits.items():
        known = timers.pop(kind, None)
        if limit_s is None:
            continue
        directive = known.directive if known else f"{kind} of {layer.title}"
        sending = known.sending_directive if known else None
        timers[kind] = Timer(
            kind=kind, limit_s=limit_s, directive=directive, sending_directive=sending, source=source
        )
    return replace(layer, timers=timers)
