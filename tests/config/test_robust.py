"""A file that is cut off, mangled, hostile or huge gives an answer or one clear sentence, and soon."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config.cases import Case, cases
from whocut.chain.chainfile import read_topology
from whocut.chain.timers import TimerKind
from whocut.config.formats import formats
from whocut.config.nginx_syntax import parse
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.config.toml_trees import toml_tree
from whocut.config.trees import yaml_trees
from whocut.errors import BadFile, BadInput

if TYPE_CHECKING:
    from pathlib import Path

CASES = cases()
SHORTEST = {
    kind: min(
        (case for case in CASES if case.kind == kind), key=lambda case: len(next(iter(case.files.values())))
    )
    for kind in sorted({case.kind for case in CASES})
}
ASKED = Asked(host="img.example.com", path="/v1/images/generations")


def answered(path: Path, said: str = "") -> str:
    """``read``, or the one sentence on one line; everything else fails the test by itself."""
    sentence = "read"
    try:
        read_files([f"{said}={path}" if said else str(path)], ASKED)
    except BadInput as error:
        sentence = str(error)
    assert sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_file_that_is_cut_off_is_answered(tmp_path: Path, case: Case) -> None:
    """At each of many places, in the format that it is of."""
    case.write(tmp_path)
    dice = random.Random(case.name)
    for name, text in case.files.items():
        data = text.encode()
        path = tmp_path / name
        for end in sorted({dice.randrange(len(data) + 1) for _ in range(25)}):
            path.write_bytes(data[:end])
            answered(path, case.kind.partition("-")[0])
            answered(path)
        path.write_bytes(data)


@pytest.mark.parametrize("case", SHORTEST.values(), ids=SHORTEST)
def test_a_file_that_is_cut_off_at_any_byte_is_answered(tmp_path: Path, case: Case) -> None:
    """The shortest file of each format, byte by byte, as that format."""
    case.write(tmp_path)
    name, text = next(iter(case.files.items()))
    path, data = tmp_path / name, text.encode()
    said = set()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        said.add(answered(path, case.kind.partition("-")[0]))

    assert said
    assert all(one == "read" or one.startswith(str(path)) for one in said)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=st.sampled_from(CASES), data=st.data())
def test_a_mangled_file_is_answered(
    tmp_path_factory: pytest.TempPathFactory, case: object, data: st.DataObject
) -> None:
    """Characters put in, taken out and doubled: never a traceback."""
    assert isinstance(case, type(CASES[0]))
    name, text = next(iter(case.files.items()))
    for _ in range(3):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 20))
        put = data.draw(
            st.sampled_from(
                ["", "{", "}", "[", ":", "\n", '"', "'", "- ", "\t", "é", "0", " &a *a", "<<: 1", text[:40]]
            )
        )
        text = text[:at] + put + text[at + length :]
    path = tmp_path_factory.mktemp("mangled") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

    answered(path, case.kind.partition("-")[0])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(text=st.text(max_size=400), name=st.sampled_from(sorted(formats())))
def test_any_text_at_all_is_answered(tmp_path_factory: pytest.TempPathFactory, text: str, name: str) -> None:
    """As every format, whatever stands in it."""
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_text(text, encoding="utf-8", newline="")

    said = answered(path, name)

    assert said == "read" or said.startswith(str(path))


STEPS = zip("abcdefghi", "bcdefghij", strict=True)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n" for before, after in STEPS
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 3000,
        "{a: " * 3000,
        "a: &a {b: *a}\n",
        "? [a]\n: b\n",
        "!!python/object/apply:os.system [x]\n",
    ],
)
def test_hostile_yaml_is_refused_or_read_at_once(tmp_path: Path, text: str) -> None:
    """Aliases that repeat aliases, nesting without end, other people's tags: bounded in work."""
    path = tmp_path / "compose.yaml"
    path.write_text(f"services:\n  x: 1\n{text}" if text.startswith("a: &a [") else text)

    answered(path, "compose")
    with pytest.raises(BadFile):
        read_topology(path)


def test_a_bomb_of_aliases_is_no_chain_file(tmp_path: Path) -> None:
    """The reader of chain files counts what it walks through too."""
    path = tmp_path / "chain.yaml"
    path.write_text(f"layers: [nginx]\n{BOMB}")

    with pytest.raises(BadFile, match="too many values"):
        read_topology(path)


