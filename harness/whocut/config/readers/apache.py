"""Apache httpd: virtual hosts with their `ProxyPass`, by their worker's `timeout=`, `ProxyTimeout` or `Timeout`.

Of several `ProxyPass` the first one that fits is taken, of several `Location` the last one, which comes before
them (seen with 2.4.71). A `RewriteRule` with `P` comes before both. A worker belongs to a URL and to all below it:
what a later line says of it again is ignored.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whocut.chain.there import files_matching, is_a_file
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, lines_of, register
from whocut.config.matching import any_host, regex, understood
from whocut.config.reading import Later, NotRead, Reading, Route, reading_of_many
from whocut.config.trees import Tree
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_MOST_FILES: Final = 200
_LOCATIONS: Final = frozenset({"location", "locationmatch"})
_DEFINED: Final = re.compile(r"\$\{(\w+)\}")
_OPENS: Final = re.compile(r"<(\w+)\s*([^>]*)>")
# Blocks that a condition of the server decides; they are read as if it held.
_CONDITIONS: Final = frozenset({"ifmodule", "ifdefine", "ifversion", "if", "else", "elseif"})


def _seconds(text: str) -> float | None:
    return units.or_none(units.apache, text)


class _Line(NamedTuple):
    """A directive: its words, its first argument with its place, and its number among all."""

    words: list[str]
    tree: Tree
    order: int


@dataclass(slots=True)
class _Block:
    """A section: its name and argument, its directives, and the section around it."""

    name: str
    argument: str
    file: str
    line: int
    outer: _Block | None = None
    spelled: str = ""
    order: int = 0
    lines: dict[str, list[_Line]] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)
    conditions: list[_Block] = field(default_factory=list)  # those of the blocks that are one

    def all(self, *names: str) -> list[_Line]:
        """The directives of these names directly in the section, in their order."""
        found = [line for name in names for line in self.lines.get(name.lower(), ())]
        return sorted(found, key=lambda line: line.order)

    def whole(self) -> Iterator[_Block]:
        """This section, and those inside it that a condition of the server decides."""
        yield self
        for inner in self.conditions:
            yield from inner.whole()


@dataclass(slots=True)
class _Conf:
    not_read: list[NotRead] = field(default_factory=list)
    files: int = 0
    order: int = 0
    defined: dict[str, str] = field(default_factory=dict)
    root: Path = field(default_factory=Path)

    def note(self, block: _Block, what: str) -> None:
        """Something of a section that could not be read."""
        self.not_read.append(NotRead(file=block.file, line=block.line, what=what))

    def note_at(self, tree: Tree, what: str) -> None:
        """Something of a directive that could not be read."""
        self.not_read.append(NotRead(file=tree.file, line=tree.line, what=what))

    def read(self, source: Source, top: _Block, depth: int = 0) -> None:
        """The directives and sections of a file, below this section."""
        here = top
        number = 0
        pending = ""
        for raw in lines_of(source):
            number += 1
            line = pending + raw.strip()
            if line.endswith("\\"):
                pending = line[:-1] + " "
                continue
            pending = ""
            if not line or line.startswith("#"):
                continue
            self.order += 1
            if "${" in line:
                line = _DEFINED.sub(lambda found: self.defined.get(found[1], found[0]), line)
            if line.startswith("</"):
                if here is top:
                    raise BadFile(source.path, f"{line} closes what was never opened", line=number)
                here = here.outer or top
                continue
            opened = _OPENS.match(line)
            if opened:
                argument = opened[2].strip().strip('"')
                block = _Block(opened[1].lower(), argument, source.path, number, here, opened[1], self.order)
                here.blocks.append(block)
                if block.name in _CONDITIONS:
                    here.conditions.append(block)
                here = block
                continue
            words = _words(line)
            if not words:
                continue  # blanks of another kind
            value = Tree(source.path, number, words[1] if len(words) > 1 else "")
            here.lines.setdefault(words[0].lower(), []).append(_Line(words, value, self.order))
            if words[0].lower() == "define" and len(words) > 2:
                self.defined[words[1]] = words[2]
            if words[0].lower() in {"include", "includeoptional"} and len(words) > 1:
                self._include(words, source.path, number, here, depth)
        if here is not top:
            raise BadFile(source.path, f"<{here.spelled}> is not closed", line=here.line)

    def _include(self, words: list[str], file: str, line: int, here: _Block, depth: int) -> None:
        pattern = words[1]
        name = pattern if not pattern.startswith("/") else pattern.partition("apache2/")[2] or pattern[1:]
        paths = [Path(pattern)] if is_a_file(pattern) else files_matching(self.root, name)
        if not paths and words[0].lower() == "include":
            self.not_read.append(
                NotRead(file=file, line=line, what=f"Include {pattern}: there is no such file here")
            )
        for path in paths:
            self.files += 1
            if depth > 10 or self.files > _MOST_FILES:
                self.not_read.append(NotRead(file=file, line=line, what=f"Include {pattern}: too many files"))
                return
            try:
                self.read(Source.open(path), here, depth + 1)
            except BadFile as error:
                self.not_read.append(NotRead(file=error.path, line=error.line, what=error.problem))


def _words(line: str) -> list[str]:
    if not any(mark in line for mark in "\"'\\"):
        return line.split()
    try:
        words = shlex.split(line, posix=True)
    except ValueError:
        words = line.split()
    return words or [line]


def _read(sources: Sequence[Source]) -> Reading:
    conf = _Conf(root=Path(sources[0].path).parent)
    top = _Block("", "", sources[0].path, 1)
    for source in sources:
        conf.read(source, top)
    routes = list(_routes(conf, top))
    return reading_of_many(routes, conf.not_read)


@dataclass(slots=True)
class _Worker:
    """The settings of the connections to a URL and to all below it."""

    url: str
    settings: dict[str, tuple[str, Tree]] = field(default_factory=dict)


@dataclass(slots=True)
class _Server:
    """A virtual host, or the server around all: what it passes on, and by which workers."""

    conf: _Conf
    block: _Block
    outer: _Server | None = None
    workers: list[_Worker] = field(default_factory=list)
    members: dict[str, list[_Worker]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for block in self.block.whole():
            if block is not self.block and block.name != "ifmodule" and _speaks(block):
                self.conf.note(block, f"<{block.spelled} {block.argument}> is read as if it held")
        for line, section in sorted(self._defining(), key=lambda pair: pair[0].order):
            if section is None:
                self._passed(line)
            elif line.words[0].lower() == "balancermember":
                url = line.words[1] if len(line.words) > 1 else ""
                self.members.setdefault(section.argument.rstrip("/"), []).append(
                    _Worker(url, _settings(line))
                )
            elif not section.argument.startswith("balancer:"):
                self._worker(section.argument).settings.update(_settings(line))

    def _defining(self) -> Iterator[tuple[_Line, _Block | None]]:
        """Every line that makes or sets a worker, with its `<Proxy>` section."""
        for block in self.block.whole():
            yield from ((line, None) for line in block.all("ProxyPass", "ProxyPassMatch"))
            for inner in block.blocks:
                if inner.name == "proxy":
                    yield from ((line, inner) for line in inner.all("ProxySet", "BalancerMember"))
                elif inner.name in _LOCATIONS:
                    yield from ((line, None) for line in inner.all("ProxyPass", "ProxyPassMatch"))

    def _passed(self, line: _Line) -> None:
        _, url, rest = _parts(line, "")
        settings = {name: (value, line.tree) for name, value in _pairs(rest)}
        if url.startswith("balancer:") or "://" not in url:
            return
        known = self.longest(url)
        if known is None:
            self._worker(url).settings.update(settings)
        elif settings and known.settings != settings:
            self.conf.note_at(
                line.tree, f"the parameters of {url} are ignored: it shares the worker of {known.url}"
            )

    def _worker(self, url: str) -> _Worker:
        known = self.longest(url)
        if known is None:
            known = _Worker(url.partition("$")[0])
            self.workers.append(known)
        return known

    def longest(self, url: str) -> _Worker | None:
        """The worker of the URL that is the longest part of this one."""
        fits = [one for one in self.workers if url.startswith(one.url)]
        return max(fits, key=lambda one: len(one.url), default=None)

    def settings(self, url: str) -> dict[str, tuple[str, Tree]]:
        """What holds for a URL; of a balancer that which its first member says."""
        if url.startswith("balancer:"):
            name = "//".join(url.split("/")[0:3:2])
            members = self.members.get(name) or (self.outer.members.get(name) if self.outer else None) or []
            said = [{key: value for key, (value, _) in one.settings.items()} for one in members]
            if any(one.get("timeout") != said[0].get("timeout") for one in said[1:]):
                self.conf.note(self.block, f"the members of {name} differ: the first one's limits are taken")
            return members[0].settings if members else {}
        known = [one for server in (self, self.outer) if server and (one := server.longest(url))]
        return max(known, key=lambda one: len(one.url)).settings if known else {}

    def routes(self, hosts: list[str]) -> Iterator[Route]:
        """What is passed on here, and what is not; the lines around all hosts come before its own."""
        for outer in (self.outer.block, self.block) if self.outer else (self.block,):
            for block in outer.whole():
                for line in block.all("ProxyPass", "ProxyPassMatch"):
                    yield self._route(line, block, hosts, "", (1, -line.order))
        for block in self.block.whole():
            yield from self._rewrites(block, hosts)
            for inner in block.blocks:
                if inner.name in _LOCATIONS:
                    path = inner.argument.removeprefix("~").strip().strip('"')
                    is_pattern = inner.name == "locationmatch" or inner.argument.startswith("~")
                    for line in inner.all("ProxyPass", "ProxyPassMatch"):
                        yield self._route(line, inner, hosts, path, (2, inner.order), is_pattern=is_pattern)
                    yield from self._rewrites(inner, hosts)

    def _route(
        self,
        line: _Line,
        block: _Block,
        hosts: list[str],
        within: str,
        rank: Rank,
        *,
        is_pattern: bool = False,
    ) -> Route:
        path, url, _ = _parts(line, within)
        is_pattern = is_pattern or (not within and line.words[0].lower() == "proxypassmatch")
        return self._to(url, line, block, hosts, path, "regex" if is_pattern else "path", rank)

    def _to(
        self, url: str, line: _Line, block: _Block, hosts: list[str], path: str, kind: str, rank: Rank
    ) -> Route:
        return Route(
            host=hosts[0] if hosts else "",
            path=path,
            file=line.tree.file,
            line=line.tree.line,
            layers=() if url == "!" else Later(lambda: (_layer(self, url, block),)),
            takes_host=any_host(hosts),
            takes_path=_takes(kind, path, rank),
        )

    def _rewrites(self, block: _Block, hosts: list[str]) -> Iterator[Route]:
        """Each `RewriteRule` that passes on; one under a condition comes behind all that is sure."""
        unless: list[str] = []
        for line in block.all("RewriteCond", "RewriteRule"):
            if line.words[0].lower() == "rewritecond":
                unless.append(" ".join(line.words[1:3]))
                continue
            conditions, unless = unless, []
            flags = line.words[3].strip("[]").upper().split(",") if len(line.words) > 3 else []
            if not {"P", "PROXY"} & set(flags):
                continue
            if conditions:
                self.conf.note_at(
                    line.tree, f"RewriteRule {line.words[1]}: {conditions[0]} decides at run time"
                )
            if not understood(line.words[1]):
                self.conf.note_at(
                    line.tree, f"RewriteRule {line.words[1]}: whether it takes a path is not tried"
                )
            rank = (0 if conditions else 3, -line.order)
            yield self._to(line.words[2], line, block, hosts, line.words[1], "search", rank)


def _speaks(block: _Block) -> bool:
    """Whether a section says something of what is passed on, or of how long."""
    return bool(block.all("ProxyPass", "ProxyPassMatch", "ProxyTimeout", "Timeout"))


def _parts(line: _Line, within: str) -> tuple[str, str, list[str]]:
    """The path, the URL and the parameters of a `ProxyPass`; in a `Location` the path is that one's."""
    arguments = line.words[1:]
    alone = not arguments or "://" in arguments[0] or arguments[0] == "!"
    path = within if alone else arguments[0]
    rest = arguments if alone else arguments[1:]
    return path, rest[0] if rest else "!", rest[1:]


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    pairs = (word.partition("=") for word in words if "=" in word and "://" not in word)
    return [(name.lower(), value) for name, _, value in pairs]


