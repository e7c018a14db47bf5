"""The claim of this room: spans that come from a backend are judged as the same spans from a file are."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from tests.trace.backends.fakes import FAKES, collector_row, serving
from tests.trace.backends.material import foreign_lines, wires, world_lines
from whocut.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.trace.otlp import WireSpan

pytestmark = pytest.mark.sockets
BACKENDS = [*sorted(FAKES), "parquet", "parquet by OTLP"]
PLACES = {"clickhouse": "/fake"}  # the database
WORLDS = range(6)
WINDOW = ("--since", "2026-11-22T00:00:00Z", "--until", "2026-11-30T00:00:00Z")


def attribute(*arguments: str) -> dict[str, Any]:
    """The command's answer, as JSON."""
    done = CliRunner().invoke(app, ["attribute", "--json", *arguments])
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def stored(backend: str, lines: bytes, folder: Path) -> Iterator[str]:
    """These spans in a backend: its `--from`."""
    if backend in WRITERS:
        path = folder / "spans.parquet"
        WRITERS[backend](path, wires(lines))
        yield f"parquet={path}"
        return
    if backend == "clickhouse":
        pytest.importorskip("chdb", reason="pip install chdb-core: the engine of ClickHouse, 530 MB")
    with serving(FAKES[backend](wires(lines))) as url:
        yield f"{backend}={url}{PLACES.get(backend, '')}"


def write_parquet(path: Path, spans: list[WireSpan]) -> None:
    """The Collector's table as a Parquet file, as `SELECT * FROM otel_traces INTO OUTFILE` writes it."""
    texts = pa.map_(pa.string(), pa.string())
    instant = pa.timestamp("ns", "UTC")
    types = {
        "Timestamp": instant,
        "Duration": pa.uint64(),
        "ResourceAttributes": texts,
        "SpanAttributes": texts,
        "Events.Timestamp": pa.list_(instant),
        "Events.Name": pa.list_(pa.string()),
        "Events.Attributes": pa.list_(texts),
    }
    rows = [collector_row(span) for span in spans]
    for row in rows:
        for name in ("ResourceAttributes", "SpanAttributes"):
            row[name] = list(row[name].items())
        row["Events.Attributes"] = [list(has.items()) for has in row["Events.Attributes"]]
    columns = {name: pa.array([row[name] for row in rows], types.get(name, pa.string())) for name in rows[0]}
    parquet.write_table(pa.table(columns), path)


def write_otlp_parquet(path: Path, spans: list[WireSpan]) -> None:
    """Columns by OTLP's names: ids as bytes, attributes as JSON in text, events as a list of structs."""
    rows = [
        {
            "trace_id": bytes.fromhex(span.trace_id),
            "span_id": bytes.fromhex(span.span_id),
            "parent_span_id": bytes.fromhex(span.parent_id) if span.parent_id else None,
            "name": span.name,
            "kind": span.kind,
            "start_time_unix_nano": span.start_ns,
            "end_time_unix_nano": span.end_ns,
            "attributes": orjson.dumps(span.attributes).decode(),
            "resource_attributes": orjson.dumps(span.resource).decode(),
            "status_code": 0 if span.error is None else 2,
            "status_message": span.error,
            "events": [
                {
                    "name": one.name,
                    "time_unix_nano": one.at_ns,
                    "attributes": orjson.dumps(one.attributes).decode(),
                }
                for one in span.events
            ],
        }
        for span in spans
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path)


def judged(answer: dict[str, Any]) -> dict[tuple[str, int], Any]:
    """The verdicts by request and attempt."""
    return {(one["request"], one["attempt"]): one for one in answer["verdicts"]}


def alike(one: Any, other: Any) -> bool:
    """Equal, but for the nanoseconds that a backend does not keep."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 1e-5
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


WRITERS = {"parquet": write_parquet, "parquet by OTLP": write_otlp_parquet}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", WORLDS)
def test_the_spans_of_a_world_have_the_verdicts_of_the_file(
    tmp_path: Path, backend: str, number: int
) -> None:
    """Every attempt, with its layer, timer, phase, grade, evidence and contradictions."""
    file = tmp_path / "spans.jsonl"
    file.write_bytes(world_lines(number))

    with stored(backend, world_lines(number), tmp_path) as source:
        fetched = attribute("--from", source, *WINDOW, "--all")

    from_file = attribute("--spans", str(file))
    assert alike(judged(fetched), judged(from_file))
    assert fetched["spans"] == from_file["spans"]
    assert fetched["chain"] == from_file["chain"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", WORLDS)
def test_no_cut_of_a_world_is_missed_by_the_search(tmp_path: Path, backend: str, number: int) -> None:
    """What is fetched as suspicious holds each attempt that the file's verdicts call cut, judged alike."""
    file = tmp_path / "spans.jsonl"
    file.write_bytes(world_lines(number))

    with stored(backend, world_lines(number), tmp_path) as source:
        fetched = judged(attribute("--from", source, *WINDOW))

    whole = judged(attribute("--spans", str(file)))
    cut = {key for key, verdict in whole.items() if verdict["kind"] != "none"}
    assert cut
    assert cut <= set(fetched)
    assert {key: fetched[key]["phrase"] for key in cut} == {key: whole[key]["phrase"] for key in cut}


# Phoenix keeps neither the kind of a span nor its service, which other people's spans are read by.
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "phoenix"])
def test_other_peoples_spans_have_the_verdicts_of_the_file(tmp_path: Path, backend: str) -> None:
    """Kinds, services, statuses and exceptions come through; requests that went well are not fetched."""
    file = tmp_path / "spans.jsonl"
    file.write_bytes(foreign_lines())

    with stored(backend, foreign_lines(), tmp_path) as source:
        every = attribute("--from", source, *WINDOW, "--all")
        suspicious = attribute("--from", source, *WINDOW)

    from_file = judged(attribute("--spans", str(file)))
    assert alike(judged(every), from_file)
    assert alike(judged(suspicious), {key: one for key, one in from_file.items() if one["kind"] != "none"})
    assert [one["fetched"] for one in suspicious["fetched"]] == [3]
