"""A user's own nginx.conf, made to run here: where it listens, what it dials, where it writes; no more than that.

Changed are the listening address, TLS towards the caller, the upstream's address and the paths that are written to.
So are the way in which the process runs, and on a scaled clock the timers. A log in the format that we read is kept
beside the user's. The server of the route that is meant is the default one, for callers dial an address
and no name. Where some servers speak TLS, those that do not get a socket of their own, as on another port. Includes
are changed alike.
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile
from whocut.path.gateways.own import Edit, Own, edited, read_own, scaled
from whocut.trace.logs.in_run import ACCESS, ERROR
from whocut.trace.logs.nginx import LOG_FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.path.gateways.driver import Site

FILE: Final = "nginx.conf"
_INSTALLED: Final = Path("/etc/nginx")  # mime.types and the like, where the user's folder holds none
_OWN_LOG: Final = "own-access.log"
_TOKEN: Final = re.compile(
    r"""\#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[;{}]|(?:[^\s;{}"'\#\\$]|\\.|\$\{[^}]*\}|\$)"""
    r"""(?:[^\s;{}\\$]|\\.|\$\{[^}]*\}|\$)*""",
    re.DOTALL,
)
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "": 1.0}
_TIME: Final = re.compile(r"(\d+)(ms|[smhdw]|)")
_MOST_FILES: Final = 500
# How nginx itself is run is for the one who runs it; what it takes is plain HTTP here.
_DROPPED: Final = {
    *("daemon", "master_process", "user", "pid", "lock_file", "worker_rlimit_nofile", "worker_cpu_affinity"),
    *("ssl", "ssl_certificate", "ssl_certificate_key", "ssl_trusted_certificate", "ssl_client_certificate"),
    *("ssl_verify_client", "ssl_dhparam", "ssl_stapling", "ssl_stapling_verify", "http2", "http3"),
}
_WRITTEN: Final = (
    *("client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path"),
    "proxy_cache_path",
)
_OTHER_WIRES: Final = {"fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass"}
# The timers, each with nginx's own default in seconds.
_TIMERS: Final = {
    "proxy_connect_timeout": 60.0,
    "proxy_read_timeout": 60.0,
    "proxy_send_timeout": 60.0,
    "proxy_next_upstream_timeout": None,
    "send_timeout": 60.0,
    "client_header_timeout": 60.0,
    "client_body_timeout": 60.0,
    "keepalive_timeout": 75.0,
    "keepalive_time": None,
    "lingering_timeout": 5.0,
    "lingering_time": 30.0,
}


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int


@dataclass(slots=True)
class _Statement:
    """One directive: its words, the mark that ends it, and the blocks around it, by name and brace."""

    words: list[_Word]
    end: int
    opens: bool
    within: tuple[tuple[str, int], ...]
    closes: int = 0  # where its block ends

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def args(self) -> list[_Word]:
        return self.words[1:]

    @property
    def parent(self) -> str:
        return self.within[-1][0] if self.within else ""


