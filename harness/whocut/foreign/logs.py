"""Logs without spans, of any size: which way they are read, and what is said of them.

Few lines are read in memory, and each request has its whole verdict. Many are read by an engine that keeps its
rows on disk: then each kind has an example, and a Parquet file has a row for each request.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from whocut.errors import require
from whocut.foreign.files import (
    Attributed,
    LogFile,
    attribute_files,
    parse_logs,
)
from whocut.foreign.kinds import Judged, LogOfLayer
from whocut.foreign.many import judge_logs
from whocut.foreign.material import placed_in, topology_of
from whocut.foreign.wording import in_words, unread_in_words
from whocut.trace.logs.opening import STANDARD_INPUT
from whocut.verdict.phrases import cut_name
from whocut.verdict.verdict import Kind
from whocut.words import format_duration, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from whocut.chain.layers import Topology

MANY_BYTES: Final = 32 << 20  # of logs on disk; about eighty thousand lines
_PACKED: Final = frozenset({".gz", ".zst"})
_UNPACKS_TO: Final = 12  # a log packed is about a twelfth of itself
INSTALL: Final = "pip install 'whocut[logs]'"


@dataclass(slots=True)
class AttributedLogs:
    """What came of many lines: an example of each kind of verdict, how many there are, and how the reading went."""

    judged: Judged
    topology: Topology
    verdicts: Path | None = None
    passed_by: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For machines: the verdicts are examples, one a kind; all of them are in the Parquet file."""
        read, unjoined = self.judged.read, self.judged.unjoined
        return {
            "chain": self.as_chain(),
            "spans": 0,
            "lines": read.lines,
            "unreadable": read.unreadable,
            "unreadable_lines": read.named,
            "without_request": read.passed,
            "without_request_lines": read.passed_named,
            "unjoined": len(unjoined),
            "unjoined_lines": [f"{one.place}: {one.says or one.signal}" for one in unjoined[:3]],
            "unusable": self.unusable,
            "requests": self.judged.requests,
            "says": self.sentence,
            "kinds": [
                {"requests": kind.count, "waited_s": kind.waited_s, "example": kind.example.as_json()}
                for kind in self.judged.kinds
            ],
            "verdicts_in": str(self.verdicts) if self.verdicts else None,
        }

    def as_words(self, most: int = 12) -> list[str]:
        """For people: what share was cut, where, and what it cost; then an example of each kind."""
        read, unjoined = self.judged.read, self.judged.unjoined
        words = [self.sentence, f"{read.lines:,} lines of logs; chain: {' → '.join(self.as_chain())}", ""]
        for kind in self.judged.kinds[:most]:
            words += in_words(kind.example, kind.count, self.judged.requests, kind.example.contradictions)
        if len(self.judged.kinds) > most:
            words.append(f"… and {len(self.judged.kinds) - most} more kinds; --json has each of them")
        said = [f"{one.place}: {one.says or one.signal}" for one in unjoined[:3]]
        words += unread_in_words(
            read.unreadable, read.named, read.passed, read.passed_named, len(unjoined), said
        )
        if self.verdicts:
            words += ["", f"a row for each of {plural(self.judged.requests, 'request')}: {self.verdicts}"]
        return words

    @property
    def sentence(self) -> str:
        """What share of the requests was cut, where, and what it cost."""
        return share_sentence(self.judged)

    @property
    def unusable(self) -> str | None:
        """Why this answers nothing, in a sentence; None where there is at least one verdict."""
        read = self.judged.read
        if read.lines and read.unreadable == read.lines:
            return f"none of {read.lines} lines could be read: see `whocut attribute --help` for the formats"
        if not self.judged.requests:
            return f"no request was found in {read.lines} lines of logs"
        return None

    def as_chain(self) -> list[str]:
        """The layers by name, the upstream last."""
        return [*(layer.name for layer in self.topology.layers), self.topology.upstream.name]


def share_sentence(judged: Judged) -> str:
    """``3.0% of 400,000 requests were cut: 11,969 × nginx cut by first_byte. They had taken 199 h until then``."""
    cuts = [kind for kind in judged.kinds if kind.example.kind is Kind.CUT]
    open_ = sum(kind.count for kind in judged.kinds if kind.example.kind is Kind.UNATTRIBUTED)
    if not judged.requests:
        return "no request was found"
    undecided = f"; of {plural(open_, 'more request')} the logs do not say who ended it" if open_ else ""
    number = sum(kind.count for kind in cuts)
    if not number:
        return f"none of {plural(judged.requests, 'request')} was cut{undecided}"
    where: dict[str, int] = {}
    for kind in cuts:
        name = cut_name(kind.example)
        where[name] = where.get(name, 0) + kind.count
    named = sorted(where.items(), key=lambda one: -one[1])[:3]
    waited = _hours(sum(kind.waited_s for kind in cuts))
    return (
        f"{percent(number / judged.requests)} of {plural(judged.requests, 'request')} were cut: "
        f"{', '.join(f'{count:,} × {name}' for name, count in named)}. "
        f"They had taken {waited} until then{undecided}"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 7200 else format_duration(round(seconds, 1))


def attribute_logs(
    logs: Sequence[str],
    chain: Topology | None = None,
    *,
    verdicts: Path | None = None,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Attributed | AttributedLogs:
    """Logs to verdicts, the way that fits how much there is.

    Args:
        logs: ``FORMAT=FILE`` or ``LAYER:FORMAT=FILE``, from the caller inward; a file may be a pattern, or ``-``.
        chain: the chain that the requests went through; by default as the logs are given.
        verdicts: a Parquet file that gets a row for each request.
        progress: told of each piece how many bytes of it were read, unpacked.

    Raises:
        BadFile: a file cannot be read, or the Parquet file not written.
        BadInput: a format is unknown, or a log belongs to a layer outside the chain.
        NotInstalled: the Parquet file was asked for, and the engine is missing.
    """
    files = parse_logs(logs)
    if verdicts is None and not (needs_engine(files) and engine_is_there()):
        return attribute_files([], files, chain)
    require("duckdb")
    topology = chain or topology_of((), (), [file.layer for file in files], ())
    placed = placed_in(topology, [file.layer for file in files], chain)
    positions = {layer.name: position for position, layer in enumerate(topology.layers)}
    of_layers = [
        LogOfLayer(file.path, file.format, placed[file.layer], positions[placed[file.layer]])
        for file in files
    ]
    return AttributedLogs(
        judge_logs(of_layers, topology, verdicts=verdicts, progress=progress), topology, verdicts
    )


def engine_is_there() -> bool:
    """Whether what `whocut[logs]` brings is installed."""
    return importlib.util.find_spec("duckdb") is not None


def needs_engine(files: Sequence[LogFile]) -> bool:
    """Whether there is more than is read in memory."""
    return any(str(file.path) == STANDARD_INPUT for file in files) or size_of(files) > MANY_BYTES


def size_of(files: Sequence[LogFile]) -> int:
    """About how many bytes of lines there are; standard input counts as nothing."""
    sizes = 0
    for file in files:
        if file.path.is_file():
            sizes += file.path.stat().st_size * (_UNPACKS_TO if file.path.suffix in _PACKED else 1)
    return sizes
