"""Run directories made up from records: what a run would have written, without a run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from whocut.chain.chainfile import read_topology
from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.plain import topology_to_plain
from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.trace.generations import generation_span
from whocut.trace.records import (
    CALLER_LEFT,
    Attempt,
    AttemptRecord,
    Cut,
    DownstreamEnd,
    Event,
    LayerRecord,
    Outcome,
    RequestRecord,
    Span,
    UpstreamEnd,
)
from whocut.trace.rundir import ATTEMPTS, LEDGER, RunDir, SpanWriter
from whocut.verdict.summary import Judged, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

CHAINS = Path(__file__).parents[2] / "scenarios" / "chains"
HOP_S = 0.002  # from one layer to the next
USD = 0.211


def article() -> Topology:
    """The chain of the article: SDK, Cloudflare Free (100 s), NGINX (60 s), upstream."""
    return read_topology(CHAINS / "article.yaml")


def chain_of(*hops: Layer, client: Layer | None = None) -> Topology:
    """A chain of these hops behind the article's client."""
    return Topology(name="made", client=client or article().client, hops=hops)


def layer(name: str, *, role: Role = Role.HOP, **limits_s: float) -> Layer:
    """A layer with limits by timer name; its directives are called ``<name>_<timer>``."""
    timers = {
        TimerKind(kind): Timer(
            kind=TimerKind(kind), limit_s=limit_s, directive=f"{name}_{kind}", source="made up"
        )
        for kind, limit_s in limits_s.items()
    }
    return Layer(name=name, title=name.title(), role=role, timers=timers)


