"""Logs of any size to verdicts: each signature is judged once, on a request of its kind.

A signature is what decides in one request's rows: what each layer's line means, and whether a layer further in says
that it cut earlier. Requests that are singular go the way of single requests: names that belong to several
attempts, and lines that only time can join.
One file, because the ways of joining share the tables and the counts.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile, NoRoom
from whocut.foreign.blocks import lines_at
from whocut.foreign.by_time import join_by_time
from whocut.foreign.counting import ErrorLines, count_lines
from whocut.foreign.kinds import Judged, LogOfLayer, Tally, sort_of
from whocut.foreign.remarks import account_of, lay_over
from whocut.foreign.rows import Place, Rows, fetched
from whocut.trace.logs.opening import STANDARD_INPUT
from whocut.trace.logs.reading import Read, explained, read_line
from whocut.trace.logs.records import EndedBy
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import JoinedBy, Statement
from whocut.verdict.joining import attempt_of, join
from whocut.verdict.testimony import SOON_S, told_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.logs.records import Account
    from whocut.verdict.evidence import AttemptEvidence
    from whocut.verdict.verdict import Verdict

_AT_ONCE: Final = 5_000  # singular requests that are judged together
_TOGETHER: Final = 200_000  # lines that only time joins, and that are joined at once
_ROW: Final = "file, line, meaning, status, end_s, duration_s, trace, request, path, key"
# What a verdict is in a table: the column, its type, and the value.
_OF_A_KIND: Final = {
    "kind": "varchar",
    "grade": "varchar",
    "layer": "varchar",
    "timer": "varchar",
    "phase": "varchar",
    "directive": "varchar",
    "limit_s": "double",
    "reason": "varchar",
}
_OF_A_REQUEST: Final = {
    "request": "varchar",
    "attempt": "integer",
    "trace_id": "varchar",
    "status": "integer",
    "after_s": "double",
    "at_s": "double",
    "place": "varchar",
}
COLUMNS: Final = (*_OF_A_REQUEST, *_OF_A_KIND)


def judge_logs(
    logs: Sequence[LogOfLayer],
    topology: Topology,
    *,
    verdicts: Path | None = None,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Judged:
    """Read, join and judge; `verdicts` is a Parquet file that gets a row for each request.

    Raises:
        BadFile: a log cannot be opened or unpacked, or the Parquet file cannot be written.
        NoRoom: there is no room for what is kept on disk meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="whocut-") as folder:
        kept = [_kept(log, Path(folder)) for log in logs]
        # Where each line is a request, and no table is asked for, nothing need be kept of it.
        if verdicts is None and len({log.layer for log in logs}) == 1:
            with suppress(ErrorLines):
                return count_lines(kept, topology, progress)
        import duckdb  # noqa: PLC0415  # an extra brings it

        rows = Rows(Path(folder))
        try:
            return _Judge(rows, topology, kept, progress, Path(folder)).run(verdicts)
        except duckdb.OutOfMemoryException as error:
            raise NoRoom(folder, str(error).partition("\n")[0]) from None
        finally:
            rows.close()


def _kept(log: LogOfLayer, folder: Path) -> LogOfLayer:
    """Standard input as a file: examples are read from it a second time."""
    if str(log.path) != STANDARD_INPUT:
        return log
    kept = folder / "standard-input"
    with kept.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return replace(log, path=kept)


