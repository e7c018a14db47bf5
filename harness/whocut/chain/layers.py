"""A layer: anyone on the path with timers who can end a request, and how that layer behaves when it does."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # pydantic reads these types at run time (plain.py)
from dataclasses import dataclass, field
from enum import StrEnum

from whocut.chain.timers import Timer, TimerKind


class Role(StrEnum):
    """The place that a layer can have in the chain."""

    CLIENT = "client"
    HOP = "hop"


class MidBody(StrEnum):
    """How the response ends for the caller when a layer cuts it in mid-body."""

    FIN = "fin"  # a plain close: too few bytes, or no terminating chunk
    RST = "rst"  # a TCP reset
    TERMINATED = "terminated"  # the terminating chunk is sent: a cut that looks complete


class Buffering(StrEnum):
    """Which responses a layer holds back instead of passing them on byte by byte."""

    NONE = "none"
    CONTENT_LENGTH = "content_length"  # nginx: chunked passes at once, a counted body is held
    ALL = "all"  # nothing reaches the caller before the response is complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a layer says by itself instead of the upstream's response; `{…}` in it is filled in."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRetries:
    """How often a layer tries again by itself, and when. `tries` counts the first one too.

    `connects` is how often it waits for a connection before it gives up, of a request of which nothing was sent.
    After one that was refused it waits `pause_s`, or the connection's limit where that is shorter.
    `needs` is the vendor's name of the timer of one try that has to be set before a slow answer is tried again.
    `file` and `line` are the place in the user's own file, if it is written there.
    """

    tries: int = 1
    post: bool = False  # also a request that may have been worked on already
    on_timeout: bool = False  # after a timer of one try: `first_byte`, or `idle` before the response
    connects: int = 1
    pause_s: float = 0.0
    needs: str = ""
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a chain: its timers and what it does when they fire.

    `name` is unique in its chain; `preset` is the catalogue's name. `answers` is looked up by timer
    (``first_byte``) and by event (``bad_gateway``: the upstream ended first), then by ``expiry``.
    `unknown` names the knobs whose limits could not be found out: such a timer may be there, and nothing is
    forecast of it. A layer without timers only watches: a tap. `gateway` is the real product that runs as this
    layer, and empty where it is emulated; `config` is the user's own file that it is started from. A `silent` layer
    ends the connection without an answer when a timer fires before the response; `leaves_work`: the work is known
    to run on behind this layer's cut.
    `idle_waits`: the idle timer ends a wait too, where there is no `first_byte` timer.
    `knobs` are the vendor's own lines that switch `buffering`, `retries` or blindness to `abort` off.
    `file` and `line` are the place in the user's own file where the layer, or the route through it, is written.
    """

    name: str
    title: str
    preset: str = ""
    gateway: str = ""
    config: str = ""
    role: Role = Role.HOP
    timers: Mapping[TimerKind, Timer] = field(default_factory=dict)
    unknown: Mapping[TimerKind, str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    mid_body: MidBody = MidBody.FIN
    closes_upstream_with_reset: bool = False
    buffering: Buffering = Buffering.NONE
    retries: LayerRetries = LayerRetries()
    notices_abort: bool = True
    idle_waits: bool = True
    silent: bool = False
    leaves_work: bool = False
    work_behind: str = ""
    tap: bool = False
    knobs: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    line: int | None = None

    @property
    def waiting(self) -> Timer | None:
        """The timer that ends the wait for the first byte, `total` aside; None: no such timer."""
        idle = self.timers.get(TimerKind.IDLE) if self.idle_waits else None
        return self.timers.get(TimerKind.FIRST_BYTE) or idle

    def limit_s(self, kind: TimerKind) -> float | None:
        """The limit of one timer; None is no timer."""
        timer = self.timers.get(kind)
        return timer.limit_s if timer else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The end of the chain: a model, and how it is asked.

    `heartbeat_s`: in front of the model is a server of the user's own. It answers a streamed request at once,
    and sends an SSE comment this often while it waits. `file` and `line` are where it is written, if anywhere.
    """

    model: str = "gpt-image-2"
    size: str = "1024x1024"
    quality: str = "high"
    heartbeat_s: float | None = None
    name: str = "upstream"
    file: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """Two taps by name, the outer one nearer to the caller, and the layer between them."""

    outer: str
    inner: str
    layer: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A client, the layers from the caller to the upstream, and the upstream.

    `between` holds what is said of the places between taps that are not among the hops. Where it is not `whole`,
    layers that nothing is known of may be between those that it names. `guessed`: so is the order of its taps.
    """

    name: str
    client: Layer
    hops: tuple[Layer, ...]
    upstream: Upstream = Upstream()
    edition: str = "today"
    between: tuple[Between, ...] = ()
    whole: bool = True
    guessed: bool = False

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Everyone who can cut, from the caller inward."""
        return (self.client, *self.hops)

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of the taps among the hops."""
        return tuple(hop.name for hop in self.hops if hop.tap)

    @property
    def before_taps(self) -> tuple[Layer, ...]:
        """The hops outside of the outermost tap; without taps, all of them."""
        return self.hops[: next((at for at, hop in enumerate(self.hops) if hop.tap), len(self.hops))]

    @property
    def behind_taps(self) -> tuple[Layer, ...]:
        """The hops further in than the innermost tap."""
        last = max((at for at, hop in enumerate(self.hops) if hop.tap), default=len(self.hops))
        return self.hops[last + 1 :]

    @property
    def standing(self) -> tuple[Layer, ...]:
        """The hops that a run starts: taps, and what is between them, run elsewhere."""
        return (*self.before_taps, *self.behind_taps)

    def layer(self, name: str) -> Layer | None:
        """The layer of that name, or None."""
        return next((layer for layer in self.layers if layer.name == name), None)
