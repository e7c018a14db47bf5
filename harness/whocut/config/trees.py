"""YAML and JSON as one kind of tree, in which every value knows its line. Bounded in size, depth and aliases.

A tag that is not YAML's own (CloudFormation's ``!Sub``) is left off, and its value is kept as it is written.
"""

from __future__ import annotations

import json
import re
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

import yaml

from whocut.errors import BadFile
from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NODES: Final = 300_000  # of a text with its aliases followed, beside one for so many of its bytes
BYTES_A_NODE: Final = 8
MOST_DEPTH: Final = 60
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
        tree = self
        for key in keys:
            value = tree.value
            if isinstance(key, str):
                below = value.get(key) if isinstance(value, dict) else None
            else:
                below = value[key] if isinstance(value, list) and -len(value) <= key < len(value) else None
            if below is None:
                return None
            tree = below
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
        found = self.get(*keys) if keys else self
        value = found.value if found is not None else None
        if isinstance(value, str):
            return value
        if value is None or isinstance(value, dict | list):
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)

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


# What is between, then one of: a string, maybe with a colon and a scalar behind it; a bracket; or a bare value. A
# colon whose quotation mark is with it has a text behind it, maybe an empty one.
_STRING: Final = r'((?:[^"\\]++|\\.)*+)"'
_BARE: Final = r'([^\s{}\[\],:"]++)'
_JSON: Final = re.compile(
    rf'([\s,]*+)(?:"{_STRING}(?:(\s*+:\s*+"?+)(?:(?<="){_STRING}|{_BARE})?)?|([{{}}\[\]])|{_BARE})'
)
_LITERALS: Final[dict[str, Scalar]] = {"null": None, "true": True, "false": False}
_GROUPS: Final = methodcaller("groups", "")


def _json_tree(file: str, text: str) -> Tree | None:  # noqa: PLR0912  # one pass over matches, a case each
    """A JSON file, read in seconds at the size of a plan of Terraform's; None: it is no JSON, or maybe YAML."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    # It is well-formed, so that each mark is where it belongs, and no string has more than one line.
    root: Tree | None = None
    open_: list[Any] = []
    outer: Any = None
    in_mapping = False
    key, key_line, line = "", 0, 1
    end = len(text.rstrip())  # blanks with nothing behind them would be looked through from each on
    for gap, string, colon, member, bare_member, bracket, bare in map(_GROUPS, _JSON.finditer(text, 0, end)):
        if gap:
            line += gap.count("\n")
        if colon:
            if colon[-1] == '"':
                outer[_plain(string)] = Tree(file, line, _plain(member))
            elif bare_member:
                outer[_plain(string)] = Tree(file, line, _LITERALS.get(bare_member, bare_member))
            else:
                key, key_line = _plain(string), line
            if "\n" in colon:
                line += colon.count("\n")
            continue
        if bracket and bracket in "}]":
            open_.pop()
            outer = open_[-1] if open_ else None
            in_mapping = type(outer) is dict
            continue
        value: Any = _LITERALS.get(bare, bare) if bare else _plain(string)
        if bracket:
            value = {} if bracket == "{" else []
        tree = Tree(file, key_line if in_mapping else line, value)
        if in_mapping:
            outer[key] = tree
        elif outer is not None:
            outer.append(tree)
        root = root or tree
        if bracket:
            open_.append(value)
            outer = value
            in_mapping = bracket == "{"
            if len(open_) > MOST_DEPTH:
                raise BadFile(file, "it is nested too deeply to be a configuration", line=line)
    return root


def _plain(text: str) -> str:
    """What a string means, without its quotation marks."""
    return str(json.loads(f'"{text}"')) if "\\" in text else text


# What a plain scalar means that is no text. A number keeps its form: 010 and 1_000 mean other things elsewhere.
_PLAIN: Final[dict[str, Scalar]] = {
    spelled: word in {"yes", "true", "on"}
    for word in ("yes", "no", "true", "false", "on", "off")
    for spelled in (word, word.title(), word.upper())
} | dict.fromkeys(("", "~", "null", "Null", "NULL"))


def _tagged(event: yaml.ScalarEvent) -> Scalar:
    """A scalar with quotation marks or a tag: text, but for YAML's own null and truths."""
    text: str = event.value
    if event.tag == "tag:yaml.org,2002:null":
        return None
    return bool(_PLAIN.get(text)) if event.tag == "tag:yaml.org,2002:bool" else text


