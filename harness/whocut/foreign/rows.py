"""Lines of logs as rows of a columnar engine that spills to disk: memory does not grow with the logs.

A block of lines is read by the engine, by the expressions that the format gives. A meaning is what a line says
without its instants and names; it is read once from a line of its kind, by the reader that reads single lines. That
reader also takes each line that does not fit the expressions.
One file, because the table and what fills it are read together.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whocut.errors import BadFile
from whocut.foreign.blocks import PIECE, blocks_of
from whocut.foreign.kinds import meaning_of
from whocut.trace.logs.opening import opened
from whocut.trace.logs.reading import LONGEST, read_line, take_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from whocut.trace.logs.reading import Read
    from whocut.trace.logs.records import Account, Columns, LogFormat

MEMORY_LIMIT: Final = "512MB"  # of the engine; the rest it keeps on disk
_THREADS: Final = 4
_AT_ONCE: Final = 5_000  # rows that are fetched together
_FEW: Final = 200  # lines of a block that are read one by one before another form is tried on them
KEYS_APART: Final = "\x1f"  # between the keys of one row
_CONTROLS: Final = bytes(code for code in range(32) if code != 10)
_TABLE: Final = """
create table lines(position smallint, file smallint, line bigint, form smallint, signature varchar, status integer,
  end_s double, duration_s double, trace varchar, request varchar, path varchar, key varchar);
create table signatures(form smallint, signature varchar, meaning integer);
create view rows as select lines.rowid as number, position, file, line, meaning, status, end_s, duration_s, trace,
  request, path, key from lines join signatures using (form, signature);
"""
_BY_READER: Final = -1  # the form of a row that a format's reader made: its signature is its meaning
_TRACEPARENT: Final = "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_COLUMNS: Final = "status, end_s, duration_s, trace, request, path, key"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row's line is: the number of its file and of its line; file -1 is an account of no single line."""

    file: int
    line: int