@dataclass(slots=True)
class _Copying:
    """One configuration with its includes, on the way into a folder.

    `chosen` is the file and line of the route that is meant. What is known of the whole is gathered by a first way
    through the files, before anything is changed.
    """

    site: Site
    root: Path
    chosen: tuple[Path, int] | None
    own: Own = field(default_factory=Own)
    texts: dict[Path, list[_Statement]] = field(default_factory=dict)
    upstreams: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)
    listening: set[tuple[Path, int]] = field(default_factory=set)
    default: tuple[Path, int] | None = None
    speaks_tls: set[tuple[Path, int]] = field(default_factory=set)
    written: int = 0

    def look(self, path: Path, within: tuple[tuple[str, int], ...] = ()) -> None:
        """Learn what the files name: servers to dial, formats of logs, servers with TLS, the one that is meant."""
        if len(self.texts) >= _MOST_FILES:
            raise BadFile(path, f"it includes more than {_MOST_FILES} files")
        real = path.resolve()
        if real in self.texts:
            return
        text = read_own(path)
        self.texts[real] = statements = list(_statements(text, within))
        for one in statements:
            server = (real, one.within[-1][1]) if one.within else (real, 0)
            if one.name == "upstream" and one.opens and one.args:
                self.upstreams.add(one.args[0].text)
            elif one.name == "log_format" and one.args:
                self.formats.add(one.args[0].text)
            elif one.name == "listen" and {"ssl", "quic"} & {word.text for word in one.args}:
                self.speaks_tls.add(server)
            elif one.name == "server" and one.opens and one.parent == "http" and self.chosen:
                file, line = self.chosen
                first, last = (text.count("\n", 0, at) + 1 for at in (one.words[0].start, one.closes))
                if file == real and first <= line <= last:
                    self.default = (real, one.end)
            elif one.name in _OTHER_WIRES:
                line = text.count("\n", 0, one.words[0].start) + 1
                raise BadFile(path, "the upstream here speaks HTTP alone", line=line, field=one.name)
            elif one.name == "include" and one.args:
                for file in self._files(path, text, one):
                    self.look(file, one.within)

    def copy(self, path: Path, within: tuple[tuple[str, int], ...] = (), name: str = "") -> str:
        """Change a file and those that it includes; the name of the copy."""
        before = read_own(path)
        statements = list(_statements(before, within))
        edits = [edit for one in statements for edit in self._edits(path, before, one, statements)]
        if name:
            edits.append(Edit(0, 0, self._to_be_run_here()))
        return self.own.add(path, before, edited(before, edits), name)

    def _to_be_run_here(self) -> str:
        user = f"user {getpass.getuser()}; " if os.geteuid() == 0 else ""
        logs = f"error_log {self.site.logs / ERROR} info; "
        return f"daemon off; master_process off; {user}pid {self.site.folder}/nginx.pid; {logs}"

    def _edits(  # a row for each kind of directive
        self, path: Path, text: str, one: _Statement, among: list[_Statement]
    ) -> Iterator[Edit]:
        name, args = one.name, one.args
        whole = Edit(one.words[0].start, one.end, "")
        if name in _DROPPED and not one.opens:
            yield whole
        elif name == "include" and args:
            copies = [self.copy(file, one.within) for file in self._files(path, text, one)]
            yield Edit(
                whole.start, whole.end, " ".join(f"include {self.site.folder / file};" for file in copies)
            )
        elif name == "http" and one.opens:
            yield Edit(one.end, one.end, self._at_the_top_of_http(one, among))
        elif name == "listen" and args:
            yield Edit(whole.start, whole.end, self._listen(path, one))
        elif name == "error_log" and args:
            # The first line has the one of the whole.
            yield Edit(args[0].start, args[0].end, str(self.site.logs / ERROR)) if one.within else whole
        elif name == "access_log" and args and args[0].text != "off":
            yield Edit(args[0].start, args[0].end, str(self.site.logs / _OWN_LOG))
            yield from (Edit(word.start, word.end, "") for word in args if word.text.startswith("syslog:"))
            if one.within and one.parent != "http":
                yield Edit(one.end, one.end, f" access_log {self.site.logs / ACCESS} whocut;")
        elif name in _WRITTEN and args:
            self.written += 1
            yield Edit(args[0].start, args[0].end, str(self.site.folder / f"{name}-{self.written}"))
        elif name == "server" and args and one.parent == "upstream":
            yield Edit(args[0].start, args[0].end, self.site.next)
            yield from (Edit(word.start, word.end, "") for word in args[1:] if word.text == "resolve")
        elif name == "proxy_pass" and args:
            yield Edit(args[0].start, args[0].end, self._passed(args[0].text))
        elif name in _TIMERS and self.site.clock.scale != 1:
            yield from (
                Edit(word.start, word.end, real) for word in args if (real := self._scaled(word.text))
            )

    def _listen(self, path: Path, one: _Statement) -> str:
        """The address of a server: ours once; with TLS elsewhere, a socket that takes no callers."""
        server = (path.resolve(), one.within[-1][1] if one.within else 0)
        if server in self.listening:
            return ""
        self.listening.add(server)
        if self.speaks_tls and server not in self.speaks_tls and server != self.default:
            return f"listen unix:{self.site.folder}/plain-{len(self.listening)}.sock;"
        if self.default is None and any(word.text == "default_server" for word in one.args):
            self.default = server
        default = " default_server" if server == self.default else ""
        return (
            f"listen 127.0.0.1:{self.site.port}{default} backlog=4096;"
            if default
            else (f"listen 127.0.0.1:{self.site.port};")
        )

    def _files(self, path: Path, text: str, one: _Statement) -> list[Path]:
        """The files that an include names: beside the configuration, or as nginx was installed."""
        pattern = _plain(one.args[0].text)
        tries = (
            [Path(pattern)] if Path(pattern).is_absolute() else [self.root / pattern, _INSTALLED / pattern]
        )
        for base in tries:
            found = sorted(Path(base.anchor).glob(str(base.relative_to(base.anchor))))
            if found:
                return found
        if any(mark in pattern for mark in "*?["):
            return []
        line = text.count("\n", 0, one.words[0].start) + 1
        raise BadFile(path, f"the included file {pattern} is not there", line=line, field="include")

    def _at_the_top_of_http(self, http: _Statement, among: list[_Statement]) -> str:
        """What nginx would write elsewhere, our log, and on a scaled clock the defaults of unwritten timers."""
        inside = {one.name for one in among if one.within and one.within[-1] == ("http", http.end)}
        added = [f"{name} {self.site.folder}/{name};" for name in _WRITTEN[:-1] if name not in inside]
        if "whocut" not in self.formats:
            added.append(" ".join(LOG_FORMAT.split("\n")))
        added.append(f"access_log {self.site.logs / ACCESS} whocut;")
        if self.site.clock.scale != 1:
            added += [
                f"{name} {scaled(default_s, self.site.clock)};"
                for name, default_s in _TIMERS.items()
                if default_s is not None and name not in inside
            ]
        return " " + " ".join(added)

    def _passed(self, url: str) -> str:
        """The address that is dialled: a block of servers by its name, or the upstream itself."""
        scheme, _, rest = _plain(url).partition("://")
        authority, slash, path = rest.partition("/")
        if not rest or scheme not in {"http", "https", "$scheme"}:
            return url
        return f"http://{authority if authority in self.upstreams else self.site.next}{slash}{path}"

    def _scaled(self, written: str) -> str | None:
        parts = _TIME.findall(written)
        if not parts or "".join(number + unit for number, unit in parts) != written:
            return None
        limit_s = sum(int(number) * _UNITS_S[unit] for number, unit in parts)
        return scaled(limit_s, self.site.clock) if limit_s else None