@dataclass
class MadeRun:
    """Fill it request by request; `judged()` and `write()` read what is in it."""

    topology: Topology = field(default_factory=article)
    seed: int = 7
    attempts: list[Attempt] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    _ids: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _now_s: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    # --- requests ---------------------------------------------------------------------------------

    def request(self, mode: str, *tries: Try, waits_s: Sequence[float] = (0.5, 1.0)) -> str:
        """One request with these attempts, each after the SDK's own wait."""
        number = self._numbers.get(mode, 0)
        self._numbers[mode] = number + 1
        name, trace_id, root = f"{mode}-{number + 1:04}", self._id(32), self._id(16)
        started_s = now_s = self._now_s
        outcome = Outcome.CENSORED
        for index, made in enumerate(tries):
            now_s = self._attempt(
                made, request=name, mode=mode, trace_id=trace_id, root=root, number=index + 1, start_s=now_s
            )
            outcome = self.attempts[-1].outcome
            now_s += waits_s[index] if index + 1 < len(tries) else 0.0
        self.spans.append(
            RequestRecord(
                trace_id=trace_id,
                span_id=root,
                parent_id=None,
                layer=self.topology.client.name,
                name="request",
                start_s=started_s,
                end_s=now_s,
                request=name,
                mode=mode,
                outcome=outcome,
            )
        )
        self._now_s += 3.0
        return name

    def generation_s(self) -> float:
        """A draw of the article's 1024² high: median 195 s, p95 280 s."""
        return self._random.lognormvariate(5.273, 0.22)

    # --- what is left -----------------------------------------------------------------------------

    def judged(self) -> Judged:
        """The verdicts on all of it."""
        return judge(self.attempts, self.spans, self.ledger, self.topology)

    def write(self, path: Path, **manifest: Any) -> RunDir:
        """The run directory that such a run would have left."""
        run = RunDir.create(
            path,
            {
                "epoch_unix_s": 1_790_000_000.0,
                "scenario": "image_generation",
                "chain": self.topology.name,
                "topology": topology_to_plain(self.topology),
                "clock": "scaled:100",
                "seed": self.seed,
                **manifest,
            },
        )
        (path / ATTEMPTS).write_bytes(_lines(self.attempts))
        (path / LEDGER).write_bytes(_lines(self.ledger))
        writer = SpanWriter(run)
        for span in self.spans:
            writer(span)
        writer.close()
        return run

    # --- attempts ---------------------------------------------------------------------------------

    def _attempt(
        self, made: Try, *, request: str, mode: str, trace_id: str, root: str, number: int, start_s: float
    ) -> float:
        layers = self.topology.layers
        ids = [self._id(16) for _ in layers]
        took_s = made.after_s if made.after_s is not None else made.generation_s
        end_s = start_s + took_s + 2 * HOP_S * len(layers)
        emissions = [start_s + at_s for at_s in made.partials_s]
        seen = [at_s for at_s in emissions if at_s < end_s]
        if made.delivered:
            seen.append(start_s + made.generation_s)
        for position, stands in enumerate(layers):
            if made.silent is not None and position >= made.silent:
                break
            facts: dict[str, Any] = {
                "trace_id": trace_id,
                "span_id": ids[position],
                "parent_id": ids[position - 1] if position else root,
                "layer": stands.name,
                "name": stands.name if position else "POST",
                "start_s": start_s + HOP_S * position,
                "end_s": end_s - HOP_S * position,
                "position": position,
                "status": made.status,
            }
            client: dict[str, Any] = {
                "request": request,
                "number": number,
                "mode": mode,
                "outcome": made.outcome,
            }
            span = LayerRecord(**facts) if position else AttemptRecord(**facts, **client)
            self._edges(span, made, position, streamed=bool(seen))
            if seen:
                span.first_byte_s = seen[0]
            elif made.outcome is Outcome.GATEWAY_ERROR:
                span.first_byte_s = span.end_s
            self.spans.append(span)
        if not made.refused:
            self._generate(made, trace_id, ids[-1], number, start_s)
        self.attempts.append(
            Attempt(
                request=request,
                number=number,
                mode=mode,
                trace_id=trace_id,
                span_id=ids[0],
                user=1,
                started_s=start_s,
                first_byte_s=seen[0] if seen else None,
                ended_s=None if made.outcome is Outcome.CENSORED else end_s,
                status=made.status,
                outcome=made.outcome,
                arrivals_s=seen,
            )
        )
        return end_s

    def _edges(self, span: LayerRecord, made: Try, position: int, *, streamed: bool) -> None:
        if made.cutter is None or made.timer is None or made.after_s is None:
            ended = made.outcome in {Outcome.DELIVERED, Outcome.REJECTED}
            span.upstream = UpstreamEnd.COMPLETE if ended else UpstreamEnd.RESET
            span.downstream = DownstreamEnd.ANSWERED if ended else DownstreamEnd.NONE
            return
        span.upstream, span.downstream = UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED
        if streamed:
            span.upstream, span.downstream = UpstreamEnd.CLOSED, DownstreamEnd.TRUNCATED
        if position > made.cutter:
            span.upstream, span.downstream = UpstreamEnd.ABANDONED, DownstreamEnd.LEFT
            span.events.append(Event(CALLER_LEFT, span.end_s))
        if position in {made.cutter, *made.tie}:
            span.upstream = UpstreamEnd.CUT
            span.downstream = DownstreamEnd.TRUNCATED if streamed else DownstreamEnd.OWN_ANSWER
            span.events.clear()
            timer = self.topology.layers[position].timers[made.timer]
            span.cut = Cut(
                timer=timer.kind,
                directive=timer.directive,
                phase=Phase.STREAM if streamed else Phase.WAIT,
                limit_s=timer.limit_s,
                at_s=span.start_s + HOP_S * (made.cutter - position) + made.after_s,
            )
        span.upstream_s = span.downstream_s = span.end_s

    def _generate(self, made: Try, trace_id: str, parent: str, number: int, start_s: float) -> None:
        started_s = start_s + HOP_S * len(self.topology.layers)
        finished_s = started_s + made.generation_s
        gone_s = started_s + made.after_s if made.after_s is not None else None
        orphaned = gone_s is not None and gone_s < finished_s
        row: dict[str, Any] = {
            "generation": f"gen-{len(self.ledger) + 1:05}",
            "state": made.state,
            "trace_id": trace_id,
            "span_id": self._id(16),
            "parent_span_id": parent,
            "attempt": number,
            "model": "gpt-image-2",
            "size": "1024x1024",
            "quality": "high",
            "accepted_s": started_s,
            "started_s": started_s,
            "partials_s": [started_s + at_s for at_s in made.partials_s],
            "heartbeat_s": made.heartbeat_s,
            "first_byte_s": started_s if made.heartbeat_s else None,
            "duration_s": made.generation_s,
            "finished_s": finished_s,
            "caller_gone_s": gone_s,
            "delivered": made.delivered,
            "orphaned": orphaned,
            "orphaned_s": finished_s - gone_s if orphaned and gone_s is not None else None,
            "billed": True,
            "billed_usd": USD,
        }
        if made.state != "settled":
            row |= {"finished_s": None, "orphaned_s": None, "billed": False, "billed_usd": 0.0}
        self.ledger.append(row)
        self.spans.append(generation_span(row))

    def _id(self, digits: int) -> str:
        self._ids += 1
        return f"{self._ids:0{digits}x}"