class Rows:
    """All that logs say, as rows; and what each of their meanings is. Close it."""

    def __init__(self, folder: Path) -> None:
        """Begin with no rows."""
        import duckdb  # noqa: PLC0415  # an extra brings it

        self._block = folder / "block"
        self.sql = duckdb.connect(str(folder / "rows.duckdb"))
        # Blocks are too small for several threads, which would only be in each other's way.
        self.sql.execute(f"set memory_limit = '{MEMORY_LIMIT}'; set threads = 1")
        self.sql.execute(f"set temp_directory = '{_literal(folder / 'spilled')}'; {_TABLE}")
        self.files: list[str] = []
        self.meanings: list[Account] = []
        self.whole: list[Account] = []  # accounts of no single line
        self.explained: dict[Place, list[Account]] = {}  # the remarks that were laid over a row
        self.explained_layers: set[str] = set()  # layers of which every remark belongs to a row
        self._ids: dict[tuple[object, ...], int] = {}
        self._forms: dict[str, int] = {}
        self.known: dict[tuple[int, str], int] = {}

    def all_read(self) -> None:
        """From now on the engine works on all rows at once."""
        self.sql.execute(f"set threads = {min(_THREADS, os.cpu_count() or 1)}")

    def close(self) -> None:
        """Let go of the engine and of what it holds."""
        self.sql.close()

    def meaning_of(self, account: Account) -> int:
        """The number of what an account means without its instants and names."""
        key = meaning_of(account)
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = len(self.meanings)
            self.meanings.append(account)
            self._means(_BY_READER, str(found), found)
        return found

    def _means(self, form: int, signature: str, meaning: int) -> None:
        self.sql.execute("insert into signatures values ($1, $2, $3)", [form, signature, meaning])

    def learn(self, form: int, signature: str, account: Account) -> int:
        """What a signature means: read from a line that has it."""
        meaning = self.known[form, signature] = self.meaning_of(account)
        self._means(form, signature, meaning)
        return meaning

    def add(self, position: int, accounts: Iterable[tuple[Place, Account]]) -> None:
        """Accounts as rows."""
        columns: list[list[object]] = [[] for _ in range(11)]
        for place, account in accounts:
            row = (
                place.file,
                place.line,
                _BY_READER,
                str(self.meaning_of(account)),
                account.status,
                account.end_s,
                account.duration_s,
                account.trace_id,
                account.request_id,
                account.path,
                KEYS_APART.join(account.keys) or None,
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        if columns[0]:
            kinds = (
                "smallint",
                "bigint",
                "smallint",
                "varchar",
                "integer",
                *["double"] * 2,
                *["varchar"] * 4,
            )
            lists = ", ".join(f"unnest(${number + 2}::{kind}[])" for number, kind in enumerate(kinds))
            self.sql.execute(f"insert into lines select $1::smallint, {lists}", [position, *columns])

    def change(self, meanings: Iterable[tuple[Place, int]]) -> None:
        """Rows that mean otherwise than their line alone says."""
        changed = [(place.file, place.line, str(meaning)) for place, meaning in meanings]
        if not changed:
            return
        self.sql.execute(
            "create or replace temp table changed as select unnest($1::smallint[]) as file, "
            "unnest($2::bigint[]) as line, unnest($3::varchar[]) as signature",
            [list(column) for column in zip(*changed, strict=True)],
        )
        self.sql.execute(
            f"update lines set form = {_BY_READER}, signature = changed.signature from changed "
            "where lines.file = changed.file and lines.line = changed.line"
        )

    def place_of(self, place: Place) -> str:
        """A row's place, as accounts have it."""
        if place.file < 0:
            return self.whole[place.line].place
        return f"{self.files[place.file]}:{place.line}"

    # --- a file ---------------------------------------------------------------------------------------------

    def read(
        self,
        path: Path,
        log: LogFormat,
        layer: str,
        position: int,
        into: Read,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> list[Account]:
        """Read one file into rows; what is left over are its remarks, which belong to other lines.

        Raises:
            BadFile: it cannot be opened, or unpacked.
        """
        self.files.append(str(path))
        reader = _File(self, path, log, layer, position, len(self.files) - 1, into)
        try:
            with opened(path) as file:
                for block in blocks_of(file):
                    reader.take(block)
                    progress(len(block))
        except OSError as error:
            raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None
        return reader.remarks

    def form_of(self, log: LogFormat, columns: Columns, layer: str) -> int:
        """The number of one form of a layer's lines."""
        return self._forms.setdefault(f"{layer}\0{log.name}\0{columns.form}", len(self._forms))

    def engine_reads(self, block: bytes) -> str:
        """The block as a table function of the engine."""
        with self._block.open("wb") as file:
            file.write(block)
        return (
            f"read_csv('{_literal(self._block)}', columns = {{'line': 'VARCHAR'}}, header = false, "
            "delim = '\\x01', "
            "quote = '', escape = '', comment = '', auto_detect = false, strict_mode = false, "
            f"max_line_size = {4 * PIECE}, buffer_size = {8 * PIECE})"
        )


@dataclass(frozen=True, slots=True)
class _Kind:
    """The lines of a block that have one signature."""

    signature: str
    count: int
    line: int  # the first of them


class _File:
    """One file while it is read."""

    def __init__(
        self, rows: Rows, path: Path, log: LogFormat, layer: str, position: int, number: int, into: Read
    ) -> None:
        self._rows, self._name, self._log, self._layer = rows, str(path), log, layer
        self._position, self._number, self._into = position, number, into
        self._forms = list(log.columns)
        self._first = 1
        self.remarks: list[Account] = []

    def take(self, block: bytes) -> None:
        """Whole lines."""
        block = _repaired(block)
        count = block.count(b"\n") + (not block.endswith(b"\n"))
        left: list[int] | range = range(1, count + 1)
        plain = len(block.translate(None, _CONTROLS)) == len(block)
        if self._forms and plain:
            left = self._by_columns(block, count)
        if left:
            lines = block.split(b"\n")
            self._one_by_one((number, lines[number - 1]) for number in left)
        self._first += count

    def _by_columns(self, block: bytes, count: int) -> list[int] | range:
        """Read what fits; the numbers of the lines that are left."""
        source = self._rows.engine_reads(block)
        left: list[int] | range = range(1, count + 1)
        for columns in list(self._forms):
            among = f" where n in (select unnest({left}))" if len(left) < count else ""
            unfit = self._by_form(columns, (source, among), block, len(left))
            if unfit is None:
                break  # the engine sees other lines than there are
            if len(unfit) < len(left):
                self._forms.sort(key=lambda form: form is not columns)
            left = unfit
            if len(left) <= _FEW:
                break
        return left

    def _by_form(
        self, columns: Columns, source: tuple[str, str], block: bytes, count: int
    ) -> list[int] | None:
        """Read lines by one form; the numbers of those that do not fit, None where the engine sees other lines."""
        import duckdb  # noqa: PLC0415  # an extra brings it

        rows, form = self._rows, self._rows.form_of(self._log, columns, self._layer)
        rows.sql.execute("begin")
        try:
            found, unfit = self._kept(form, _parsed(columns, *source))
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            rows.sql.execute("rollback")
            return None
        fitted = sum(kind.count for kind in found)
        if fitted + len(unfit) != count:
            rows.sql.execute("rollback")
            return None
        rows.sql.execute("commit")
        lines: list[bytes] = []
        for kind in found:
            if (form, kind.signature) not in rows.known:
                lines = lines or block.split(b"\n")
                account = read_line(lines[kind.line - self._first], self._log)
                assert account is not None, "a line that fits is a request's"
                place = f"{self._name}:{kind.line}"
                rows.learn(form, kind.signature, replace(account, layer=self._layer, place=place))
        self._into.lines += fitted
        return unfit

    def _kept(self, form: int, parsed: str) -> tuple[list[_Kind], list[int]]:
        """Lines as rows of the table."""
        run = self._rows.sql.execute
        run(
            f"insert into lines select {self._position}, {self._number}, n + {self._first - 1}, {form}, "
            f"case when fits then signature end, {_COLUMNS} from ({parsed})"
        )
        mine = f"file = {self._number} and line >= {self._first} and form = {form}"
        found = run(
            f"select signature, count(*), min(line) from lines where {mine} group by signature"
        ).fetchall()
        unfit: list[int] = []
        if any(signature is None for signature, _, _ in found):
            where = f"{mine} and signature is null"
            unfit = [
                row[0] - self._first + 1 for row in run(f"select line from lines where {where}").fetchall()
            ]
            run(f"delete from lines where {where}")
        kinds = [_Kind(signature, count, line) for signature, count, line in found if signature is not None]
        return kinds, sorted(unfit)

    def _one_by_one(self, lines: Iterable[tuple[int, bytes]]) -> None:
        told = []
        for number, line in lines:
            account = take_line(
                line, self._first + number - 1, self._log, self._layer, self._name, self._into
            )
            if account is None:
                continue
            self._into.accounts.clear()  # they are kept as rows
            if account.remark:
                self.remarks.append(account)
            else:
                told.append((Place(self._number, self._first + number - 1), account))
        self._rows.add(self._position, told)


def _parsed(columns: Columns, source: str, among: str) -> str:
    """The query that reads one form's lines."""
    from whocut.trace.logs import sql  # noqa: PLC0415  # beside the expressions it goes with

    header = columns.traceparent
    zeros = f"substr(header, 4, 32) <> '{'0' * 32}' and substr(header, 37, 16) <> '{'0' * 16}'"
    traced = (
        f"(header in ('', '-', 'None', 'null') or (regexp_full_match(header, '{_TRACEPARENT}') "
        f"and substr(header, 1, 2) <> 'ff' and {zeros}))"
    )
    trace = columns.trace_id or "case when length(header) = 55 then substr(header, 4, 32) end"
    decides = ", ".join(f"coalesce(cast({one} as varchar), '')" for one in columns.decides)
    return (
        f"with parts as (select n, line, {columns.parts} as p from "
        f"(select row_number() over () as n, line from {source}){among}), "
        f"headed as (select *, {header} as header from parts) select n, "
        f"coalesce({columns.fits} and {traced} and strlen(line) < {LONGEST}, false) as fits, "
        f"concat_ws('|', {decides}) as signature, {columns.status} as status, {columns.end_s} as end_s, "
        f"{columns.duration_s} as duration_s, {trace} as trace, {sql.present(columns.request_id)} as request, "
        f"{sql.present(columns.path)} as path, nullif({columns.key}, '') as key from headed"
    )


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")


def _repaired(block: bytes) -> bytes:
    """The block as UTF-8, with one kind of line end."""
    if b"\r" in block:  # one byte is found many times faster than two
        block = block.replace(b"\r\n", b"\n")
    if not block.isascii():
        with suppress(UnicodeDecodeError):
            block.decode()
            return block
        block = block.decode("utf-8", "replace").encode()
    return block


def fetched(cursor: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of an answer, some thousands at a time."""
    while rows := cursor.fetchmany(_AT_ONCE):
        yield from rows
