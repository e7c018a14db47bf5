"""Texts of the field with known answers: every kind of them is answered right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.verdict.triage.judged import cases_of, misses
from whocut.foreign.files import attribute_files, parse_logs
from whocut.verdict.triage import triage

if TYPE_CHECKING:
    from pathlib import Path

FILES = (
    "kinds",
    "clients",
    "layers",
    "refusals",
    "openai_images",
    "reports",
    "reports2",
    "reports3",
    "reports4",
    "reports5",
    "reports6",
    "reports7",
    "reports8",
    "reports9",
    "reports10",
    "reports11",
    "reports12",
    "reports13",
    "reports14",
    "reports15",
    "reports16",
    "reports17",
    "reports18",
    "reports19",
    "reports20",
    "reports21",
    "reports22",
    "reports23",
    "reports24",
    "reports25",
    "reports26",
    "reports27",
    "reports28",
    "reports29",
    "reports30",
    "reports31",
    "reports32",
    "reports33",
    "reports34",
    "reports35",
    "reports36",
    "reports37",
    "reports38",
    "reports39",
    "reports40",
    "reports41",
)
PASTED = [(file, case) for file in FILES for case in cases_of(file)]
LOGS = cases_of("logs")


@pytest.mark.parametrize(("file", "case"), PASTED, ids=[f"{file}: {case['name']}" for file, case in PASTED])
def test_a_pasted_text_is_answered_right(file: str, case: dict[str, Any]) -> None:
    """Cause, layer, knob, timer, phase, time, status, side and retry are what an expert says of this text."""
    del file
    answer = json.loads(orjson.dumps(triage(case["text"], elapsed_s=case.get("after")).as_json()))

    assert misses(case["expect"], answer) == []


@pytest.mark.parametrize("case", LOGS, ids=[case["name"] for case in LOGS])
def test_a_log_loses_no_line(case: dict[str, Any], tmp_path: Path) -> None:
    """Each line is a request, part of one, or counted with an example and what to do about it."""
    written = []
    for name, text in case["logs"].items():
        (tmp_path / f"{name}.log").write_text(text, encoding="utf-8")
        written.append(f"{name}={tmp_path / f'{name}.log'}")

    attributed = attribute_files([], parse_logs(written))

    answers = case["expect"].get("any") or [case["expect"]]
    tried = [misses(expect, one) for expect in answers for one in _rows(attributed)]
    assert [] in tried, tried
    counted = attributed.unreadable + attributed.passed
    assert counted + _lines_told(attributed) >= attributed.lines


def _rows(attributed: Any) -> list[dict[str, Any]]:
    """One row that holds the counts and the fields of the first cut, with all that was said."""
    found = json.loads(orjson.dumps(attributed.as_json()))
    cuts = [verdict for verdict in found["verdicts"] if verdict["kind"] in {"cut", "tie"}]
    first = cuts[0] if cuts else {}
    outer, inner = found["chain"][0], found["chain"][-1]
    sides = {outer: "client", inner: "upstream", None: None}
    return [
        first
        | found
        | {
            "requests": len({verdict["request"] for verdict in found["verdicts"]}),
            "cuts": len(cuts),
            "ended_by": sides.get(first.get("layer"), "layer"),
            "says": json.dumps(found),
        }
    ]


def _lines_told(attributed: Any) -> int:
    """How many lines the verdicts rest on: each says in which place its evidence stands."""
    places = " ".join(fact.fact for verdict in attributed.verdicts for fact in verdict.evidence)
    return places.count(".log:")
