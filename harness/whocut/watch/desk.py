"""What was heard of each trace, until it is decided. Pure: spans and accounts in, decided traces out.

A trace is decided when nothing has come of it for a while and every layer that usually reports has reported. A
layer that is still silent is waited for longer: a generation whose caller has gone may run for minutes. Memory is
bounded: where it is full, the trace that was heard of longest ago is decided early, and that is counted.

Foreign spans are rows here, and a trace that has them alone is judged by its signature; every other one is judged
by itself. Both are the one judge of all material from elsewhere.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.errors import BadInput
from whocut.foreign.material import judge_material
from whocut.foreign.signed import Signatures, Told
from whocut.trace.lean import as_span
from whocut.trace.records import Attempt, AttemptRecord, GenerationRecord, LayerRecord
from whocut.verdict.retry_audit import audit_retries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from whocut.chain.layers import Between, Topology
    from whocut.trace.lean import Row
    from whocut.trace.logs.records import Account
    from whocut.trace.records import Span
    from whocut.verdict.verdict import Verdict

_MOST_OF_A_TRACE: Final = 2_000  # spans and lines; what is over is counted and let go
_LEARNT_FROM: Final = 500  # traces that tell which layers usually report
_USUAL: Final = 0.5  # a layer that this share of the traces has


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How long a trace is waited for, in real seconds, and how much is held at most.

    So many traces that were decided are `remembered`, at most twice as many: what comes of one of them is late.
    """

    quiet_s: float = 10.0
    patience_s: float = 900.0
    most_held: int = 400_000  # spans and lines of all traces
    remembered: int = 200_000


