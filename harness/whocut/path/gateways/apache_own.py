"""A user's own Apache configuration, made to run here: where it listens, what it dials, where it logs; no more.

Changed are the listening addresses, TLS towards both sides, the workers' addresses and the paths that are written
to. So are how the process is run and, on a scaled clock, the timers. The virtual host of the route takes every
caller; the others listen on a port that is nowhere. Modules are those of this machine. Includes are changed alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile, BadInput
from whocut.path.gateways.own import Edit, Own, edited, read_own
from whocut.trace.logs.in_run import ERROR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site

COPY: Final = "own.conf"
_MOST_FILES: Final = 200
_NOWHERE: Final = 1  # a port at which nothing listens
_WORD: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|[^\s\"]+")
_URL: Final = re.compile(r"^(\"?)(?:unix:[^|]*\|)?(?P<scheme>\w+)://(?P<host>[^/\"$]*)(?P<rest>[^\"]*)\"?$")
_TIME: Final = re.compile(r"^(?P<name>(?:connection)?timeout=)?(?P<number>\d+)$", re.IGNORECASE)
_DROPPED: Final = {
    *(
        "listen",
        "loadmodule",
        "user",
        "group",
        "pidfile",
        "serverroot",
        "mutex",
        "defaultruntimedir",
        "loadfile",
    ),
    *("listenbacklog", "mpm", "transferlog", "customlog", "serverlimit", "startservers", "scoreboardfile"),
}
_TIMERS: Final = {"timeout", "proxytimeout", "keepalivetimeout"}
_OTHER_WIRES: Final = {"ajp", "fcgi", "scgi", "uwsgi", "ftp", "h2", "h2c"}


@dataclass(slots=True)
class _Copying:
    """One configuration with its includes, on the way into a folder."""

    site: Site
    layer: Layer
    root: Path
    own: Own = field(default_factory=Own)
    files: int = 0
    taken: tuple[Path, int] | None = None

    def edits(self, path: Path, text: str) -> Iterator[Edit]:
        """Line by line; a comment and a continued line stay as they are."""
        hosts = _virtual_hosts(text)
        meant = self._meant(path, hosts)
        at = 0
        members = 0
        for number, raw in enumerate(text.splitlines(keepends=True), start=1):
            start, at = at, at + len(raw)
            words = [(found[0], start + found.start(), start + found.end()) for found in _WORD.finditer(raw)]
            if not words or words[0][0].startswith("#"):
                continue
            name = words[0][0].lower()
            whole = Edit(words[0][1], words[-1][2], "")
            if name == "<virtualhost":
                port = self.site.port if number == meant else _NOWHERE
                yield Edit(whole.start, whole.end, f"<VirtualHost *:{port}>")
            elif name == "<proxy" and len(words) > 1:
                members = 0
                yield from self._url(path, number, words[1], closes=">")
            elif name in _DROPPED or name.startswith("ssl"):
                yield whole
            elif name == "errorlog":
                yield Edit(whole.start, whole.end, f"ErrorLog {self.site.logs / ERROR}")
            elif name == "balancermember":
                members += 1
                # One address is one member.
                yield from self._url(path, number, words[1]) if members == 1 else [whole]
                yield from self._times(words)
            elif name in {"proxypass", "proxypassmatch", "rewriterule"}:
                for word in words[1:] if name != "rewriterule" or _passes(words) else ():
                    yield from self._url(path, number, word)
                yield from self._times(words)
            elif name in {"include", "includeoptional"} and len(words) > 1:
                yield from self._include(path, text, words, whole)
            elif name in _TIMERS or name == "proxyset":
                yield from self._times(words)

    def _meant(self, path: Path, hosts: list[tuple[int, int]]) -> int | None:
        """The line of the virtual host that holds the route, else of the first one."""
        if str(path) == self.layer.file and self.layer.line is not None:
            return next((first for first, last in hosts if first <= self.layer.line <= last), None)
        return None

    def _url(self, path: Path, line: int, word: tuple[str, int, int], *, closes: str = "") -> Iterator[Edit]:
        text = word[0].removesuffix(closes) if closes else word[0]
        found = _URL.match(text)
        if found is None or found["scheme"] == "balancer":
            return
        if found["scheme"].lower() in _OTHER_WIRES:
            raise BadFile(path, "the upstream here speaks HTTP alone", line=line, field=found["scheme"])
        scheme = "ws" if found["scheme"].lower().startswith("ws") else "http"
        yield Edit(word[1], word[2], f'"{scheme}://{self.site.next}{found["rest"]}"{closes}')

    def _times(self, words: list[tuple[str, int, int]]) -> Iterator[Edit]:
        """Whole seconds on the run's clock."""
        for word, start, end in words[1:]:
            found = _TIME.match(word)
            named = words[0][0].lower() in _TIMERS
            if found is None or bool(found["name"]) == named or self.site.clock.scale == 1:
                continue
            real_s = self.site.clock.real_s(float(found["number"]))
            if real_s and abs(real_s - round(real_s)) > real_s / 30:
                raise BadInput(
                    f"{self.layer.name}: Apache httpd counts whole seconds, and {found['number']} s at "
                    f"1:{self.site.clock.scale:g} are {real_s:g} s. "
                    f"Choose --clock scaled:{found['number']} or a divisor of it."
                )
            yield Edit(start, end, f"{found['name'] or ''}{round(real_s)}")

    def _include(
        self, path: Path, text: str, words: list[tuple[str, int, int]], whole: Edit
    ) -> Iterator[Edit]:
        pattern = words[1][0].strip('"')
        beside = pattern.partition("apache2/")[2] or pattern.lstrip("/")
        files = [Path(pattern)] if Path(pattern).is_file() else sorted(self.root.glob(beside))
        files = [one for one in files if one.is_file()]
        self.files += len(files)
        if (not files and words[0][0].lower() == "include") or self.files > _MOST_FILES:
            line = text.count("\n", 0, whole.start) + 1
            raise BadFile(path, f"the included file {pattern} is not there", line=line, field="Include")
        names = [self.copy(one) for one in files]
        if len(names) == 1:
            yield Edit(whole.start, whole.end, f"Include {self.site.folder / names[0]}")
        elif names:
            folder = f"include-{self.files}"
            for name in names:
                self._move(name, f"{folder}/{name}")
            yield Edit(whole.start, whole.end, f"Include {self.site.folder / folder}/*")
        else:
            yield whole

    def _move(self, name: str, to: str) -> None:
        own = self.own
        own.texts[to], own.origins[to], own.before[to] = (
            own.texts.pop(name),
            own.origins.pop(name),
            own.before.pop(name),
        )

    def copy(self, path: Path, name: str = "") -> str:
        """Change a file and those that it includes; the name of the copy."""
        before = read_own(path)
        return self.own.add(path, before, edited(before, self.edits(path, before)), name)


def _passes(words: list[tuple[str, int, int]]) -> bool:
    """Whether a RewriteRule passes on, and does not redirect."""
    flags = words[-1][0].strip('[]"').upper().split(",")
    return bool({"P", "PROXY"} & set(flags))


def _virtual_hosts(text: str) -> list[tuple[int, int]]:
    """The first and the last line of each virtual host."""
    found: list[tuple[int, int]] = []
    first = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*<VirtualHost\b", line, re.IGNORECASE):
            first = number
        elif re.match(r"\s*</VirtualHost>", line, re.IGNORECASE) and first:
            found.append((first, number))
    return found


def own_apache(config: Path, layer: Layer, site: Site, main: str, name: str) -> Own:
    """The user's configuration as Apache gets it here, below a file of ours that says how it is run.

    Raises:
        BadFile: a file cannot be read, an included one is not there, or a worker speaks no HTTP.
        BadInput: a limit is no whole number of seconds on this clock.
    """
    copying = _Copying(site, layer, config.resolve().parent)
    copying.copy(config, COPY)
    copying.own.texts = {name: main, **copying.own.texts}
    return copying.own
