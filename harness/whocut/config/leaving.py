"""Leaving one product for routes that are there already: each request's limits, written where it will pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whocut.config.formats import Source, told
from whocut.config.kubernetes.policies import written_into
from whocut.config.reading import Asked
from whocut.config.sources import read_files, requests_of
from whocut.config.writing import Limits
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.config.writing import Written


def written_for(files: Sequence[str], routes: Sequence[str], to: str, asked: Asked | None = None) -> Written:
    """What keeps alive every request that lives on the files' routes, as objects for the routes of other files.

    `routes` are files of Kubernetes with the routes that the requests will take; `asked` leaves one request.

    Raises:
        BadInput: a file cannot be read, a limit is not known, or a request is taken by none of the routes.
    """
    requests, unknown = requests_of(files, asked or Asked())
    wanted = [(request, Limits.of(read_files(files, request).layers)) for request in requests]
    sources = [Source.open(path) for path in routes]
    for source in sources:
        if told(source).name != "kubernetes":
            raise BadFile(source.path, "it holds no routes of Kubernetes; give the file with the HTTPRoutes")
    made = written_into(sources, wanted, to)
    missed = tuple(f"{route}: a pattern, and no request is known that takes it" for route in unknown)
    return replace(made, lost=made.lost + missed)