@dataclass(slots=True)
class Trace:
    """One trace that is under way; `batches` are those of the journal that hold a part of it."""

    trace_id: str
    first_s: float
    heard_s: float
    spans: list[Span | Row] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    batches: set[int] = field(default_factory=set)
    rows_alone: bool = True  # foreign spans as rows, and nothing else

    @property
    def held(self) -> int:
        """How much of it is in memory."""
        return len(self.spans) + len(self.accounts)

    @property
    def root_id(self) -> str | None:
        """The span of which no span here is the parent, if there is one."""
        known = {span[0] if isinstance(span, tuple) else span.span_id for span in self.spans}
        for span in self.spans:
            span_id, parent_id = span[:2] if isinstance(span, tuple) else (span.span_id, span.parent_id)
            if parent_id not in known:
                return span_id
        return None

    def records(self) -> list[Span]:
        """Its spans as records."""
        return [as_span(self.trace_id, span) if isinstance(span, tuple) else span for span in self.spans]

    def reporters(self) -> set[str]:
        """Who has said something of it."""
        found = {span[4].layer if isinstance(span, tuple) else _reporter(span) for span in self.spans}
        found.update(f"log of {account.layer}" for account in self.accounts)
        return found


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdicts on one trace, or what gives them when they are asked for, and what its retries did."""

    trace: Trace
    told: Told | tuple[Verdict, ...]
    after_unknown: int = 0

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """A verdict an attempt."""
        return self.told if isinstance(self.told, tuple) else self.told.verdicts


@dataclass(slots=True)
class Counts:
    """What was heard, and what was let go."""

    spans: int = 0
    lines: int = 0
    judged: int = 0  # spans and lines, each in its trace
    unfit: int = 0  # of traces with a layer that the chain does not have
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
        self._signatures = Signatures(chain, between)
        self._open: OrderedDict[str, Trace] = OrderedDict()
        # Those that lack a layer, and nothing has come of for a while; both in the order of the last word.
        self._silent: OrderedDict[str, Trace] = OrderedDict()
        self._silent_by: set[str] = set()  # the layers that usually report, when they were looked at
        self._decided: set[str] = set()
        self._decided_before: set[str] = set()
        self._usual: Counter[str] = Counter()
        self._learnt = 0
        self._early: dict[str, Trace] = {}  # let go, and not decided yet
        self._only: frozenset[str] | None = None
        self._unnamed = 0

    def __len__(self) -> int:
        """How many traces are under way."""
        return len(self._open) + len(self._silent)

    def remember(self, trace_ids: Iterable[str]) -> None:
        """These had been decided before."""
        for trace_id in trace_ids:
            self._decided.add(trace_id)
            if len(self._decided) >= self._waiting.remembered:
                self._decided_before, self._decided = self._decided, set()

    @contextmanager
    def taking_only(self, trace_ids: frozenset[str] | None) -> Iterator[None]:
        """Take in what is of these traces alone: all others of a batch had been decided. None is no such bound."""
        self._only = trace_ids
        try:
            yield
        finally:
            self._only = None

    @property
    def crowded(self) -> bool:
        """Whether traces wait to be decided because memory was full."""
        return bool(self._early)

    def knows(self, trace_id: str) -> bool:
        """Whether the trace has been decided, or is about to be."""
        return trace_id in self._decided or trace_id in self._decided_before or trace_id in self._early

    def take_spans(self, spans: Iterable[Span], batch: int, now_s: float) -> set[str]:
        """Take spans in; the traces that are under way with them."""
        touched: dict[str, Trace | None] = {}
        for span in spans:
            self.counts.spans += 1
            trace = touched.get(span.trace_id)
            if trace is None and (trace := self._of(span.trace_id, batch, now_s)) is None:
                continue
            touched[span.trace_id] = trace
            trace.rows_alone = False
            if self._has_room(trace):
                trace.spans.append(span)
        return {trace_id for trace_id, trace in touched.items() if trace is not None}

    def take_rows(self, rows: Mapping[str, Sequence[Row]], batch: int, now_s: float) -> set[str]:
        """Take foreign spans in, by their traces; the traces that are under way with them."""
        touched = set()
        for trace_id, of_trace in rows.items():
            self.counts.spans += len(of_trace)
            trace = self._of(trace_id, batch, now_s, len(of_trace))
            if trace is None:
                continue
            touched.add(trace_id)
            for row in of_trace:
                if self._has_room(trace):
                    trace.spans.append(row)
        return touched

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
            trace.rows_alone = False
            touched.add(name)
            if self._has_room(trace):
                trace.accounts.append(account)
        return touched

    def _of(self, trace_id: str, batch: int, now_s: float, come: int = 1) -> Trace | None:
        trace = self._open.pop(trace_id, None) or self._silent.pop(trace_id, None)
        if trace is None:
            if self._only is not None and trace_id not in self._only:
                return None
            if self.knows(trace_id):
                self.counts.late += come
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
        while self.held > self._waiting.most_held and len(self) > 1:
            oldest = self._oldest()
            self.held -= oldest.held
            self.counts.early += 1
            self._early[oldest.trace_id] = oldest
        return True

    def _oldest(self) -> Trace:
        """The trace that was heard of longest ago; it is under way no more."""
        of = self._open
        if self._silent:
            silent = next(iter(self._silent.values()))
            if not of or silent.heard_s <= next(iter(of.values())).heard_s:
                of = self._silent
        return of.popitem(last=False)[1]

    # --- deciding -------------------------------------------------------------------------------------------

    def due(self, now_s: float) -> Iterator[Trace]:
        """The traces that can be decided now; each is let go as it is taken."""
        while self._early:
            yield self._early.pop(next(iter(self._early)))
        usual = self._usually()
        if usual != self._silent_by:
            for trace_id in [one.trace_id for one in self._silent.values() if usual <= one.reporters()]:
                if (trace := self._silent.pop(trace_id, None)) is not None:
                    yield self._let_go(trace)
            self._silent_by = usual  # here, since whoever asks may stop in between
        while self._silent:
            trace = next(iter(self._silent.values()))
            if now_s - trace.heard_s < self._waiting.patience_s:
                break
            del self._silent[trace.trace_id]
            yield self._let_go(trace)
        while self._open:
            trace = next(iter(self._open.values()))
            if now_s - trace.heard_s < self._waiting.quiet_s:
                return
            del self._open[trace.trace_id]
            waited_for = now_s - trace.heard_s < self._waiting.patience_s
            if waited_for and not self._usually() <= trace.reporters():
                self._silent[trace.trace_id] = trace
                continue
            yield self._let_go(trace)

    def rest(self) -> Iterator[Trace]:
        """All that are under way: nothing more will come."""
        yield from self.due(float("inf"))

    def _let_go(self, trace: Trace) -> Trace:
        self.held -= trace.held
        return trace

    def _usually(self) -> set[str]:
        """The layers that usually report."""
        return {name for name, count in self._usual.items() if count >= _USUAL * self._learnt}

    def decide(self, trace: Trace) -> Decided:
        """The verdicts on a trace, by the judge of all material from elsewhere; one of another chain has none."""
        self._learn(trace)
        self.remember([trace.trace_id])
        try:
            decided = self._judged(trace)
        except BadInput:
            self.counts.unfit += trace.held
            return Decided(trace, ())
        self.counts.judged += trace.held
        return decided

    def _judged(self, trace: Trace) -> Decided:
        if trace.rows_alone:
            rows: list[Row] = trace.spans  # type: ignore[assignment]  # rows alone
            return Decided(trace, self._signatures.judge(trace.trace_id, rows))
        spans = _the_last_of_each(trace.records())
        attempts = [_attempt_of(span) for span in spans if isinstance(span, AttemptRecord)]
        verdicts, _, _ = judge_material(
            spans, trace.accounts, self._logging_of(trace), self._chain, self._between, all_there=False
        )
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
