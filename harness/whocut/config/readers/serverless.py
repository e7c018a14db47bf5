"""serverless.yml: functions with their timeouts, and the API Gateway that their events bring."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import path_rank
from whocut.config.reading import NotRead, Reading, Route
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_NOTHING: Final = Tree("", 0, None)
_DEFAULT_S: Final = "6"  # of the framework, where neither the function nor the provider says more


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        trees = yaml_trees(source.path, source.text)
        tree = trees[0] if trees else _NOTHING
        if not (tree.get("functions") or _NOTHING).is_mapping:
            raise BadFile(source.path, "there are no functions in it", line=1)
        for name, function in (tree.get("functions") or _NOTHING).items():
            routes += _of_function(tree, name, function, not_read)
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(not_read)))


def _of_function(tree: Tree, name: str, function: Tree, not_read: list[NotRead]) -> Iterator[Route]:
    shared = tree.get("provider", "timeout")
    limits: dict[TimerKind, Limit] = {}
    own = function.get("timeout")
    default = Tree(function.file, function.line, _DEFAULT_S)
    put(
        limits,
        TimerKind.TOTAL,
        limit_at(own or shared or default, units.seconds, not_read, inherited=own is None),
    )
    worker = layer_of("aws-lambda", limits)
    events = list((function.get("events") or _NOTHING).each())
    found = False
    for event in events:
        for kind, front in (("http", "aws-apigw-rest"), ("httpApi", "aws-apigw-http")):
            http = event.get(kind)
            if http is None:
                continue
            found = True
            path = (http.text("path") or http.text().rpartition(" ")[2] or "/").strip()
            yield _route(
                tree, front, path if path.startswith("/") else f"/{path}", function, worker, not_read
            )
    if not found:
        yield Route(
            host="", path=f" function {name}", file=function.file, line=function.line, layers=(worker,)
        )


def _route(
    tree: Tree, front: str, path: str, function: Tree, worker: Layer, not_read: list[NotRead]
) -> Route:
    limits: dict[TimerKind, Limit] = {}
    if front == "aws-apigw-http":
        found = tree.get("provider", "httpApi", "timeout")
        put(limits, TimerKind.TOTAL, limit_at(found, units.seconds, not_read, inherited=True))
    return Route(
        host="",
        path=path,
        file=function.file,
        line=function.line,
        layers=(layer_of(front, limits), worker),
        takes_path=_takes(path),
    )


def _takes(path: str) -> Callable[[str], Rank | None]:
    if "{" not in path and "*" not in path:
        return lambda asked: path_rank("exact", path.rstrip("/") or "/", asked.rstrip("/") or "/")
    body = re.sub(r"\\\{[^}]*\\\+\\\}|\\\*", ".*", re.escape(path))
    body = re.sub(r"\\\{[^}]*\\\}", "[^/]+", body)
    return lambda asked: (1, len(path)) if re.fullmatch(body, asked) else None


def _looks(source: Source) -> int:
    name = file_name(source)
    if not name.endswith((".yaml", ".yml")):
        return 0
    if name.startswith("serverless."):
        return 95
    has = all(
        re.search(rf"^{field}\s*:", source.text, re.MULTILINE)
        for field in ("service", "provider", "functions")
    )
    return 85 if has else 0


SERVERLESS: Final = register(Format(name="serverless", title="serverless.yml", looks=_looks, read=_read))
