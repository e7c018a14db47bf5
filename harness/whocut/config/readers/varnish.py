"""Varnish VCL: backends with their timeouts, what `vcl_backend_fetch` sets, and which backend a request comes to.

Conditions over the host and the path are followed through their `if`, `elseif` and `else`; what asks for more is
named. A director is the first backend that is added to it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import regex, understood
from whocut.config.reading import Later, NotRead, Reading, Route
from whocut.config.trees import Tree
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_MOST_CONDITIONS: Final = 4  # that set limits; each doubles the ways
_MOST_BACKENDS: Final = 40_000  # each is a way that the request may take
_TIMERS: Final = {
    "connect_timeout": TimerKind.CONNECT,
    "first_byte_timeout": TimerKind.FIRST_BYTE,
    "between_bytes_timeout": TimerKind.IDLE,
}
_BRACE: Final = re.compile(r"[{}]")
_COMMENT: Final = re.compile(r"/\*.*?\*/|(?:#|//)[^\n]*", re.DOTALL)
_BACKEND: Final = re.compile(r"backend(?<!\wbackend)\s+([\w.-]+)\s*\{")
_FIELD: Final = re.compile(rf"\.({'|'.join(_TIMERS)})\s*=\s*([^;}}]+?)\s*;")
# The condition of an `if` ends at the brace that opens its block; a brace in a text is not looked for.
_IF: Final = re.compile(r"\b(?P<kind>if|els(?:e\s*)?if|else)\b\s*(?P<condition>\([^{};]{0,2000}\))?\s*\{")
_COMPARED: Final = re.compile(r"(?:be)?req\.(url|http\.[Hh]ost)\s*(==|!=|~|!~)\s*\"([^\"]*)\"")
_HINT: Final = re.compile(r"\bset\s+(?:be)?req\.backend(?:_hint)?\s*=\s*([\w.-]+)[^;]*;")
_ADDED: Final = re.compile(r"\b(\w+)\.add_backend\(\s*([\w.-]+)")
_SET: Final = re.compile(r"\bset\s+bereq\.(\w+_timeout)\s*=\s*([^;]+?)\s*;")


class _Block(NamedTuple):
    """The block of a backend: its name, where it is written, and from where to where it holds fields."""

    name: str
    at: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Text:
    """A file's text without its comments, the line of each place in it, and its blocks of backends."""

    path: str
    text: str
    begins: list[int]
    blocks: list[_Block] = field(default_factory=list)

    @classmethod
    def of(cls, source: Source) -> _Text:
        # A comment's lines stay, so that every line keeps its number.
        text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source.text)
        ends = accumulate(len(line) + 1 for line in text.split("\n"))
        whole = cls(source.path, text, [0, *ends][:-1])
        whole.blocks.extend(whole._blocks())
        return whole

    def _blocks(self) -> Iterator[_Block]:
        for number, backend in enumerate(_BACKEND.finditer(self.text)):
            if number == _MOST_BACKENDS:
                raise BadFile(
                    self.path,
                    f"it has more than {_MOST_BACKENDS:,} backends",
                    line=self.line(backend.start()),
                )
            end = _closing(self.text, backend.end())
            if end is None:
                line = self.line(backend.start())
                raise BadFile(self.path, f"the block of backend {backend[1]} is not closed", line=line)
            yield _Block(backend[1], backend.start(), backend.end(), end)

    def between(self) -> Iterator[tuple[int, int]]:
        """What is in no block of a backend: there are the statements."""
        at = 0
        for block in self.blocks:
            if block.at > at:
                yield at, block.at
            at = max(at, block.end + 1)
        yield at, len(self.text)

    def line(self, at: int) -> int:
        return bisect_right(self.begins, at)

    def note(self, at: int, what: str) -> NotRead:
        return NotRead(file=self.path, line=self.line(at), what=what)

    def tree(self, at: int, value: str) -> Tree:
        return Tree(self.path, self.line(at), value)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        text = _Text.of(source)
        not_read += [
            text.note(found.start(), f"include {found[1]}: give that file too")
            for found in re.finditer(r"^[ \t]*+include\s+\"([^\"]*)\"", text.text, re.MULTILINE)
        ]
        routes += _routes(text, not_read)
    if not routes:
        raise BadFile(sources[0].path, "there is no backend in it", line=1)
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(not_read)), host_first=False)


