"""A layer from what a file says: the product's preset with the file's limits; defaults are said to be such."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whocut.chain.catalogue import Limit, preset, settled, with_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.chain.layers import Layer
    from whocut.chain.timers import TimerKind


def layer_of(product: str, limits: Mapping[TimerKind, Limit], *, name: str = "", **manners: Any) -> Layer:
    """The product's preset with these limits; what no file says is its default, and inherited.

    `manners` are fields of `Layer`; None leaves the preset's.
    """
    layer = preset(product)
    defaults = {kind: replace(timer, inherited=True) for kind, timer in layer.timers.items()}
    layer = with_limits(replace(layer, timers=defaults), limits)
    said = {field: value for field, value in manners.items() if value is not None}
    return settled(replace(layer, name=name or product, **said))


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
