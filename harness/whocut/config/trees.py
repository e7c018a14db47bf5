"""YAML, JSON and TOML as one kind of tree, in which every value knows its line. Bounded in size, depth and aliases.

A tag that is not YAML's own (CloudFormation's ``!Sub``) is left off, and its value is kept as it is written.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.chain.yamldepth import refuse_deep
from whocut.errors import BadFile
from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 4_000_000
_MOST_NODES: Final = 300_000  # of a document with its aliases followed; an honest file of 4 MB has fewer
_MOST_DEPTH: Final = 60
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Tree:
    """One value of a file: a mapping, a list or a scalar, and its place."""

    file: str
    line: int
    value: dict[str, Tree] | list[Tree] | Scalar

    def get(self, *keys: str | int) -> Tree | None:
        """The value below these keys; None: a key is missing, or a value on the way is no mapping."""
        tree: Tree | None = self
        for key in keys:
            if tree is None:
                return None
            if isinstance(key, str):
                tree = tree.value.get(key) if isinstance(tree.value, dict) else None
            else:
                tree = (
                    tree.value[key]
                    if isinstance(tree.value, list) and -len(tree.value) <= key < len(tree.value)
                    else None
                )
        return tree

    def items(self) -> Iterator[tuple[str, Tree]]:
        """The entries of a mapping; nothing for anything else."""
        yield from self.value.items() if isinstance(self.value, dict) else ()

    def each(self) -> Iterator[Tree]:
        """The values of a list; a single value is a list of one, and a missing one is an empty list."""
        if isinstance(self.value, list):
            yield from self.value
        elif self.value is not None:
            yield self

    def text(self, *keys: str | int) -> str:
        """A scalar as text; empty: the value is no scalar."""
        found = self.get(*keys)
        if found is None or found.value is None or isinstance(found.value, dict | list):
            return ""
        if isinstance(found.value, bool):
            return str(found.value).lower()
        return str(found.value)

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self.value, dict)


def yaml_trees(file: str, text: str) -> list[Tree]:
    """The documents of a YAML or JSON file, without the empty ones.

    Raises:
        BadFile: it is neither, too large, too deep, or its aliases make it so.
    """
    if text.lstrip()[:1] in {"{", "["}:
        tree = _json_tree(file, text)
        if tree is not None:
            return [tree]
    _refuse_large(file, text)
    # A tab may indent JSON, and never YAML: there it is the mistake that people make most.
    if text.lstrip()[:1] in {"{", "["}:
        text = re.sub(r"^[ \t]+", lambda tabs: tabs[0].replace("\t", "  "), text, flags=re.MULTILINE)
    try:
        refuse_deep(text, _MOST_DEPTH)
        nodes: list[Any] = list(yaml.compose_all(text, Loader=LOADER))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = (
            str(getattr(error, "problem", None) or "it is not YAML")
            .replace("\t", "tab")
            .replace("\\t", "tab")
        )
        raise BadFile(
            file, f"it cannot be read as YAML: {what}", line=mark.line + 1 if mark else None
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadFile(file, f"it cannot be read as YAML: {error}") from None
    growing = _Growing(file)
    return [growing.tree(node, 0) for node in nodes if node is not None]


_JSON: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def _json_tree(file: str, text: str) -> Tree | None:
    """A JSON file, read in seconds at the size of a plan of Terraform's; None: it is no JSON, or maybe YAML."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    # It is well-formed, so that each mark is where it belongs.
    open_: list[tuple[Tree, str]] = []
    root: Tree | None = None
    key, key_line, is_key = "", 0, False
    line, at = 1, 0
    for found in _JSON.finditer(text):
        mark, start = found[0], found.start()
        line += text.count("\n", at, start)
        at = start
        if mark == ":":
            is_key = False
        elif mark == ",":
            is_key = bool(open_) and open_[-1][0].is_mapping
        elif mark in {"}", "]"}:
            open_.pop()
        elif is_key:
            key, key_line = str(_json_scalar(mark)), line
        else:
            inner: Any = {} if mark == "{" else [] if mark == "[" else _json_scalar(mark)
            outer = open_[-1][0].value if open_ else None
            tree = Tree(file, key_line if isinstance(outer, dict) else line, inner)
            if isinstance(outer, dict):
                outer[key] = tree
            elif isinstance(outer, list):
                outer.append(tree)
            root = root or tree
            if mark in {"{", "["}:
                open_.append((tree, mark))
                if len(open_) > _MOST_DEPTH:
                    raise BadFile(file, "it is nested too deeply to be a configuration", line=line)
                is_key = mark == "{"
    return root


