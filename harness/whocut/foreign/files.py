"""Material from elsewhere to verdicts: spans of any service and logs of any gateway, put together for the command.

With `--chain` the layers and their limits are known. Without it they are read from the material: from how spans
contain each other, and, where no parent in a log says better, from the order in which logs are given: from the
caller to the upstream.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whocut.chain.layers import Layer, Role, Topology
from whocut.errors import BadFile, BadInput
from whocut.foreign.kinds import sort_of
from whocut.foreign.material import judge_material
from whocut.foreign.wording import in_words, unread_in_words
from whocut.trace import otlp
from whocut.trace.logs.formats import find_format
from whocut.trace.logs.opening import named
from whocut.trace.logs.reading import Read, read_file, told_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Between
    from whocut.trace.fetching.asked import Looked
    from whocut.trace.logs.records import Account, LogFormat
    from whocut.trace.records import Span
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
