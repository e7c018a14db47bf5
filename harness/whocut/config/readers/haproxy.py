"""haproxy.cfg: frontends and their backends as routes, with the defaults that hold for each.

A backend's `timeout server`, `timeout connect`, `timeout queue` and `retries` count on the way to a server; of a
frontend only what concerns its caller, which cannot end a slow answer. A section takes its values from the defaults
section that it names with `from`, or from the last one before it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue
from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit
from whocut.config.formats import Format, Source, file_name, lines_of, register
from whocut.config.reading import Harmless, NotRead, Reading, Route
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_SECTIONS: Final = {
    "global", "defaults", "frontend", "backend", "listen", "resolvers", "peers", "mailers", "userlist", "cache",
    "program", "http-errors", "ring", "fcgi-app", "log-forward", "crt-store", "traces", "acme",
}  # fmt: skip
_KINDS: Final = {
    "connect": TimerKind.CONNECT,
    "server": TimerKind.FIRST_BYTE,
    "http-keep-alive": TimerKind.KEEPALIVE,
}
# Old spellings that still hold.
_OLD: Final = {"contimeout": "connect", "srvtimeout": "server", "clitimeout": "client"}


@dataclass(frozen=True, slots=True)
class _Line:
    """One statement: its words, and its place."""

    words: tuple[str, ...]
    file: str
    line: int


@dataclass(slots=True)
class _Section:
    """A section with its statements, and the defaults that it falls back on."""

    kind: str
    name: str
    file: str
    line: int
    defaults: _Section | None = None
    lines: list[_Line] = field(default_factory=list)

    def find(self, *words: str) -> tuple[_Line, bool] | None:
        """The last statement that begins so, and whether a defaults section says it."""
        section: _Section | None = self
        inherited, seen = False, 0
        while section and seen < 20:
            for line in reversed(section.lines):
                if line.words[: len(words)] == words:
                    return line, inherited
            inherited, section, seen = True, section.defaults, seen + 1
        return None

    def timeout(self, name: str) -> tuple[_Line, str, bool] | None:
        """A timeout's statement, its value as written, and whether it is inherited."""
        old = next((word for word, means in _OLD.items() if means == name), "")
        found = self.find("timeout", name) or (self.find(old) if old else None)
        if found is None:
            return None
        line, inherited = found
        return line, line.words[-1] if len(line.words) > 1 else "", inherited

    def all(self, *words: str) -> list[_Line]:
        return [line for line in self.lines if line.words[: len(words)] == words]

    def is_on(self, option: str) -> bool:
        """Whether an option holds here: the nearest section that speaks of it decides."""
        on, off = self.find("option", option), self.find("no", "option", option)
        if on is None or (off is not None and on[1] and not off[1]):
            return False
        return off is None or off[1] or off[0].line < on[0].line


def _sections(sources: Sequence[Source]) -> list[_Section]:
    sections: list[_Section] = []
    named: dict[str, _Section] = {}
    last: _Section | None = None
    for source in sources:
        for number, text in enumerate(lines_of(source), start=1):
            words = _words(source.path, number, text)
            if not words:
                continue
            if words[0] not in _SECTIONS:
                if not sections:
                    raise BadFile(source.path, f"'{words[0]}' is in no section", line=number)
                sections[-1].lines.append(_Line(tuple(words), source.path, number))
                continue
            section = _Section(words[0], words[1] if len(words) > 1 else "", source.path, number)
            base = words[words.index("from") + 1] if "from" in words[:-1] else None
            if base is not None and base not in named:
                raise BadFile(source.path, f"there is no defaults section '{base}' above", line=number)
            section.defaults = named[base] if base else last if section.kind != "defaults" else None
            if section.kind == "defaults":
                last = section
                named[section.name] = section
            sections.append(section)
    return sections


def _words(file: str, line: int, text: str) -> list[str]:
    if "#" not in text and not any(mark in text for mark in "\"'\\"):
        return text.split()
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        return list(lexer)
    except ValueError:
        raise BadFile(file, "a quotation is not closed", line=line) from None


def _read(sources: Sequence[Source]) -> Reading:
    sections = _sections(sources)
    not_read: list[NotRead] = []
    backends = {section.name: section for section in sections if section.kind in {"backend", "listen"}}
    routes: list[Route] = []
    for front in sections:
        if front.kind == "listen":
            routes.append(_route(front, front, not_read))
        elif front.kind == "frontend":
            routes += _of_frontend(front, backends, not_read)
    if not any(section.kind in {"frontend", "listen"} for section in sections):  # parts: backends alone
        routes = [_route(section, section, not_read) for section in backends.values()]
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(not_read)), host_first=False)


