"""The real products that can be layers of a chain, and which limits each of them can have.

A layer written as ``gateway: nginx`` is the catalogue's preset of that name, and in a run the real thing. The
preset says that it can be (`in_person`), and its timers say which knobs the product has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue, entry_of
from whocut.chain.timers import TimerKind
from whocut.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.chain.layers import Layer

_WATCHES: Final = {
    TimerKind.CONNECT: "the connection",
    TimerKind.FIRST_BYTE: "the first byte",
    TimerKind.IDLE: "silence",
    TimerKind.TOTAL: "the whole response",
    TimerKind.KEEPALIVE: "idle connections",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One of them. `knobs` is the directive of each timer that it has; one directive may be several timers.

    `lazy_real_s`: a byte that comes sooner than this after a timer was set does not set it anew, in real seconds.
    `unit_real_s`: its configuration counts time in whole units of this, in real seconds; 0 is milliseconds.
    `is_program`: it is configured by a program of its user's.
    """

    name: str
    title: str
    knobs: Mapping[TimerKind, str]
    lazy_real_s: float = 0.0
    unit_real_s: float = 0.0
    is_program: bool = False

    def refuse(self, layer: Layer) -> None:
        """Say no to limits that the product cannot have.

        Raises:
            BadInput: a limit for a timer that it has not, or two limits where it has one knob.
        """
        turned: dict[str, TimerKind] = {}
        for kind in TimerKind:
            directive = self.knobs.get(kind)
            if directive is None:
                if layer.limit_s(kind) is not None:
                    raise BadInput(
                        f"{layer.name}: {self.title} has no timer for {_WATCHES[kind]}; take `{kind}` away"
                    )
                continue
            other = turned.setdefault(directive, kind)
            if layer.limit_s(other) != layer.limit_s(kind):
                raise BadInput(
                    f"{layer.name}: {self.title}'s {directive} is `{other}` and `{kind}` at once; make them one"
                )


@cache
def products() -> dict[str, Product]:
    """The products by name, in the order of their names."""
    return {
        name: Product(
            name=name,
            title=entry.title,
            knobs={kind: timer.directive for kind, timer in entry.timers.items()},
            lazy_real_s=entry.in_person.lazy or 0.0,
            unit_real_s=entry.in_person.unit or 0.0,
            is_program=entry.in_person.program,
        )
        for name, entry in catalogue().items()
        if entry.in_person is not None and entry_of(name)[1] is None
    }


def product(name: str) -> Product:
    """The product of that name.

    Raises:
        BadInput: none of that name can be started; names the nearest one.
    """
    known = products()
    if name not in known:
        raise BadInput(f"there is no gateway '{name}'{nearest(name, known)}; there are {', '.join(known)}")
    return known[name]
