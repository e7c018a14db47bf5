"""Apache httpd: virtual hosts with their `ProxyPass`, by their own `timeout=`, `ProxyTimeout` or `Timeout`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, lines_of, register
from whocut.config.matching import any_host, path_rank
from whocut.config.reading import NotRead, Reading, Route
from whocut.config.trees import Tree
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.config.reading import Rank

_MOST_FILES: Final = 200
_OPENS: Final = re.compile(r"<(\w+)\s*([^>]*)>")
# Blocks that a condition of the server decides; they are read as if it held.
_CONDITIONS: Final = frozenset({"ifmodule", "ifdefine", "ifversion", "if", "else", "elseif"})


def _seconds(text: str) -> float | None:
    return units.or_none(units.apache, text)


@dataclass(slots=True)
class _Block:
    """A section: its name and argument, its directives, and the section around it."""

    name: str
    argument: str
    file: str
    line: int
    outer: _Block | None = None
    spelled: str = ""
    lines: dict[str, list[tuple[list[str], Tree]]] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)

    def all(self, name: str) -> list[tuple[list[str], Tree]]:
        return self.lines.get(name.lower(), [])

    def find(self, name: str) -> tuple[Tree, bool] | None:
        """The value that holds here, and whether an outer section says it."""
        here: _Block | None = self
        inherited = False
        while here is not None:
            found = here.all(name)
            if found:
                return found[-1][1], inherited
            here, inherited = here.outer, True
        return None


@dataclass(slots=True)
class _Conf:
    not_read: list[NotRead] = field(default_factory=list)
    files: int = 0
    root: Path = field(default_factory=Path)

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
            if line.startswith("</"):
                if here is top:
                    raise BadFile(source.path, f"{line} closes what was never opened", line=number)
                here = here.outer or top
                continue
            opened = _OPENS.match(line)
            if opened:
                argument = opened[2].strip().strip('"')
                block = _Block(opened[1].lower(), argument, source.path, number, here, opened[1])
                here.blocks.append(block)
                here = block
                continue
            words = _words(line)
            value = Tree(source.path, number, words[1] if len(words) > 1 else "")
            here.lines.setdefault(words[0].lower(), []).append((words, value))
            if words[0].lower() in {"include", "includeoptional"} and len(words) > 1:
                self._include(words, source.path, number, here, depth)
        if here is not top:
            raise BadFile(source.path, f"<{here.spelled}> is not closed", line=here.line)

    def _include(self, words: list[str], file: str, line: int, here: _Block, depth: int) -> None:
        pattern = words[1]
        try:
            name = pattern if not pattern.startswith("/") else pattern.partition("apache2/")[2] or pattern[1:]
            paths = [Path(pattern)] if Path(pattern).is_file() else sorted(self.root.glob(name))
        except (OSError, ValueError, NotImplementedError):
            paths = []
        paths = [path for path in paths if path.is_file()]
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
    routes = list(_routes(conf, top, []))
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(conf.not_read)))


def _routes(conf: _Conf, block: _Block, hosts: list[str], path: str = "") -> Iterator[Route]:
    for name in ("ServerName", "ServerAlias"):
        hosts = [*hosts, *(host for words, _ in block.all(name) for host in words[1:])]
    for words, tree in [*block.all("ProxyPass"), *block.all("ProxyPassMatch")]:
        yield from _proxied(conf, block, hosts, words, tree, path)
    for inner in block.blocks:
        if inner.name == "virtualhost":
            yield from _routes(conf, inner, [])
        elif inner.name in {"location", "locationmatch"}:
            yield from _routes(conf, inner, hosts, inner.argument.removeprefix("~").strip().strip('"'))
        elif inner.name in _CONDITIONS:
            if inner.name in {"ifdefine", "if", "else", "elseif"} and (
                inner.all("ProxyPass") or inner.all("ProxyTimeout")
            ):
                conf.not_read.append(
                    NotRead(
                        file=inner.file,
                        line=inner.line,
                        what=f"<{inner.spelled} {inner.argument}> is read as if it held",
                    )
                )
            yield from _routes(conf, inner, hosts, path)


def _proxied(
    conf: _Conf, block: _Block, hosts: list[str], words: list[str], tree: Tree, outer_path: str
) -> Iterator[Route]:
    arguments = words[1:]
    path = (
        outer_path
        if outer_path and arguments[:1] != ["/"] and (not arguments or "://" in arguments[0])
        else arguments[0]
        if arguments
        else "/"
    )
    rest = arguments if path is outer_path else arguments[1:]
    if rest[:1] == ["!"] or not rest:
        return
    settings = dict(word.lower().split("=", 1) for word in rest if "=" in word and "://" not in word)
    limits: dict[TimerKind, Limit] = {}
    where = Tree(tree.file, tree.line, None)
    own = settings.get("timeout")
    if own is not None:
        knob: dict[str, Any] = {"directive": "ProxyPass timeout", "knob": "timeout={s}   # of ProxyPass"}
        put(limits, TimerKind.FIRST_BYTE, limit_at(where, _seconds, conf.not_read, text=own, **knob))
        limits[TimerKind.IDLE] = limits[TimerKind.CONNECT] = limits[TimerKind.FIRST_BYTE]
    else:
        for name in ("ProxyTimeout", "Timeout"):
            found = block.find(name)
            if found is not None:
                knob = {} if name == "ProxyTimeout" else {"directive": "Timeout", "knob": "Timeout {s}"}
                one = limit_at(found[0], _seconds, conf.not_read, inherited=found[1], **knob)
                for kind in (TimerKind.CONNECT, TimerKind.FIRST_BYTE, TimerKind.IDLE):
                    put(limits, kind, one)
                break
    connect = settings.get("connectiontimeout")
    if connect is not None:
        knob = {"directive": "ProxyPass connectiontimeout", "knob": "connectiontimeout={s}   # of ProxyPass"}
        put(limits, TimerKind.CONNECT, limit_at(where, _seconds, conf.not_read, text=connect, **knob))
    kept = block.find("KeepAliveTimeout")
    if kept is not None:
        knob = {"directive": "KeepAliveTimeout", "knob": "KeepAliveTimeout {s}"}
        put(
            limits, TimerKind.KEEPALIVE, limit_at(kept[0], _seconds, conf.not_read, inherited=kept[1], **knob)
        )
    is_pattern = words[0].lower() == "proxypassmatch"
    yield Route(
        host=hosts[0] if hosts else "",
        path=path,
        file=tree.file,
        line=tree.line,
        layers=(layer_of("apache", limits),),
        takes_host=any_host(hosts),
        takes_path=_takes("regex" if is_pattern else "prefix", path),
    )


def _takes(kind: str, path: str) -> Callable[[str], Rank | None]:
    body = path.lstrip("^").rstrip("$") + ".*" if kind == "regex" else path
    return lambda asked: path_rank(kind, body, asked)


def _looks(source: Source) -> int:
    if file_name(source).endswith((".yaml", ".yml", ".json", ".toml")):
        return 0
    if re.search(
        r"^\s*<(?:VirtualHost|Location|Proxy|IfModule|Directory)\b", source.text, re.MULTILINE | re.IGNORECASE
    ):
        return 85
    return (
        60 if re.search(r"^\s*(?:ProxyPass|ProxyTimeout)\s", source.text, re.MULTILINE | re.IGNORECASE) else 0
    )


APACHE: Final = register(
    Format(name="apache", title="Apache httpd", looks=_looks, read=_read, also=("httpd",))
)
