"""How long a large file takes to read: one of real shape in each format, at three sizes, with a request to find.

Run it alone: ``python -m tests.benchmarks.bench_config [nginx] [envoy-json] …``. A row is one format: seconds of
CPU at 2.5, 5 and 10 MB, the format told by the text, and how many times as long as the named parser alone takes for
the smallest of them. Where no parser of the format is kept well for Python, the peer splits the lines into words.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import crossplane
import yaml

from tests.benchmarks.large_files import LARGE, Large
from whocut.clock.clock import cpu_s
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.errors import BadInput
from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES: Final = (2_500_000, 5_000_000, 10_000_000)


def _words(path: Path) -> object:
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]


PEERS: Final[dict[str, Callable[[Path], object]]] = {
    "crossplane": lambda path: crossplane.parse(str(path), single=True),
    "yaml": lambda path: list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=LOADER)),
    "json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    "tomllib": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
    "words": _words,
}


@dataclass(frozen=True)
class Taken:
    """Seconds of CPU, and how many routes were found; or the sentence that refuses the file."""

    cpu_s: float
    routes: int
    refused: str = ""


def taken(large: Large, path: Path, count: int) -> Taken:
    """One reading of a file, for the request that its last entry but one takes."""
    asked = Asked(host=large.host(count - 2), path=large.path(count - 2))
    began_s = cpu_s()
    try:
        read = read_files([str(path)], asked)
    except BadInput as error:
        return Taken(cpu_s() - began_s, 0, error.problem)
    if not read.layers:
        raise AssertionError(f"{large.name}: no layer was found: {read.undecided[:300]}")
    return Taken(cpu_s() - began_s, len(read.routes))


def row(large: Large, folder: Path) -> str:
    """One line of the table."""
    cells: list[str] = []
    ratio = said = ""
    for size in SIZES:
        text, count = large.text(size)
        path = folder / large.file
        path.write_text(text, encoding="utf-8")
        seen = taken(large, path, count)
        cells.append(f"{seen.cpu_s:.1f} s" + (", refused" if seen.refused else ""))
        said = said or seen.refused
        if size == SIZES[0]:
            began_s = cpu_s()
            PEERS[large.peer](path)
            peer_s = cpu_s() - began_s
            ratio = f"{large.peer} {peer_s:.2f} s, {seen.cpu_s / peer_s:.1f} ×"
        path.unlink()
    return f"| {large.name} | {' | '.join(cells)} | {ratio} |" + (f" {said}" if said else "")


def main() -> None:
    """One line for each format, as docs/benchmarks.md has them."""
    wanted = sys.argv[1:] or list(LARGE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for large in LARGE.values():  # what is loaded once is no part of a figure
            path = folder / large.file
            text, count = large.text(5_000)
            path.write_text(text, encoding="utf-8")
            taken(large, path, count)
        for one in wanted:
            sys.stdout.write(row(LARGE[one], folder) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
