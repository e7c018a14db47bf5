"""YAML, JSON and TOML as one kind of tree, in which every value knows its line. Bounded in size, depth and aliases.

A tag that is not YAML's own (CloudFormation's ``!Sub``) is left off, and its value is kept as it is written.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.errors import BadFile
from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 4_000_000
_MOST_NODES: Final = 300_000  # of a text with its aliases followed, beside one for so many of its bytes
_BYTES_A_NODE: Final = 8
_MOST_DEPTH: Final = 60
Scalar = str | int | float | bool | None


class Tree:
    """One value of a file: a mapping, a list or a scalar, and its place. Two are equal if they are one."""

    __slots__ = ("file", "line", "value")

    def __init__(self, file: str, line: int, value: dict[str, Tree] | list[Tree] | Scalar) -> None:
        self.file = file
        self.line = line
        self.value = value

    def __repr__(self) -> str:
        """With what is below."""
        return f"Tree({self.file!r}, {self.line}, {self.value!r})"

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
        BadFile: it is neither, too deep, or holds too much, with its aliases followed.
    """
    if text.lstrip()[:1] in {"{", "["}:
        tree = _json_tree(file, text)
        if tree is not None:
            return [tree]
    # A tab may indent JSON, and never YAML: there it is the mistake that people make most.
    if text.lstrip()[:1] in {"{", "["}:
        text = re.sub(r"^[ \t]+", lambda tabs: tabs[0].replace("\t", "  "), text, flags=re.MULTILINE)
    try:
        return _Events(file, text).trees()
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


# A member with a scalar is one match; then a bracket, or a value of a list. What is between says nothing.
_STRING: Final = r'"((?:[^"\\]++|\\.)*+)"'
_BARE: Final = r'([^\s{}\[\],:"]+)'
_JSON: Final = re.compile(rf"{_STRING}(?:\s*(:)\s*(?:{_STRING}|{_BARE})?)?|([{{}}\[\]])|{_BARE}")
_KEY_ALONE, _MEMBER, _BARE_MEMBER, _BRACKET, _BARE_VALUE = 2, 3, 4, 5, 6  # the last group of a match
_LITERALS: Final[dict[str, Scalar]] = {"null": None, "true": True, "false": False}


