"""The watch as a whole: a receiver, followed files, a desk, a journal, and the metrics, until a signal."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from whocut.clock.clock import calendar_s, wall_s
from whocut.errors import BadInput
from whocut.foreign.files import LogFile
from whocut.foreign.spans import ASKED
from whocut.path.target import is_loopback, means_this_machine
from whocut.trace import otlp
from whocut.trace.lean import LeanReader
from whocut.trace.logs.reading import Lines, Read, explained, merged, take_line, tries_together
from whocut.trace.logs.records import EndedBy
from whocut.trace.otlp_logs import lines_of
from whocut.trace.receiver import JSON, PROTOBUF, Overloaded, read_spans, receive, unpacked
from whocut.trace.receiver import Counts as Received
from whocut.trace.rundir import SPANS
from whocut.watch.desk import Desk, Waiting
from whocut.watch.follow import Followed
from whocut.watch.journal import OTLP_LOGS, Journal
from whocut.watch.lines import VerdictLines
from whocut.watch.metrics import CONTENT_TYPE, Metrics
from whocut.watch.sent import SentLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from whocut.chain.layers import Between, Topology
    from whocut.trace.lean import Rows
    from whocut.trace.logs.records import Account
    from whocut.trace.otlp_logs import SentLine
    from whocut.trace.receiver import Receiver, Sent
    from whocut.trace.records import Span
    from whocut.watch.desk import Decided, Trace

_LOOK_EVERY_REAL_S: Final = 0.5
_SLICE_REAL_S: Final = 0.1  # so long judging keeps the loop from its callers
_CARRIED_S: Final = 5.0  # an error line waits so long for its access line
_RUN: Final = "run "
# How the journal names a request that it keeps as it came, by its content type and whether it is packed.
_SOURCES: Final = {
    (JSON, False): "otlp json",
    (JSON, True): "otlp json, gzip",
    (PROTOBUF, False): "otlp protobuf",
    (PROTOBUF, True): "otlp protobuf, gzip",
}
_SENT_AS: Final = {source: sent for sent, source in _SOURCES.items()}
_GARBAGE_AFTER: Final = 100_000  # records more than before


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPlan:
    """What is watched, and where its state, its verdicts and its metrics are."""

    host: str
    port: int
    state: Path
    verdicts: Path
    logs: Sequence[LogFile | SentLog] = ()
    runs: Sequence[Path] = ()
    chain: Topology | None = None
    between: Sequence[Between] = ()
    waiting: Waiting = field(default_factory=Waiting)
    most_journal_bytes: int = 1 << 30


class Watch:
    """A watch that can be asked to look; `run` looks until it is stopped.

    `tell` gets each decided trace, where verdicts go further than into their file; `failed` counts what did not.
    """

    def __init__(
        self,
        plan: WatchPlan,
        *,
        now_s: Callable[[], float] = calendar_s,
        tell: Callable[[Decided], None] | None = None,
        failed: Callable[[], int] = lambda: 0,
    ) -> None:
        if not is_loopback(plan.host):
            raise BadInput(f"the watch listens on this machine only, and not on {plan.host}", field="listen")
        self._plan, self._now_s, self._tell = plan, now_s, tell
        self.journal = Journal(plan.state, plan.verdicts, remembers=plan.waiting.remembered)
        kept = self.journal.kept("counters")
        self.metrics = Metrics.from_plain(orjson.loads(kept)) if kept else Metrics()
        layers = tuple(dict.fromkeys(log.layer for log in plan.logs))
        self.desk = Desk(plan.waiting, chain=plan.chain, between=plan.between, logging=layers)
        self.received = Received()
        self._failed = failed
        self._lines = VerdictLines()
        self._reader = LeanReader(ASKED)
        self._pending: dict[int, set[str]] = {}
        self._done: list[int] = []
        self._unreadable = self._unjoined = self._strange = 0
        self._logs = {str(log.path): log for log in plan.logs if isinstance(log, LogFile)}
        self._sent = {log.service: log for log in plan.logs if isinstance(log, SentLog)}
        self._keeps_two = {layer for layer in layers if sum(log.layer == layer for log in plan.logs) > 1}
        self._told_of: dict[str, set[bool]] = defaultdict(set)  # whether a layer's lines were error lines
        self._remarks: dict[str, list[tuple[float, int, Account]]] = defaultdict(list)
        self._recovered = False
        self._rest: frozenset[str] | None = None  # of a batch that is taken up again: what is left of it
        self._recover()
        sources = [*self._logs, *(f"{_RUN}{run / SPANS}" for run in plan.runs)]
        self._followed = {
            source: Followed(self._path_of(source), self.journal.offset(source)) for source in sources
        }

    def close(self) -> None:
        """Give all files back."""
        for followed in self._followed.values():
            followed.close()
        self.journal.close()

    def _path_of(self, source: str) -> Path:
        if source in self._logs:
            return self._logs[source].path
        return next(run / SPANS for run in self._plan.runs if source == f"{_RUN}{run / SPANS}")

    def _recover(self) -> None:
        """Take up what was acknowledged before and is not decided."""
        found = self.journal.found
        self.metrics.count_found(found)
        self.desk.remember([*self.journal.decided(), *dict.fromkeys(row["trace"] for row in found)])
        self.journal.write(
            dict.fromkeys(row["trace"] for row in found), (), (), self.metrics.as_plain(), None
        )
        for batch in self.journal.batches():
            self._rest = batch.rest
            with self.desk.taking_only(batch.rest):
                self._take(batch.source, batch.body, batch.number)
            if self.desk.crowded:
                self.decide()
        self._rest, self._recovered = None, True

    # --- what comes -----------------------------------------------------------------------------------------

    def read(self, kind: str, body: bytes) -> Rows | list[Span]:
        """What an export request of spans holds: rows where all of it is ordinary, and records where it is not.

        Raises:
            ValueError: it is not whole, or has more values than are read.
        """
        return read_spans(kind, body, self._reader)

    def keep(self, sent: Sent, found: Rows | list[Span]) -> tuple[int, int]:
        """Keep an export request as it came, and take its spans in; how many there are, and that all are taken.

        Raises:
            Overloaded: more is undecided than the journal may hold.
        """
        if not found:
            return 0, 0
        self._refuse_more()
        number = self.journal.keep(_SOURCES[sent.kind, sent.packed], sent.body)
        self._take_spans(found, number, self._now_s())
        return sum(map(len, found.values())) if isinstance(found, dict) else len(found), 0

    def _take_spans(self, found: Rows | list[Span], number: int, now_s: float) -> None:
        if isinstance(found, dict):
            self._pend(number, self.desk.take_rows(found, number, now_s))
        else:
            self._pend(number, self.desk.take_spans(found, number, now_s))

    def log_sink(self, line: bytes, lines: list[SentLine]) -> int:
        """Keep an export request of logs, and take its lines in; how many belong to no log that was named.

        Raises:
            Overloaded: more is undecided than the journal may hold.
        """
        known = sum(one.service in self._sent for one in lines)
        if known:
            self._refuse_more()
            self._take_sent(lines, self.journal.keep(OTLP_LOGS, line))
        self._strange += len(lines) - known
        return len(lines) - known

    def _refuse_more(self) -> None:
        if self.journal.held_bytes > self._plan.most_journal_bytes:
            raise Overloaded(
                f"more than {self._plan.most_journal_bytes:,} bytes are undecided; send it again later"
            )

    def follow(self) -> None:
        """Take in what was added to the followed files."""
        for source, followed in self._followed.items():
            if self.journal.held_bytes > self._plan.most_journal_bytes:
                return  # the file keeps it
            first = followed.line
            body = followed.read()
            if body and source in self._logs:
                # A rotated file begins anew; what was read of it is behind it then.
                first = first if followed.line > first else 1
                body = b"%d\n%b" % (first, body)
            if body:
                self._take(source, body, self.journal.keep(source, body, followed.told))

    def _take(self, source: str, body: bytes, number: int) -> None:
        now_s = self._now_s()
        if source == OTLP_LOGS:
            self._take_sent(lines_of(orjson.loads(body)), number)
        elif source in self._logs:
            self._take_accounts(self._accounts(self._logs[source], body, number, now_s), number, now_s)
        elif source in _SENT_AS:
            kind, packed = _SENT_AS[source]
            self._take_spans(self.read(kind, unpacked(body) if packed else body), number, now_s)
        else:
            spans = [span for line in body.splitlines() for span in otlp.decode_line(line, 0.0)]
            self._take_spans(spans, number, now_s)

    def _take_sent(self, lines: list[SentLine], number: int) -> None:
        now_s = self._now_s()
        self._take_accounts(self._sent_accounts(lines, number, now_s), number, now_s)

    def _take_accounts(self, accounts: list[Account], number: int, now_s: float) -> None:
        touched = self.desk.take_accounts(accounts, number, now_s)
        waiting = {_token(one) for rows in self._remarks.values() for _, at, one in rows if at == number}
        self._pend(number, touched | waiting)

    def _pend(self, number: int, touched: set[str]) -> None:
        if touched:
            self._pending[number] = touched
        else:
            self._done.append(number)

    def _accounts(self, log: LogFile, body: bytes, number: int, now_s: float) -> list[Account]:
        """The accounts of new lines of a file."""
        read = Read()
        source = str(log.path)
        first, *lines = body.split(b"\n")
        for line_number, line in enumerate(lines, start=int(first)):
            take_line(line, line_number, log.format, log.layer, source, read)
        return self._told(log.layer, read, number, now_s)

    def _sent_accounts(self, lines: list[SentLine], number: int, now_s: float) -> list[Account]:
        """The accounts of lines that came by OTLP; where a line names no trace, its record may."""
        reads: dict[str, Read] = defaultdict(Read)
        for at, line in enumerate(lines, start=1):
            log = self._sent.get(line.service)
            if log is None:
                continue
            read = reads[log.layer]
            account = take_line(line.text, at, log.format, log.layer, f"otlp {log.service} {number}", read)
            if account is not None and account.trace_id is None and line.trace_id is not None:
                read.accounts[-1] = replace(account, trace_id=line.trace_id)
        told = []
        for layer, read in reads.items():
            kinds = self._told_of[layer]
            kinds |= {account.remark for account in read.accounts}
            if len(kinds) > 1:  # a service sends both of its logs
                self._keeps_two.add(layer)
            told += self._told(layer, read, number, now_s)
        return told

    def _told(self, layer: str, read: Read, number: int, now_s: float) -> list[Account]:
        """A layer's accounts, with what error lines say laid over them; an error line comes first."""
        self._unreadable += read.unreadable
        told = [account for account in read.accounts if not account.remark]
        carried = self._remarks[layer]
        carried += [
            (now_s, number, account) for account in read.accounts if account.remark and self._is_left(account)
        ]
        if not told or layer not in self._keeps_two:
            return told
        access = Lines(told)
        meant: dict[int, Account] = {}
        rows = list(carried)
        for remark, numbers in merged([row[2] for row in rows], told):
            at = access.belongs_to(remark)
            if at is None:
                continue
            meant[at] = explained(meant.get(at, told[at]), remark)
            for row in (rows[number] for number in numbers):
                carried.remove(row)
                self._settle(row[1], _token(row[2]))
        for at, account in enumerate(told):
            # An error line that has not found its request may be this one's.
            if at not in meant and account.ended_by is EndedBy.NONE and not carried:
                told[at] = replace(account, caveat="")
        return [meant.get(at, account) for at, account in enumerate(told)]

    def _is_left(self, remark: Account) -> bool:
        return self._rest is None or _token(remark) in self._rest

    # --- deciding -------------------------------------------------------------------------------------------

    def decide(self, *, all_of_them: bool = False, within_real_s: float = float("inf")) -> bool:
        """Decide what is due and write it down; whether there was more than could be done in the time."""
        now_s, begun = self._now_s(), wall_s()
        decided: list[Decided] = []
        more = False
        for trace in self.desk.rest() if all_of_them else self.desk.due(now_s):
            decided.append(self._decided(trace, now_s))
            if wall_s() - begun > within_real_s:
                more = True
                break
        self._let_remarks_go(now_s)
        if decided or self._done:
            lines = (line for one in decided for line in self._lines.of(one))
            traces = [one.trace.trace_id for one in decided]
            done, self._done = self._done, []
            undecided = self._pending if self._recovered else None  # before, batches are not known yet
            self.journal.write(traces, lines, done, self.metrics.as_plain(), undecided)
        for one in decided:
            if self._tell is not None:
                self._tell(one)
        return more

    def _decided(self, trace: Trace, now_s: float) -> Decided:
        decided = self.desk.decide(trace)
        self.metrics.count(decided, now_s)
        for number in trace.batches:
            self._settle(number, trace.trace_id)
        return decided

    def _settle(self, number: int, name: str) -> None:
        pending = self._pending.get(number)
        if pending is None:
            return
        pending.discard(name)
        if not pending:
            del self._pending[number]
            self._done.append(number)

    def _let_remarks_go(self, now_s: float) -> None:
        """Error lines that no access line came for: beside an access log they are no requests of their own."""
        for layer, carried in self._remarks.items():
            gone = [row for row in carried if now_s - row[0] > _CARRIED_S]
            if not gone:
                continue
            self._remarks[layer] = carried[len(gone) :]
            if layer in self._keeps_two:
                self._unjoined += len(gone)
            else:
                last = gone[-1][1]
                accounts = tries_together([account for _, _, account in gone])
                self._pending.setdefault(last, set()).update(self.desk.take_accounts(accounts, last, now_s))
            for _, number, account in gone:
                self._settle(number, _token(account))

    # --- what is shown --------------------------------------------------------------------------------------

    def exposition(self) -> str:
        """All metrics as Prometheus reads them."""
        counts = self.desk.counts
        state = {
            "spans": counts.spans,
            "log_lines": counts.lines,
            "unreadable_lines": self._unreadable,
            "judged": counts.judged,
            "unfit": counts.unfit,
            "late": counts.late,
            "shed": counts.shed,
            "decided_early": counts.early,
            "unnamed_lines": counts.unnamed,
            "unjoined_lines": self._unjoined,
            "unknown_service_lines": self._strange,
            "export_failed": self._failed(),
            "open_traces": len(self.desk),
            "held": self.desk.held,
            "journal_bytes": self.journal.held_bytes,
        }
        return self.metrics.exposition(state, self.received.refused)

    async def metrics_page(self, request: web.Request) -> web.StreamResponse:
        """The metrics, over HTTP."""
        del request
        return web.Response(body=self.exposition().encode(), headers={"Content-Type": CONTENT_TYPE})

    # --- running --------------------------------------------------------------------------------------------

    @staticmethod
    def tune() -> None:
        """Look for garbage less often: what a watch holds is no garbage, and there is much of it."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GARBAGE_AFTER, 20, 50)

    async def listen(self) -> Receiver:
        """Take spans and logs, and show the metrics.

        Raises:
            PortTaken: another program listens there.
        """
        receiver = await receive(
            self,
            port=self._plan.port,
            log_sink=self.log_sink,
            pages={"/metrics": self.metrics_page},
            admits=means_this_machine,
        )
        self.received = receiver.counts
        return receiver

    async def run(self, stopped: asyncio.Event, *, once: bool = False) -> None:
        """Look until it is stopped; `once` ends when the followed files have no more, and decides all of it."""
        while not stopped.is_set():
            self.follow()
            more = self.decide(within_real_s=_SLICE_REAL_S)
            more = more or self._behind()
            if once and not more:
                self.decide(all_of_them=True)
                return
            try:
                async with asyncio.timeout(0.0 if more else _LOOK_EVERY_REAL_S):
                    await stopped.wait()
            except TimeoutError:
                continue

    def _behind(self) -> bool:
        return any(followed.behind for followed in self._followed.values())


def _token(remark: Account) -> str:
    """What a batch waits for until an error line has found its access line."""
    return f"remark {remark.place}"
