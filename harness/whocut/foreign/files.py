"""Material from elsewhere to verdicts: spans of any service and logs of any gateway, put together for the command.

With `--chain` the layers and their limits are known. Without it they are read from the material: from how spans
contain each other, and, where no parent in a log says better, from the order in which logs are given: from the
caller to the upstream.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.layers import Layer, Role, Topology
from whocut.errors import BadFile, BadInput, nearest
from whocut.foreign.between import put_between
from whocut.foreign.kinds import sort_of
from whocut.foreign.spans import Leg, legs_of
from whocut.foreign.wording import in_words, unread_in_words
from whocut.trace import otlp
from whocut.trace.logs.formats import find_format
from whocut.trace.logs.opening import named
from whocut.trace.logs.reading import Read, read_file, told_together
from whocut.trace.records import AttemptRecord, ForeignSpan, LayerRecord, Span
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import AttemptEvidence, Statement, gather
from whocut.verdict.gateways import whole_layers
from whocut.verdict.joining import join
from whocut.verdict.seating import is_tap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.chain.layers import Between
    from whocut.trace.fetching.asked import Looked
    from whocut.trace.logs.records import Account, LogFormat
    from whocut.verdict.verdict import Verdict

_CLIENT = "client"
_NO_CHAIN = Topology(name="none", client=Layer(name=_CLIENT, title=_CLIENT, role=Role.CLIENT), hops=())
_UNJOINED = 3  # lines without a request that are named


@dataclass(frozen=True, slots=True)
class LogFile:
    """One ``--logs``: the layer it belongs to, its format, where it lies."""

    layer: str
    format: LogFormat
    path: Path


@dataclass(slots=True)
class Attributed:
    """A verdict an attempt, and how the reading went."""

    verdicts: list[Verdict]
    topology: Topology
    spans: int = 0
    lines: int = 0
    unreadable: int = 0
    named: list[str] = field(default_factory=list)
    passed: int = 0  # lines of a log's format that tell of no request's end
    passed_named: list[str] = field(default_factory=list)
    unjoined: int = 0  # lines of a request's end that fit no request
    unjoined_named: list[str] = field(default_factory=list)
    looked: tuple[Looked, ...] = ()  # how the searches of backends went

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "chain": [layer.name for layer in self.topology.layers] + [self.topology.upstream.name],
            "spans": self.spans,
            "lines": self.lines,
            "unreadable": self.unreadable,
            "unreadable_lines": self.named,
            "without_request": self.passed,
            "without_request_lines": self.passed_named,
            "unjoined": self.unjoined,
            "unjoined_lines": self.unjoined_named,
            "unusable": self.unusable,
            **({"fetched": [one.as_json() for one in self.looked]} if self.looked else {}),
            "verdicts": [verdict.as_json() for verdict in self.verdicts],
        }

    def as_words(self, most: int = 12) -> list[str]:
        """For people: how many of each, the commonest first, with one example and what contradicts it."""
        groups: dict[tuple[str, ...], list[Verdict]] = {}
        for verdict in self.verdicts:
            groups.setdefault(sort_of(verdict), []).append(verdict)
        ordered = sorted(groups.values(), key=len, reverse=True)
        read = f"{self.spans} spans, {self.lines} lines of logs, {len(self.verdicts)} attempts"
        words = [one.as_words() for one in self.looked]
        words += [read, f"chain: {' → '.join(self.as_chain())}", ""]
        for group in ordered[:most]:
            against = Counter(found for verdict in group for found in verdict.contradictions)
            words += in_words(group[0], len(group), len(self.verdicts), against)
        if len(ordered) > most:
            words.append(f"… and {len(ordered) - most} more kinds; --json has every verdict")
        return words + unread_in_words(
            self.unreadable, self.named, self.passed, self.passed_named, self.unjoined, self.unjoined_named
        )

    @property
    def unusable(self) -> str | None:
        """Why this answers nothing, in a sentence; None where there is at least one verdict."""
        if self.lines and self.unreadable == self.lines and not self.spans:
            return f"none of {self.lines} lines could be read: see `whocut attribute --help` for the formats"
        if not self.verdicts and self.looked and not self.spans and not self.lines:
            return (
                "no such trace was found. Look further back with --since, correct --service, or fetch every trace "
                "with --all"
            )
        if not self.verdicts:
            return f"no request was found in {self.spans} spans and {self.lines} lines of logs"
        return None

    def as_chain(self) -> list[str]:
        """The layers by name, the upstream last."""
        return [*(layer.name for layer in self.topology.layers), self.topology.upstream.name]


# --- what was asked for -----------------------------------------------------------------------------------


def parse_logs(written: Sequence[str]) -> list[LogFile]:
    """``nginx=FILE`` or ``edge:nginx=FILE``, in the order of the chain; a file may be a pattern, or ``-``.

    Raises:
        BadInput: it is not of that form, or there is no such format; names the nearest one.
    """
    files = []
    for one in written:
        layer, known, file = parse_log(one)
        if not (found := named(file)):
            said = f"no file fits the pattern {file}. Write a name, or another pattern."
            raise BadInput(said, field="logs")
        files += [LogFile(layer, known, path) for path in found]
    return files


def parse_log(written: str) -> tuple[str, LogFormat, str]:
    """One ``FORMAT=WHERE`` or ``LAYER:FORMAT=WHERE``: the layer's name, the format, and where the lines are.

    Raises:
        BadInput: it is not of that form, or there is no such format; names the nearest one.
    """
    left, _, where = written.partition("=")
    if not left or not where:
        said = f"{written}: write FORMAT=FILE, or LAYER:FORMAT=FILE, as in nginx=access.log"
        raise BadInput(said, field="logs")
    layer, colon, name = left.rpartition(":")
    return layer if colon else name, find_format(name), where


def attribute_material(
    *,
    spans: Sequence[str | Path] = (),
    logs: Sequence[str] = (),
    chain: str | Path | Topology | None = None,
    between: Sequence[str] = (),
) -> Attributed:
    """Which layer cut each request, from spans and logs made elsewhere, for programs.

    Args:
        spans: files of OTLP/JSON lines, as a Collector's file exporter writes them.
        logs: ``FORMAT=FILE`` or ``LAYER:FORMAT=FILE``, from the caller inward.
        chain: the chain that the requests went through; by default as the material shows it.
        between: ``OUTER,INNER=LAYER[:LIMITS]``, what is between two taps.

    Raises:
        BadFile: a file cannot be opened, or a line of spans is not OTLP/JSON.
        BadInput: nothing was given, a format is unknown, or a log belongs to a layer outside the chain.
    """
    from whocut.config.sources import read_chain  # noqa: PLC0415  # it reads every kind of chain, and few ask

    topology = None if chain is None else read_chain(chain)
    said = said_between(topology, between)
    return attribute_files([Path(path) for path in spans], parse_logs(logs), topology, said)


def said_between(chain: Topology | None, written: Sequence[str]) -> tuple[Between, ...]:
    """What ``--between`` says, where the chain need not be known.

    Raises:
        BadInput: a form, a timer or a limit is invalid, or the chain names the layer of that place itself.
        BadFile: the layer's own file cannot be used.
    """
    if not written:
        return ()
    from whocut.chain.between import with_between  # noqa: PLC0415  # as above
    from whocut.config.sources import file_reader  # noqa: PLC0415

    return with_between(chain or _NO_CHAIN, written, file_reader()).between


def attribute_files(
    spans: Sequence[Path],
    logs: Sequence[LogFile],
    chain: Topology | None = None,
    between: Sequence[Between] = (),
    *,
    fetched: Sequence[Span] = (),
    looked: Sequence[Looked] = (),
) -> Attributed:
    """Read everything, join it, judge it; `fetched` are a backend's spans, and `looked` how they were found.

    Raises:
        BadFile: a file cannot be opened, or a line of spans is not OTLP/JSON.
        BadInput: nothing was given, or a log belongs to a layer that is not in the chain.
    """
    if not spans and not logs and not looked:
        raise BadInput(
            "nothing to read: name spans with --spans FILE, logs with --logs nginx=FILE, or a backend with --from"
        )
    from whocut.config.sources import no_collections  # noqa: PLC0415  # lines that are counted need none of it

    with no_collections():
        attributed = _attribute(spans, logs, chain, between, fetched)
    attributed.looked = tuple(looked)
    return attributed


def _attribute(
    paths: Sequence[Path],
    logs: Sequence[LogFile],
    chain: Topology | None,
    between: Sequence[Between],
    fetched: Sequence[Span],
) -> Attributed:
    spans = [*(span for path in paths for span in read_spans(path)), *fetched]
    read = Read()
    accounts: list[Account] = []
    unjoined: list[Account] = []
    for layer in dict.fromkeys(file.layer for file in logs):
        of_layer = Read()
        for file in logs:
            if file.layer == layer:
                read_file(file.path, file.format, layer, of_layer)
        accounts += told_together(of_layer.accounts, unjoined)
        read.lines += of_layer.lines
        read.unreadable += of_layer.unreadable
        read.named += of_layer.named
        read.passed += of_layer.passed
        read.passed_named += of_layer.passed_named
    verdicts, topology, alone = judge_material(spans, accounts, [file.layer for file in logs], chain, between)
    unjoined += alone
    return Attributed(
        verdicts,
        topology,
        len(spans),
        read.lines,
        read.unreadable,
        read.named,
        read.passed,
        read.passed_named,
        len(unjoined),
        [f"{account.place}: {account.says or account.signal}" for account in unjoined[:_UNJOINED]],
    )


def judge_material(
    spans: Sequence[Span],
    accounts: Sequence[Account],
    logging: Sequence[str],
    chain: Topology | None = None,
    between: Sequence[Between] = (),
    *,
    all_there: bool = True,
) -> tuple[list[Verdict], Topology, list[Account]]:
    """Join and judge what was read: the verdicts, the chain, and the lines that fit no request.

    `spans` have Unix seconds and are changed; `logging` are the layers of the logs, from the caller inward.
    `all_there`: the material shows each tap of `between`, as that of one request alone need not.

    Raises:
        BadInput: a layer is not in the chain, or nothing fits what `between` says.
    """
    ours = [span for span in spans if not isinstance(span, ForeignSpan)]
    foreign = [span for span in spans if isinstance(span, ForeignSpan)]
    epoch_unix_s = _epoch(ours)
    for span in ours:
        span.move(-epoch_unix_s)
    otlp.onto_one_clock(ours)
    legs = legs_of(foreign)
    topology = chain or topology_of(ours, legs, logging, accounts)
    ours, topology = put_between(ours, topology, between, all_there=all_there)
    placed = placed_in(topology, [*(leg.account.layer for leg in legs), *logging], chain)
    moved = [_moved(account, placed, epoch_unix_s) for account in accounts]
    if epoch_unix_s or any(name != layer for name, layer in placed.items()):
        legs = [replace(leg, account=_moved(leg.account, placed, epoch_unix_s)) for leg in legs]
    positions = {layer.name: position for position, layer in enumerate(topology.layers)}
    ours = whole_layers(ours, topology)
    attempts = gather(ours) if ours else _attempts_of(legs, positions)
    if ours:
        moved += [leg.account for leg in legs]
    joined = join(attempts, moved, positions)
    unjoined: list[Account] = []
    if ours:
        # Edges say which requests there were: a line that fits none of them is no request of its own.
        unjoined = [said.account for evidence in joined[len(attempts) :] for said in evidence.testimony]
        joined = joined[: len(attempts)]
    return [attribute(evidence, topology) for evidence in joined], topology, unjoined


def read_spans(path: Path) -> list[Span]:
    """Every span of a file that a Collector's file exporter wrote, or a run's ``spans.jsonl``; Unix seconds.

    Raises:
        BadFile: it cannot be opened, or a line is not an OTLP/JSON export request.
    """
    spans: list[Span] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.isspace():
                    continue
                try:
                    spans.extend(otlp.decode_line(line, 0.0))
                except ValueError as error:
                    if not line.endswith(b"\n"):
                        break  # the last line was never finished
                    raise BadFile(path, str(error), line=number) from None
    except OSError as error:
        raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None
    return spans


def _epoch(ours: Sequence[Span]) -> float:
    """The calendar instant of our spans' second zero: an attempt's end is in it twice, on both clocks."""
    for span in ours:
        if isinstance(span, AttemptRecord) and span.downstream_s is not None:
            return span.end_s - span.downstream_s
    return 0.0


# --- the chain --------------------------------------------------------------------------------------------


def topology_of(
    ours: Sequence[Span], legs: Sequence[Leg], logging: Sequence[str], accounts: Iterable[Account]
) -> Topology:
    """The chain as the material shows it: spans by how they contain each other, logs between them."""
    depths: dict[str, float] = {}
    for span in ours:
        if isinstance(span, LayerRecord) and not is_tap(span):  # taps are seated by their parents
            depths[span.layer] = float(span.position)
    for leg in legs:
        depths[leg.account.layer] = max(depths.get(leg.account.layer, 0), leg.depth)
    client = next((name for name, depth in depths.items() if depth == 0), _CLIENT)
    between = _depths_of_logs(ours, legs, accounts) if depths else {}
    for layer in logging:
        depths.setdefault(layer, between.get(layer, float("inf")))
    order = sorted((name for name in depths if name != client), key=lambda name: depths[name])
    return Topology(
        name="from the material",
        client=Layer(name=client, title=client, role=Role.CLIENT),
        hops=tuple(_layer(name) for name in order),
        whole=False,
    )


def _depths_of_logs(
    ours: Iterable[Span], legs: Iterable[Leg], accounts: Iterable[Account]
) -> dict[str, float]:
    """The places of layers that only have logs: right behind the layer whose span is the parent in the log."""
    depth_of = {span.span_id: float(span.position) for span in ours if isinstance(span, LayerRecord)}
    depth_of |= {span_id: float(leg.depth) for leg in legs for span_id in leg.span_ids}
    votes: dict[str, Counter[float]] = {}
    for account in accounts:
        if account.parent_id in depth_of:
            votes.setdefault(account.layer, Counter())[depth_of[account.parent_id] + 0.5] += 1
    return {layer: counted.most_common(1)[0][0] for layer, counted in votes.items()}


@lru_cache(maxsize=1024)  # a watch asks it for each trace
def _layer(name: str) -> Layer:
    """A layer by the name of a product, without timers: its configuration is unknown."""
    known = catalogue().get(name)
    return (
        replace(preset(name), timers={}) if known and known.role is Role.HOP else Layer(name=name, title=name)
    )


def placed_in(topology: Topology, written: Iterable[str], chain: Topology | None) -> dict[str, str]:
    """Each name in the material as the chain has it: by name, or by preset where one layer is of it."""
    placed: dict[str, str] = {}
    for name in dict.fromkeys(written):
        layers = [layer for layer in topology.layers if layer.name == name]
        layers = layers or [
            layer for layer in topology.layers if layer.preset == name or layer.preset.startswith(f"{name}-")
        ]
        if len(layers) == 1:
            placed[name] = layers[0].name
            continue
        known = [layer.name for layer in topology.layers]
        if len(layers) > 1:
            several = ", ".join(layer.name for layer in layers)
            raise BadInput(
                f"'{name}' may be {several} of the chain; write --logs {layers[0].name}:{name}=FILE"
            )
        if chain is not None:
            raise BadInput(
                f"there is no layer '{name}' in the chain {chain.name}{nearest(name, known)}; there are "
                f"{', '.join(known)}"
            )
    return placed


def _moved(account: Account, placed: dict[str, str], epoch_unix_s: float) -> Account:
    if not epoch_unix_s and placed[account.layer] == account.layer:
        return account
    end_s = account.end_s - epoch_unix_s if account.end_s is not None else None
    return replace(account, layer=placed[account.layer], end_s=end_s)


def _attempts_of(legs: Sequence[Leg], positions: dict[str, int]) -> list[AttemptEvidence]:
    """Attempts that only foreign spans know of: their testimony, numbered within their trace."""
    by_attempt: dict[tuple[str, str], list[Leg]] = {}
    for leg in legs:
        by_attempt.setdefault((leg.account.trace_id or "", leg.attempt), []).append(leg)
    numbers: Counter[str] = Counter()
    attempts = []
    for (trace_id, _), of_attempt in by_attempt.items():
        numbers[trace_id] += 1
        statements = {
            positions[leg.account.layer]: Statement(
                position=positions[leg.account.layer], account=leg.account
            )
            for leg in of_attempt
        }
        attempts.append(
            AttemptEvidence(
                request=of_attempt[0].account.request_id or trace_id,
                attempt=numbers[trace_id],
                mode="",
                trace_id=trace_id,
                outcome=None,
                status=of_attempt[0].account.status,
                layers=(),
                generation=None,
                span_ids=tuple(span_id for leg in of_attempt for span_id in leg.span_ids),
                testimony=tuple(statements[position] for position in sorted(statements)),
            )
        )
    return attempts
