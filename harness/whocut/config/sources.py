"""Sources of a chain: presets, users' own files and chain files, as one chain for one request.

`whocut check cloudflare-free ./nginx.conf litellm=./config.yaml --host img.example.com` names three of them, from
the caller to the upstream.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.chainfile import find_chain, numbered, read_topology, shipped_chains
from whocut.chain.layers import Role, Topology
from whocut.chain.shipped import CHAINS
from whocut.config.formats import Format, Source, format_of, formats, told
from whocut.config.reading import Asked, Read, Reading, decided
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.chain.layers import Layer
    from whocut.config.reading import NotRead

_CLIENT: Final = "openai-python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain that was put together, and what could not be read of its files."""

    topology: Topology
    not_read: tuple[NotRead, ...] = ()


def read_files(files: Sequence[str], asked: Asked | None = None) -> Read:
    """What these files say of one request. Files of one format are read together, at the place of the first.

    A file may say its format, as in ``litellm=./config.yaml``.

    Raises:
        BadFile: a file cannot be read, or is of no format that is known.
        BadInput: no route of a file takes the request.
    """
    asked = asked or Asked()
    with _no_collections():
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
def _no_collections() -> Iterator[None]:
    """A file of 10 MB becomes a million objects and no garbage: looking for some takes two thirds of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def chain_of(sources: Sequence[str], *, host: str | None = None, path: str | None = None) -> Chain:
    """The chain of these sources, from the caller to the upstream.

    A source is a chain by its name or its file, a preset, a user's own file, or a file with its format said. A
    first source that is a client is the chain's client; without one it is the official SDK.

    Raises:
        BadFile: a file cannot be read, or is of no format that is known.
        BadInput: a source is unknown, the routes of a file leave the answer open, or none takes the request.
    """
    if len(sources) == 1 and _is_chain(sources[0]):
        return Chain(topology=read_topology(find_chain(sources[0], CHAINS)))
    client: Layer | None = None
    hops: list[Layer] = []
    not_read: list[NotRead] = []
    asked = Asked(host=host, path=path)
    for place, source in enumerate(sources):
        if _is_chain(source):
            raise BadInput(f"'{source}' is a whole chain; give it alone, or its layers one by one")
        if _is_file(source):
            read = read_files([source], asked)
            if read.undecided:
                raise BadInput(f"{source}: {read.undecided}")
            hops += read.layers
            not_read += read.not_read
            continue
        layer = _preset(source)
        if layer.role is Role.HOP:
            hops.append(layer)
        elif place:
            raise BadInput(f"'{source}' is a client; a chain has one, and it comes first")
        else:
            client = layer
    names = "+".join(Path(source.rpartition("=")[2]).name for source in sources)
    topology = Topology(name=names, client=client or preset(_CLIENT), hops=tuple(numbered(hops)))
    return Chain(topology=topology, not_read=tuple(not_read))


def _is_file(source: str) -> bool:
    """Whether a source is a file: by its format, by its place, or because a file of the name is there."""
    name, equals, _ = source.partition("=")
    if (equals and name.replace("-", "").isalnum()) or "/" in source:
        return True
    return source not in catalogue() and ("." in source or Path(source).is_file())


def _is_chain(source: str) -> bool:
    """Whether a source is a whole chain: a shipped one's name, or a file with a chain's fields."""
    if source in shipped_chains(CHAINS) and source not in catalogue():
        return True
    path = Path(source)
    if path.suffix not in {".yaml", ".yml"} or not path.is_file():
        return False
    try:
        lines = Source.open(path).text.splitlines()
    except BadFile:
        return False
    return any(line.startswith(("client:", "layers:", "upstream:", "edition:")) for line in lines)


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
    for written in files:
        name, equals, path = written.partition("=")
        said = bool(equals) and not Path(written).exists()
        source = Source.open(path if said else written)
        format_ = format_of(name) if said else told(source)
        found.setdefault(format_.name, []).append(source)
    return [(formats()[name], sources) for name, sources in found.items()]


def _decided(format_: Format, sources: Sequence[Source], asked: Asked) -> Read:
    try:
        reading: Reading = format_.read(sources)
    except RecursionError:
        raise BadFile(sources[0].path, "it is nested too deeply to be a configuration") from None
    try:
        return decided(reading, asked)
    except BadInput as error:
        raise BadFile(sources[0].path, error.problem) from None
