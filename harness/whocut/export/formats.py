"""The forms of an export, one function each: bytes of the whole document, from the rows and figures of one run."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.timers import TimerKind
from whocut.errors import require
from whocut.export.openmetrics import as_openmetrics
from whocut.export.table import COLUMNS, AttemptRow, as_mapping
from whocut.trace.annotations import annotation
from whocut.trace.junit import Case, junit
from whocut.trace.sarif import result, sarif
from whocut.verdict.phrases import cut_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whocut.chain.layers import Topology
    from whocut.verdict.figures import CutFigures, RunFigures

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Exported:
    """What is exported: the run's name, why it is not valid, its rows and figures, and its chain."""

    name: str
    doubts: tuple[str, ...]
    rows: tuple[AttemptRow, ...]
    figures: RunFigures
    topology: Topology

    def cuts(self) -> Iterator[tuple[str, CutFigures, str]]:
        """Each way of being cut: its mode, its figures, and a sentence."""
        for mode, figures in self.figures.by_mode.items():
            for cut in figures.verdicts:
                said = f"{cut.attempts:,} of {figures.attempts:,} attempts: {cut_row(cut, cut.grade)}"
                yield mode, cut, said

    def place(self, cut: CutFigures) -> tuple[str, int | None]:
        """The file and line of the limit that cut, or of its layer, where that is a file of the user's folder.

        The path of a shipped chain would name a folder of this machine, and nothing that the reader has.
        """
        layer = next((one for one in self.topology.layers if one.name == cut.layer), None)
        if layer is None:
            return "", None
        timer = layer.timers.get(cut.timer) if isinstance(cut.timer, TimerKind) else None
        places = [(one.file, one.line) for one in (timer, layer) if one is not None]
        return next(
            (place for place in places if place[0] and not PurePath(place[0]).is_absolute()), ("", None)
        )


def as_csv(run: Exported) -> bytes:
    """A heading, then a line an attempt (RFC 4180). A text that a spreadsheet would compute begins with ``'``."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in run.rows:
        writer.writerow([_cell(value) for value in as_mapping(row).values()])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def as_jsonl(run: Exported) -> bytes:
    """An object a line; `docs/export.schema.json` is its schema."""
    return b"".join(orjson.dumps(as_mapping(row), option=orjson.OPT_APPEND_NEWLINE) for row in run.rows)


def as_parquet(run: Exported) -> bytes:
    """One table with typed columns, compressed.

    Raises:
        NotInstalled: pyarrow is not; says how to install it.
    """
    require("pyarrow")
    import pyarrow as pa  # noqa: PLC0415  # an extra of its own, and a large one
    from pyarrow import parquet  # noqa: PLC0415  # as above

    types = {"float": pa.float64(), "int": pa.int64(), "str": pa.string(), "bool": pa.bool_()}
    form = pa.schema(
        [(name, types[str(AttemptRow.__annotations__[name]).partition(" ")[0]]) for name in COLUMNS]
    )
    table = pa.Table.from_pylist([as_mapping(row) for row in run.rows], schema=form)
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def as_junit(run: Exported) -> bytes:
    """A test case a request: one that was not delivered fails, with the verdict on each of its attempts."""
    requests: dict[str, list[AttemptRow]] = {}
    for row in run.rows:
        requests.setdefault(row.request, []).append(row)
    cases = [Case(name, **_end(tries)) for name, tries in requests.items()]
    cases.append(Case("valid", failure="; ".join(run.doubts) or None))
    return junit(f"whocut {run.name}", "whocut.request", cases)


def _end(tries: list[AttemptRow]) -> dict[str, Any]:
    said = tuple(f"attempt {row.attempt}: {row.phrase or row.outcome}" for row in tries)
    if tries[-1].outcome == "delivered":
        return {}
    if tries[-1].outcome == "censored":
        return {"skipped": "under way when the run ended"}
    return {"failure": tries[-1].phrase or tries[-1].outcome, "details": said}


def as_github(run: Exported) -> bytes:
    """Workflow commands: a line each way of being cut, at its limit's line in a file, and one for each doubt."""
    return "".join(f"{line}\n" for line in _annotations(run)).encode()


def _annotations(run: Exported) -> Iterator[str]:
    for doubt in run.doubts:
        yield annotation("warning", "", None, f"whocut {run.name}: not valid", doubt)
    for mode, cut, said in run.cuts():
        yield annotation("error", *run.place(cut), f"whocut {run.name}, {mode}", said)
    total = run.figures
    said = f"{total.delivered:,} of {total.requests:,} requests were delivered."
    yield annotation("notice", "", None, f"whocut {run.name}", said)


_NOT_VALID: Final = ("run-not-valid", "the run is not valid, and its figures answer nothing")
_CUT: Final = "cut-by-"


def as_sarif(run: Exported) -> bytes:
    """SARIF 2.1.0: a result each way of being cut, at its limit's line in a file, and one for each doubt."""
    results = [result(_NOT_VALID[0], "warning", doubt, "", None) for doubt in run.doubts]
    rules = {_NOT_VALID[0]: _NOT_VALID[1]} if results else {}
    for mode, cut, said in run.cuts():
        rule = f"{_CUT}{cut.timer or 'no-timer'}"
        rules[rule] = f"attempts were cut by {cut.timer or 'no known timer'}"
        results.append(result(rule, "error", f"{mode}: {said}", *run.place(cut)))
    return sarif(rules.items(), results).encode()


def _metrics(run: Exported) -> bytes:
    return as_openmetrics(run.figures, valid=not run.doubts).encode()


@dataclass(frozen=True, slots=True)
class Form:
    """One form: what writes it, what it is for, and whether a terminal can show it."""

    write: Callable[[Exported], bytes]
    says: str
    text: bool = True


FORMATS: Final[dict[str, Form]] = {
    "csv": Form(as_csv, "a line an attempt, for a spreadsheet"),
    "jsonl": Form(as_jsonl, "an object an attempt, by docs/export.schema.json"),
    "parquet": Form(as_parquet, "a typed table, for pandas, DuckDB, Spark", text=False),
    "openmetrics": Form(_metrics, "counters and gauges, for Prometheus"),
    "junit": Form(as_junit, "a test case a request, for a CI server"),
    "github": Form(as_github, "annotations of a GitHub job"),
    "sarif": Form(as_sarif, "findings at their lines, for code scanning"),
}
