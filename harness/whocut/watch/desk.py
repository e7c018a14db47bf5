"""What was heard of each trace, until it is decided. Pure: spans and accounts in, decided traces out.

A trace is decided when nothing has come of it for a while and every layer that usually reports has reported. A
layer that is still silent is waited for longer: a generation whose caller has gone may run for minutes. Memory is
bounded: where it is full, the trace that was heard of longest ago is decided early, and that is counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.foreign.files import judge_material
from whocut.trace.records import Attempt, AttemptRecord, GenerationRecord, LayerRecord
from whocut.verdict.retry_audit import audit_retries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.chain.layers import Between, Topology
    from whocut.trace.logs.records import Account
    from whocut.trace.records import Span
    from whocut.verdict.verdict import Verdict

_MOST_OF_A_TRACE: Final = 2_000  # spans and lines; what is over is counted and let go
_REMEMBERED: Final = 100_000  # traces that were decided: what comes of one afterwards is late
_LEARNT_FROM: Final = 500  # traces that tell which layers usually report
_USUAL: Final = 0.5  # a layer that this share of the traces has


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How long a trace is waited for, in real seconds, and how much is held at most."""

    quiet_s: float = 10.0
    patience_s: float = 900.0
    most_held: int = 400_000  # spans and lines of all traces