def _settings(line: _Line) -> dict[str, tuple[str, Tree]]:
    return {name: (value, line.tree) for name, value in _pairs(line.words[1:])}


def _routes(conf: _Conf, top: _Block) -> Iterator[Route]:
    main = _Server(conf, top)
    yield from main.routes(_hosts(top))
    for block in top.whole():
        for inner in block.blocks:
            if inner.name == "virtualhost":
                yield from _Server(conf, inner, main).routes(_hosts(inner))


def _hosts(block: _Block) -> list[str]:
    lines = [line for one in block.whole() for line in one.all("ServerName", "ServerAlias")]
    return [re.sub(r"^\w+://", "", host).partition(":")[0] for line in lines for host in line.words[1:]]


def _layer(server: _Server, url: str, at: _Block) -> Layer:
    conf, block = server.conf, server.block
    limits: dict[TimerKind, Limit] = {}
    settings = server.settings(url)
    if "timeout" in settings:
        written, where = settings["timeout"]
        knob: dict[str, Any] = {"directive": "ProxyPass timeout", "knob": "timeout={s}   # of ProxyPass"}
        put(limits, TimerKind.FIRST_BYTE, limit_at(where, _seconds, conf.not_read, text=written, **knob))
        limits[TimerKind.IDLE] = limits[TimerKind.CONNECT] = limits[TimerKind.FIRST_BYTE]
    else:
        for name in ("ProxyTimeout", "Timeout"):
            found = _found(block, name, at)
            if found is not None:
                knob = {} if name == "ProxyTimeout" else {"directive": "Timeout", "knob": "Timeout {s}"}
                one = limit_at(found[0], _seconds, conf.not_read, inherited=found[1], **knob)
                for kind in (TimerKind.CONNECT, TimerKind.FIRST_BYTE, TimerKind.IDLE):
                    put(limits, kind, one)
                break
    if "connectiontimeout" in settings:
        written, where = settings["connectiontimeout"]
        knob = {"directive": "ProxyPass connectiontimeout", "knob": "connectiontimeout={s}   # of ProxyPass"}
        put(limits, TimerKind.CONNECT, limit_at(where, _seconds, conf.not_read, text=written, **knob))
    kept = _found(block, "KeepAliveTimeout", at)
    if kept is not None:
        knob = {"directive": "KeepAliveTimeout", "knob": "KeepAliveTimeout {s}"}
        put(
            limits, TimerKind.KEEPALIVE, limit_at(kept[0], _seconds, conf.not_read, inherited=kept[1], **knob)
        )
    return layer_of("apache", limits)


