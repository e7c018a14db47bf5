"""A user's own VCL, made to run here: what its backends dial, and on a scaled clock its timers; no more than that.

Changed are the backends' addresses with the probes that knock at them, TLS towards them, and the timers. Where it
listens is no matter of the VCL. Includes are changed alike.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile
from whocut.path.gateways.own import Edit, Own, edited, read_own, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.path.gateways.driver import Site

FILE: Final = "varnish.vcl"
_MOST_FILES: Final = 100
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# A comment or a text is passed over, whatever stands in it.
_TOKEN: Final = re.compile(
    r"""/\*.*?\*/|(?:\#|//)[^\n]*"""
    r"""|(?P<include>\binclude\s+\"(?P<file>[^\"\n]*)\"\s*;)"""
    r"""|(?P<probe>\bprobe\s+[\w-]+\s*\{[^{}]*\})"""
    r"""|(?P<backend>\bbackend\s+[\w-]+\s*\{)"""
    r"""|(?P<set>\bset\s+bereq\.\w+_timeout\s*=\s*(?P<time>\d+(?:\.\d+)?)(?P<unit>ms|[smhd])\b)"""
    r"""|\"[^\"\n]*\"|\{\".*?\"\}""",
    re.DOTALL,
)
_FIELD: Final = re.compile(
    r"""\.(?P<name>\w+)\s*=\s*(?:\{[^{}]*\}\s*;?|(?:\"[^\"\n]*\"|(?P<time>\d+(?:\.\d+)?)(?P<unit>ms|[smhd])\b"""
    r"""|[^;{}\"]*?)\s*;)"""
)
_DROPPED: Final = {"port", "path", "probe", "proxy_header", "via", "authority", "preamble", "ssl", "ssl_sni"}


def own_varnish(config: Path, site: Site) -> Own:
    """The user's VCL as Varnish gets it here.

    Raises:
        BadFile: a file cannot be read, or an included one is not there.
    """
    own = Own()
    before = read_own(config)
    own.add(config, before, edited(before, _edits(config, before, site, own, {config.resolve()})), FILE)
    return own


def _edits(config: Path, text: str, site: Site, own: Own, seen: set[Path]) -> Iterator[Edit]:
    for token in _TOKEN.finditer(text):
        if token["include"]:
            yield _include(config, text, token, site, own, seen)
        elif token["probe"]:
            yield Edit(token.start(), token.end(), "")  # no backend has one here
        elif token["backend"]:
            yield from _backend(text, token.end(), site)
        elif token["set"] and site.clock.scale != 1:
            yield Edit(token.start("time"), token.end("unit"), _real(token, site))


def _include(config: Path, text: str, token: re.Match[str], site: Site, own: Own, seen: set[Path]) -> Edit:
    """The copy of an included file, beside ours; one that comes with Varnish stays."""
    path = config.parent / token["file"]
    if not path.is_file() and Path("/usr/share/varnish/vcl", token["file"]).is_file():
        return Edit(token.start(), token.start(), "")
    if not path.is_file() or len(seen) > _MOST_FILES:
        line = text.count("\n", 0, token.start()) + 1
        raise BadFile(config, f"the included file {token['file']} is not there", line=line, field="include")
    seen.add(path.resolve())
    before = read_own(path)
    name = f"{len(seen)}-{path.name}"
    own.add(path, before, edited(before, _edits(path, before, site, own, seen)), name)
    return Edit(token.start(), token.end(), f'include "{site.folder / name}";')


def _backend(text: str, at: int, site: Site) -> Iterator[Edit]:
    """The fields of a backend, up to the brace that ends it."""
    while True:
        ahead = re.compile(r"(?:\s|/\*.*?\*/|(?:#|//)[^\n]*)*", re.DOTALL).match(text, at)
        at = ahead.end() if ahead else at
        found = _FIELD.match(text, at)
        if found is None:
            return
        at = found.end()
        if found["name"] == "host":
            host, port = site.upstream
            yield Edit(found.start(), found.end(), f'.host = "{host}"; .port = "{port}";')
        elif found["name"] in _DROPPED:
            yield Edit(found.start(), found.end(), "")
        elif found["time"] and found["name"].endswith("_timeout") and site.clock.scale != 1:
            yield Edit(found.start("time"), found.end("unit"), _real(found, site))


def _real(found: re.Match[str], site: Site) -> str:
    """A time on the run's clock; Varnish knows milliseconds."""
    return scaled(float(found["time"]) * _UNITS_S[found["unit"]], site.clock)