def test_ten_megabytes_of_nginx_are_read_in_seconds(tmp_path: Path) -> None:
    """Linear in the file: thirty thousand servers."""
    server = "server {{ server_name h{n}.example.com; location / {{ proxy_pass http://u{n}; }} }} # {pad}"
    text = "\n".join(["http {", *(server.format(n=n, pad="x" * 270) for n in range(30_000)), "}\n"])
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    assert len(text) > 10_000_000

    read = read_files([str(path)], Asked(host="h29999.example.com", path="/"))

    assert read.layers[0].preset == "nginx"


def test_a_plan_of_five_megabytes_is_read(tmp_path: Path) -> None:
    """JSON is read by its tokens, each value with its line; as YAML it was too large."""
    bucket = (
        '{{"address": "b{n}", "type": "aws_s3_bucket", "values": {{"tags": {{"a": "{pad}"}}, "n": null}}}},'
    )
    lines = [
        '{"planned_values": {"root_module": {"resources": [',
        *(bucket.format(n=n, pad="x" * 400) for n in range(10_000)),
        '{"address": "aws_lb.b", "type": "aws_lb", "values": {\n"idle_timeout": 90}}]}}}',
    ]
    path = tmp_path / "plan.json"
    path.write_text("\n".join(lines))
    assert path.stat().st_size > 4_500_000

    (layer,) = read_files([str(path)]).layers

    assert {(timer.limit_s, timer.line) for timer in layer.timers.values() if timer.file} == {(90.0, 10_003)}


def test_ten_thousand_backends_are_read(tmp_path: Path) -> None:
    """No format's look at a file, and no look for a line, goes through all of it for each of its lines."""
    uses = [f" use_backend b{n} if {{ path_beg /p{n}/ }}" for n in range(10_000)]
    backends = [f"backend b{n}\n timeout server {n + 1}s\n server s 10.0.0.1:80" for n in range(10_000)]
    path = tmp_path / "haproxy.cfg"
    path.write_text("\n".join(["defaults", " mode http", "frontend f", " bind :80", *uses, *backends]))

    (layer,) = read_files([str(path)], Asked(path="/p77/x")).layers

    assert layer.limit_s(TimerKind.IDLE) == 78


@pytest.mark.parametrize("name", sorted(formats()))
def test_ten_megabytes_of_anything_are_answered(tmp_path: Path, name: str) -> None:
    """By an answer, or by the sentence that it is too large."""
    path = tmp_path / "large"
    path.write_text(f"key: {'value ' * 40}\n" * 41_000)

    said = answered(path, name)

    assert said == "read" or said.startswith(str(path))


@pytest.mark.parametrize("name", ["apache", "caddy", "haproxy", "nginx", "varnish", "netlify"])
def test_a_million_lines_are_answered(tmp_path: Path, name: str) -> None:
    """At once where a format is read line by line: no configuration has so many."""
    path = tmp_path / "large"
    path.write_text("key: value\n" * 950_000)

    said = answered(path, name)

    assert said.startswith(str(path))


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    """Missing, a folder, not text, of no format."""
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"\xff\xfe\x00")
    prose = tmp_path / "prose.txt"
    prose.write_text("Dear reader,\n")

    for path, sentence in (
        (tmp_path / "none.conf", "there is no such file"),
        (tmp_path, "it is not a file"),
        (binary, "not UTF-8"),
        (prose, "its format is not known; say it, as in nginx="),
    ):
        with pytest.raises(BadFile, match=sentence):
            read_files([str(path)])
    with pytest.raises(BadInput, match="there is no format 'ngnix' \\(did you mean 'nginx'"):
        read_files([f"ngnix={prose}"])


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    """It is named, and nothing is read twice."""
    path = tmp_path / "nginx.conf"
    path.write_text("http { include nginx.conf; server { location / { proxy_pass http://a; } } }\n")

    read = read_files([str(path)])

    assert [note.what for note in read.not_read] == ["include nginx.conf: the file includes itself"]


def test_lines_are_those_of_the_file() -> None:
    """In every syntax the line is where a person finds the value."""
    assert [one.line for one in parse("f", "a 1;\n\n# c\nb {\n  c 'x\ny';\n d 2; }\n")[1].block or ()] == [
        5,
        7,
    ]
    (tree,) = yaml_trees("f", "a:\n  b:\n    - c: 1\n")
    found = tree.get("a", "b", 0, "c")
    assert found is not None
    assert found.line == 3
    toml = toml_tree("f", "[a.b]\nc = 1\n[[d]]\ne = 2\n[[d]]\ne = 3\n").get("d", 1, "e")
    assert toml is not None
    assert toml.line == 6
