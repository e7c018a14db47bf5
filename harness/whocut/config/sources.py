"""Sources of a chain: presets, users' own files and chain files, as one chain for one request.

`whocut check cloudflare-free ./nginx.conf litellm=./config.yaml --host img.example.com` names three of them, from
the caller to the upstream.
"""

from __future__ import annotations

import gc
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.chainfile import numbered, read_topology, shipped_chains
from whocut.chain.entries import names_file
from whocut.chain.layers import Role, Topology
from whocut.chain.shipped import CHAINS
from whocut.chain.there import is_a_file, is_there
from whocut.config.formats import Format, Source, formats, said_for, told
from whocut.config.reading import Asked, NoRoute, Read, Reading, decided
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.chain.chainfile import FileReader
    from whocut.chain.layers import Layer
    from whocut.config.reading import NotRead, Route

_CLIENT: Final = "openai-python"
_FIELDS: Final = ("client:", "layers:", "upstream:", "edition:")


class NoRouteIn(BadFile):
    """No route of a file takes the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain that was put together, and what could not be read of its files."""

    topology: Topology
    not_read: tuple[NotRead, ...] = ()
    sources: tuple[str, ...] = ()
    asked: Asked = field(default_factory=Asked)

    def read_again(self) -> Topology:
        """The same chain as its sources now are.

        Raises:
            BadInput: they cannot be read any more.
        """
        return chain_of(self.sources, host=self.asked.host, path=self.asked.path).topology


def read_files(files: Sequence[str], asked: Asked | None = None) -> Read:
    """What these files say of one request. Files of one format are read together, at the place of the first.

    A file may say its format, as in ``litellm=./config.yaml``.

    Raises:
        BadFile: a file cannot be read, or is of no format that is known.
        BadInput: no route of a file takes the request.
    """
    asked = asked or Asked()
    with no_collections():
        reads = [_decided(format_, sources, asked) for format_, sources in _by_format(files)]
    return Read(
        layers=tuple(numbered([layer for read in reads for layer in read.layers]))
        if not any(read.undecided for read in reads)
        else (),
        routes=tuple(route for read in reads for route in read.routes),
        not_read=tuple(note for read in reads for note in read.not_read),
        harmless=tuple(harmless for read in reads for harmless in read.harmless),
        undecided="; ".join(read.undecided for read in reads if read.undecided),
        taken=tuple(route for read in reads for route in read.taken),
    )


@contextmanager
def no_collections() -> Iterator[None]:
    """A large file becomes a million objects and no garbage: looking for some takes two thirds of the time.

    What was made counts as old when the collector starts again. As young it would all be looked through at once.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # what a server froze stays frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def chain_of(sources: Sequence[str | Path], *, host: str | None = None, path: str | None = None) -> Chain:
    """The chain of these sources, from the caller to the upstream.

    A source is a chain by its name or its file, a preset, a user's own file, or a file with its format said. A
    first source that is a client is the chain's client; without one it is the official SDK. `host` and `path` are
    the request's.

    Raises:
        BadFile: a file cannot be read, or is of no format that is known.
        BadInput: a source is unknown, the routes of a file leave the answer open, or none takes the request.
    """
    if not sources:
        raise BadInput("a chain has at least one layer; name a preset, a chain or a file")
    return _built([str(source) for source in sources], _Files(Asked(host=host, path=path)))


def _built(written: Sequence[str], files: _Files) -> Chain:
    alone = _as_chain(written[0]) if len(written) == 1 else None
    if alone is not None:
        return files.chain(read_topology(alone, files.layers), written)
    client: Layer | None = None
    hops: list[Layer] = []
    for is_file, group in groupby(written, _is_file):
        names = list(group)
        whole = next((name for name in names if name not in catalogue() and _as_chain(name)), None)
        if whole is not None:
            raise BadInput(f"'{whole}' is a whole chain; give it alone, or its layers one by one")
        if is_file:
            hops += files.read(names)
            continue
        for name in names:
            layer = _preset(name)
            if layer.role is Role.HOP:
                hops.append(layer)
            elif client is not None or hops:
                raise BadInput(f"'{name}' is a client; a chain has one, and it comes first")
            else:
                client = layer
    called = "+".join(Path(source.rpartition("=")[2]).name for source in written)
    topology = Topology(name=called, client=client or preset(_CLIENT), hops=tuple(numbered(hops)))
    return files.chain(topology, written)


def read_chain(
    chain: str | Path | Topology | Sequence[str | Path],
    *,
    host: str | None = None,
    path: str | None = None,
) -> Topology:
    """A chain as data: a shipped one by name, a chain file, or presets and users' own files in their order.

    Args:
        chain: one source, several from the caller to the upstream, or the data themselves.
        host: the host that the request is for, where it decides.
        path: the path of the request, where it decides.

    Raises:
        BadInput: a source is unknown, or the routes of a file leave the answer open; says what would decide.
        BadFile: a file says something that cannot be used, named with its line and field.
    """
    if isinstance(chain, Topology):
        return chain
    sources = [chain] if isinstance(chain, str | Path) else chain
    return chain_of(sources, host=host, path=path).topology


def file_reader(*, host: str | None = None, path: str | None = None) -> FileReader:
    """The reader of users' own files, for a request to this host and path."""
    return _Files(Asked(host=host, path=path)).layers