class _Events:
    """YAML's events as trees. Aliases are followed, and what they name counts each time.

    libyaml's own loader recurses as deep as the text is nested, until the process ends; here a list grows.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._most = MOST_NODES + len(text) // BYTES_A_NODE
        self._named: dict[str, tuple[Tree, int]] = {}  # what each anchor names, and how many values that is
        self._merged: dict[int, dict[str, Tree]] = {}  # by the identity of the mapping that it is merged into

    def trees(self) -> list[Tree]:  # noqa: PLR0912, PLR0915  # one pass over a million events, a case each
        """The documents.

        Raises:
            yaml.YAMLError: the text is no YAML.
            BadFile: it is too deep, or holds too much.
        """
        file, named, plain = self._file, self._named, _PLAIN.get
        words: dict[str, str] = {}  # each key once, of ten thousand objects that have the same ones
        one_of = words.setdefault
        done: list[Tree] = []
        count = 0
        outer: list[tuple[Any, ...]] = []
        # The innermost collection, where it began, and of a mapping the key that waits for its value.
        value: Any = done
        here = Tree(file, 0, done)
        in_mapping = merges = False
        key: str | None = None
        key_line = began = 0
        anchor: str | None = None
        loader = LOADER(self._text)
        next_event = loader.get_event
        try:
            while True:
                event = next_event()
                kind = type(event)
                if kind is yaml.ScalarEvent:
                    text = event.value
                    if in_mapping and key is None:
                        key, key_line = one_of(text, text), event.start_mark.line + 1
                        merges = text == "<<" and event.implicit[0]
                        if event.anchor:
                            named[event.anchor] = (Tree(file, key_line, text), 1)
                        continue
                    count += 1
                    tree = Tree(
                        file,
                        key_line if in_mapping else event.start_mark.line + 1,  # where a reader looks
                        plain(text, text) if event.implicit[0] else _tagged(event),
                    )
                    if event.anchor:
                        named[event.anchor] = (tree, 1)
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    tree = self._whole(here) if self._merged else here
                    if anchor:
                        named[anchor] = (tree, count - began + 1)
                    here, value, in_mapping, key, key_line, merges, anchor, began = outer.pop()
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    line = event.start_mark.line + 1
                    count = self._began(
                        count, line, event.anchor, len(outer), is_key=in_mapping and key is None
                    )
                    outer.append((here, value, in_mapping, key, key_line, merges, anchor, began))
                    in_mapping = kind is yaml.MappingStartEvent
                    value = {} if in_mapping else []
                    here, key, merges, anchor, began = (
                        Tree(file, line, value),
                        None,
                        False,
                        event.anchor,
                        count,
                    )
                    continue
                elif kind is yaml.AliasEvent:
                    line = event.start_mark.line + 1
                    tree, many = self._aliased(event)
                    if in_mapping and key is None:
                        key, key_line, merges = tree.text(), line, False
                        continue
                    count = self._counted(count + many, line)
                    tree = Tree(file, line, tree.value)
                elif kind is yaml.StreamEndEvent:
                    return done
                else:
                    if kind is yaml.DocumentStartEvent:
                        named.clear()
                    continue
                # A value is whole: it goes where it belongs.
                if not in_mapping:
                    value.append(tree)
                    continue
                if merges:
                    self._merge(here, tree)
                elif key:
                    tree.line = key_line
                    value[key] = tree
                key = None
        finally:
            loader.dispose()

    def _began(self, count: int, line: int, anchor: str | None, depth: int, *, is_key: bool) -> int:
        if is_key:
            raise BadFile(self._file, "it is a template; render it first, as with `helm template`", line=line)
        if depth > MOST_DEPTH:
            raise BadFile(self._file, "it is nested too deeply to be a configuration", line=line)
        if anchor:
            self._named.pop(anchor, None)  # it names nothing before it is whole
        return self._counted(count + 1, line)

    def _aliased(self, event: Any) -> tuple[Tree, int]:
        """What an alias names, and how many values that is."""
        if event.anchor not in self._named:
            problem = f"found undefined alias '{event.anchor}'"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return self._named[event.anchor]

    def _counted(self, count: int, line: int) -> int:
        if count > self._most:
            raise BadFile(self._file, "it holds too many values, or its aliases repeat too many", line=line)
        return count

    def _merge(self, into: Tree, tree: Tree) -> None:
        """One mapping, or several, whose entries hold where this one has none of its own."""
        merged = self._merged.setdefault(id(into), {})
        for part in reversed(list(tree.each())):
            merged |= dict(part.items())

    def _whole(self, tree: Tree) -> Tree:
        """A collection that ended, with what was merged into it before its own."""
        merged = self._merged.pop(id(tree), None)
        if merged and isinstance(tree.value, dict):
            own = dict(tree.value)
            tree.value.clear()
            tree.value.update({**merged, **own})
        return tree