def _routes(text: _Text, not_read: list[NotRead]) -> Iterator[Route]:
    """A route for each backend, and one for each condition that leads to it or sets its limits."""
    backends = dict(_backends(text, not_read))
    always, groups = _sets(text, not_read)
    for place, (name, where, conditions) in enumerate(list(_choices(text, backends, not_read))):
        limits, line = backends[name]
        ways: list[tuple[Rank, _When, dict[TimerKind, Limit]]] = [((0, 0), conditions, always)]
        for number, (when, more) in enumerate(groups, start=1):
            ways += [((rank[0] + 1, number), way.and_(when), {**all_, **more}) for rank, way, all_ in ways]
        for rank, way, more in ways:
            whole = (int(not conditions.unclear), -place, *rank)
            yield Route(
                host=way.said("host"),
                path=f"{way.said('url')} backend {name}",
                file=text.path,
                line=where or line,
                layers=Later(partial(_layers, {**limits, **more})),
                takes_host=partial(way.takes, "host", whole),
                takes_path=partial(way.takes, "url", whole),
            )


def _sets(
    text: _Text, not_read: list[NotRead]
) -> tuple[dict[TimerKind, Limit], list[tuple[_When, dict[TimerKind, Limit]]]]:
    """The limits that are set for every request, and those under each condition."""
    groups: dict[_When, dict[TimerKind, Limit]] = {}
    for found, when in _Statements(text, _SET).found:
        kind = _TIMERS.get(found[1])
        tree = text.tree(found.start(1), found[2])
        if kind is None:
            continue
        if when.unclear or (when.tests and when not in groups and len(groups) > _MOST_CONDITIONS):
            what = f"set bereq.{found[1]}: a condition decides at run time"
            not_read.append(NotRead(file=tree.file, line=tree.line, what=what))
            continue
        put(
            groups.setdefault(when, {}),
            kind,
            limit_at(tree, units.varnish, not_read, inherited=not when.tests),
        )
    always = groups.pop(_When(), {})
    return always, list(groups.items())


def _choices(
    text: _Text, backends: dict[str, tuple[dict[TimerKind, Limit], int]], not_read: list[NotRead]
) -> Iterator[tuple[str, int | None, _When]]:
    """The backends in the order in which a request comes to them; without any condition each is one."""
    added = [found for at, end in text.between() for found in _ADDED.finditer(text.text, at, end)]
    directors = {found[1]: found[2] for found in reversed(added)}
    found = [
        (directors.get(name, name), text.line(match.start()), when)
        for match, when in _Statements(text, _HINT).found
        if (name := match[1].partition(".")[0])
    ]
    for name, line, when in found:
        if name not in backends:
            not_read.append(
                NotRead(file=text.path, line=line, what=f"backend {name}: it is not in this file")
            )
        elif when.unclear:
            what = f"backend {name}: {when.unclear} decides at run time"
            not_read.append(NotRead(file=text.path, line=line, what=what))
    known = [one for one in found if one[0] in backends]
    # Of several settings that hold the last one does; those under a condition come before the one for all.
    yield from [one for one in reversed(known) if one[2].tests or one[2].unclear]
    always = [one for one in known if not one[2].tests and not one[2].unclear]
    if always:
        yield always[-1]
    elif known:
        first = "default" if "default" in backends else next(iter(backends))
        yield first, None, _When()
    else:
        yield from ((name, None, _When()) for name in backends)


_Test = tuple[str, str, bool]  # of the host or the path: a pattern, and whether it has to fit