def requests_of(sources: Sequence[str], asked: Asked) -> tuple[list[Asked], list[str]]:
    """A request for each route of the users' own files, and the routes that no request is known for.

    What was asked of a request stays; a chain whose files decide nothing has that one request.

    Raises:
        BadInput: a source is unknown, or a file cannot be read.
    """
    files = _Files(asked, any_route=True)
    _built(list(map(str, sources)), files)
    routes = [route for route in files.routes if route.layers]
    hosts = any(route.host for route in routes)
    found: dict[Asked, None] = {}
    unknown: dict[str, None] = {}
    for route in routes:
        host = asked.host if asked.host is not None else _a_host(route.host) if hosts else ""
        path = asked.path if asked.path is not None else _a_path(route)
        if host is None or path is None:
            unknown[route.name] = None
        else:
            found[Asked(host=host or None, path=path)] = None
    return list(found) or ([] if unknown else [asked]), list(unknown)


def _a_host(pattern: str) -> str | None:
    """A host that a route takes; None where its pattern leaves that open."""
    if pattern in {"", "*", "_"}:
        return "any.invalid"
    host = pattern.removeprefix("*") if pattern.startswith("*.") else pattern
    host = f"any{host}" if host.startswith(".") else host
    return host if re.fullmatch(r"[\w.-]+(:\d+)?", host) else None


_ANYTHING: Final = re.compile(r"\(?\.[*+]\??\)?\$?$")


def _a_path(route: Route) -> str | None:
    """A path that a route takes; None where its pattern leaves that open."""
    path = route.path.removesuffix("*") or "/"
    if path.startswith("/") and not re.search(r"[*(){}\[\]^$|\\]", path):
        return path
    # A pattern that is a beginning and anything behind it: what it takes is asked of the route itself.
    begins = _ANYTHING.sub("", re.sub(r"^\(\?i\)|^\^", "", route.path)).replace("\\", "")
    for found in (begins, f"{begins.rstrip('/')}/any"):
        if re.fullmatch(r"/[\w./~-]*", found) and route.takes_path(found) is not None:
            return found
    return None