def _of_frontend(front: _Section, backends: dict[str, _Section], not_read: list[NotRead]) -> Iterator[Route]:
    """A route for each `use_backend`, in their order, and one for the default."""
    uses = front.all("use_backend")
    for place, use in enumerate(uses):
        name = use.words[1] if len(use.words) > 1 else ""
        backend = backends.get(name)
        condition = _Condition(front, use.words[2:])
        if backend is None:
            not_read.append(
                NotRead(file=use.file, line=use.line, what=f"use_backend {name}: {_missing(name)}")
            )
            continue
        if condition.unclear:
            not_read.append(
                NotRead(
                    file=use.file,
                    line=use.line,
                    what=f"use_backend {name}: {condition.unclear} decides at run time",
                )
            )
        yield _route(front, backend, not_read, use=use, condition=condition, rank=len(uses) - place)
    default = front.find("default_backend")
    if default is None:
        return
    line, name = default[0], default[0].words[-1]
    if name in backends:
        yield _route(front, backends[name], not_read)
    else:
        not_read.append(
            NotRead(file=line.file, line=line.line, what=f"default_backend {name}: {_missing(name)}")
        )


def _missing(name: str) -> str:
    return "the backend is decided at run time" if "%" in name else "there is no such backend here"


class _Condition:
    """What a `use_backend` asks of host and path, as far as it is written in ACLs over those two."""

    def __init__(self, front: _Section, words: Sequence[str]) -> None:
        self.hosts: list[Callable[[str], bool]] = []
        self.paths: list[Callable[[str], bool]] = []
        self.host = self.path = self.unclear = ""
        text = " ".join(words).removeprefix("if ")
        if words[:1] == ["unless"] or words[:1] == ("unless",) or "||" in words or " or " in f" {text} ":
            self.unclear = text
            return
        for anonymous in re.findall(r"\{([^}]*)\}", text):
            self._test(anonymous.split())
        for name in re.sub(r"\{[^}]*\}", " ", text).split():
            acls = list(front.all("acl", name))
            if name.startswith("!") or not acls:
                self.unclear = name
            for acl in acls[:1] if len(acls) == 1 else ():
                self._test(acl.words[2:])
            if len(acls) > 1:
                self._any([acl.words[2:] for acl in acls], name)

    def _any(self, tests: list[tuple[str, ...]], name: str) -> None:
        """Several lines of one name: any of them is enough; of one kind they are one list."""
        fetches = {test[0] for test in tests if test}
        if len(fetches) == 1 and all("-f" not in test for test in tests):
            flags = [word for word in tests[0][1:] if word.startswith("-")]
            self._test(
                [
                    fetches.pop(),
                    *flags,
                    *(word for test in tests for word in test[1:] if not word.startswith("-")),
                ]
            )
        else:
            self.unclear = name

    def _test(self, words: Sequence[str]) -> None:
        fetch, values = (words[0] if words else ""), [word for word in words[1:] if not word.startswith("-")]
        if "-m" in words:
            place = list(words).index("-m")
            method = words[place + 1] if place + 1 < len(words) else ""
            values = [value for value in values if value != method]
        else:
            method = ""
        host = re.match(
            r"(?:hdr(?:_\w+)?\((?i:host)[^)]*\)|req\.hdr(?:_\w+)?\((?i:host)[^)]*\)|ssl_fc_sni|req\.ssl_sni)",
            fetch,
        )
        path = re.match(r"(?:path|url|capture\.req\.uri|base)(?:_(\w+))?\b", fetch)
        if (host is None and path is None) or "-f" in words:
            self.unclear = fetch or "a condition"
            return
        kind = method or (re.search(r"_(beg|end|dom|dir|sub|reg|str)\b", fetch) or ["", ""])[1]
        test = _compare(kind, values)
        if test is None:
            self.unclear = fetch
        elif host:
            self.hosts.append(test)
            self.host = self.host or (values[0] if values else "")
        else:
            self.paths.append(test)
            self.path = self.path or (values[0] if values else "")


