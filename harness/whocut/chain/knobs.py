"""Knobs by their vendors' names: `proxy_read_timeout` is `first_byte` and `idle` of NGINX."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue, entry_of, known_timers
from whocut.chain.timers import TimerKind
from whocut.errors import BadInput, nearest

if TYPE_CHECKING:
    from whocut.chain.layers import Layer

_BETWEEN = re.compile(r"[\s_.:-]+")


def kind_of(layer: Layer, written: str) -> TimerKind:
    """The timer that a name means: one of the five, or the vendor's own name of a knob that the preset knows.

    Of a knob that is several timers it is the one that fires first; the others move with it.

    Raises:
        BadInput: the name is unknown, or the knob cannot end a slow answer; names the nearest name.
    """
    if written in set(TimerKind):
        return TimerKind(written)
    knobs: dict[str, TimerKind] = {}
    for kind, timer in known_timers(layer).items():
        knobs.setdefault(timer.directive, kind)
    exact = [knob for knob in knobs if _words(knob) == _words(written)]
    meant = exact or [knob for knob in knobs if _same(written, knob)]
    if len(meant) == 1:
        return knobs[meant[0]]
    if meant:
        raise BadInput(f"'{written}' can be {' or '.join(meant)}; write it in full")
    if layer.preset in catalogue():
        for other in entry_of(layer.preset)[0].other:
            if _same(written, other.directive):
                raise BadInput(
                    f"{other.directive} of {layer.title} watches {other.watches}: it cannot end a slow answer; "
                    "leave it out"
                )
    known = [*map(str, TimerKind), *knobs]
    raise BadInput(
        f"there is no timer '{written}'{nearest(written, known)}; there are {', '.join(dict.fromkeys(known))}"
    )


def _same(written: str, directive: str) -> bool:
    """Whether a name means a directive: in full, or its last words (`responseHeaderTimeout`), in any spelling."""
    mine, theirs = _words(written), _words(directive)
    return bool(mine) and theirs[-len(mine) :] == mine


def _words(name: str) -> list[str]:
    parts = _BETWEEN.split(name)
    return [part.lower() for part in parts if part]