def _found(block: _Block, name: str, at: _Block) -> tuple[Tree, bool] | None:
    """The value that holds in a server, and whether another section than the one of the line says it."""
    here: _Block | None = block
    while here is not None:
        lines = sorted((line for one in here.whole() for line in one.all(name)), key=lambda line: line.order)
        if lines:
            return lines[-1].tree, lines[-1] not in at.all(name)
        here = here.outer
    return None


def _takes(kind: str, path: str, rank: Rank) -> Callable[[str], Rank | None]:
    """A path holds for itself and for what is below it; a pattern where it is found."""

    def takes(asked: str) -> Rank | None:
        if kind == "search":
            return rank if regex(path, asked) else None
        if kind == "regex":
            fits = regex(path, asked)
        elif path.endswith("/"):
            fits = asked.startswith(path)
        else:
            fits = asked == path or asked.startswith(f"{path}/")
        return rank if fits else None

    return takes


_SECTION: Final = re.compile(
    r"^[ \t]*+<(?:VirtualHost|Location|Proxy|IfModule|Directory)\b", re.MULTILINE | re.IGNORECASE
)
_PASSES: Final = re.compile(r"^[ \t]*+(?:ProxyPass|ProxyTimeout)\s", re.MULTILINE | re.IGNORECASE)


def _looks(source: Source) -> int:
    if file_name(source).endswith((".yaml", ".yml", ".json", ".toml")):
        return 0
    if source.has(_SECTION, "<virtualhost", "<location", "<proxy", "<ifmodule", "<directory"):
        return 85
    return 60 if source.has(_PASSES, "proxypass", "proxytimeout") else 0


APACHE: Final = register(
    Format(name="apache", title="Apache httpd", looks=_looks, read=_read, also=("httpd",))
)
