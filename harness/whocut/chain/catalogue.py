"""The catalogue: every layer we know, read from `presets/*.yaml`, each limit with its source.

A preset says today's values; `editions` holds what another source says of the same layer (the article of 2026
that this project was born from: ``article-2026``). A `variant` is the same layer on another plan.
Whatever nobody but a memory vouches for carries `tag: memory`, and shows as unverified wherever it is shown.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from whocut.chain.durations import parse_duration
from whocut.chain.layers import Answer, Buffering, Layer, LayerRetries, MidBody, Role
from whocut.chain.timers import Timer, TimerKind
from whocut.chain.yamlfile import YamlFile
from whocut.errors import BadInput, nearest

TODAY = "today"
Duration = Annotated[float | None, BeforeValidator(parse_duration)]
Tag = Literal["code", "docs", "measured", "secondary", "memory", "article"]

GROUPS = {
    "client": "SDKs and HTTP clients",
    "cdn": "CDN edges",
    "load_balancer": "Load balancers",
    "gateway": "Gateways",
    "ai_gateway": "AI gateways",
    "proxy": "Reverse proxies",
    "serverless": "Serverless",
    "platform": "Platforms",
    "app_server": "Application servers",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimerEntry(_Strict):
    """One timer of a preset. `tag` says how the limit is known; `memory` is nobody's proof.

    `limit: none` is a timer that is off by default. `knob` and `most` are as in `Timer`.
    """

    limit: Duration
    directive: str
    while_sending: str | None = None
    most: Duration = None
    knob: str = ""
    tag: Tag = "docs"
    note: str = ""


class OtherTimer(_Strict):
    """A timer of the vendor that cannot end a slow response: told, and not modelled."""

    directive: str
    limit: Duration
    watches: str
    tag: Tag = "docs"
    note: str = ""


class AnswerEntry(_Strict):
    """What the layer answers by itself; `tag` says how the words are known."""

    status: int = Field(ge=200, le=599)
    reason: str
    headers: dict[str, str] = {}
    body: str = ""
    tag: Tag = "docs"


class RetryEntry(_Strict):
    """How often the layer tries by itself; `tries` counts the first."""

    tries: int = Field(default=1, ge=1)
    post: bool = False
    on_timeout: bool = False


class InPersonEntry(_Strict):
    """That the real product can stand in a chain: `whocut.path.gateways` has a driver of the preset's name.

    `lazy`: a byte that comes sooner than this after a timer was set does not set it anew, in real time.
    """

    lazy: Duration = None


class PresetEntry(_Strict):
    """One layer as the catalogue files write it. `doubts` are its facts beside the limits that are unverified."""

    title: str
    group: Literal[
        "client",
        "cdn",
        "load_balancer",
        "gateway",
        "ai_gateway",
        "proxy",
        "serverless",
        "platform",
        "app_server",
    ]
    role: Role = Role.HOP
    in_person: InPersonEntry | None = None
    timers: dict[TimerKind, TimerEntry] = {}
    other: list[OtherTimer] = []
    answers: dict[str, AnswerEntry] = {}
    mid_body: MidBody = MidBody.FIN
    silent: bool = False
    closes_upstream_with_reset: bool = False
    buffering: Buffering = Buffering.NONE
    unbuffer: str = ""
    retries: RetryEntry = RetryEntry()
    no_retry: str = ""
    notices_abort: bool = True
    notice: str = ""
    leaves_work: bool = False
    work_behind: str = ""
    log_signal: str = ""
    doubts: list[str] = []
    source: str
    read: str
    editions: dict[str, dict[TimerKind, TimerEntry]] = {}
    variants: dict[str, dict[TimerKind, TimerEntry]] = {}

    def written(self, edition: str = TODAY, variant: str | None = None) -> dict[TimerKind, TimerEntry]:
        """The timers of an edition and a plan, those that are off among them."""
        plan = self.variants[variant] if variant else {}
        return {**self.timers, **plan, **self.editions.get(edition, {})}

    def sourced(self, entry: TimerEntry) -> str:
        """Where a limit was read, and when."""
        source = f"{self.source} (read {self.read})"
        return f"{entry.note}; {source}" if entry.note and entry.tag != "article" else entry.note or source

    def timer(self, kind: TimerKind, entry: TimerEntry, limit_s: float) -> Timer:
        """One of the timers, with this limit."""
        return Timer(
            kind=kind,
            limit_s=limit_s,
            directive=entry.directive,
            sending_directive=entry.while_sending,
            source=self.sourced(entry),
            verified=entry.tag != "memory",
            knob=entry.knob,
            most_s=entry.most,
        )

    def layer(self, name: str, edition: str = TODAY, variant: str | None = None) -> Layer:
        """This preset as a layer, with the timers of an edition and a plan."""
        knobs = {"buffering": self.unbuffer, "retries": self.no_retry, "abort": self.notice}
        return Layer(
            name=name,
            title=self.title,
            preset=name,
            role=self.role,
            timers={
                kind: self.timer(kind, entry, entry.limit)
                for kind, entry in self.written(edition, variant).items()
                if entry.limit is not None
            },
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
            silent=self.silent,
            closes_upstream_with_reset=self.closes_upstream_with_reset,
            buffering=self.buffering,
            retries=LayerRetries(
                tries=self.retries.tries, post=self.retries.post, on_timeout=self.retries.on_timeout
            ),
            notices_abort=self.notices_abort,
            leaves_work=self.leaves_work,
            work_behind=self.work_behind,
            knobs={what: line for what, line in knobs.items() if line},
        )


class _PresetFile(RootModel[dict[str, PresetEntry]]):
    """One file of the catalogue."""


@cache
def catalogue() -> dict[str, PresetEntry]:
    """Every preset by name, its plans among them (``vercel-hobby``), sorted."""
    presets: dict[str, PresetEntry] = {}
    for path in sorted(Path(__file__).with_name("presets").glob("*.yaml")):
        for name, entry in YamlFile.read(path).validate(_PresetFile).root.items():
            presets[name] = entry
            for plan in entry.variants:
                presets[f"{name}-{plan}"] = entry
    return dict(sorted(presets.items()))


def editions() -> list[str]:
    """The editions any preset has, `today` first."""
    found = {edition for entry in catalogue().values() for edition in entry.editions}
    return [TODAY, *sorted(found)]


def entry_of(name: str) -> tuple[PresetEntry, str | None]:
    """What the catalogue says of a name, and the plan the name means.

    Raises:
        BadInput: there is no such preset; names the nearest one.
    """
    known = catalogue()
    entry = known.get(name)
    if entry is None:
        raise BadInput(
            f"there is no preset '{name}'{nearest(name, known)}; `whocut presets` lists all {len(known)}"
        )
    return entry, next((plan for plan in entry.variants if name.endswith(f"-{plan}")), None)


def preset(name: str, edition: str = TODAY) -> Layer:
    """The layer of that name.

    Raises:
        BadInput: there is no such preset; names the nearest one.
    """
    entry, plan = entry_of(name)
    layer = entry.layer(name, edition, plan)
    return replace(layer, title=f"{entry.title} ({plan.title()})") if plan else layer


def overridden(layer: Layer, limits: dict[TimerKind, float | None], source: str) -> Layer:
    """The same layer with some limits changed by hand; None takes a timer away.

    One knob may be two timers (nginx's `proxy_read_timeout` is `first_byte` and `idle`): who changes one of them
    has turned the knob, and the other moves with it, unless it is written as well.
    """
    timers: dict[TimerKind, Any] = dict(layer.timers)
    knobs = {timers[kind].directive: limit_s for kind, limit_s in limits.items() if kind in timers}
    moved = {kind: knobs[timer.directive] for kind, timer in timers.items() if timer.directive in knobs}
    for kind, limit_s in {**moved, **limits}.items():
        known = timers.pop(kind, None) or _dormant(layer, kind)
        if limit_s is None:
            continue
        timers[kind] = (
            replace(known, limit_s=limit_s, source=source, verified=True)
            if known
            else Timer(kind=kind, limit_s=limit_s, directive=f"{kind} of {layer.title}", source=source)
        )
    return replace(layer, timers=timers)


def _dormant(layer: Layer, kind: TimerKind) -> Timer | None:
    """A timer that the preset has, and that is off: its knob is known nevertheless."""
    if layer.preset not in catalogue():
        return None
    entry, plan = entry_of(layer.preset)
    written = entry.written(variant=plan).get(kind)
    return entry.timer(kind, written, 1.0) if written else None
