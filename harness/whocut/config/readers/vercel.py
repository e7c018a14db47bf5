"""vercel.json, and `maxDuration` in a route of Next.js: what a function may take, by its file.

No file says which plan holds. A limit above what Hobby allows needs another plan, and that is said.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import preset
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

_MAX_DURATION: Final = re.compile(
    r"^[ \t]*+export\s+const\s+maxDuration\s*(?::\s*number\s*)?=\s*([^;\n]+)", re.MULTILINE
)
_RUNTIME: Final = re.compile(r"^[ \t]*+export\s+const\s+runtime\s*=\s*[\"']edge[\"']", re.MULTILINE)
_NOTHING: Final = Tree("", 0, None)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        if file_name(source).endswith(".json"):
            routes += _of_json(source, not_read)
        else:
            routes.append(_of_code(source, not_read))
    return reading_of_many(routes, not_read)


def _of_json(source: Source, not_read: list[NotRead]) -> Iterator[Route]:
    trees = yaml_trees(source.path, source.text)
    tree = trees[0] if trees else _NOTHING
    if not tree.is_mapping:
        raise BadFile(source.path, "it holds no fields; vercel.json has functions, rewrites and more", line=1)
    for pattern, function in (tree.get("functions") or _NOTHING).items():
        yield Route(
            host="",
            path=_path_of(pattern),
            file=function.file,
            line=function.line,
            layers=Later(partial(_layers, function.get("maxDuration"), not_read, tree)),
            takes_path=_takes(pattern),
        )
    for build in (tree.get("builds") or _NOTHING).each():
        pattern, limit = build.text("src"), build.get("config", "maxDuration")
        if limit is not None:
            yield Route(
                host="",
                path=_path_of(pattern),
                file=build.file,
                line=build.line,
                layers=(_layer(limit, not_read, tree),),
                takes_path=_takes(pattern),
            )
    for rewrite in [*(tree.get("rewrites") or _NOTHING).each(), *(tree.get("routes") or _NOTHING).each()]:
        target, path = (
            rewrite.text("destination") or rewrite.text("dest"),
            rewrite.text("source") or rewrite.text("src"),
        )
        if target.startswith(("http://", "https://")):
            layer = layer_of("vercel-rewrite", {})
        else:  # to a function of this project
            layer = _layer(_duration(tree, target), not_read, tree)
            if not path or not _is_function(tree, target):
                continue
        yield Route(
            host="",
            path=path,
            file=rewrite.file,
            line=rewrite.line,
            layers=(layer,),
            takes_path=_rewritten(path),
        )
    if not tree.get("functions") and not any(
        build.get("config", "maxDuration") for build in (tree.get("builds") or _NOTHING).each()
    ):
        yield Route(
            host="",
            path="/",
            file=source.path,
            line=1,
            layers=(_layer(None, not_read, tree),),
            takes_path=lambda _: (0,),
        )


def _duration(tree: Tree, target: str) -> Tree | None:
    """What the best pattern says of the function that a rewrite leads to."""
    target = target.partition("?")[0].removesuffix("/")
    target = target if target.startswith("/") else f"/{target}"
    written = [
        (pattern, function.get("maxDuration"))
        for pattern, function in (tree.get("functions") or _NOTHING).items()
    ] + [
        (build.text("src"), build.get("config", "maxDuration"))
        for build in (tree.get("builds") or _NOTHING).each()
    ]
    target = re.sub(r"\.\w+$", "", target)
    ranked = [(rank, found) for pattern, found in written if (rank := _takes(pattern)(target)) is not None]
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _is_function(tree: Tree, target: str) -> bool:
    """Whether a rewrite leads to code, and not to a page of the site."""
    return target.lstrip("/").startswith("api/") or _duration(tree, target) is not None


def _of_code(source: Source, not_read: list[NotRead]) -> Route:
    """A route's own file: its path is that of the file."""
    found = _MAX_DURATION.search(source.text)
    line = source.text.count("\n", 0, found.start(1)) + 1 if found else 1
    edge = bool(_RUNTIME.search(source.text))
    tree = Tree(source.path, line, found[1].strip()) if found else None
    layer = layer_of("vercel-edge", {}) if edge else _layer(tree, not_read, Tree(source.path, 1, None))
    path = re.sub(r"^.*?(?:^|/)(?:app|pages)(?=/)", "", source.path.replace("\\", "/"))
    path = re.sub(r"/route\.\w+$|\.\w+$", "", path) or "/"
    return Route(
        host="",
        path=path if path.startswith("/") else f"/{path}",
        file=source.path,
        line=line,
        layers=(layer,),
    )


