"""One layer's lines, counted: each line is a request, and what it means hangs on a few of its fields.

A format's `glance` finds those fields; lines of one signature are judged once, on the first of them. Any line that
a glance does not settle goes the way of single lines. Nothing is kept of a line but its count.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile
from whocut.foreign.blocks import blocks_of
from whocut.foreign.kinds import Judged, Tally, meaning_of
from whocut.trace.logs.opening import opened
from whocut.trace.logs.reading import LONGEST, read_line, take_line
from whocut.trace.logs.records import Unreadable
from whocut.verdict.attribute import attribute
from whocut.verdict.joining import join
from whocut.verdict.testimony import told_by

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from whocut.chain.layers import Topology
    from whocut.foreign.kinds import LogOfLayer
    from whocut.trace.logs.records import Account, Glance

_LOOKED_AT: Final = 20  # lines of a file, before any is counted
_MOST: Final = 10_000  # signatures of one file that are remembered; in life there are dozens
_DOUBTS: Final = (ValueError, TypeError, LookupError, OverflowError)


class ErrorLines(Exception):  # noqa: N818  # an answer, not a failure
    """Error lines belong to some of the requests: those have to be kept, and not only counted."""


@dataclass(slots=True)
class _Alike:
    """Lines that mean the same: the first of them, their number, and the seconds they took together."""

    first: Account
    number: int = 0
    waited_s: float = 0.0


def count_lines(
    logs: Sequence[LogOfLayer], topology: Topology, progress: Callable[[int], None] = lambda _bytes: None
) -> Judged:
    """Judge the lines of one layer's access logs.

    Raises:
        BadFile: a log cannot be opened, or unpacked.
        ErrorLines: there is a line of an error log among them.
    """
    if any(_begins_as_error_log(log) for log in logs):  # rather than when all before it has been counted
        raise ErrorLines
    result = Judged()
    alike: dict[tuple[object, ...], _Alike] = {}
    for log in logs:
        counting = _Counting(log, result, alike)
        try:
            with opened(log.path) as file:
                for block in blocks_of(file):
                    counting.take(block)
                    progress(len(block))
        except OSError as error:
            raise BadFile(log.path, f"it cannot be read: {error.strerror or error}") from None
    positions = {layer.name: position for position, layer in enumerate(topology.layers)}
    tally = Tally()
    for one in alike.values():
        (evidence,) = join((), [one.first], positions)
        verdict = attribute(evidence, topology)
        dated = told_by(evidence, topology) is not None and verdict.at_s is not None
        tally.count(verdict, one.number, one.waited_s if dated else 0.0)
    return tally.into(result)


def _begins_as_error_log(log: LogOfLayer) -> bool:
    try:
        with opened(log.path) as file:
            for _ in range(_LOOKED_AT):
                with suppress(Unreadable):
                    account = read_line(file.readline(LONGEST), log.format)
                    if account is not None and account.remark:
                        return True
    except OSError:
        return False  # it is said where it is read
    return False


class _Counting:
    """One file while it is counted."""

    def __init__(self, log: LogOfLayer, result: Judged, alike: dict[tuple[object, ...], _Alike]) -> None:
        self._log, self._read, self._alike = log, result.read, alike
        self._glance = log.format.glance or _no_glance
        self._known: dict[Hashable, _Alike] = {}
        self._first = 1

    def take(self, block: bytes) -> None:
        """Whole lines."""
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        glance, known = self._glance, self._known
        if max(map(len, lines), default=0) >= LONGEST:
            glance = _not_of_long_lines(glance)
        whole = 0
        for number, line in enumerate(lines, start=self._first):
            try:
                signature, took_s = glance(line)  # type: ignore[misc]  # None is a doubt as well, and rare
                one = known[signature]
            except _DOUBTS:
                whole += not self._learn(line, number, glance)
                continue
            one.number += 1
            one.waited_s += took_s
        self._read.lines += len(lines) - whole
        self._first += len(lines)

    def _learn(self, line: bytes, number: int, glance: Glance) -> bool:
        """Remember a signature that was not seen before; False for a line that only the reader could tell."""
        try:
            told = glance(line)
        except _DOUBTS:
            told = None
        if told is None or len(self._known) >= _MOST:
            self._read_whole(line, number)
            return False
        signature, took_s = told
        account = read_line(line, self._log.format)
        assert account is not None, "a line that a glance settles is a request's"
        one = self._of(replace(account, layer=self._log.layer, place=f"{self._log.path}:{number}"))
        self._known[signature] = one
        one.number += 1
        one.waited_s += took_s
        return True

    def _of(self, account: Account) -> _Alike:
        named = account.trace_id is not None or account.request_id is not None
        key = (*meaning_of(account), named, account.end_s is not None)
        return self._alike.setdefault(key, _Alike(account))

    def _read_whole(self, line: bytes, number: int) -> None:
        account = take_line(line, number, self._log.format, self._log.layer, str(self._log.path), self._read)
        if account is None:
            return
        self._read.accounts.clear()  # nothing is kept of a line
        if account.remark:
            raise ErrorLines
        one = self._of(account)
        one.number += 1
        one.waited_s += account.duration_s or 0.0


def _no_glance(_line: bytes) -> None:
    return None


def _not_of_long_lines(glance: Glance) -> Glance:
    """The reader refuses a line that is too long, whatever is in it."""
    return lambda line: glance(line) if len(line) < LONGEST else None
