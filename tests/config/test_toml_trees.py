"""TOML as trees: each value with its line, also in tables that are written several times; bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.config.test_trees import plain
from whocut.config.toml_trees import toml_tree
from whocut.errors import BadFile

if TYPE_CHECKING:
    from whocut.config.trees import Tree

NESTED = """[[a]]
x = 1
[[a.b]]
y = 2
[[a.b]]
y = 3
[a.c]
z = 4
[[a]]
x = 5
[a.c]
z = 6
"""


def line(tree: Tree, *keys: str | int) -> int:
    """The line of the value below these keys."""
    found = tree.get(*keys)
    assert found is not None
    return found.line


def test_a_table_inside_a_repeated_one_belongs_to_the_last_of_those_before_it() -> None:
    """As TOML reads it: each value is found on the line where it is written."""
    tree = toml_tree("a.toml", NESTED)

    assert plain(tree) == {
        "a": [
            {"x": "1", "b": [{"y": "2"}, {"y": "3"}], "c": {"z": "4"}},
            {"x": "5", "c": {"z": "6"}},
        ]
    }
    assert [line(tree, "a", 0, "b", n, "y") for n in range(2)] == [4, 6]
    assert [line(tree, "a", n, "c", "z") for n in range(2)] == [8, 12]
    assert [line(tree, "a", n) for n in range(2)] == [1, 9]


@pytest.mark.parametrize(
    ("text", "keys", "where"),
    [
        ("# c\na = 1\n", ("a",), 2),
        ('[x."a.b"]\n"c d" = 1\n', ("x", "a.b", "c d"), 2),
        ("[x]\ny.z = 1\n", ("x", "y", "z"), 2),
        ("\na = { b = 1, c = [1, { d = 2 }] }\n", ("a", "c", 1, "d"), 2),
        ("\n[x.y]\na = 1\n", ("x",), 2),
        ("a = '\u2028'\nb = 1\n", ("b",), 2),
        ("a = '''\nb = 1\n'''\nc = 2\n", ("c",), 4),
    ],
)
def test_a_value_has_the_line_of_its_key(text: str, keys: tuple[str | int, ...], where: int) -> None:
    """Or of the table or list around it; only what TOML calls a newline ends a line."""
    assert line(toml_tree("a.toml", text), *keys) == where


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "1" * 5_400, "a number in it is too long"),
        ("a = 0x" + "f" * 5_400, "a number in it is too long"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "[" * 100 + "]" * 100, "nested too deeply"),
        ("[" + "a." * 100_000 + "a]\n", "nested too deeply"),
        ("a = [" + "1," * 900_000 + "]\n", "too many values"),
        ("# nothing\n" * 700_000, "too many lines"),
        ("a = 1\nb == 2\n", "cannot be read as TOML"),
    ],
    ids=["digits", "hexadecimal", "brackets", "depth", "names", "values", "lines", "syntax"],
)
def test_hostile_toml_is_one_sentence(text: str, says: str) -> None:
    """Whatever is repeated without end."""
    with pytest.raises(BadFile, match=says):
        toml_tree("a.toml", text)


def test_six_megabytes_of_redirects_are_read() -> None:
    """Each with its line."""
    count = 60_000
    text = "".join(
        f'[[redirects]]\nfrom = "/tenant{n}/*"\nto = "https://{"x" * 60}{n}/"\n' for n in range(count)
    )
    assert len(text) > 6_000_000

    tree = toml_tree("netlify.toml", text)

    assert tree.text("redirects", count - 1, "from") == f"/tenant{count - 1}/*"
    assert line(tree, "redirects", count - 1, "from") == 3 * count - 1
