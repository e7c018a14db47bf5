"""Every format reads files shaped as users' are: each limit with its line, and what was not read with its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.config.cases import Case, Question, cases
from whocut.config.formats import Source, formats, told
from whocut.config.reading import Asked, Read
from whocut.config.sources import read_files
from whocut.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer

CASES = cases()
ASKED = [(case, question) for case in CASES for question in case.questions]


@pytest.mark.parametrize(
    ("case", "question"),
    ASKED,
    ids=[f"{case.id} {question.host or ''}{question.path or ''}" for case, question in ASKED],
)
def test_a_user_s_file_is_read_rightly(
    tmp_path: Path, case: Case, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits, lines, inheritance, buffers and retries are those that a person reads there."""
    case.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    notes = [line[10:] for line in question.expected if line.startswith("not read: ")]
    layers = [
        line for line in question.expected if not line.startswith(("not read: ", "refused: ", "undecided"))
    ]
    refused = [line[9:] for line in question.expected if line.startswith("refused: ")]

    asked = Asked(host=question.host, path=question.path)
    if refused:
        with pytest.raises(BadInput, match=re.escape(refused[0])):
            read_files(question.files, asked)
        return

    read = read_files(question.files, asked)

    assert bool(read.undecided) == ("undecided" in question.expected), read.undecided
    assert len(read.layers) == len(layers), [layer.name for layer in read.layers]
    for layer, line in zip(read.layers, layers, strict=True):
        assert _differs(layer, line) == []
    _hold_notes(read, notes)


def _hold_notes(read: Read, notes: list[str]) -> None:
    said = [f"{note.what} @{note.line}" for note in read.not_read]
    for note in notes:
        what, at, line = note.rpartition(" @")
        assert any((what or note) in one and one.endswith(f"{at}{line}" if what else "") for one in said), (
            said
        )
    assert len(said) == len(notes), said


def _differs(layer: Layer, line: str) -> list[str]:
    product, *wanted = line.split()
    wrong = [] if product in {layer.preset, layer.name} else [f"{layer.preset} and not {product}"]
    for want in wanted:
        name, _, value = want.partition("=")
        got = _said(layer, name)
        if got != value:
            wrong.append(f"{name}: {got} and not {value}")
    return wrong


def _said(layer: Layer, name: str) -> str:
    """One fact of a layer as a case writes it."""
    retries = layer.retries
    facts = {
        "tries": str(retries.tries),
        "connects": str(retries.connects),
        "buffers": str(layer.buffering),
        "post": str(retries.post).lower(),
        "on_timeout": str(retries.on_timeout).lower(),
        "notices_abort": str(layer.notices_abort).lower(),
        "name": layer.name,
    }
    if name in facts:
        return facts[name]
    kind, _, what = name.partition(".")
    if what == "directive":
        return next(
            (timer.directive.replace(" ", "_") for timer in layer.timers.values() if timer.kind == kind),
            "none",
        )
    if kind in {str(one) for one in layer.unknown}:
        return "unknown"
    timer = next((timer for timer in layer.timers.values() if timer.kind == kind), None)
    if timer is None:
        return "none"
    where = "-" if timer.line is None else str(timer.line)
    return f"{timer.limit_s:g}@{where}" + ("^" if timer.inherited and timer.line is not None else "")


def test_every_format_has_at_least_ten_files() -> None:
    """And every case belongs to a format."""
    counts = {name: sum(case.kind.partition("-")[0] == name for case in CASES) for name in formats()}

    assert {name: count for name, count in counts.items() if count < 10} == {}
    assert {case.kind.partition("-")[0] for case in CASES} == set(formats())
    assert all(case.questions for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_format_is_told_by_the_file(tmp_path: Path, case: Case) -> None:
    """By name and content, without its being said."""
    case.write(tmp_path)

    for question in case.questions:
        if any("=" in file for file in question.files):
            continue
        for file in question.files:
            assert told(Source.open(tmp_path / file)).name == case.kind.partition("-")[0], file


def test_a_reading_is_the_contract_s(tmp_path: Path) -> None:
    """Layers with their timers, routes, and what was not read."""
    path = tmp_path / "nginx.conf"
    path.write_text("http { server { location / { proxy_pass http://a; proxy_read_timeout 90; } } }\n")

    said = read_files([str(path)]).as_json()

    (layer,) = said["layers"]
    assert set(layer) >= {"name", "product", "timers", "buffers", "retries", "notices_abort"}
    first = next(timer for timer in layer["timers"] if timer["kind"] == "first_byte")
    assert first == {
        "kind": "first_byte",
        "limit_s": 90.0,
        "directive": "proxy_read_timeout",
        "file": str(path),
        "line": 1,
        "inherited": False,
    }
    assert said["not_read"] == []
    assert [(route["path"], route["taken"]) for route in said["routes"]] == [("/", True)]