def _json_scalar(mark: str) -> Scalar:
    if mark[0] == '"':
        return str(json.loads(mark)) if "\\" in mark else mark[1:-1]
    return {"null": None, "true": True, "false": False}.get(mark, mark)


class _Growing:
    """Trees from YAML's nodes, counted: an alias counts each time it is used."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0

    def tree(self, node: yaml.Node, depth: int) -> Tree:
        line = node.start_mark.line + 1
        self._nodes += 1
        if depth > _MOST_DEPTH:
            raise BadFile(self._file, "it is nested too deeply to be a configuration", line=line)
        if self._nodes > _MOST_NODES:
            raise BadFile(self._file, "it holds too many values, or its aliases repeat too many", line=line)
        if isinstance(node, yaml.MappingNode):
            return Tree(self._file, line, self._mapping(node, depth))
        if isinstance(node, yaml.SequenceNode):
            return Tree(self._file, line, [self.tree(child, depth + 1) for child in node.value])
        return Tree(self._file, line, _scalar(node))

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Tree]:
        merged: dict[str, Tree] = {}
        own: dict[str, Tree] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadFile(
                    self._file,
                    "it is a template; render it first, as with `helm template`",
                    line=key.start_mark.line + 1,
                )
            name = str(key.value)
            child = self.tree(value, depth + 1)
            if key.tag == "tag:yaml.org,2002:merge":
                for part in reversed(list(child.each())):
                    merged |= dict(part.items())
            elif name:
                # The key's line is where a reader looks.
                own[name] = Tree(self._file, key.start_mark.line + 1, child.value)
        return {**merged, **own}


def _scalar(node: yaml.Node) -> Scalar:
    text = str(node.value)
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if node.tag == "tag:yaml.org,2002:bool":
        return text.lower() in {"true", "yes", "on"}
    # A number keeps the form in which it is written: 010 and 1_000 mean other things elsewhere.
    return text


def toml_tree(file: str, text: str) -> Tree:
    """A TOML file; a value's line is that of its key, found again in the text.

    Raises:
        BadFile: it is no TOML, or too large.
    """
    _refuse_large(file, text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        what = str(error).partition(" (at")[0]
        raise BadFile(
            file, f"it cannot be read as TOML: {what}", line=int(line[1]) if line else None
        ) from None
    except RecursionError:
        raise BadFile(file, "it is nested too deeply to be a configuration") from None
    except ValueError:  # an integer of more digits than Python reads
        raise BadFile(file, "a number in it is too long to be one of a configuration") from None
    return _from_toml(file, data, _lines_of_toml(text), ())


def _from_toml(file: str, value: Any, lines: dict[tuple[str, ...], int], place: tuple[str, ...]) -> Tree:
    """A table that no line of its own names begins where the first of its values is."""
    if isinstance(value, dict):
        fields = {key: _from_toml(file, child, lines, (*place, key)) for key, child in value.items()}
        first = min((child.line for child in fields.values()), default=1)
        return Tree(file, lines.get(place, first), fields)
    at = place
    while at not in lines and at:
        at = at[:-1]
    line = lines.get(at, 1)
    if isinstance(value, list):
        return Tree(
            file, line, [_from_toml(file, child, lines, (*place, str(n))) for n, child in enumerate(value)]
        )
    return Tree(file, line, value if isinstance(value, bool) else str(value))


_TABLE: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r'\s*((?:[\w-]+|"[^"]*"|\'[^\']*\')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|\'[^\']*\'))*)\s*=')
_NAME: Final = re.compile(r'[\w-]+|"[^"]*"|\'[^\']*\'')


def _lines_of_toml(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key and table; keys inside a value of several lines are not among them."""
    found: dict[tuple[str, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if head := _TABLE.fullmatch(line):
            table = tuple(name.strip("\"'") for name in _NAME.findall(head[2]))
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, str(counts[table]))
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *(name.strip("\"'") for name in _NAME.findall(key[1]))), number)
    return found


def _refuse_large(file: str, text: str) -> None:
    if len(text) > MOST_BYTES:
        raise BadFile(file, "it is larger than 4 MB; a configuration of this kind is smaller")
