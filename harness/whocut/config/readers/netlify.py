"""netlify.toml: rewrites to other hosts, edge functions and functions, each with the platform's own limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.config.building import layer_of
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import path_rank
from whocut.config.reading import Reading, Route
from whocut.config.trees import Tree, toml_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.config.reading import Rank

_NOTHING: Final = Tree("", 0, None)
_FUNCTIONS: Final = "/.netlify/functions/"


def _read(sources: Sequence[Source]) -> Reading:
    routes = [route for source in sources for route in _routes(toml_tree(source.path, source.text))]
    return Reading(routes=tuple(routes))


def _routes(tree: Tree) -> Iterator[Route]:
    for edge in (tree.get("edge_functions") or _NOTHING).each():
        yield _route(edge, edge.text("path") or "/*", "netlify-edge")
    for redirect in (tree.get("redirects") or _NOTHING).each():
        target, status = redirect.text("to"), redirect.text("status") or "301"
        if status.startswith("3"):
            continue
        if target.startswith(("http://", "https://")):
            yield _route(redirect, redirect.text("from"), "netlify-rewrite")
        elif target.startswith(_FUNCTIONS):
            yield _route(redirect, redirect.text("from"), "netlify-functions")
    functions = tree.get("functions") or tree.get("build", "functions")
    yield _route(functions or tree, f"{_FUNCTIONS}*", "netlify-functions")


def _route(where: Tree, path: str, product: str) -> Route:
    return Route(
        host="",
        path=path,
        file=where.file,
        line=where.line,
        layers=(layer_of(product, {}),),
        takes_path=_takes(path),
    )


def _takes(path: str) -> Callable[[str], Rank | None]:
    if path.endswith("*"):
        return lambda asked: path_rank("prefix", path.rstrip("*"), asked)
    if ":" in path:
        body = re.sub(r":\w+", "[^/]+", re.escape(path).replace(r"\:", ":"))
        return lambda asked: (2, len(path)) if re.fullmatch(body, asked) else None
    return lambda asked: path_rank("exact", path, asked)


def _looks(source: Source) -> int:
    name = file_name(source)
    if name == "netlify.toml":
        return 95
    return 60 if name.endswith(".toml") and "[[redirects]]" in source.text else 0


NETLIFY: Final = register(Format(name="netlify", title="netlify.toml", looks=_looks, read=_read))
