"""A user's own haproxy.cfg, made to run here: where it listens, what it dials, where it logs; no more than that.

Changed are the listening address and TLS towards both sides. So are the upstream's address with its health checks,
where the log goes, how the process runs, and on a scaled clock the timers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whocut.path.gateways.own import Edit, Own, edited, read_own, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.path.gateways.driver import Site

_SECTIONS: Final = {
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "cache",
}
_DROPPED: Final = {
    "daemon",
    "user",
    "group",
    "uid",
    "gid",
    "chroot",
    "pidfile",
    "stats",
    "ca-base",
    "crt-base",
}
_WORD: Final = re.compile(r"(?:[^\s\\\"']|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+")
_UNITS_S: Final = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 0.001}
_TIME: Final = re.compile(r"^(\d+)(us|ms|[smhd]|)$")
# Parameters of a server that need what is not here: TLS, names to look up, checks that knock.
_ALONE: Final = {"check", "ssl", "check-ssl", "send-proxy", "send-proxy-v2", "agent-check", "no-check"}
_WITH_VALUE: Final = {
    *("ca-file", "crt", "verify", "verifyhost", "sni", "check-sni", "alpn", "check-alpn", "ciphers"),
    *(
        "resolvers",
        "init-addr",
        "inter",
        "fastinter",
        "downinter",
        "rise",
        "fall",
        "port",
        "addr",
        "agent-port",
    ),
    *("ssl-min-ver", "ssl-max-ver", "crl-file", "on-marked-down", "observe", "error-limit", "on-error"),
}


FILE: Final = "haproxy.cfg"


def own_haproxy(config: Path, site: Site, route_line: int | None = None) -> Own:
    """The user's configuration as HAProxy gets it here; the section of the route takes the callers.

    Raises:
        BadFile: it cannot be read.
    """
    before = read_own(config)
    edits = list(_edits(before, site, route_line))
    own = Own()
    own.add(config, before, edited(before, edits), FILE)
    return own


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: its words with their places, its number, and its section, by number and keyword."""

    words: list[tuple[str, int, int]]
    number: int
    section: tuple[int, str]

    @property
    def keyword(self) -> str:
        return self.words[0][0]

    @property
    def whole(self) -> Edit:
        return Edit(self.words[0][1], self.words[-1][2], "")


def _lines(text: str) -> Iterator[_Line]:
    section, at = (0, ""), 0
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        begins, at = at, at + len(line)
        words = [(found[0], begins + found.start(), begins + found.end()) for found in _words(line)]
        if words:
            section = (number, words[0][0]) if words[0][0] in _SECTIONS else section
            yield _Line(words, number, section)


def _edits(text: str, site: Site, route_line: int | None) -> Iterator[Edit]:
    lines = list(_lines(text))
    taken = _taken(lines, route_line)
    sockets = 0
    for line in lines:
        kind, keyword, words = line.section[1], line.keyword, line.words
        if keyword == "bind":
            sockets += line.section != taken
            here = f"bind 127.0.0.1:{site.port} backlog 4096"
            other = f"bind unix@{site.folder}/other-{sockets}.sock"
            first = next(one for one in lines if one.keyword == "bind" and one.section == line.section)
            yield replace(
                line.whole, text="" if line is not first else here if line.section == taken else other
            )
        elif (kind == "global" and keyword in _DROPPED) or _redirects_to_tls(line):
            yield line.whole
        elif keyword == "log" and len(words) > 1 and words[1][0] != "global":
            yield replace(line.whole, text="log stdout format raw local0")
        elif keyword == "server" and len(words) > 2 and kind in {"backend", "listen"}:
            yield Edit(words[2][1], words[2][2], site.next)
            yield from _without(words[3:])
        elif keyword == "default-server":
            yield (
                line.whole
                if all(_is_dropped(words, place) for place in range(1, len(words)))
                else Edit(0, 0, "")
            )
            yield from _without(words[1:])
        elif keyword == "timeout" and len(words) > 2 and site.clock.scale != 1:
            real = _scaled(words[2][0], site)
            if real:
                yield Edit(words[2][1], words[2][2], real)


def _taken(lines: list[_Line], route_line: int | None) -> tuple[int, str]:
    """The section that takes the callers: of the route, else one that speaks TLS, else the first that listens."""
    binds = [line for line in lines if line.keyword == "bind"]
    of_route = {line.section for line in lines if line.number == route_line}
    with_tls = [line for line in binds if any(word == "ssl" for word, _, _ in line.words)]
    meant = [line for line in binds if line.section in of_route] or with_tls or binds
    return meant[0].section if meant else (0, "")


def _redirects_to_tls(line: _Line) -> bool:
    """Whether a line sends callers without TLS away: here none has it."""
    said = " ".join(word for word, _, _ in line.words)
    return "redirect scheme https" in said


def _words(line: str) -> Iterator[re.Match[str]]:
    for found in _WORD.finditer(line):
        if found[0].startswith("#"):
            return
        yield found


def _is_dropped(words: list[tuple[str, int, int]], place: int) -> bool:
    """Whether a parameter of a server, or the value of one, needs what is not here."""
    word, before = words[place][0], words[place - 1][0]
    return word in _ALONE or word in _WITH_VALUE or before in _WITH_VALUE


def _without(words: list[tuple[str, int, int]]) -> Iterator[Edit]:
    for place, (_, start, end) in enumerate(words):
        if _is_dropped([("", 0, 0), *words], place + 1):
            yield Edit(start, end, "")


def _scaled(written: str, site: Site) -> str | None:
    found = _TIME.match(written)
    if found is None:
        return None
    limit_s = int(found[1]) * _UNITS_S[found[2]]
    return scaled(limit_s, site.clock) if limit_s else None