@dataclass(frozen=True, slots=True)
class _When:
    """The tests that have to hold; `unclear` is one that asks for something else."""

    tests: tuple[_Test, ...] = ()
    unclear: str = ""

    def and_(self, other: _When) -> _When:
        """Both."""
        return _When((*self.tests, *other.tests), self.unclear or other.unclear)

    def takes(self, of: str, rank: Rank, value: str) -> Rank | None:
        """The rank, where each test of the host, or of the path, holds."""
        return (
            rank
            if all(regex(pattern, value) is fits for on, pattern, fits in self.tests if on == of)
            else None
        )

    def said(self, of: str) -> str:
        """The first pattern that has to fit, for its name's sake."""
        return next((pattern.strip("^$") for on, pattern, fits in self.tests if on == of and fits), "")


class _Statements:
    """Every place where a statement is, with the conditions around it."""

    def __init__(self, text: _Text, statement: re.Pattern[str]) -> None:
        self.found: list[tuple[re.Match[str], _When]] = []
        open_: list[_When] = []
        denied: list[list[_When]] = [[]]  # at each depth, the conditions of this chain that did not hold
        tokens = re.compile(rf"{_IF.pattern}|(?P<open>\{{)|(?P<close>\}})|(?P<it>{statement.pattern})")
        for token in (one for at, end in text.between() for one in tokens.finditer(text.text, at, end)):
            if token["close"]:
                if open_:
                    open_.pop()
                    denied.pop()
            elif token["it"]:
                whole = _When()
                for when in open_:
                    whole = whole.and_(when)
                found = statement.match(text.text, token.start())
                if found is not None:
                    self.found.append((found, whole))
            elif token["open"]:
                open_.append(_When())
                denied.append([])
            else:
                when = _condition(token["condition"]) if token["condition"] is not None else _When()
                if token["kind"].startswith("if"):
                    denied[-1] = []
                whole = when
                for other in denied[-1]:
                    whole = whole.and_(_not(other))
                denied[-1].append(when)
                open_.append(whole)
                denied.append([])


def _condition(text: str) -> _When:
    """Tests joined by `&&`; anything else is unclear."""
    tests: list[_Test] = []
    for part in text.split("&&"):
        found = _COMPARED.fullmatch(part.strip().strip("()").strip())
        if found is None:
            return _When(unclear=" ".join(text.split()))
        pattern = found[3] if found[2].endswith("~") else f"^{re.escape(found[3])}$"
        if not understood(pattern):
            return _When(unclear=" ".join(text.split()))
        tests.append(("url" if found[1] == "url" else "host", pattern, not found[2].startswith("!")))
    return _When(tuple(tests))


def _not(when: _When) -> _When:
    """The opposite; of several tests together it is not followed."""
    if when.unclear or len(when.tests) != 1:
        return _When()
    ((of, pattern, fits),) = when.tests
    return _When(((of, pattern, not fits),))


def _backends(
    text: _Text, not_read: list[NotRead]
) -> Iterator[tuple[str, tuple[dict[TimerKind, Limit], int]]]:
    """Each backend with its own limits, and its line."""
    for block in text.blocks:
        limits: dict[TimerKind, Limit] = {}
        for entry in _FIELD.finditer(text.text, block.begin, block.end):
            written = text.tree(entry.start(1), entry[2])
            put(limits, _TIMERS[entry[1]], limit_at(written, units.varnish, not_read))
        yield block.name, (limits, text.line(block.at))


def _layers(limits: dict[TimerKind, Limit]) -> tuple[Layer, ...]:
    return (layer_of("varnish", limits),)


def _closing(text: str, at: int) -> int | None:
    depth = 1
    for found in _BRACE.finditer(text, at):
        depth += 1 if found[0] == "{" else -1
        if not depth:
            return found.start()
    return None


_VERSION: Final = re.compile(r"^[ \t]*+vcl\s+\d", re.MULTILINE)


def _looks(source: Source) -> int:
    name = file_name(source)
    if name.endswith(".vcl"):
        return 95
    return 80 if source.has(_VERSION, "vcl") else 0


VARNISH: Final = register(
    Format(name="varnish", title="Varnish VCL", looks=_looks, read=_read, also=("vcl",))
)
