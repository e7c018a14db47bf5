"""What was acknowledged and is not decided yet, on disk; and how far the verdicts were written.

A batch is kept until each of its traces is decided. The file of verdicts is written first, and then the journal
says so: after a kill between the two, what is in the file and not in the journal is found there again.

Which traces were decided is remembered for so many of them. One that waits may keep its batch for longer than that:
then it is written down which traces of the batch are left.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.errors import FULL, CouldNotRun, NoRoom

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

_SCHEMA: Final = """
pragma journal_mode = wal; pragma synchronous = normal;
create table if not exists batches(number integer primary key, source text not null, body blob not null);
create table if not exists judged(number integer primary key, traces blob not null);
create table if not exists rests(number integer primary key, traces blob not null);
create table if not exists kept(name text primary key, value text not null) without rowid;
"""
# The source of a batch of lines that were sent; that of other lines is their file.
OTLP_LOGS: Final = "otlp logs"


@dataclass(frozen=True, slots=True)
class Batch:
    """Something that was acknowledged: an export request, or lines of a followed file.

    `rest` are the traces of it that were left when others had been forgotten; None is all that are not decided.
    """

    number: int
    source: str
    body: bytes
    rest: frozenset[str] | None = None


class Journal:
    """The state of a watch, which remembers so many decided traces; close it."""

    def __init__(self, folder: Path, verdicts: Path, *, remembers: int) -> None:
        self._verdicts, self._remembers = verdicts, remembers
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _hold(self._lock, folder)
            self._db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
            self._db.executescript(_SCHEMA)
            verdicts.parent.mkdir(parents=True, exist_ok=True)
            self._out = os.open(verdicts, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (OSError, sqlite3.Error) as error:
            raise CouldNotRun(f"the state in {folder} cannot be used: {error}") from None
        self._next = (self._one("select max(number) from batches") or 0) + 1
        self._next = max(self._next, int(self.kept("next") or 1))
        self.held_bytes = int(self._one("select sum(length(body)) from batches") or 0)
        self._take_over()
        self._marks = int(self._one("select max(number) from judged") or 0)
        self.found = self._found()
        # How many traces had been decided when a batch came, or when its rest was written down.
        numbers = self._db.execute("select number from batches order by number")
        self._marked: OrderedDict[int, int] = OrderedDict((row[0], -1) for row in numbers)

    def close(self) -> None:
        """Give all files back."""
        self._db.close()
        os.close(self._out)
        os.close(self._lock)

    # --- what came ------------------------------------------------------------------------------------------

    def keep(self, source: str, body: bytes, offset: str | None = None) -> int:
        """Keep a batch, and how far its file was read; its number.

        Raises:
            NoRoom: the disk is full.
        """
        number, self._next = self._next, self._next + 1
        with self._whole():
            self._db.execute("insert into batches values (?, ?, ?)", (number, source, body))
            self._keep("next", str(self._next))
            if offset is not None:
                self._keep(f"offset {source}", offset)
        self.held_bytes += len(body)
        self._marked[number] = self._marks
        return number

    def batches(self) -> Iterator[Batch]:
        """Those that hold something undecided, in the order in which they came."""
        for number in list(self._marked):
            query = "select source, body, traces from batches left join rests using (number) where number = ?"
            source, body, rest = self._db.execute(query, (number,)).fetchone()
            yield Batch(number, source, body, None if rest is None else frozenset(orjson.loads(rest)))

    def offset(self, source: str) -> str | None:
        """How far a file was read."""
        return self.kept(f"offset {source}")

    # --- what was decided -----------------------------------------------------------------------------------

    def decided(self) -> list[str]:
        """The traces that were decided last, the latest at the end."""
        rows = self._db.execute("select traces from judged order by number")
        return [trace for row in rows for trace in orjson.loads(row[0])]

    def write(
        self,
        traces: Iterable[str],
        lines: Iterable[bytes],
        done: Iterable[int],
        counters: object,
        undecided: Mapping[int, Collection[str]] | None,
    ) -> None:
        """Write verdicts, and then that these traces are decided and these batches are done.

        `undecided` are the traces that are left of all other batches; None: that is not known, and nothing may be
        forgotten.

        Raises:
            NoRoom: the disk is full.
        """
        told = b"".join(lines)
        if told:
            try:
                written = os.write(self._out, told)
            except OSError as error:
                if error.errno in FULL:
                    raise NoRoom(self._verdicts, os.strerror(error.errno)) from None
                raise
            if written < len(told):
                raise NoRoom(self._verdicts, "the disk is full")
        freed = 0
        with self._whole():
            names = list(traces)
            if names:  # one row for all of them: a tree of their names would be written anew each time
                self._marks += len(names)
                self._db.execute("insert into judged values (?, ?)", (self._marks, orjson.dumps(names)))
            for number in done:
                found = self._db.execute(
                    "delete from batches where number = ? returning length(body)", (number,)
                ).fetchall()
                freed += sum(row[0] for row in found)
                self._db.execute("delete from rests where number = ?", (number,))
                self._marked.pop(number, None)
            if undecided is not None:
                self._forget(self._marks - self._remembers, undecided)
            self._keep("written", str(os.fstat(self._out).st_size))
            self._keep("counters", orjson.dumps(counters).decode())
        self.held_bytes -= freed
        self.found = []

    def _forget(self, until: int, undecided: Mapping[int, Collection[str]]) -> None:
        """Forget the first traces that were decided, but for what it takes to know them in the batches kept."""
        while self._marked:
            number, mark = next(iter(self._marked.items()))
            if mark >= until:
                break
            rest = orjson.dumps(list(undecided.get(number, ())))
            self._db.execute("insert or replace into rests values (?, ?)", (number, rest))
            self._marked[number] = self._marks
            self._marked.move_to_end(number)
        self._db.execute("delete from judged where number <= ?", (until,))

    def kept(self, name: str) -> str | None:
        """A value that was kept under a name."""
        found = self._db.execute("select value from kept where name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _found(self) -> list[dict[str, Any]]:
        """Verdicts that the journal does not know of yet: a kill came between. What is not whole is taken away.

        The verdicts of one trace are whole together: each row says how many there are.
        """
        known = int(self.kept("written") or 0)
        tail = os.pread(self._out, max(0, os.fstat(self._out).st_size - known), known)
        rows: list[dict[str, Any]] = []
        of_trace: list[dict[str, Any]] = []
        length = whole = 0
        for line in tail.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            length += len(line)
            of_trace.append(orjson.loads(line))
            if len(of_trace) == of_trace[0]["of"]:
                rows += of_trace
                of_trace, whole = [], length
        if whole < len(tail):
            os.ftruncate(self._out, known + whole)
        return rows

    def _take_over(self) -> None:
        """Decided traces as they were kept before 2026-11-27: a row each."""
        if self._one("select count(*) from sqlite_master where name = 'decided'"):
            names = [row[0] for row in self._db.execute("select trace from decided order by number")]
            last = self._one("select max(number) from decided") or 0
            with self._whole():
                if names:
                    self._db.execute("insert into judged values (?, ?)", (last, orjson.dumps(names)))
                self._db.execute("drop table decided")

    def _keep(self, name: str, value: str) -> None:
        self._db.execute("insert or replace into kept values (?, ?)", (name, value))

    def _one(self, query: str) -> int | None:
        found = self._db.execute(query).fetchone()
        return None if found is None else found[0]

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            self._db.execute("begin immediate")
            yield
            self._db.execute("commit")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise NoRoom(self._verdicts.parent, str(error)) from None
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise


def _hold(lock: int, folder: Path) -> None:
    import fcntl  # noqa: PLC0415  # where there is none, there is no second process to guard against

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CouldNotRun(
            f"another watch uses the state in {folder}. Give this one a --state of its own."
        ) from None