def _json_tree(file: str, text: str) -> Tree | None:  # noqa: PLR0912  # one pass over matches, a case each
    """A JSON file, read in seconds at the size of a plan of Terraform's; None: it is no JSON, or maybe YAML."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    # It is well-formed, so that each mark is where it belongs.
    root: Tree | None = None
    open_: list[Any] = []
    outer: Any = None
    key, key_line = "", 0
    line, at = 1, 0
    for found in _JSON.finditer(text):
        which = found.lastindex
        if which == _BRACKET and found[_BRACKET] in "}]":
            open_.pop()
            outer = open_[-1] if open_ else None
            continue
        start = found.start()
        line += text.count("\n", at, start)
        at = start
        if which == _MEMBER:
            outer[_plain(found[1])] = Tree(file, line, _plain(found[_MEMBER]))
        elif which == _BARE_MEMBER:
            bare = found[_BARE_MEMBER]
            outer[_plain(found[1])] = Tree(file, line, _LITERALS.get(bare, bare))
        elif which == _KEY_ALONE:
            key, key_line = _plain(found[1]), line
        else:
            if which == _BRACKET:
                value: Any = {} if found[_BRACKET] == "{" else []
            else:
                value = _LITERALS.get(found[0], found[0]) if which == _BARE_VALUE else _plain(found[1])
            in_mapping = isinstance(outer, dict)
            tree = Tree(file, key_line if in_mapping else line, value)
            if in_mapping:
                outer[key] = tree
            elif outer is not None:
                outer.append(tree)
            root = root or tree
            if which == _BRACKET:
                open_.append(value)
                outer = value
                if len(open_) > _MOST_DEPTH:
                    raise BadFile(file, "it is nested too deeply to be a configuration", line=line)
    return root


def _plain(text: str) -> str:
    """What a string means, without its quotation marks."""
    return str(json.loads(f'"{text}"')) if "\\" in text else text


_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS: Final = {
    spelled: word in {"yes", "true", "on"}
    for word in ("yes", "no", "true", "false", "on", "off")
    for spelled in (word, word.title(), word.upper())
}


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    """Text, but for null and the truths; a number keeps its form: 010 and 1_000 mean other things elsewhere."""
    text: str = event.value
    if event.implicit[0]:
        return None if text in _NULLS else _TRUTHS.get(text, text)
    if event.tag == "tag:yaml.org,2002:null":
        return None
    return _TRUTHS.get(text, False) if event.tag == "tag:yaml.org,2002:bool" else text


class _Growing:
    """A mapping or a list that is being read: what it holds until now, and the key that waits for its value."""

    __slots__ = ("anchor", "began", "key", "key_line", "merged", "merges", "tree", "wants_key")

    def __init__(self, tree: Tree, anchor: str | None, began: int) -> None:
        self.tree = tree
        self.anchor = anchor
        self.began = began
        self.wants_key = isinstance(tree.value, dict)
        self.key = ""
        self.key_line = 0
        self.merges = False
        self.merged: dict[str, Tree] = {}

    def take_key(self, key: str, line: int, *, merges: bool) -> None:
        """The key of the next value."""
        self.key, self.key_line, self.merges, self.wants_key = key, line, merges, False

    def merge(self, tree: Tree) -> None:
        """One mapping, or several, whose entries hold where this one has none of its own."""
        for part in reversed(list(tree.each())):
            self.merged |= dict(part.items())

    def whole(self) -> Tree:
        """The value, with what was merged into it before its own."""
        if self.merged and isinstance(self.tree.value, dict):
            own = dict(self.tree.value)
            self.tree.value.clear()
            self.tree.value.update({**self.merged, **own})
        return self.tree


class _Events:
    """YAML's events as trees. Aliases are followed, and what they name counts each time.

    libyaml's own loader recurses as deep as the text is nested, until the process ends; here a list grows.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._most = _MOST_NODES + len(text) // _BYTES_A_NODE
        self._open: list[_Growing] = []
        self._trees: list[Tree] = []
        self._named: dict[str, tuple[Tree, int]] = {}
        self._count = 0

    def trees(self) -> list[Tree]:
        """The documents.

        Raises:
            yaml.YAMLError: the text is no YAML.
            BadFile: it is too deep, or holds too much.
        """
        loader = LOADER(self._text)
        next_event, open_, put = loader.get_event, self._open, self._put
        try:
            while True:
                event = next_event()
                kind = type(event)
                if kind is yaml.ScalarEvent:
                    line = event.start_mark.line + 1
                    if open_ and open_[-1].wants_key:
                        key = event.value
                        open_[-1].take_key(key, line, merges=key == "<<" and event.implicit[0])
                        tree = Tree(self._file, line, key) if event.anchor else None
                    else:
                        self._count += 1
                        tree = Tree(self._file, line, _scalar(event))
                        put(tree)
                    if event.anchor and tree is not None:
                        self._named[event.anchor] = (tree, 1)
                elif kind is yaml.MappingStartEvent:
                    self._begin(event, {})
                elif kind is yaml.SequenceStartEvent:
                    self._begin(event, [])
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self._end()
                elif kind is yaml.AliasEvent:
                    self._follow(event)
                elif kind is yaml.DocumentStartEvent:
                    self._named.clear()
                elif kind is yaml.StreamEndEvent:
                    return self._trees
        finally:
            loader.dispose()

    def _begin(self, event: Any, value: dict[str, Tree] | list[Tree]) -> None:
        line = event.start_mark.line + 1
        if self._open and self._open[-1].wants_key:
            raise BadFile(self._file, "it is a template; render it first, as with `helm template`", line=line)
        if len(self._open) > _MOST_DEPTH:
            raise BadFile(self._file, "it is nested too deeply to be a configuration", line=line)
        self._add(1, line)
        if event.anchor:
            self._named.pop(event.anchor, None)  # it names nothing before it is whole
        self._open.append(_Growing(Tree(self._file, line, value), event.anchor, self._count))

    def _end(self) -> None:
        done = self._open.pop()
        tree = done.whole()
        if done.anchor:
            self._named[done.anchor] = (tree, self._count - done.began + 1)
        self._put(tree)

    def _follow(self, event: Any) -> None:
        if event.anchor not in self._named:
            problem = f"found undefined alias '{event.anchor}'"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        tree, count = self._named[event.anchor]
        line = event.start_mark.line + 1
        outer = self._open[-1] if self._open else None
        if outer is not None and outer.wants_key:
            outer.take_key(tree.text(), line, merges=False)
            return
        self._add(count, line)
        self._put(Tree(self._file, line, tree.value))

    def _put(self, tree: Tree) -> None:
        """The next value, where it belongs."""
        if not self._open:
            self._trees.append(tree)
            return
        outer = self._open[-1]
        value = outer.tree.value
        if type(value) is list:
            value.append(tree)
        elif type(value) is dict:
            outer.wants_key = True
            if outer.merges:
                outer.merge(tree)
            elif outer.key:
                tree.line = outer.key_line  # where a reader looks
                value[outer.key] = tree

    def _add(self, count: int, line: int) -> None:
        self._count += count
        if self._count > self._most:
            raise BadFile(self._file, "it holds too many values, or its aliases repeat too many", line=line)


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
