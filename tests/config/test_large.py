"""What a large file does not cost: layers that are not asked for, looks for garbage, and searches in vain."""

from __future__ import annotations

import gc
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.config.test_trees import plain
from whocut.config.building import layer_of
from whocut.config.formats import Source
from whocut.config.reading import Asked
from whocut.config.sources import chain_of, read_files
from whocut.config.trees import yaml_trees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.chain.layers import Layer

COUNT = 3_000
FUNCTION = """  F{n}:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: {n}
      Events: {{ Post: {{ Type: HttpApi, Properties: {{ Path: /t{n}, Method: post }} }} }}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack of many functions, each with a limit and a path of its own."""
    path = tmp_path / "template.yaml"
    path.write_text("Resources:\n" + "".join(FUNCTION.format(n=n + 1) for n in range(COUNT)))
    return path


@pytest.fixture
def collector() -> Iterator[None]:
    """Python's collector as it was, when the test is over."""
    was_on = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was_on else gc.disable)()


def test_of_a_thousand_functions_only_the_layers_asked_for_are_made(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of each are read, so that what cannot be read of any is said."""
    made: list[str] = []

    def counted(product: str, limits: Any) -> Layer:
        made.append(product)
        return layer_of(product, limits)

    monkeypatch.setattr("whocut.config.cloud.layer_of", counted)
    stack.write_text(stack.read_text().replace("Timeout: 7\n", "Timeout: soon\n"))

    read = read_files([str(stack)], Asked(path="/t100"))

    assert [layer.preset for layer in read.layers] == ["aws-apigw-http", "aws-lambda"]
    assert set(made) == {"aws-apigw-http", "aws-lambda"}
    assert len(made) < 10
    assert [note.what for note in read.not_read] == ["'soon' is not a duration"]


@pytest.mark.usefixtures("collector")
def test_the_collector_does_not_look_through_what_a_reading_made(stack: Path) -> None:
    """It starts again with nothing young: else it takes half a second for 10 MB at the next few objects."""
    young: list[int] = []

    def watch(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            young.append(len(gc.get_objects(generation=0)))

    gc.callbacks.append(watch)
    try:
        read = read_files([str(stack)], Asked(path="/t100"))
        more: list[list[int]] = [[] for _ in range(10_000)]
    finally:
        gc.callbacks.remove(watch)

    assert gc.isenabled()
    assert len(read.routes) == COUNT
    assert len(more) > len(young) > 0
    assert max(young) < COUNT


@pytest.mark.usefixtures("collector")
def test_a_reading_leaves_frozen_what_a_server_froze(stack: Path) -> None:
    """What a server has before its first request stays out of the collector's way."""
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        read_files([str(stack)], Asked(path="/t100"))
        left = gc.get_freeze_count()
    finally:
        gc.unfreeze()

    assert frozen > 10_000
    assert left > 0.9 * frozen


def test_a_chain_of_files_is_read_without_looks_for_garbage(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only `whocut read`: `check`, `run` and `up` read the same files."""
    on: list[bool] = []

    def watched(product: str, limits: Any) -> Layer:
        on.append(gc.isenabled())
        return layer_of(product, limits)

    monkeypatch.setattr("whocut.config.cloud.layer_of", watched)

    chain_of([str(stack)], path="/t100")

    assert set(on) == {False}


def test_a_text_is_searched_only_where_one_of_the_words_stands() -> None:
    """The expression would fit: that it is not tried is seen by its missing word."""
    here = Source("a", "first\nServices : x\n")

    assert here.has(re.compile(r"^services\s*:", re.MULTILINE | re.IGNORECASE), "services")
    assert not here.has(re.compile(r"^services\s*:", re.MULTILINE), "services")
    assert not here.has(re.compile(r"^Services\s*:", re.MULTILINE), "routers")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":\n\n{"b"\n:\n1\n,"c":[\n"",\n"x,\\n",null\n]}}',
        '[\n{"":""},\n"\\"",\n-1.5e3\n]\n\n',
        '{"a" : "b" , "c" : true, "d": [[], {}, [{"e": "{"}]]}',
    ],
)
def test_json_means_what_it_means_to_json(text: str) -> None:
    """Wherever its blanks are, and however empty its texts."""
    (tree,) = yaml_trees("a.json", text)

    assert plain(tree) == json.loads(text, parse_int=str, parse_float=str)


def test_a_value_of_json_has_the_line_of_its_key() -> None:
    """Also where its colon, or the value, is on a later line."""
    (tree,) = yaml_trees("a.json", '{"a":\n\n{"b"\n:\n1\n,"c":[\n"",\n{"d": 1}\n]}}')

    places = {key: tree.get("a", *key) for key in (("b",), ("c",), ("c", 0), ("c", 1), ("c", 1, "d"))}
    assert [found.line for found in places.values() if found] == [3, 6, 7, 8, 8]


def test_json_with_megabytes_of_blanks_behind_it_is_read() -> None:
    """No look begins at each of them: that would take hours."""
    (tree,) = yaml_trees("a.json", '{"a": 1}' + " \n" * 2_000_000)

    assert plain(tree) == {"a": "1"}