@dataclass(slots=True)
class Trace:
    """One trace that is under way; `batches` are those of the journal that hold a part of it."""

    trace_id: str
    first_s: float
    heard_s: float
    spans: list[Span] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    batches: set[int] = field(default_factory=set)

    @property
    def held(self) -> int:
        """How much of it is in memory."""
        return len(self.spans) + len(self.accounts)

    @property
    def root_id(self) -> str | None:
        """The span of which no span here is the parent, if there is one."""
        known = {span.span_id for span in self.spans}
        return next((span.span_id for span in self.spans if span.parent_id not in known), None)

    def reporters(self) -> set[str]:
        """Who has said something of it."""
        return {
            *(_reporter(span) for span in self.spans),
            *(f"log of {account.layer}" for account in self.accounts),
        }


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdicts on one trace, and what its retries did."""

    trace: Trace
    verdicts: tuple[Verdict, ...]
    after_unknown: int = 0


@dataclass(slots=True)
class Counts:
    """What was heard, and what was let go."""

    spans: int = 0
    lines: int = 0
    late: int = 0  # of traces that had been decided
    shed: int = 0  # above what is held of one trace
    early: int = 0  # traces that were decided early, because memory was full
    unnamed: int = 0  # lines without a trace id or a request id, beside others that have one


class Desk:
    """Traces that are under way."""

    def __init__(
        self,
        waiting: Waiting,
        *,
        chain: Topology | None = None,
        between: Sequence[Between] = (),
        logging: tuple[str, ...] = (),
    ) -> None:
        self.counts = Counts()
        self.held = 0
        self._waiting, self._chain, self._logging = waiting, chain, logging
        self._between = between
        self._open: OrderedDict[str, Trace] = OrderedDict()
        self._decided: OrderedDict[str, None] = OrderedDict()
        self._usual: Counter[str] = Counter()
        self._learnt = 0
        self._early: list[Trace] = []
        self._unnamed = 0

    def __len__(self) -> int:
        """How many traces are under way."""
        return len(self._open)

    def remember(self, trace_ids: Iterable[str]) -> None:
        """These had been decided before."""
        for trace_id in trace_ids:
            self._decided[trace_id] = None
            if len(self._decided) > _REMEMBERED:
                self._decided.popitem(last=False)

    def knows(self, trace_id: str) -> bool:
        """Whether the trace has been decided."""
        return trace_id in self._decided

    def take_spans(self, spans: Iterable[Span], batch: int, now_s: float) -> set[str]:
        """Take spans in; the traces that are under way with them."""
        touched: dict[str, Trace | None] = {}
        for span in spans:
            self.counts.spans += 1
            trace = touched.get(span.trace_id)
            if trace is None and (trace := self._of(span.trace_id, batch, now_s)) is None:
                continue
            touched[span.trace_id] = trace
            if self._has_room(trace):
                trace.spans.append(span)
        return {trace_id for trace_id, trace in touched.items() if trace is not None}

    def take_accounts(self, accounts: Iterable[Account], batch: int, now_s: float) -> set[str]:
        """Take lines in; the traces that are under way with them. A line without a name is a trace of its own."""
        touched = set()
        for account in accounts:
            self.counts.lines += 1
            name = account.trace_id or account.request_id
            if name is None:
                self._unnamed += 1
                name = f"{account.place}#{batch}"
                if len(self._logging) > 1:
                    self.counts.unnamed += 1
            trace = self._of(name, batch, now_s)
            if trace is None:
                continue
            touched.add(name)
            if self._has_room(trace):
                trace.accounts.append(account)
        return touched

    def _of(self, trace_id: str, batch: int, now_s: float) -> Trace | None:
        trace = self._open.pop(trace_id, None)
        if trace is None:
            if trace_id in self._decided:
                self.counts.late += 1
                return None
            trace = Trace(trace_id, now_s, now_s)
        trace.heard_s = now_s
        trace.batches.add(batch)
        self._open[trace_id] = trace
        return trace

    def _has_room(self, trace: Trace) -> bool:
        if trace.held >= _MOST_OF_A_TRACE:
            self.counts.shed += 1
            return False
        self.held += 1
        while self.held > self._waiting.most_held and len(self._open) > 1:
            _, oldest = self._open.popitem(last=False)
            self.held -= oldest.held
            self.counts.early += 1
            self._early.append(oldest)
        return True

    # --- deciding -------------------------------------------------------------------------------------------

    def due(self, now_s: float) -> Iterator[Trace]:
        """The traces that can be decided now; each is let go as it is taken."""
        while self._early:
            yield self._early.pop()
        for trace_id, trace in list(self._open.items()):
            if now_s - trace.heard_s < self._waiting.quiet_s:
                return
            if now_s - trace.heard_s < self._waiting.patience_s and self._lacks(trace):
                continue
            del self._open[trace_id]
            self.held -= trace.held
            yield trace

    def rest(self) -> Iterator[Trace]:
        """All that are under way: nothing more will come."""
        yield from self.due(float("inf"))

    def _lacks(self, trace: Trace) -> bool:
        if not self._learnt:
            return False
        usual = {name for name, count in self._usual.items() if count >= _USUAL * self._learnt}
        return not usual <= trace.reporters()

    def decide(self, trace: Trace) -> Decided:
        """The verdicts on a trace, by the judge of all material from elsewhere."""
        spans = _the_last_of_each(trace.spans)
        attempts = [_attempt_of(span) for span in spans if isinstance(span, AttemptRecord)]
        self._learn(trace)
        verdicts, _, _ = judge_material(
            spans, trace.accounts, self._logging_of(trace), self._chain, self._between, all_there=False
        )
        self.remember([trace.trace_id])
        return Decided(trace, tuple(verdicts), len(audit_retries(attempts, verdicts).blind))

    def _logging_of(self, trace: Trace) -> list[str]:
        told = {account.layer for account in trace.accounts}
        return [layer for layer in self._logging if layer in told or not trace.spans]

    def _learn(self, trace: Trace) -> None:
        self._learnt += 1
        self._usual.update(trace.reporters())
        if self._learnt >= _LEARNT_FROM:  # what is usual may change
            self._learnt //= 2
            self._usual = Counter({name: count // 2 for name, count in self._usual.items() if count > 1})


def _reporter(span: Span) -> str:
    return "generation" if isinstance(span, GenerationRecord) else span.layer


def _the_last_of_each(spans: list[Span]) -> list[Span]:
    """A span that was sent twice, by an exporter that tried again, is one."""
    return list({span.span_id: span for span in spans}.values())


def _attempt_of(span: AttemptRecord) -> Attempt:
    """The client's account in the form in which retries are audited."""
    assert isinstance(span, LayerRecord)
    return Attempt(
        request=span.request,
        number=span.number,
        mode=span.mode,
        trace_id=span.trace_id,
        span_id=span.span_id,
        user=0,
        started_s=span.start_s,
        first_byte_s=span.first_byte_s,
        ended_s=span.end_s,
        status=span.status,
        outcome=span.outcome,
        headers=span.headers,
        body_head=span.body_head,
    )