def _layers(written: Tree | None, not_read: list[NotRead], where: Tree) -> tuple[Layer, ...]:
    return (_layer(written, not_read, where),)


def _layer(written: Tree | None, not_read: list[NotRead], where: Tree) -> Layer:
    limits: dict[TimerKind, Limit] = {}
    put(limits, TimerKind.TOTAL, limit_at(written, units.seconds, not_read))
    fluid = where.get("fluid")
    off = fluid is not None and fluid.value is False
    plan = "vercel-legacy" if off else "vercel"
    total = limits.get(TimerKind.TOTAL)
    most_s = preset(plan).timers[TimerKind.TOTAL].most_s or 0.0
    if total is not None and total.limit_s is not None and total.limit_s > most_s:
        plan = f"{plan}-pro"
        assert written is not None
        what = f"the plan is not said: maxDuration of {total.limit_s:g} s needs Pro or Enterprise"
        not_read.append(NotRead(file=written.file, line=written.line, what=what))
    elif off and fluid is not None and total is None:
        what = "fluid compute is off, and the plan is not said: Hobby's default is taken"
        not_read.append(NotRead(file=fluid.file, line=fluid.line, what=what))
    return layer_of(plan, limits, name="vercel")


def _path_of(pattern: str) -> str:
    """The path of a function's file, as far as its pattern says it."""
    path = re.sub(r"^(?:src/)?(?:app|pages)/", "/", pattern)
    path = re.sub(r"/route\.[\w*{},]+$|\.[\w*{},]+$", "", path)
    return path if path.startswith("/") else f"/{path}"


def _takes(pattern: str) -> Callable[[str], Rank | None]:
    """A function's pattern against a path; the more it says, the better it fits."""
    path = _path_of(pattern)
    begins = path.partition("*")[0].partition("[")[0].rstrip("/")

    def takes(asked: str) -> Rank | None:
        if not asked.startswith(begins):
            return None
        body = "".join(
            ".*"
            if part == "**"
            else "[^/]*"
            if part == "*"
            else "[^/]+"
            if part.startswith("[")
            else re.escape(part)
            for part in re.split(r"(\*\*|\*|\[[^\]]*\])", path)
            if part
        )
        fits = re.fullmatch(body, asked) or asked.rstrip("/") == path.rstrip("/*")
        return (1, len(path.replace("*", ""))) if fits else None

    return takes


def _rewritten(source: str) -> Callable[[str], Rank | None]:
    """A rewrite's source: its parameters take a segment or the rest."""
    body = "".join(
        ".*"
        if part.startswith(("(", ":")) and part.endswith(("*", "+", ")"))
        else "[^/]+"
        if part.startswith(":")
        else re.escape(part)
        for part in re.split(r"(:\w+[*+]?|\([^)]*\))", source)
        if part
    )
    return lambda asked: (
        (2, len(source)) if re.fullmatch(body, asked) or path_rank("exact", source, asked) else None
    )


def _looks(source: Source) -> int:
    name = file_name(source)
    if name == "vercel.json":
        return 95
    if name.endswith(".json"):
        return 70 if '"maxDuration"' in source.text else 0
    if name.endswith((".ts", ".tsx", ".js", ".jsx", ".mjs")):
        return (
            80
            if _MAX_DURATION.search(source.text)
            else 30
            if re.search(r"export\s+(?:async\s+)?function\s+(?:POST|GET)", source.text)
            else 0
        )
    return 0


VERCEL: Final = register(
    Format(name="vercel", title="vercel.json, or a Next.js route", looks=_looks, read=_read, also=("nextjs",))
)