def _compare(kind: str, values: Sequence[str]) -> Callable[[str], bool] | None:
    """A test against any of the values, by HAProxy's way to match."""
    wanted = tuple(value.lower() for value in values)
    table: dict[str, Callable[[str], bool]] = {
        "": lambda text: text.lower() in wanted,
        "str": lambda text: text.lower() in wanted,
        "beg": lambda text: text.lower().startswith(wanted),
        "end": lambda text: text.lower().endswith(wanted),
        "sub": lambda text: any(value in text.lower() for value in wanted),
        "dom": lambda text: any(f".{value}." in f".{text.lower()}." for value in wanted),
        "dir": lambda text: any(f"/{value.strip('/')}/" in f"{text.lower()}/" for value in wanted),
    }
    return table.get(kind)


def _route(
    front: _Section,
    back: _Section,
    not_read: list[NotRead],
    *,
    use: _Line | None = None,
    condition: _Condition | None = None,
    rank: int = 0,
) -> Route:
    def takes(tests: Sequence[Callable[[str], bool]]) -> Callable[[str], Rank | None]:
        return lambda text: (rank,) if all(test(text) for test in tests) else None

    layer, harmless = _layer(front, back, not_read)
    where = use or _Line((), back.file, back.line)
    return Route(
        host=condition.host if condition else "",
        path=condition.path if condition and condition.path else f" → {back.name}",
        file=where.file,
        line=where.line,
        layers=(layer,),
        harmless=harmless,
        takes_host=takes(condition.hosts if condition else ()),
        takes_path=takes(condition.paths if condition else ()),
    )


def _layer(front: _Section, back: _Section, not_read: list[NotRead]) -> tuple[Layer, tuple[Harmless, ...]]:
    limits: dict[TimerKind, Limit] = {}
    for name, kind in _KINDS.items():
        found = (front if name == "http-keep-alive" else back).timeout(name)
        if found is not None:
            limits[kind] = _limit(*found, not_read)
    layer = layer_of(
        "haproxy",
        limits,
        retries=_retries(back),
        # 2.6 looks only with this option.
        notices_abort=True if back.is_on("abortonclose") else None,
    )
    return layer, tuple(_harmless(front, back))


def _limit(line: _Line, written: str, inherited: bool, not_read: list[NotRead]) -> Limit:  # noqa: FBT001  # a triple, unpacked
    try:
        seconds = units.haproxy(written)
    except ValueError as error:
        not_read.append(NotRead(file=line.file, line=line.line, what=f"{' '.join(line.words[:2])}: {error}"))
        return limit(None, line.file, line.line, inherited=inherited, unknown=True)
    return limit(seconds or None, line.file, line.line, inherited=inherited)


def _retries(back: _Section) -> LayerRetries:
    """`retries` are of connections, and of timeouts where `retry-on` says so: of a POST too, unless forbidden."""
    on = back.find("retry-on")
    events = set(on[0].words[1:]) if on else {"conn-failure"}
    count = back.find("retries")
    written = count[0].words[-1] if count else "3"
    again = int(written) if written.isdecimal() else 3
    timed = bool(events & {"response-timeout", "all-retryable-errors"})
    line = on[0] if on else count[0] if count else None
    return LayerRetries(
        tries=1 + again if timed else 1,
        post=timed and not back.all("http-request", "disable-l7-retry"),
        on_timeout=timed,
        file=line.file if line and timed else "",
        line=line.line if line and timed else None,
    )


def _harmless(front: _Section, back: _Section) -> Iterator[Harmless]:
    for other in catalogue()["haproxy"].other:
        name = other.directive.removeprefix("timeout ")
        found = (front if name in {"client", "http-request"} else back).timeout(name)
        if found is None:
            continue
        line, written, _ = found
        try:
            seconds = units.haproxy(written)
        except ValueError:
            continue
        yield Harmless(
            directive=other.directive,
            limit_s=seconds or None,
            why=f"watches {other.watches}",
            file=line.file,
            line=line.line,
        )


_LOOKS: Final = re.compile(r"^(?:frontend|backend|listen|defaults|global)\b[^{;]*$", re.MULTILINE)


def _looks(source: Source) -> int:
    name = file_name(source)
    if name.endswith((".yaml", ".yml", ".json", ".toml", ".tf")):
        return 0
    if not _LOOKS.search(source.text):
        return 0
    sure = re.search(
        r"^\s*(?:timeout\s+\w|mode\s+http|server\s+\S+\s+\S+|default_backend\s)", source.text, re.MULTILINE
    )
    return 90 if name.startswith("haproxy") and sure else 70 if sure else 0


HAPROXY: Final = register(Format(name="haproxy", title="haproxy.cfg", looks=_looks, read=_read))
