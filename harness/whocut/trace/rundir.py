"""The run directory: all that is left of a run, written as it happens, whole lines only.

================  ==================================================================================
file              holds
================  ==================================================================================
manifest.json     topology, scenario, clock, seed, versions: what was asked
attempts.jsonl    the client's account, a line an attempt
spans.jsonl       OTLP/JSON, an export request a line
ledger.jsonl      the upstream's account, a line when a generation starts and one when it is settled
upstream.yaml     the settings the mock upstream was given
generator.json    how well the load generator kept up
live.json         verdicts and figures so far, while the run is watched; written anew every second
summary.json      verdicts and figures, written at the end
figures/          pictures
report.html       the page
junit.xml         thresholds and validity, for a CI server
================  ==================================================================================

Several processes append to one file: each line goes out in one `write` on a descriptor opened for appending. So
lines never mix, and a run killed at any instant can be read up to its last line.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson

from whocut.errors import FULL, BadFile, BadInput, CouldNotRun, NoRoom
from whocut.redact import exact_bytes
from whocut.trace import otlp, rows
from whocut.trace.records import Attempt, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from whocut.trace.ordinary import Form, Row

MANIFEST = "manifest.json"
ATTEMPTS = "attempts.jsonl"
SPANS = "spans.jsonl"
LEDGER = "ledger.jsonl"
SUMMARY = "summary.json"
REPORT = "report.html"
GENERATOR = "generator.json"
UPSTREAM = "upstream.yaml"
MOCK_TOKEN = "mock.token"  # noqa: S105  # opens the mock's own doors; it lives as long as the mock
JUNIT = "junit.xml"
LIVE = "live.json"
FIGURES = "figures"
_ROWS, _ROWS_REAL_S = 256, 0.05
_OURS = frozenset(
    {
        MANIFEST,
        ATTEMPTS,
        SPANS,
        LEDGER,
        SUMMARY,
        REPORT,
        GENERATOR,
        UPSTREAM,
        JUNIT,
        LIVE,
        FIGURES,
        MOCK_TOKEN,
        "logs",
    }
)


class LineFile:
    """A file that only grows, line by whole line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, lines: bytes) -> None:
        """Append bytes that end in a newline, in one system call.

        Raises:
            NoRoom: the disk is full.
        """
        lines = exact_bytes(lines)
        try:
            written = os.write(self._fd, lines)
        except OSError as error:
            if error.errno in FULL:
                raise NoRoom(self._path, os.strerror(error.errno)) from None
            raise
        if written < len(lines):
            raise NoRoom(self._path, "the disk is full")

    def write_json(self, row: object) -> None:
        """Append one row: an object, or plain data like an `Attempt`."""
        self.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Lines(Protocol):
    """Where lines can be put: a file that grows, or a carrier to one."""

    def write(self, lines: bytes) -> None:
        """Take bytes that end in a newline."""

    def close(self) -> None:
        """Nothing more will come."""


class SpanWriter:
    """Appends spans to ``spans.jsonl``, or to `lines`; call it with each span as it ends.

    A hop's ordinary exchanges come as rows. They are encoded and written together, off the way of the bytes: up to
    `_ROWS` of them, or what came in `_ROWS_REAL_S`. A kill loses no more than that.
    """

    def __init__(self, run: RunDir, lines: Lines | None = None) -> None:
        self._file: Lines = lines or LineFile(run.path / SPANS)
        self._epoch_unix_s = run.epoch_unix_s
        self._rows: list[tuple[Form, Row]] = []
        self._most = _ROWS
        self._later: asyncio.TimerHandle | None = None

    def __call__(self, span: Span) -> None:
        """Write one span."""
        self._file.write(otlp.encode_line((span,), self._epoch_unix_s))

    def rows_of(self, form: Form) -> Callable[[Row], None]:
        """Where the ordinary exchanges of one hop go; to be called in the event loop."""
        kept = self._rows

        def take(row: Row) -> None:
            kept.append((form, row))
            if len(kept) >= self._most:
                self.flush()
            elif self._later is None:
                self._later = asyncio.get_running_loop().call_later(_ROWS_REAL_S, self._on_time)

        return take

    def _on_time(self) -> None:
        self._later = None
        try:
            self.flush()
        except NoRoom:  # the next exchange meets the error: its hop tells it
            self._most = 1

    def flush(self) -> None:
        """Write what is kept.

        Raises:
            NoRoom: the disk is full.
        """
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._rows:
            epoch_unix_s = self._epoch_unix_s
            self._file.write(b"".join([form.line(row, epoch_unix_s) for form, row in self._rows]))
            self._rows.clear()

    def close(self) -> None:
        """Write what is kept, and give the descriptor back."""
        try:
            self.flush()
        finally:
            self._file.close()


