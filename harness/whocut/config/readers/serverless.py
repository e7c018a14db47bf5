"""serverless.yml: functions with their timeouts, and the API Gateway that their events bring."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import path_rank
from whocut.config.reading import Later, NotRead, Reading, Route, reading_of_many
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_NOTHING: Final = Tree("", 0, None)
_FRONTS: Final = {"http": "aws-apigw-rest", "httpApi": "aws-apigw-http", "alb": "aws-alb"}
_VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")
_MOST_VARIABLES: Final = 10  # one behind the other
_DEFAULT_S: Final = "6"  # of the framework, where neither the function nor the provider says more


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        trees = yaml_trees(source.path, source.text)
        tree = trees[0] if trees else _NOTHING
        functions = list(_functions(tree, not_read))
        if not functions:
            raise BadFile(source.path, "there are no functions in it", line=1)
        for name, function in functions:
            routes += _of_function(tree, name, function, not_read)
    return reading_of_many(routes, not_read)


def _functions(tree: Tree, not_read: list[NotRead]) -> Iterator[tuple[str, Tree]]:
    """The functions, as one mapping or as a list of several; one that is in another file is named."""
    found = tree.get("functions") or _NOTHING
    for part in [found] if found.is_mapping else found.each():
        for name, function in part.items():
            if function.is_mapping:
                yield name, function
            else:
                not_read.append(_elsewhere(function, f"function {name}"))
        if not part.is_mapping:
            not_read.append(_elsewhere(part, "functions"))


def _elsewhere(tree: Tree, what: str) -> NotRead:
    return NotRead(file=tree.file, line=tree.line, what=f"{what}: {tree.text() or 'nothing'} is not read")


def _value(tree: Tree, found: Tree | None, not_read: list[NotRead]) -> Tree | None:
    """A value with the variables of this file in their places, and with their defaults where they have one."""
    for _ in range(_MOST_VARIABLES):
        variable = _VARIABLE.fullmatch(found.text().strip()) if found else None
        if found is None or variable is None:
            break
        source, _, fallback = variable[1].partition(",")
        own = tree.get(*source.strip()[5:].split(".")) if source.strip().startswith("self:") else None
        if own is not None:
            found = Tree(found.file, found.line, own.value)
        elif fallback.strip():
            what = f"{found.text()}: its default is taken"
            not_read.append(NotRead(file=found.file, line=found.line, what=what))
            found = Tree(found.file, found.line, fallback.strip().strip("'\""))
        else:
            break
    return found


def _of_function(tree: Tree, name: str, function: Tree, not_read: list[NotRead]) -> Iterator[Route]:
    worker = Later(partial(_worker, tree, function, not_read))
    events = list((function.get("events") or _NOTHING).each())
    found = False
    for event in events:
        for kind, front in _FRONTS.items():
            http = event.get(kind)
            if http is None:
                continue
            found = True
            written = http.get("path") or http.get("conditions", "path") or http
            for path in [one.text().rpartition(" ")[2].strip() or "/" for one in written.each()]:
                yield _route(
                    tree,
                    front,
                    path if path.startswith(("/", "*")) else f"/{path}",
                    function,
                    worker,
                    not_read,
                )
    if not found:
        what = "URL of" if function.get("url") else "function"
        yield Route(
            host="",
            path=f" {what} {name}",
            file=function.file,
            line=function.line,
            layers=worker,
        )


def _worker(tree: Tree, function: Tree, not_read: list[NotRead]) -> tuple[Layer]:
    """The function itself."""
    shared = _value(tree, tree.get("provider", "timeout"), not_read)
    own = _value(tree, function.get("timeout"), not_read)
    default = Tree(function.file, function.line, _DEFAULT_S)
    limits: dict[TimerKind, Limit] = {}
    put(
        limits,
        TimerKind.TOTAL,
        limit_at(own or shared or default, units.seconds, not_read, inherited=own is None),
    )
    return (layer_of("aws-lambda", limits),)


def _route(
    tree: Tree, front: str, path: str, function: Tree, worker: Sequence[Layer], not_read: list[NotRead]
) -> Route:
    def gateway() -> Layer:
        limits: dict[TimerKind, Limit] = {}
        if front == "aws-apigw-http":
            found = _value(tree, tree.get("provider", "httpApi", "timeout"), not_read)
            put(limits, TimerKind.TOTAL, limit_at(found, units.seconds, not_read, inherited=True))
        return layer_of(front, limits)

    return Route(
        host="",
        path=path,
        file=function.file,
        line=function.line,
        layers=Later(lambda: (gateway(), *worker)),
        takes_path=_takes(path),
    )


def _takes(path: str) -> Callable[[str], Rank | None]:
    if "{" not in path and "*" not in path:
        return lambda asked: path_rank("exact", path.rstrip("/") or "/", asked.rstrip("/") or "/")
    body = re.sub(r"\\\{[^}]*\\\+\\\}|\\\*", ".*", re.escape(path))
    body = re.sub(r"\\\{[^}]*\\\}", "[^/]+", body)
    return lambda asked: (1, len(path)) if re.fullmatch(body, asked) else None


_FIELDS: Final = {
    field: re.compile(rf"^{field}\s*:", re.MULTILINE) for field in ("functions", "provider", "service")
}


def _looks(source: Source) -> int:
    name = file_name(source)
    if not name.endswith((".yaml", ".yml")):
        return 0
    if name.startswith("serverless."):
        return 95
    return 85 if all(source.has(pattern, field) for field, pattern in _FIELDS.items()) else 0


SERVERLESS: Final = register(Format(name="serverless", title="serverless.yml", looks=_looks, read=_read))