@dataclass(frozen=True, kw_only=True)
class Try:
    """One attempt to be made up. `cutter` and `tie` are positions (0: the client); `after_s` is its end."""

    outcome: Outcome
    generation_s: float = 195.0
    status: int | None = None
    cutter: int | None = None
    timer: TimerKind | None = None
    after_s: float | None = None
    partials_s: tuple[float, ...] = ()
    tie: tuple[int, ...] = ()
    silent: int | None = None  # layers from this position on wrote no span
    refused: bool = False
    state: str = "settled"
    heartbeat_s: float | None = None  # the upstream begins its stream at once, and lets no silence be longer

    @property
    def delivered(self) -> bool:
        """Whether the image came."""
        return self.outcome is Outcome.DELIVERED


def nginx_cut(generation_s: float = 195.0) -> Try:
    """The article's cut: NGINX after 60 s of waiting."""
    return Try(
        outcome=Outcome.GATEWAY_ERROR,
        status=504,
        cutter=2,
        timer=TimerKind.FIRST_BYTE,
        after_s=60.0,
        generation_s=generation_s,
    )


def stream_cut(generation_s: float = 195.0, first_s: float = 10.0) -> Try:
    """NGINX cuts a stream 60 s after the first partial image: the next one was to come later."""
    gap_s = (generation_s - first_s) / 2
    return Try(
        outcome=Outcome.TRUNCATED,
        status=200,
        cutter=2,
        timer=TimerKind.IDLE,
        after_s=first_s + 60.0,
        generation_s=generation_s,
        partials_s=(first_s, first_s + gap_s),
    )


def delivered(generation_s: float = 44.0, partials_s: tuple[float, ...] = ()) -> Try:
    """An image that came."""
    return Try(outcome=Outcome.DELIVERED, status=200, generation_s=generation_s, partials_s=partials_s)


def rejected() -> Try:
    """The API said no before any work began."""
    return Try(outcome=Outcome.REJECTED, status=400, generation_s=0.2, refused=True)


def unattributed() -> Try:
    """A reset, and the layers behind the client wrote nothing."""
    return Try(outcome=Outcome.RESET, after_s=33.0, silent=1)


def censored() -> Try:
    """Still under way when the run ended."""
    return Try(outcome=Outcome.CENSORED, generation_s=40.0, state="running", after_s=None)


def article_run(requests: int = 60, seed: int = 7) -> MadeRun:
    """The main job's run as the article tells it: plain, stream, no-retry; a few streams delivered."""
    made = MadeRun(seed=seed)
    for _ in range(requests):
        made.request("plain", *(nginx_cut(made.generation_s()) for _ in range(3)))
    for number in range(requests):
        if number % 12 == 5:
            made.request("stream", delivered(112.0, (9.0, 60.5)))
            continue
        first_s = made._random.uniform(5, 15)
        made.request("stream", *(stream_cut(max(140.0, made.generation_s()), first_s) for _ in range(3)))
    for _ in range(requests):
        made.request("no-retry", nginx_cut(made.generation_s()))
    return made


def _lines(rows: Any) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