class _Hold:
    """A directory held for one run, as long as this object lives; a killed process releases it as well."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CouldNotRun(
                f"another run is being written into {path} right now; name a new directory"
            ) from None
        except OSError:
            pass  # a file system without locks: then it is unknown

    def __del__(self) -> None:
        with suppress(AttributeError):  # it could not be opened
            os.close(self._fd)


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory and its manifest; its maker holds it, and no second run can."""

    path: Path
    manifest: dict[str, Any]
    _hold: _Hold | None = field(default=None, repr=False, compare=False)

    @property
    def epoch_unix_s(self) -> float:
        """The calendar instant of model second zero."""
        return rows.epoch_of(self.manifest["epoch_unix_s"])

    @property
    def scale(self) -> float:
        """Model seconds in a real one; a directory without a load was watched in real time."""
        told = self.manifest.get("clock")
        return rows.scale_of(told["scale"]) if isinstance(told, dict) else 1.0

    @classmethod
    def create(cls, path: Path, manifest: dict[str, Any], *, replace: bool = False) -> RunDir:
        """Make the directory and write its manifest.

        Raises:
            BadInput: it holds a run already (unless `replace`), or files that are not a run's.
            CouldNotRun: another run is being written into it.
        """
        present = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
        if path.exists() and not path.is_dir():
            raise BadInput(f"{path} is a file; name a directory", field="out")
        if present - _OURS:
            strange = ", ".join(sorted(present - _OURS)[:3])
            raise BadInput(f"{path} holds other files ({strange}); name a new directory", field="out")
        if present and MANIFEST not in present:
            raise BadInput(
                f"{path} holds files and no run ({min(present)}); name a new directory", field="out"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            hold = _Hold(path)
            if (path / MANIFEST).exists() and not replace:
                raise BadInput(
                    f"{path} holds a run already; name a new directory, or add --force", field="out"
                )
            for name in _OURS - {MANIFEST}:
                _remove(path / name)
            write_json(path / MANIFEST, manifest)
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror or error}", field="out") from None
        return cls(path, manifest, hold)

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """A run that was written before.

        Raises:
            BadInput: there is no such directory, or it has no manifest.
            BadFile: the manifest is not readable.
        """
        if not path.is_dir():
            raise BadInput(f"there is no run directory {path}; `whocut run … --out {path}` makes one")
        if not (path / MANIFEST).is_file():
            raise BadInput(f"{path} is not a run directory: it has no {MANIFEST}")
        run = cls(path, _read_object(path / MANIFEST, needs="epoch_unix_s"))
        try:
            _ = run.epoch_unix_s, run.scale
        except (KeyError, TypeError, ValueError) as error:
            raise BadFile(path / MANIFEST, f"its clock cannot be read: {error}") from None
        return run

    def write_manifest(self) -> None:
        """Write ``manifest.json`` again, after something became known."""
        write_json(self.path / MANIFEST, self.manifest)

    def write_summary(self, summary: object) -> None:
        """Write ``summary.json``, whole or not at all."""
        write_json(self.path / SUMMARY, summary)

    def generator(self) -> dict[str, Any] | None:
        """How well the load generator kept up; None where it could not say."""
        path = self.path / GENERATOR
        return _read_object(path) if path.is_file() else None

    def summary(self) -> dict[str, Any] | None:
        """What was judged at the end; None where the run did not get that far."""
        path = self.path / SUMMARY
        return _read_object(path) if path.is_file() else None

    def attempts(self) -> list[Attempt]:
        """The client's account. An attempt seen to start and never to end is censored."""
        last: dict[str, Attempt] = {}
        for place, row in _rows(self.path / ATTEMPTS):
            try:
                attempt = attempt_from_row(row)
            except (TypeError, ValueError) as error:
                raise BadFile(place, f"it is not an attempt: {error}") from None
            last[attempt.span_id] = attempt
        return list(last.values())

    def spans(self) -> list[Span]:
        """Every layer's account, in the order in which spans ended."""
        spans: list[Span] = []
        for place, line in _lines(self.path / SPANS):
            try:
                spans.extend(otlp.decode_line(line, self.epoch_unix_s))
            except ValueError as error:
                raise BadFile(place, str(error)) from None
        otlp.onto_one_clock(spans, self.scale)
        return spans

    def ledger(self) -> list[dict[str, Any]]:
        """The upstream's account: the last word on each generation, in the order of acceptance."""
        last: dict[str, dict[str, Any]] = {}
        for place, row in _rows(self.path / LEDGER):
            try:
                last[rows.generation_of(row)] = row
            except ValueError as error:
                raise BadFile(place, f"it is not a generation: {error}") from None
        return list(last.values())


def open_run(path: str | Path) -> RunDir:
    """A run directory that was written before: its manifest, attempts, spans, ledger and summary.

    Raises:
        BadInput: there is no such directory, or it has no manifest.
        BadFile: the manifest is not readable.
    """
    return RunDir.open(Path(path))


def _remove(path: Path) -> None:
    """What the run before left here; a link goes, and not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def free_directory(path: Path) -> Path:
    """This path, or the first of ``path-2``, ``path-3`` … in which nothing lies yet."""
    candidates = itertools.chain([path], (Path(f"{path}-{number}") for number in itertools.count(2)))
    return next(
        free for free in candidates if not free.exists() or (free.is_dir() and not any(free.iterdir()))
    )


_ATTEMPT_FIELDS = tuple(field.name for field in fields(Attempt))


def attempt_from_row(row: Mapping[str, Any]) -> Attempt:
    """An attempt from a line of ``attempts.jsonl``.

    Raises:
        TypeError, ValueError: the line is invalid.
    """
    return rows.attempt_of({name: row[name] for name in _ATTEMPT_FIELDS if name in row})


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Whole lines with their places; a last line without its newline was never finished and is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n") and not line.isspace():
                yield f"{path}:{number}", line


def _rows(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    for place, line in _lines(path):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadFile(place, f"it is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise BadFile(place, "it is not a JSON object")
        yield place, row


def _read_object(path: Path, needs: str | None = None) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadFile(path, f"it cannot be read as JSON: {error}") from None
    if not isinstance(value, dict) or (needs and needs not in value):
        raise BadFile(path, f"it is not a run's: it has no field '{needs}'" if needs else "it is no object")
    return value


def write_refusal(run: Path, sentence: str) -> None:
    """Write down that the load refused what was asked of it, for the harness around it."""
    write_json(run / GENERATOR, {"refused": sentence})


def write_json(path: Path, value: object) -> None:
    """Write one object into a file of its own, whole or not at all."""
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all. A link of its name is replaced: what it leads to stays as it is.

    The registered secrets do not get into it.
    """
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "wb"
    ) as file:
        file.write(exact_bytes(data))
    temporary.replace(path)
