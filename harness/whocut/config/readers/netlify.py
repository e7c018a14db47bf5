"""netlify.toml: rewrites to other hosts, edge functions and functions, each with the platform's own limit.

The first rule that fits is taken; edge functions come before all rules, and a function's own path before none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.config.building import layer_of
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.reading import Later, NotRead, Reading, Route
from whocut.config.toml_trees import toml_tree
from whocut.config.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.config.reading import Rank

_NOTHING: Final = Tree("", 0, None)
_RUN_TIME: Final = ("conditions", "query", "headers", "signed")
_FUNCTIONS: Final = "/.netlify/functions/"
_ORIGIN: Final = re.compile(r"^https?://[^/]++")
_OPEN: Final = re.compile(r"\*|:\w")


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes = [route for source in sources for route in _routes(toml_tree(source.path, source.text), not_read)]
    return Reading(routes=tuple(routes), not_read=not_read)


def _routes(tree: Tree, not_read: list[NotRead]) -> Iterator[Route]:
    for edge in (tree.get("edge_functions") or _NOTHING).each():
        yield _route(edge, edge.text("path") or "/*", "netlify-edge", (3, 0))
    for place, redirect in enumerate((tree.get("redirects") or _NOTHING).each()):
        target, status = redirect.text("to"), (redirect.text("status") or "301").rstrip("!")
        asks = next((name for name in _RUN_TIME if redirect.get(name)), "")
        if asks:
            what = f"the rule asks for {asks}, which decides at run time"
            not_read.append(NotRead(file=redirect.file, line=redirect.line, what=what))
        rank = (1 if asks else 2, -place)
        if target.startswith(("http://", "https://")) and not status.startswith("3"):
            yield _route(redirect, redirect.text("from"), "netlify-rewrite", rank)
        elif target.startswith(_FUNCTIONS) and not status.startswith("3"):
            yield _route(redirect, redirect.text("from"), "netlify-functions", rank)
        elif not asks:
            yield _route(redirect, redirect.text("from"), "", rank)
    functions = tree.get("functions") or tree.get("build", "functions")
    yield _route(functions or tree, f"{_FUNCTIONS}*", "netlify-functions", (2, 1))


def _route(where: Tree, path: str, product: str, rank: Rank) -> Route:
    path = _ORIGIN.sub("", path) or "/*"
    return Route(
        host="",
        path=path,
        file=where.file,
        line=where.line,
        layers=Later(lambda: (layer_of(product, {}),)) if product else (),
        takes_path=_takes(path, rank),
    )


def _takes(path: str, rank: Rank) -> Callable[[str], Rank | None]:
    """A star is the rest of the path, and `:name` a segment; what is behind a question mark is a query."""
    path = path.partition("?")[0]
    stem = path[:-2] if path.endswith("/*") else ""
    begins = _OPEN.split(path, 1)[0]  # of ten thousand patterns nearly none begins like the path

    def takes(asked: str) -> Rank | None:
        fits = asked.startswith(begins) and re.fullmatch(_body(path), asked)
        return rank if fits or (stem and asked == stem) else None

    return takes


def _body(path: str) -> str:
    """A pattern as an expression."""
    return "".join(
        ".*" if part == "*" else "[^/]+" if part.startswith(":") else re.escape(part)
        for part in re.split(r"(\*|:\w+)", path)
    )


def _looks(source: Source) -> int:
    name = file_name(source)
    if name == "netlify.toml":
        return 95
    return 60 if name.endswith(".toml") and "[[redirects]]" in source.text else 0


NETLIFY: Final = register(Format(name="netlify", title="netlify.toml", looks=_looks, read=_read))
