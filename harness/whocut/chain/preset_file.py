"""One file of the catalogue: what may be said of a preset, and the reading of it.

The files are ours, and a command reads some of them at each start. So dataclasses take what they say, which refuse
an unknown or missing field; a test holds every value to its type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from whocut.chain.durations import parse_duration
from whocut.chain.layers import Answer, Buffering, Layer, LayerRetries, MidBody, Role
from whocut.chain.timers import Timer, TimerKind
from whocut.errors import BadFile, nearest
from whocut.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

TODAY: Final = "today"
Group = Literal[
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
Tag = Literal["code", "docs", "measured", "secondary", "memory", "article"]
_SURE: frozenset[Tag] = frozenset({"code", "docs", "measured"})  # a cap known otherwise may be out of date

GROUPS: dict[Group, str] = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerEntry:
    """One timer of a preset. `tag` says how the limit is known; `memory` proves nothing.

    `limit: none` is a timer that is off by default, and `limit: unknown` one of which nothing could be found out.
    `knob` and `most` are as in `Timer`.
    """

    limit: float | None
    directive: str
    unknown: bool = False
    while_sending: str | None = None
    most: float | None = None
    knob: str = ""
    tag: Tag = "docs"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTimer:
    """A timer of the vendor that cannot end a slow response: told, and not modelled."""

    directive: str
    limit: float | None
    watches: str
    tag: Tag = "docs"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEntry:
    """What the layer answers by itself; `tag` says how the words are known."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    tag: Tag = "docs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEntry:
    """How often the layer tries by itself; `tries` counts the first.

    `per_try` is the one timer after which it tries again, where its others end the whole request. `below` is how
    often a client inside it asks for each of the tries that its own setting counts. `connects` and `pause` are
    those of `LayerRetries`.
    """

    tries: int = 1
    below: int = 1
    connects: int = 1
    pause: float | None = None
    post: bool = False
    on_timeout: bool = False
    per_try: TimerKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InPersonEntry:
    """That the real product can run as a layer: `whocut.path.gateways` has a driver of the preset's name.

    `lazy`: a byte that comes sooner than this after a timer was set does not set it anew, in real time.
    `unit`: its configuration counts time in whole units of this. `program`: it is configured by a program of its
    user's, whose values nothing can read.
    """

    lazy: float | None = None
    unit: float | None = None
    program: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetEntry:
    """One layer as the catalogue files write it; `also` are other names that people call it by.

    `idle_watches` says what the idle timer runs in. `rest`: what `first_byte` leaves to it, so the wait too where
    there is no such timer. `all`: everything, beside `first_byte`. `stream`: only a response that has begun.
    `doubts` are its facts beside the limits that are unverified.
    """

    title: str
    also: list[str] = field(default_factory=list)
    group: Group
    role: Role = Role.HOP
    in_person: InPersonEntry | None = None
    timers: dict[TimerKind, TimerEntry] = field(default_factory=dict)
    other: list[OtherTimer] = field(default_factory=list)
    idle_watches: Literal["rest", "all", "stream"] = "rest"
    answers: dict[str, AnswerEntry] = field(default_factory=dict)
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
    doubts: list[str] = field(default_factory=list)
    source: str
    read: str
    editions: dict[str, dict[TimerKind, TimerEntry]] = field(default_factory=dict)
    variants: dict[str, dict[TimerKind, TimerEntry]] = field(default_factory=dict)

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
            most_sure=entry.tag in _SURE,
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
            unknown={
                kind: entry.directive
                for kind, entry in self.written(edition, variant).items()
                if entry.unknown
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
                tries=self.retries.tries,
                post=self.retries.post,
                on_timeout=self.retries.on_timeout,
                connects=self.retries.connects,
                pause_s=self.retries.pause or 0.0,
            ),
            notices_abort=self.notices_abort,
            idle_waits=self.idle_watches != "stream",
            leaves_work=self.leaves_work,
            work_behind=self.work_behind,
            knobs={what: line for what, line in knobs.items() if line},
        )


@cache
def presets_in(path: Path) -> dict[str, PresetEntry]:
    """The entries of a file, by their names.

    Raises:
        BadFile: an entry has a field that is unknown or missing, or a value that its field does not know.
    """
    entries = {}
    for name, written in table(path).items():
        try:
            entries[name] = _entry(written)
        except (TypeError, ValueError, AttributeError) as error:
            raise BadFile(path, f"{error}", field=name) from None
    return entries


def _entry(written: dict[str, Any]) -> PresetEntry:
    """An entry from what the file says. A dataclass refuses an unknown or missing field by itself."""
    readers: dict[str, Callable[[Any], Any]] = {
        "group": lambda group: _one_of(group, GROUPS),
        "role": Role,
        "in_person": lambda fields: InPersonEntry(**_with(fields, lazy=parse_duration, unit=parse_duration)),
        "timers": _timers,
        "other": lambda others: [
            OtherTimer(**_with(other, limit=parse_duration, tag=_tag)) for other in others
        ],
        "answers": lambda answers: {
            event: AnswerEntry(**_with(answer, tag=_tag)) for event, answer in answers.items()
        },
        "mid_body": MidBody,
        "buffering": Buffering,
        "retries": lambda fields: RetryEntry(**_with(fields, per_try=TimerKind, pause=parse_duration)),
        "editions": lambda editions: {name: _timers(timers) for name, timers in editions.items()},
        "variants": lambda plans: {name: _timers(timers) for name, timers in plans.items()},
    }
    return PresetEntry(**_with(written, **readers))


def _timers(written: dict[str, dict[str, Any]]) -> dict[TimerKind, TimerEntry]:
    return {TimerKind(kind): _timer(fields) for kind, fields in written.items()}


def _timer(written: dict[str, Any]) -> TimerEntry:
    unknown = written.get("limit") == "unknown"
    limit = _off if unknown else parse_duration
    return TimerEntry(**{**_with(written, limit=limit, most=parse_duration, tag=_tag), "unknown": unknown})


def _off(written: object) -> None:
    """A limit of which nothing is known."""


def _with(written: dict[str, Any], **readers: Callable[[Any], Any]) -> dict[str, Any]:
    """The same fields, those with a reader read by it."""
    return {key: readers[key](value) if key in readers else value for key, value in written.items()}


def _tag(written: str) -> str:
    return _one_of(written, get_args(Tag))


def _one_of(written: str, known: Iterable[str]) -> str:
    if written not in known:
        raise ValueError(f"there is no '{written}'{nearest(written, known)}; there are {', '.join(known)}")
    return written