class _Judge:
    def __init__(
        self,
        rows: Rows,
        topology: Topology,
        logs: list[LogOfLayer],
        progress: Callable[[int], None],
        folder: Path,
    ) -> None:
        self._folder = folder
        self._timed = False  # whether requests are named by the row that began them
        self._rows, self._topology, self._logs, self._progress = rows, topology, logs, progress
        self._positions = {layer.name: position for position, layer in enumerate(topology.layers)}
        self._log_of: dict[int, LogOfLayer] = {}
        self._result = Judged()
        self._tally = Tally()
        self._singular: dict[tuple[str, ...], AttemptEvidence] = {}
        self._table = f"select {', '.join(COLUMNS)} from judged"

    def run(self, verdicts: Path | None) -> Judged:
        self._read()
        self._rows.all_read()
        run = self._rows.sql.execute
        columns = ", ".join(f"{name} {kind}" for name, kind in (_OF_A_REQUEST | _OF_A_KIND).items())
        run(f"create table judged({columns})")
        alone = [(at, one.place.partition(", ")[0]) for at, one in enumerate(self._rows.whole)]
        self._make_table("wholes", {"number": "bigint", "place": "varchar"}, alone)
        present = [row[0] for row in run("select distinct position from rows order by 1").fetchall()]
        unnamed = run("select 1 from rows where trace is null and request is null limit 1").fetchone()
        if len(present) == 1:
            self._one_layer()
        elif present and unnamed:
            self._by_time(present)
        elif present:
            self._by_name(present)
        self._tell_of_the_singular()
        if verdicts is not None:
            self._write(verdicts)
        return self._tally.into(self._result)

    def _read(self) -> None:
        whole = self._result.read
        for layer in dict.fromkeys(log.layer for log in self._logs):
            of_layer = [log for log in self._logs if log.layer == layer]
            remarks: list[Account] = []
            for log in of_layer:
                self._log_of[len(self._rows.files)] = log
                read = Read()
                remarks += self._rows.read(log.path, log.format, layer, log.position, read, self._progress)
                whole.lines += read.lines
                whole.unreadable += read.unreadable
                whole.named += read.named
                whole.passed += read.passed
                whole.passed_named += read.passed_named
            lay_over(self._rows, of_layer[0].position, remarks, self._result.unjoined)

    # --- one layer: each line is a request ------------------------------------------------------------------

    def _one_layer(self) -> None:
        kinds = self._rows.sql.execute(
            "select meaning, trace is not null or request is not null as named, count(*), sum(duration_s), "
            f"arg_min(file, {_ORDER}), arg_min(line, {_ORDER}) from rows group by all order by all"
        ).fetchall()
        examples = self._accounts(Place(file, line) for *_, file, line in kinds)
        told = []
        for meaning, named, count, waited_s, file, line in kinds:
            (evidence,) = join((), [examples[Place(file, line)]], self._positions)
            verdict, source = self._judged(evidence)
            self._tally.count(verdict, count, waited_s if source is not None else 0.0)
            told.append((meaning, named, source is not None, *_of_a_kind(verdict)))
        own = {"kind_meaning": "integer", "named": "boolean", "dated": "boolean"}
        self._make_table("kinds", own | _OF_A_KIND, told)
        self._table += (
            f" union all select coalesce(request, trace, {self._place('file', 'line')}), 1, coalesce(trace, ''), "
            "status, case when dated then duration_s end, case when dated then end_s end, "
            f"{self._place('file', 'line')}, {', '.join(_OF_A_KIND)} from rows "
            "join kinds on meaning = kind_meaning "
            "and named = (trace is not null or request is not null)"
        )

    # --- several layers, joined by name ---------------------------------------------------------------------

    def _by_name(self, present: list[int]) -> None:
        self._name_rows()
        self._rows.sql.execute(
            "create view named as select *, false as ambiguous, false as began from all_named"
        )
        self._by_signature(present)
        self._judge_the_singular()

    def _name_rows(self) -> None:
        """The names of rows, and those that a request id ties to other names."""
        run = self._rows.sql.execute
        run(
            "create view all_named as select coalesce(trace, chr(1) || request) as name, * from rows "
            "where trace is not null or request is not null"
        )
        run(
            "create table singular as select distinct name from all_named where request in (select request "
            "from all_named where request is not null group by request having min(name) <> max(name))"
        )

    def _by_signature(self, present: list[int]) -> None:
        """Judge what `named` has under one name as one request, each signature once."""
        run = self._rows.sql.execute
        each = ", ".join(
            f"max(meaning) filter (position = {at}) as m{at}, max(duration_s) filter (position = {at}) as d{at}, "
            f"max(end_s) filter (position = {at}) as e{at}, "
            f"bool_or(ambiguous) filter (position = {at}) as a{at}, max(number) filter (position = {at}) as n{at}"
            for at in present
        )
        run(f"create table requests as select name, count(*) as lines, {each} from named group by name")
        layers = " + ".join(f"(m{at} is not null)::integer" for at in present)
        run(f"insert into singular select name from requests where lines > {layers}")
        run(
            f"create view signed as select *, {self._cut_earlier(present)} as earlier, "
            f"coalesce({', '.join(f'n{at}' for at in present)}) as outermost from requests "
            "anti join singular using (name)"
        )
        keys = ", ".join(f"m{at}, a{at}" for at in present)
        sums = ", ".join(f"sum(d{at})" for at in present)
        kinds = run(
            f"select {keys}, earlier, count(*), {sums}, arg_min(name, outermost) from signed group by all"
        ).fetchall()
        examples = self._of_names([kind[-1] for kind in kinds])
        told = []
        size = 2 * len(present) + 1  # of a signature
        for kind in kinds:
            waited = dict(zip(present, kind[size + 1 : -1], strict=True))
            verdict, source = self._judged(examples[kind[-1]])
            self._tally.count(verdict, kind[size], waited[source] if source is not None else 0.0)
            told.append((*kind[:size], source, *_of_a_kind(verdict)))
        own = {name: of for at in present for name, of in ((f"k{at}", "integer"), (f"q{at}", "boolean"))}
        self._make_table("kinds", own | {"was_earlier": "boolean", "source": "smallint"} | _OF_A_KIND, told)
        same = " and ".join(
            f"m{at} is not distinct from k{at} and a{at} is not distinct from q{at}" for at in present
        )
        after, ended = (
            f"case source {' '.join(f'when {at} then {letter}{at}' for at in present)} end" for letter in "de"
        )
        place = self._place("o.file", "o.line")
        began = "join lines as b on b.rowid = name" if self._timed else ""
        b = "b" if self._timed else "o"
        self._table += (
            f" union all select coalesce({b}.request, {b}.trace, {place}), 1, coalesce({b}.trace, ''), {b}.status, "
            f"{after}, {ended}, {place}, {', '.join(_OF_A_KIND)} from signed join kinds "
            f"on earlier = was_earlier and {same} join lines as o on o.rowid = outermost {began}"
        )

    def _cut_earlier(self, present: list[int]) -> str:
        """Whether a layer behind the one that decides says that it cut, and earlier: that is a contradiction."""
        cutters = self._meaning(EndedBy.LAYER)
        deciders = cutters + self._meaning(EndedBy.CLIENT)
        whens = " ".join(
            f"when m{at} in {_in(deciders)} then case when m{at} in {_in(cutters)} then d{at} end"
            for at in present
        )
        deciding_s = f"case {whens} end"
        found = [
            f"(({' or '.join(f'm{outer} in {_in(deciders)}' for outer in present[:index])}) "
            f"and m{at} in {_in(cutters)} and d{at} + {SOON_S} < {deciding_s})"
            for index, at in enumerate(present)
            if index
        ]
        return f"coalesce({' or '.join(f'coalesce({one}, false)' for one in found)}, false)"

    def _meaning(self, ended_by: EndedBy) -> list[int]:
        return [number for number, meaning in enumerate(self._rows.meanings) if meaning.ended_by is ended_by]

    def _of_names(self, names: Sequence[str | int]) -> dict[str | int, AttemptEvidence]:
        """The requests of these names, read again from their lines."""
        self._make_table(
            "asked", {"name": "bigint" if self._timed else "varchar"}, [(name,) for name in names]
        )
        rows = self._rows.sql.execute(
            "select name, file, line, ambiguous from named semi join asked using (name) "
            "order by name, not began, position"
        ).fetchall()
        found = self._accounts(Place(row[1], row[2]) for row in rows)
        statements: dict[str | int, list[Statement]] = {}
        for name, file, line, ambiguous in rows:
            account = found[Place(file, line)]
            how = JoinedBy.AMBIGUOUS if ambiguous else JoinedBy.TIME
            if account.trace_id is not None or account.request_id is not None:
                how = JoinedBy.TRACE
            said = Statement(position=self._positions[account.layer], account=account, joined_by=how)
            statements.setdefault(name, []).append(said)
        return {name: attempt_of(first, others) for name, (first, *others) in statements.items()}

    def _judge_the_singular(self) -> None:
        """Requests whose names are those of several attempts: a name reaches as far as the names beside it do."""
        run = self._rows.sql.execute
        pairs = run("select distinct name, request from named semi join singular using (name)").fetchall()
        group_of = _groups(pairs)
        self._make_table("grouped", {"name": "varchar", "belongs": "integer"}, list(group_of.items()))
        cursor = self._rows.sql.cursor().execute(
            f"select belongs, {_ROW} from named join grouped using (name) order by belongs, position, file, line"
        )
        batch: list[Account] = []
        for _, rows in groupby(fetched(cursor), key=lambda row: row[0]):
            batch += [account_of(self._rows, row[1:]) for row in rows]
            if len(batch) >= _AT_ONCE:
                self._judge_alone(batch)
                batch = []
        self._judge_alone(batch)

    # --- several layers, joined by time ---------------------------------------------------------------------

    def _by_time(self, present: list[int]) -> None:
        run = self._rows.sql.execute
        self._name_rows()
        twice = "select name from all_named group by name, position having count(*) > 1"
        if run(f"(select name from singular) union all ({twice}) limit 1").fetchone() is not None:
            self._by_time_together()
            return
        self._timed = True
        join_by_time(self._rows, present, self._folder)
        run(
            "create view named as select attempt as name, ambiguous, number = attempt as began, rows.* "
            "from rows join joined using (number)"
        )
        run("create or replace table singular(name bigint)")
        self._by_signature(present)

    def _by_time_together(self) -> None:
        """Some names are of several attempts, and some rows have none: batches of lines that are near in time."""
        cursor = self._rows.sql.cursor().execute(
            f"select {_ROW} from rows order by end_s - coalesce(duration_s, 0) nulls first, position, file, line"
        )
        batch: list[Account] = []
        for row in fetched(cursor):
            batch.append(account_of(self._rows, row))
            if len(batch) >= _TOGETHER:
                self._judge_alone(batch)
                batch = []
        self._judge_alone(batch)

    # --- one by one -----------------------------------------------------------------------------------------

    def _judge_alone(self, accounts: list[Account]) -> None:
        told = []
        for evidence in join((), accounts, self._positions):
            verdict = attribute(evidence, self._topology)
            kind = sort_of(verdict)
            if kind not in self._tally.by_kind:
                self._singular[kind] = evidence
            self._tally.count(verdict, 1, verdict.after_s or 0.0)
            told.append((*_of_a_request(verdict, evidence), *_of_a_kind(verdict)))
        self._result.alone += len(told)
        self._insert("judged", _OF_A_REQUEST | _OF_A_KIND, told)

    def _tell_of_the_singular(self) -> None:
        """Examples that were judged as rows, in the words of their own lines."""
        places = {
            said.account.place: place
            for evidence in self._singular.values()
            for said in evidence.testimony
            if (place := self._place_of(said.account)) is not None
        }
        read = self._accounts(places.values())
        for kind, evidence in self._singular.items():
            testimony = tuple(
                replace(said, account=read[places[said.account.place]])
                if said.account.place in places
                else said
                for said in evidence.testimony
            )
            self._tally.by_kind[kind].example = attribute(
                replace(evidence, testimony=testimony), self._topology
            )

    def _place_of(self, account: Account) -> Place | None:
        name, _, line = account.place.rpartition(":")
        if name not in self._rows.files or not line.isdigit():
            return None
        return Place(self._rows.files.index(name), int(line))

    def _judged(self, evidence: AttemptEvidence) -> tuple[Verdict, int | None]:
        """The verdict on one request, and the layer whose line says when it ended."""
        verdict = attribute(evidence, self._topology)
        statement = told_by(evidence, self._topology)
        dated = statement is not None and verdict.at_s is not None
        return verdict, statement.position if statement and dated else None

    def _accounts(self, places: Iterable[Place]) -> dict[Place, Account]:
        """The accounts at these places, read again from their lines, with the remarks that belong to them."""
        found: dict[Place, Account] = {}
        of_files: dict[int, list[int]] = {}
        for place in places:
            if place.file < 0:
                found[place] = self._rows.whole[place.line]
            else:
                of_files.setdefault(place.file, []).append(place.line)
        for file, numbers in of_files.items():
            log = self._log_of[file]
            for number, line in lines_at(log.path, numbers).items():
                account = read_line(line, log.format)
                assert account is not None, "a row's line is a request's"
                place = Place(file, number)
                told = replace(account, layer=log.layer, place=self._rows.place_of(place))
                for remark in self._rows.explained.get(place, ()):
                    told = explained(told, remark)
                if log.layer in self._rows.explained_layers and told.ended_by is EndedBy.NONE:
                    told = replace(told, caveat="")
                found[place] = told
        return found

    # --- tables ---------------------------------------------------------------------------------------------

    def _place(self, file: str, line: str) -> str:
        """A row's place, as SQL."""
        names = ", ".join("'" + name.replace("'", "''") + "'" for name in self._rows.files)
        return (
            f"case when {file} < 0 then (select place from wholes where number = {line}) "
            f"else concat([{names}][{file} + 1], ':', {line}) end"
        )

    def _make_table(self, name: str, columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]) -> None:
        self._rows.sql.execute(
            f"create table {name}({', '.join(f'{one} {of}' for one, of in columns.items())})"
        )
        self._insert(name, columns, rows)

    def _insert(self, name: str, columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            lists = ", ".join(f"unnest(${at}::{of}[])" for at, of in enumerate(columns.values(), start=1))
            values = [list(column) for column in zip(*rows, strict=True)]
            self._rows.sql.execute(f"insert into {name} select {lists}", values)

    def _write(self, path: Path) -> None:
        target = str(path).replace("'", "''")
        import duckdb  # noqa: PLC0415  # an extra brings it

        try:
            self._rows.sql.execute(f"copy ({self._table}) to '{target}' (format parquet, compression zstd)")
        except duckdb.IOException as error:
            raise BadFile(path, f"it cannot be written: {str(error).partition(chr(10))[0]}") from None


_APART: Final = 1_000_000_000_000  # more lines than a file has
_ORDER: Final = f"file::bigint * {_APART} + line"


def _of_a_kind(verdict: Verdict) -> tuple[object, ...]:
    return tuple(
        str(value) if isinstance(value, str) else value
        for value in (getattr(verdict, name) for name in _OF_A_KIND)
    )


def _of_a_request(verdict: Verdict, evidence: AttemptEvidence) -> tuple[object, ...]:
    place = evidence.testimony[0].account.place if evidence.testimony else ""
    told = (verdict.request, verdict.attempt, verdict.trace_id, verdict.status)
    return (*told, verdict.after_s, verdict.at_s, place)


def _in(numbers: list[int]) -> str:
    return f"({', '.join(map(str, numbers or [-1]))})"


def _groups(pairs: Iterable[tuple[str, str | None]]) -> dict[str, int]:
    """Names that a request id ties together, directly or over others, by the number of their group."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while (parent := above.setdefault(name, name)) != name:
            above[name] = above[parent]
            name = parent
        return name

    names = []
    for name, request in pairs:
        names.append(name)
        if request is not None:
            above[top(name)] = top(f"\x02{request}")
    numbers: dict[str, int] = {}
    return {name: numbers.setdefault(top(name), len(numbers)) for name in names}