@dataclass(slots=True)
class _Files:
    """Users' own files of one chain, read for one request; what could not be read of them is gathered.

    `any_route`: the request is not decided, and the first route of each file is taken for all.
    """

    asked: Asked
    any_route: bool = False
    routes: list[Route] = field(default_factory=list)
    not_read: list[NotRead] = field(default_factory=list)

    def chain(self, topology: Topology, sources: Sequence[str]) -> Chain:
        """What was read, with where it was read."""
        return Chain(
            topology=topology, not_read=tuple(self.not_read), sources=tuple(sources), asked=self.asked
        )

    def layers(self, written: str, folder: Path, host: str | None, path: str | None) -> Sequence[Layer]:
        """The layers of a file that a chain file names; what the command says of the request comes first."""
        said = Asked(
            host=self.asked.host if self.asked.host is not None else host,
            path=self.asked.path if self.asked.path is not None else path,
        )
        return self.read([_found(written, folder)], said)

    def read(self, files: Sequence[str], asked: Asked | None = None) -> list[Layer]:
        """The layers of neighbouring files, each configuration read for itself."""
        found: list[Layer] = []
        with no_collections():
            for format_, sources in _configurations(files):
                if self.any_route:
                    reading = _read_by(format_, sources)
                    self.routes += reading.routes
                    found += next((route.layers for route in reading.routes if route.layers), ())
                    continue
                read = _decided(format_, sources, asked or self.asked)
                if read.undecided:
                    raise BadFile(sources[0].path, read.undecided)
                found += read.layers
                self.not_read += read.not_read
        return found


def _configurations(files: Iterable[str]) -> Iterator[tuple[Format, list[Source]]]:
    """Each file that passes requests on alone; parts of one configuration together."""
    for name, group in groupby(map(_opened, files), lambda one: one[0].name):
        sources = [source for _, source in group]
        format_ = formats()[name]
        if len(sources) == 1 or format_.in_parts or not all(_passes(format_, one) for one in sources):
            yield format_, sources
        else:
            yield from ((format_, [one]) for one in sources)


def _passes(format_: Format, source: Source) -> bool:
    """Whether a file has a route of its own to an upstream."""
    try:
        return any(route.layers for route in format_.read([source]).routes)
    except (BadInput, RecursionError):
        return False


def _found(source: str, folder: Path) -> str:
    """A file as it is to be opened: its path beside the folder, its format as it is said."""
    said, equals, path = source.rpartition("=")
    return f"{said}{equals}{folder / path}"


def _is_file(source: str) -> bool:
    """Whether a source is a file: as it is written, or because a file of the name is there."""
    return source not in catalogue() and (names_file(source) or is_a_file(source))


def _as_chain(source: str) -> Path | None:
    """The chain file that a source means: a shipped one by its name, or a file with a chain's fields."""
    shipped = shipped_chains(CHAINS)
    if source in shipped:
        return shipped[source]
    path = Path(source)
    if path.suffix not in {".yaml", ".yml"} or not is_a_file(path):
        return None
    try:
        opened = Source.open(path)
    except BadFile:
        return path  # the reader of chain files says what is wrong with it
    fields = any(line.startswith(_FIELDS) for line in opened.text.splitlines())
    return path if fields or not any(format_.looks(opened) for format_ in formats().values()) else None


def _preset(source: str) -> Layer:
    try:
        return preset(source)
    except BadInput as error:
        chain = nearest(source, shipped_chains(CHAINS), cutoff=0.7)
        if chain and "did you mean" not in error.problem:
            raise BadInput(f"there is no preset and no chain '{source}'{chain}") from None
        raise


def _by_format(files: Iterable[str]) -> list[tuple[Format, list[Source]]]:
    found: dict[str, list[Source]] = {}
    for format_, source in map(_opened, files):
        found.setdefault(format_.name, []).append(source)
    return [(formats()[name], sources) for name, sources in found.items()]


def _opened(written: str) -> tuple[Format, Source]:
    """A file and its format, told or said."""
    name, equals, path = written.partition("=")
    said = bool(equals) and not is_there(written)
    source = Source.open(path if said else written)
    return said_for(name, source) if said else told(source), source


def _decided(format_: Format, sources: Sequence[Source], asked: Asked) -> Read:
    reading = _read_by(format_, sources)
    try:
        return decided(reading, asked)
    except NoRoute as error:
        raise NoRouteIn(sources[0].path, error.problem) from None
    except BadInput as error:
        raise BadFile(sources[0].path, error.problem) from None


def _read_by(format_: Format, sources: Sequence[Source]) -> Reading:
    try:
        return format_.read(sources)
    except RecursionError:
        raise BadFile(sources[0].path, "it is nested too deeply to be a configuration") from None