def own_nginx(config: Path, site: Site, route: tuple[str, int | None] = ("", None)) -> Own:
    """The user's configuration as nginx gets it here; `route` is the place of the one that is meant.

    Raises:
        BadFile: a file cannot be read, an included one is not there, or what it passes requests to is no HTTP.
    """
    file, line = route
    copying = _Copying(site, config.resolve().parent, (Path(file).resolve(), line) if file and line else None)
    copying.look(config)
    copying.copy(config, name=FILE)
    return copying.own


def _statements(text: str, within: tuple[tuple[str, int], ...]) -> Iterator[_Statement]:
    """Each directive in its order, a block behind what it holds.

    A file whose braces do not match goes to nginx as it is: what is wrong with it is nginx's to say.
    """
    words: list[_Word] = []
    blocks: list[tuple[str, int]] = []
    open_: list[_Statement | None] = []
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark.startswith("#"):
            continue
        if mark not in ";{}":
            words.append(_Word(mark, token.start(), token.end()))
            continue
        if mark == "}":
            words = []
            if blocks:
                blocks.pop()
                begun = open_.pop()
                if begun is not None:
                    begun.closes = token.end()
                    yield begun
            continue
        if words:
            one = _Statement(words, token.end(), mark == "{", (*within, *blocks))
            if mark == "{":
                blocks.append((words[0].text, token.end()))
                open_.append(one)
            else:
                yield one
        elif mark == "{":
            blocks.append(("", token.end()))
            open_.append(None)
        words = []
    for begun in reversed(open_):
        if begun is not None:
            begun.closes = len(text)
            yield begun


def _plain(word: str) -> str:
    return word[1:-1] if word[:1] in "\"'" and word[-1:] == word[:1] and len(word) > 1 else word
