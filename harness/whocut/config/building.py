"""A layer from what a file says: the product's preset with the file's limits; defaults are said to be such."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.catalogue import Limit, preset, settled, with_limits
from whocut.chain.timers import TimerKind
from whocut.config.reading import NotRead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whocut.chain.layers import Layer
    from whocut.config.trees import Tree


AT_ONCE_S: Final = 0.001  # of a zero that fires as soon as the timer is set


def layer_of(product: str, limits: Mapping[TimerKind, Limit], *, name: str = "", **manners: Any) -> Layer:
    """The product's preset with these limits; what no file says is its default, and inherited.

    `manners` are fields of `Layer`; None leaves the preset's.
    """
    layer = with_limits(_by_default(product), limits) if limits else _by_default(product)
    said = {field: value for field, value in manners.items() if value is not None}
    name = name or product
    layer = settled(replace(layer, name=name, **said) if said or name != layer.name else layer)
    return replace(layer, timers={kind: layer.timers[kind] for kind in TimerKind if kind in layer.timers})


@cache
def _by_default(product: str) -> Layer:
    """The product's preset, each of its timers inherited: made once for ten thousand routes."""
    layer = preset(product)
    return replace(
        layer, timers={kind: replace(timer, inherited=True) for kind, timer in layer.timers.items()}
    )


def limit(
    limit_s: float | None,
    file: str,
    line: int | None,
    *,
    inherited: bool = False,
    unknown: bool = False,
    **knob: Any,
) -> Limit:
    """A limit with its place; `knob` can name its directive, line and cap."""
    place = f"{file}:{line}" if line is not None else file
    return Limit(
        limit_s=limit_s, source=place, file=file, line=line, inherited=inherited, unknown=unknown, **knob
    )


def limit_at(
    tree: Tree | None,
    units: Callable[[str], float | None],
    not_read: list[NotRead],
    *,
    inherited: bool = False,
    text: str | None = None,
    zero_fires: bool = False,
    **knob: Any,
) -> Limit | None:
    """The limit that a value of a file says, in these units; None where nothing is written.

    A value that cannot be read makes the limit unknown, and is named. `zero_fires`: to this product zero is no
    time at all; to most others it is no limit.
    """
    if tree is None:
        return None
    written = tree.text() if text is None else text
    if not written:
        not_read.append(NotRead(file=tree.file, line=tree.line, what="a limit has no value here"))
        return limit(None, tree.file, tree.line, inherited=inherited, unknown=True, **knob)
    try:
        seconds = units(written)
    except ValueError as error:
        not_read.append(NotRead(file=tree.file, line=tree.line, what=str(error)))
        return limit(None, tree.file, tree.line, inherited=inherited, unknown=True, **knob)
    if not seconds and zero_fires:
        what = "0: no time at all, and not no limit; each request ends at once"
        not_read.append(NotRead(file=tree.file, line=tree.line, what=what))
        seconds = AT_ONCE_S
    return limit(seconds or None, tree.file, tree.line, inherited=inherited, **knob)


def put(limits: dict[TimerKind, Limit], kind: TimerKind, one: Limit | None) -> None:
    """A limit, if there is one."""
    if one is not None:
        limits[kind] = one
