"""The summary: a published schema, a version, and one sentence about a summary of another version."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from tests.reports.made_run import MadeRun, article_run
from tests.verdict.made import summary
from whocut.errors import BadFile
from whocut.verdict.figures import VERSION, doubts_of, read_summary, schema
from whocut.verdict.sweep.levels import Level
from whocut.verdict.sweep.say import sweep_figures

PUBLISHED = Path(__file__).parents[2] / "docs" / "summary.schema.json"
SWEEP = sweep_figures([Level(3, 0.0, requests=3, seen=3, came=3, taken_s=80.0, took_s=[80.0] * 3)], 0.01)


def test_the_published_schema_is_the_one_that_the_code_makes() -> None:
    """`python -m whocut.verdict.figures > docs/summary.schema.json` makes it anew."""
    assert json.loads(PUBLISHED.read_bytes()) == schema()


@pytest.mark.parametrize("sweep", [None, SWEEP], ids=["run", "sweep"])
def test_a_written_summary_keeps_the_schema_and_comes_back(sweep: Any) -> None:
    """What is written is what the schema says, and what is read is what was written."""
    written = summary(
        replace(article_run(requests=6).judged().figures, sweep=sweep), warnings=("it stalled",)
    )

    stored = json.loads(orjson.dumps(written))

    jsonschema.validate(stored, json.loads(PUBLISHED.read_bytes()))
    assert read_summary(stored, "summary.json") == written


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({"warnings": ["the loop stalled"]}, "written by an older whocut (its version is not given"),
        ({"version": VERSION + 1}, "written by a newer whocut (its version is"),
    ],
)
def test_a_summary_of_another_version_is_named_in_one_sentence(
    tmp_path: Path, stored: dict[str, Any], says: str
) -> None:
    """Whether that run was valid is not read out of fields that may mean something else."""
    run = MadeRun().write(tmp_path / "run", load={})
    run.write_summary(stored)

    (doubt,) = doubts_of(run)

    assert says in doubt


def test_a_file_that_is_not_a_summary_is_named_with_its_field(tmp_path: Path) -> None:
    """A version alone makes no summary."""
    run = MadeRun().write(tmp_path / "run", load={})
    run.write_summary({"version": VERSION, "requests": "many"})

    with pytest.raises(BadFile, match="it is not a run's summary: requests"):
        doubts_of(run)


def test_a_run_without_a_summary_was_killed_and_a_tap_has_none(tmp_path: Path) -> None:
    """A load was to be judged; what only watched was not."""
    killed = MadeRun().write(tmp_path / "killed", load={})
    tap = MadeRun().write(tmp_path / "tap")

    assert doubts_of(killed)[0].startswith("This run has no summary")
    assert doubts_of(tap) == ()
