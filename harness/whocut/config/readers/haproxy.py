"""haproxy.cfg: frontends and their backends as routes, with the defaults that hold for each.

A backend's `timeout server`, `timeout connect`, `timeout queue` and `retries` count on the way to a server; of a
frontend only what concerns its caller, which cannot end a slow answer. A section takes its values from the defaults
section that it names with `from`, or from the last one before it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit
from whocut.config.formats import Format, Source, file_name, lines_of, register
from whocut.config.matching import regex, understood
from whocut.config.reading import Harmless, Later, NotRead, Reading, Route, reading_of_many
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer, LayerRetries
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
    lines: dict[tuple[str, ...], list[_Line]] = field(
        default_factory=dict
    )  # by the first word, and the first two

    def add(self, line: _Line) -> None:
        """One more statement; ten thousand are found by their first word."""
        for key in {line.words[:1], line.words[:2]}:
            self.lines.setdefault(key, []).append(line)

    def find(self, *words: str) -> tuple[_Line, bool] | None:
        """The last statement that begins so, and whether a defaults section says it."""
        section: _Section | None = self
        inherited, seen = False, 0
        while section and seen < 20:
            for line in reversed(section.lines.get(words[:2], ())):
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
        return [line for line in self.lines.get(words[:2], ()) if line.words[: len(words)] == words]

    def is_on(self, option: str) -> bool:
        """Whether an option holds here: the nearest section that speaks of it decides."""
        on, off = self.find("option", option), self.find("no", "option", option)
        if on is None or (off is not None and on[1] and not off[1]):
            return False
        return off is None or off[1] or off[0].line < on[0].line


def _sections(sources: Sequence[Source], not_read: list[NotRead]) -> list[_Section]:
    sections: list[_Section] = []
    named: dict[str, _Section] = {}
    last: _Section | None = None
    for source in sources:
        for number, text in enumerate(lines_of(source), start=1):
            words = _words(source.path, number, text)
            if not words:
                continue
            if words[0].startswith("."):
                if words[0] in {".if", ".elif"}:
                    what = f"{' '.join(words)}: it is read as if it held"
                    not_read.append(NotRead(file=source.path, line=number, what=what))
                continue
            if words[0] not in _SECTIONS:
                if not sections:
                    raise BadFile(source.path, f"'{words[0]}' is in no section", line=number)
                sections[-1].add(_Line(tuple(words), source.path, number))
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
    not_read: list[NotRead] = []
    sections = _sections(sources, not_read)
    backends = {section.name: section for section in sections if section.kind in {"backend", "listen"}}
    routes: list[Route] = []
    for front in sections:
        if front.kind == "listen":
            routes += _ways(front, front, not_read)
        elif front.kind == "frontend":
            routes += _of_frontend(front, backends, not_read)
    if not any(section.kind in {"frontend", "listen"} for section in sections):  # parts: backends alone
        routes = [way for section in backends.values() for way in _ways(section, section, not_read)]
    return reading_of_many(routes, not_read, host_first=False)


def _of_frontend(front: _Section, backends: dict[str, _Section], not_read: list[NotRead]) -> Iterator[Route]:
    """A route for each `use_backend`, in their order, and one for the default."""
    uses = front.all("use_backend")
    for place, use in enumerate(uses):
        name = use.words[1] if len(use.words) > 1 else ""
        backend = backends.get(name)
        if backend is None:
            not_read.append(
                NotRead(file=use.file, line=use.line, what=f"use_backend {name}: {_missing(name)}")
            )
            continue
        for words in _alternatives(use.words[2:]):
            condition = _Condition(front, words)
            if condition.unclear:
                what = f"use_backend {name}: {condition.unclear} decides at run time"
                not_read.append(NotRead(file=use.file, line=use.line, what=what))
            # What is not sure is taken only where nothing else is.
            rank = -place - 1 if condition.unclear else len(uses) - place
            yield from _ways(front, backend, not_read, use=use, condition=condition, rank=rank)
    default = front.find("default_backend")
    if default is None:
        return
    line, name = default[0], default[0].words[-1]
    if name in backends:
        yield from _ways(front, backends[name], not_read)
    else:
        not_read.append(
            NotRead(file=line.file, line=line.line, what=f"default_backend {name}: {_missing(name)}")
        )


def _alternatives(words: Sequence[str]) -> list[list[str]]:
    """The conditions of which one is enough."""
    found: list[list[str]] = [[]]
    for word in words:
        if word in {"or", "||"} and words[0] != "unless":
            found.append([])
        else:
            found[-1].append(word)
    return found


def _missing(name: str) -> str:
    return "the backend is decided at run time" if "%" in name else "there is no such backend here"


class _Condition:
    """What a `use_backend` asks of host and path, as far as it is written in ACLs over those two."""

    def __init__(self, front: _Section, words: Sequence[str]) -> None:
        self.hosts: list[Callable[[str], bool]] = []
        self.paths: list[Callable[[str], bool]] = []
        self.host = self.path = self.unclear = ""
        text = " ".join(words).removeprefix("if ")
        if list(words[:1]) == ["unless"]:
            self.unclear = text
            return
        for anonymous in re.findall(r"\{([^}]*)\}", text):
            self._test(anonymous.split())
        for name in re.sub(r"\{[^}]*\}", " ", text).split():
            self._named(front, name)

    def _named(self, front: _Section, name: str) -> None:
        """The ACLs of a name; behind a mark of exclamation they must not hold."""
        acls = list(front.all("acl", name.removeprefix("!")))
        if not acls:
            self.unclear = name
        elif name.startswith("!"):
            inner = _Condition(front, [name[1:]])
            self.unclear = self.unclear or (name if inner.unclear or (inner.hosts and inner.paths) else "")
            for tests, mine in ((inner.hosts, self.hosts), (inner.paths, self.paths)):
                if tests:
                    mine.append(lambda text, tests=tuple(tests): not all(test(text) for test in tests))  # type: ignore[misc]
        elif len(acls) == 1:
            self._test(acls[0].words[2:])
        else:
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
        "reg": lambda text: any(regex(value, text) for value in values),
        "dir": lambda text: any(f"/{value.strip('/')}/" in f"{text.lower()}/" for value in wanted),
    }
    if kind == "reg" and not all(map(understood, values)):
        return None
    return table.get(kind)


def _ways(
    front: _Section,
    back: _Section,
    not_read: list[NotRead],
    *,
    use: _Line | None = None,
    condition: _Condition | None = None,
    rank: int = 0,
) -> Iterator[Route]:
    """The route to a backend, and one for each rule that sets another time for some of its requests."""
    conditions = [condition] if condition else []
    where = use or _Line((), back.file, back.line)
    sections = [front] if front is back else [front, back]
    rules = [
        (section, rule)
        for section in sections
        for rule in section.all("http-request", "set-timeout", "server")
    ]
    always: _Line | None = None
    for place, (section, rule) in enumerate(rules, start=1):
        words = rule.words[4:]
        if not words:
            always = rule
            continue
        other = _Condition(section, words[1:] if words[0] == "if" else words)
        if other.unclear:
            what = f"http-request set-timeout server: {other.unclear} decides at run time"
            not_read.append(NotRead(file=rule.file, line=rule.line, what=what))
            continue
        yield _route(front, back, not_read, where, [*conditions, other], (rank, place), rule)
    yield _route(front, back, not_read, where, conditions, (rank, 0), always)


def _route(
    front: _Section,
    back: _Section,
    not_read: list[NotRead],
    where: _Line,
    conditions: Sequence[_Condition],
    rank: Rank,
    rule: _Line | None,
) -> Route:
    def takes(tests: Sequence[Callable[[str], bool]]) -> Callable[[str], Rank | None]:
        return lambda text: rank if all(test(text) for test in tests) else None

    made = cache(partial(_layer, front, back, not_read, rule))
    host = next((one.host for one in conditions if one.host), "")
    path = next((one.path for one in reversed(conditions) if one.path), f" → {back.name}")
    return Route(
        host=host,
        path=path,
        file=where.file,
        line=where.line,
        layers=Later(lambda: (made()[0],)),
        harmless=Later(lambda: made()[1]),
        takes_host=takes([test for one in conditions for test in one.hosts]),
        takes_path=takes([test for one in conditions for test in one.paths]),
    )


def _layer(
    front: _Section, back: _Section, not_read: list[NotRead], rule: _Line | None
) -> tuple[Layer, tuple[Harmless, ...]]:
    limits: dict[TimerKind, Limit] = {}
    for name, kind in _KINDS.items():
        found = (front if name == "http-keep-alive" else back).timeout(name)
        if found is not None:
            limits[kind] = _limit(found[0], found[1], not_read, inherited=found[2])
    if rule is not None:
        limits[TimerKind.FIRST_BYTE] = _limit(rule, rule.words[3] if len(rule.words) > 3 else "", not_read)
    layer = layer_of(
        "haproxy",
        limits,
        retries=_retries(back),
        # 2.6 looks only with this option.
        notices_abort=True if back.is_on("abortonclose") else None,
    )
    return layer, tuple(_harmless(front, back))


def _limit(line: _Line, written: str, not_read: list[NotRead], *, inherited: bool = False) -> Limit:
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
    return replace(
        preset("haproxy").retries,
        tries=1 + again if timed else 1,
        post=timed and not back.all("http-request", "disable-l7-retry"),
        on_timeout=timed,
        connects=1 + again if events & {"conn-failure", "all-retryable-errors"} else 1,
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


_LOOKS: Final = re.compile(r"^(?:frontend|backend|listen|defaults|global)\b[^{;\n]*$", re.MULTILINE)


_SURE: Final = re.compile(
    r"^[ \t]*+(?:timeout\s+\w|mode\s+http|server\s+\S+\s+\S+|default_backend\s)", re.MULTILINE
)


def _looks(source: Source) -> int:
    name = file_name(source)
    if name.endswith((".yaml", ".yml", ".json", ".toml", ".tf")):
        return 0
    if not source.has(_LOOKS, "frontend", "backend", "listen", "defaults", "global"):
        return 0
    sure = source.has(_SURE, "timeout", "mode", "server", "default_backend")
    return 90 if name.startswith("haproxy") and sure else 70 if sure else 0


HAPROXY: Final = register(Format(name="haproxy", title="haproxy.cfg", looks=_looks, read=_read))
