"""Caddyfile and Caddy's JSON: sites with their `reverse_proxy`, transports and the server's own timeouts.

Without any of these Caddy has no timer for a slow answer. Snippets and imported files are read in their places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.layers import LayerRetries
from whocut.chain.there import files_matching, is_a_file
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.caddy_matching import Matcher, Way
from whocut.config.formats import Format, Source, file_name, lines_of, register
from whocut.config.reading import NotRead, Reading, reading_of_many
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Route

_MOST_DEPTH: Final = 40
_NOTHING: Final = Tree("", 0, None)
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|[^\s"`][^\s]*|"', re.DOTALL)
_WRAPPERS: Final = frozenset({"handle", "handle_path", "route"})
_HANDLERS: Final = _WRAPPERS | {"reverse_proxy", "php_fastcgi"}
_TRANSPORT: Final = {
    "dial_timeout": TimerKind.CONNECT,
    "response_header_timeout": TimerKind.FIRST_BYTE,
    "read_timeout": TimerKind.IDLE,
}
_WRITE: Final[dict[str, Any]] = {
    "directive": "servers timeouts write",
    "knob": "timeouts {{ write {s}s }}   # global options, servers",
}


_VARIABLE: Final = re.compile(r"\{\$\w+(?::([^{}]*))?\}")
_SCHEME: Final = re.compile(r"^\w++://")
_ARGUMENT: Final = re.compile(r"\{args(?:\[(\d+)\]|\.(\d+))\}")


def _caddy(text: str) -> float | None:
    return units.or_none(units.caddy, text)


@dataclass(slots=True)
class _Line:
    """One line of a Caddyfile: its words, and the lines of its block."""

    words: list[str]
    file: str
    line: int
    block: Sequence[_Line] = ()

    def limit(self, not_read: list[NotRead], **knob: Any) -> Limit | None:
        """The limit that its first argument says; of a variable with a default the default."""
        written = self.words[1] if len(self.words) > 1 else ""
        value = _VARIABLE.sub(lambda found: found[0] if found[1] is None else found[1], written)
        if value != written:
            not_read.append(NotRead(file=self.file, line=self.line, what=f"{written}: its default is taken"))
        return limit_at(Tree(self.file, self.line, value), _caddy, not_read, **knob)


def _parse(source: Source) -> list[_Line]:
    top: list[_Line] = []
    open_: list[list[_Line]] = []
    here = top
    heredoc = ""
    pending: list[str] = []  # addresses of a site, where a comma ends the line
    for number, raw in enumerate(lines_of(source), start=1):
        if heredoc:
            heredoc = "" if raw.strip() == heredoc else heredoc
            continue
        words = [*pending, *_words(raw)] if pending else _words(raw)
        if not words:
            continue
        last = words[-1]
        pending = words if last[-1:] == "," and len(last) > 1 else []
        if pending:
            continue
        if last[:2] == "<<" and len(last) > 2:
            heredoc = last[2:]
        if last == "}" and len(words) == 1:
            if not open_:
                raise BadFile(source.path, "a brace is closed that was never opened", line=number)
            here = open_.pop()
            continue
        if last != "{":
            here.append(_Line(words, source.path, number))
            continue
        if len(words) == 1 and (top or open_):
            raise BadFile(source.path, "a block has no name", line=number)
        if len(open_) >= _MOST_DEPTH:
            raise BadFile(source.path, "it is nested too deeply to be a configuration", line=number)
        inner: list[_Line] = []
        here.append(_Line(words[:-1], source.path, number, inner))
        open_.append(here)
        here = inner
    if open_:
        raise BadFile(
            source.path,
            f"the block of '{' '.join(open_[-1][-1].words)}' is not closed",
            line=open_[-1][-1].line,
        )
    return top


def _words(line: str) -> list[str]:
    """The words of a line; most lines have neither a quotation nor a comment."""
    if '"' not in line and "`" not in line and "#" not in line:
        return line.split()
    return [word.strip('"`') for word in _TOKEN.findall(_without_comment(line))]


def _without_comment(line: str) -> str:
    found = re.search(r"(?:^|\s)#", line)
    return line[: found.start()] if found else line


@dataclass(slots=True)
class _Conf:
    """Everything that is read together."""

    not_read: list[NotRead] = field(default_factory=list)
    snippets: dict[str, Sequence[_Line]] = field(default_factory=dict)
    server: dict[TimerKind, Limit] = field(default_factory=dict)
    root: Path = field(default_factory=Path)

    def note(self, line: _Line, what: str) -> None:
        """Something that could not be read."""
        self.not_read.append(NotRead(file=line.file, line=line.line, what=what))

    def imported(self, lines: Sequence[_Line], depth: int = 0) -> list[_Line]:
        """The lines with snippets and imported files in their places."""
        found: list[_Line] = []
        for line in lines:
            if len(line.words) < 2 or line.words[0] != "import":
                if line.block:
                    line.block = self.imported(line.block, depth)
                found.append(line)
                continue
            name = line.words[1]
            if depth > 10:
                self.note(line, f"import {name}: it imports itself")
            elif name in self.snippets:
                found += self.imported(_copies(self.snippets[name], line.words[2:]), depth + 1)
            else:
                found += self.imported(self._files(line, name), depth + 1)
        return found

    def _files(self, line: _Line, name: str) -> list[_Line]:
        beside = not name.startswith("/")
        paths = files_matching(self.root, name) if beside else [Path(name)] if is_a_file(name) else []
        if not paths:
            self.note(line, f"import {name}: there is no such snippet or file here")
        found: list[_Line] = []
        for path in paths[:100]:
            try:
                found += _parse(Source.open(path))
            except BadFile as error:
                self.not_read.append(NotRead(file=error.path, line=error.line, what=error.problem))
        return found


def _copies(lines: Sequence[_Line], args: list[str]) -> list[_Line]:
    """The lines of a snippet with the arguments of its import."""

    def filled(found: re.Match[str]) -> str:
        place = int(found[1] or found[2])
        return args[place] if place < len(args) else found[0]

    return [
        _Line(
            [_ARGUMENT.sub(filled, word) for word in line.words],
            line.file,
            line.line,
            _copies(line.block, args),
        )
        for line in lines
    ]


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        if source.text.lstrip().startswith("{") and file_name(source).endswith(".json"):
            routes += _of_json(source, not_read)
        else:
            conf = _Conf(root=Path(source.path).parent, not_read=not_read)
            routes += _of_file(conf, _parse(source))
    return reading_of_many(routes, not_read)


# --- the Caddyfile --------------------------------------------------------------------------------


def _of_file(conf: _Conf, lines: list[_Line]) -> Iterator[Route]:
    for line in lines:
        if len(line.words) == 1 and re.fullmatch(r"\(.+\)", line.words[0]):
            conf.snippets[line.words[0][1:-1]] = line.block
    lines = conf.imported(
        [line for line in lines if not re.fullmatch(r"\(.+\)", line.words[0] if line.words else "")]
    )
    options = next((line for line in lines if not line.words), None)
    for server in [line for line in (options.block if options else ()) if line.words[:1] == ["servers"]]:
        _of_server(conf, server)
    sites = [line for line in lines if line.words and line.block]
    if not sites:  # a site without braces: its address, then its directives
        loose = [line for line in lines if line.words]
        if loose and ("." in loose[0].words[0] or ":" in loose[0].words[0]):
            sites = [_Line(loose[0].words, loose[0].file, loose[0].line, loose[1:])]
    for site in sites:
        hosts = [host for word in site.words if (host := _host(word))]
        for word in site.words:
            if "{" in _address(word):
                conf.note(site, f"the site {word}: its host decides at run time")
        yield from _of_site(conf, Way(hosts=tuple(hosts)), site.block, {})


def _of_server(conf: _Conf, server: _Line) -> None:
    for times in [line for line in server.block if line.words[:1] == ["timeouts"]]:
        for line in times.block:
            if line.words[:1] == ["write"]:
                put(
                    conf.server,
                    TimerKind.TOTAL,
                    line.limit(conf.not_read, inherited=True, **_WRITE),
                )
            elif line.words[:1] == ["idle"]:
                put(
                    conf.server,
                    TimerKind.KEEPALIVE,
                    line.limit(conf.not_read, inherited=True),
                )


def _host(address: str) -> str:
    host = _address(address).partition(":")[0]
    return "" if host in {"", "*"} or "{" in host else host


def _address(written: str) -> str:
    """An address without its scheme and its path, with the defaults of its variables."""
    written = written.rstrip(",")
    if "{" in written:
        written = _VARIABLE.sub(lambda found: found[0] if found[1] is None else found[1], written)
    return _SCHEME.sub("", written).partition("/")[0]


def _named_matchers(lines: Sequence[_Line]) -> dict[str, Matcher]:
    """Each named matcher by its name."""
    found: dict[str, Matcher] = {}
    for line in lines:
        if line.words and line.words[0][:1] == "@":
            inner = [line.words[1:], *(child.words for child in line.block)]
            found[line.words[0]] = Matcher.of([words for words in inner if words])
    return found


def _of_site(
    conf: _Conf, way: Way, lines: Sequence[_Line], matchers: dict[str, Matcher], *, literal: bool = False
) -> Iterator[Route]:
    """The routes of a block; in a `route` the order is that of the file."""
    own = _named_matchers(lines)
    matchers = {**matchers, **own} if own else matchers
    for place, line in enumerate(lines):
        name = line.words[0] if line.words else ""
        if name not in _HANDLERS:
            continue
        written = line.words[1] if len(line.words) > 1 and line.words[1].startswith(("/", "*", "@")) else ""
        matcher = (
            matchers.get(written, Matcher(unclear=True))
            if written.startswith("@")
            else Matcher(paths=(written,))
            if written.startswith("/")
            else Matcher()
        )
        if matcher.unclear:
            conf.note(line, f"the matcher {written} asks for something that decides at run time")
        inner = way.through(matcher, place, wraps=name in _WRAPPERS, literal=literal)
        if name in _WRAPPERS:
            if name == "handle_path":
                inner = inner.without(written.rstrip("*").rstrip("/"))
            yield from _of_site(conf, inner, line.block, matchers, literal=name == "route")
        else:
            yield inner.route(line.file, line.line, partial(_proxy, conf, line))


def _proxy(conf: _Conf, proxy: _Line) -> Layer:
    limits = dict(conf.server)
    blocks = [line.block for line in proxy.block if line.words[:1] == ["transport"]]
    blocks += [proxy.block] if proxy.words[0] == "php_fastcgi" else []
    for line in [line for block in blocks for line in block]:
        kind = _TRANSPORT.get(line.words[0] if line.words else "")
        if kind is not None:
            put(limits, kind, line.limit(conf.not_read))
    return layer_of("caddy", limits, retries=_retries(proxy))


def _retries(proxy: _Line) -> LayerRetries | None:
    """`lb_retries` are of failed connections, and of a request that was sent only where it may be repeated."""
    for line in proxy.block:
        if line.words[:1] == ["lb_retries"] and len(line.words) > 1 and line.words[1].isdecimal():
            return LayerRetries(tries=1 + int(line.words[1]), file=line.file, line=line.line)
    return None


# --- JSON -----------------------------------------------------------------------------------------


def _of_json(source: Source, not_read: list[NotRead]) -> Iterator[Route]:
    for tree in yaml_trees(source.path, source.text):
        servers = tree.get("apps", "http", "servers") or _NOTHING
        for server in [one for _, one in servers.items()]:  # a tree, not a dict
            limits: dict[TimerKind, Limit] = {}
            put(
                limits,
                TimerKind.TOTAL,
                limit_at(server.get("write_timeout"), _nanoseconds, not_read, inherited=True, **_WRITE),
            )
            put(
                limits,
                TimerKind.KEEPALIVE,
                limit_at(server.get("idle_timeout"), _nanoseconds, not_read, inherited=True),
            )
            yield from _json_routes(server.get("routes") or _NOTHING, limits, Way(), not_read, 0)


def _nanoseconds(text: str) -> float | None:
    return float(text) / 1e9 or None if re.fullmatch(r"\d+", text) else _caddy(text)


def _json_routes(
    routes: Tree, server: dict[TimerKind, Limit], way: Way, not_read: list[NotRead], depth: int
) -> Iterator[Route]:
    for place, route in enumerate(routes.each()) if depth < 20 else ():
        for match in list((route.get("match") or _NOTHING).each()) or [_NOTHING]:
            matcher = Matcher.of(
                [[name, *(value.text() for value in child.each())] for name, child in match.items()]
            )
            if matcher.unclear:
                not_read.append(
                    NotRead(
                        file=match.file,
                        line=match.line,
                        what="the match asks for something that decides at run time",
                    )
                )
            inner = way.through(matcher, place, wraps=False, literal=True)
            for handler in (route.get("handle") or _NOTHING).each():
                if handler.text("handler") == "subroute":
                    yield from _json_routes(
                        handler.get("routes") or _NOTHING, server, inner, not_read, depth + 1
                    )
                elif handler.text("handler") == "reverse_proxy":
                    layer = partial(_json_layer, handler, server, not_read)
                    yield inner.route(handler.file, handler.line, layer)


def _json_layer(handler: Tree, server: dict[TimerKind, Limit], not_read: list[NotRead]) -> Layer:
    limits = dict(server)
    for name, kind in _TRANSPORT.items():
        put(limits, kind, limit_at(handler.get("transport", name), _nanoseconds, not_read))
    return layer_of("caddy", limits, retries=_json_retries(handler))


def _json_retries(handler: Tree) -> LayerRetries | None:
    found = handler.get("load_balancing", "retries")
    if found is None or not found.text().isdecimal():
        return None
    return LayerRetries(tries=1 + int(found.text()), file=found.file, line=found.line)


_PASSES: Final = re.compile(r"^[ \t]*+reverse_proxy\s", re.MULTILINE)


def _looks(source: Source) -> int:
    name = file_name(source)
    if name == "caddyfile" or name.startswith("caddyfile.") or name.endswith(".caddyfile"):
        return 95
    if name.endswith(".json"):
        return 80 if '"reverse_proxy"' in source.text and '"apps"' in source.text else 0
    if name.endswith((".yaml", ".yml", ".toml", ".conf", ".cfg")):
        return 0
    return 60 if source.has(_PASSES, "reverse_proxy") else 0


CADDY: Final = register(
    Format(name="caddy", title="Caddyfile or JSON", looks=_looks, read=_read, also=("caddyfile",))
)
