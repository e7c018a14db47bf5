"""What a reader has read: routes with their layers, what could not be read, and the choice among them.

A route says for which host and path it holds. Which of them a request takes is decided by rank, host first: the
readers give the ranks by their products' own rules. Where the answer depends on a host or a path that was not
given, the routes are named instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from whocut.chain.layers import Layer
    from whocut.chain.timers import Timer

_MOST_NAMED = 8
_MANY = 1_000
Rank = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request that is meant, as far as it was said; None is not said."""

    host: str | None = None
    path: str | None = None

    @property
    def name(self) -> str:
        """``img.example.com/v1``, with a star where all are meant."""
        return f"{self.host or '*'}{self.path or ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRead:
    """Something in a file that could not be read, or that decides at run time."""

    file: str
    line: int | None
    what: str

    @property
    def place(self) -> str:
        """Its place: ``nginx.conf:12``."""
        return f"{self.file}:{self.line}" if self.line is not None else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Harmless:
    """A timer that is written and cannot end a slow answer, and why."""

    directive: str
    limit_s: float | None
    why: str
    file: str
    line: int | None


class NoRoute(BadInput):
    """No route takes the request."""


def anywhere(_: str) -> Rank | None:
    """Every host, or every path."""
    return (0,)


T = TypeVar("T")


class Later(Sequence[T]):
    """What is made when it is looked at: of the layers of thirty thousand routes one is asked for."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Sequence[T]]) -> None:
        self._make = make
        self._made: tuple[T, ...] | None = None

    def _all(self) -> tuple[T, ...]:
        if self._made is None:
            self._made = tuple(self._make())
        return self._made

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way through a gateway: for which requests it holds, where it is written, and the layers on it.

    `takes_host` and `takes_path` give the rank with which it takes a request; None is not at all.
    """

    host: str
    path: str
    file: str
    line: int | None
    layers: Sequence[Layer]
    harmless: Sequence[Harmless] = ()
    takes_host: Callable[[str], Rank | None] = field(default=anywhere, compare=False)
    takes_path: Callable[[str], Rank | None] = field(default=anywhere, compare=False)

    @property
    def name(self) -> str:
        """``img.example.com/v1``, with a star where it holds for all."""
        return f"{self.host or '*'}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that one format's reader has found.

    `host_first`: a host is chosen before a path is looked at; otherwise the first route that takes both is.
    """

    routes: tuple[Route, ...]
    not_read: Sequence[NotRead] = ()
    host_first: bool = True

    def taken(self, asked: Asked) -> tuple[Route, ...]:
        """The routes that the request can take: one, if enough was said of it."""
        if not self.host_first:
            host_said = asked.host is not None or not any(route.host for route in self.routes)
            whole = host_said and asked.path is not None
            return tuple(_best(self.routes, lambda route: _both(route, asked), whole=whole))
        routes = _best(self.routes, lambda route: _rank(route.takes_host, asked.host))
        if asked.host is not None:
            return tuple(_best(routes, lambda route: _rank(route.takes_path, asked.path)))
        # Without a host each host has a route of its own for the path.
        return tuple(
            route
            for host in dict.fromkeys(route.host for route in routes)
            for route in _best(
                [route for route in routes if route.host == host],
                lambda route: _rank(route.takes_path, asked.path),
            )
        )


def _rank(takes: Callable[[str], Rank | None], said: str | None) -> Rank | None:
    return () if said is None else takes(said)


def _both(route: Route, asked: Asked) -> Rank | None:
    host, path = _rank(route.takes_host, asked.host), _rank(route.takes_path, asked.path)
    return None if host is None or path is None else (*host, *path)


def _best(
    routes: Iterable[Route], rank: Callable[[Route], Rank | None], *, whole: bool = True
) -> list[Route]:
    """The routes that take it with the highest rank; where only a part was asked, all that take that part."""
    ranked = [(found, route) for route in routes if (found := rank(route)) is not None]
    best = max((found for found, _ in ranked), default=None)
    return [route for found, route in ranked if found == best or not whole]


def reading_of_many(routes: Sequence[Route], not_read: list[NotRead], *, host_first: bool = True) -> Reading:
    """A reading whose layers are made later: of a few routes now, so that all of their notes are there."""
    for route in routes if len(routes) <= _MANY else ():
        len(route.layers)
    return Reading(routes=tuple(routes), not_read=not_read, host_first=host_first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What files say of one request: its layers from the caller inward, and what was not read.

    Where a host or a path decides and was not given, there are no layers, and `undecided` says so.
    """

    layers: tuple[Layer, ...]
    routes: tuple[Route, ...]
    not_read: tuple[NotRead, ...] = ()
    harmless: tuple[Harmless, ...] = ()
    undecided: str = ""
    taken: tuple[Route, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "layers": [layer_as_json(layer) for layer in self.layers],
            "routes": [
                {
                    "host": route.host,
                    "path": route.path,
                    "file": route.file,
                    "line": route.line,
                    "taken": any(route is one for one in self.taken),
                    # Of a thousand routes no layer is made that the answer does not need.
                    "timers": [timer_as_json(t) for layer in route.layers for t in layer.timers.values()]
                    if (self.undecided and len(self.routes) <= _MANY)
                    or any(route is one for one in self.taken)
                    else None,
                }
                for route in self.routes
            ],
            "harmless": [
                {"directive": h.directive, "limit_s": h.limit_s, "why": h.why, "file": h.file, "line": h.line}
                for h in self.harmless
            ],
            "not_read": [{"file": n.file, "line": n.line, "what": n.what} for n in self.not_read],
            "undecided": self.undecided or None,
        }


def layer_as_json(layer: Layer) -> dict[str, Any]:
    """One layer, for machines."""
    return {
        "name": layer.name,
        "product": layer.preset or layer.name,
        "timers": [timer_as_json(timer) for timer in layer.timers.values()],
        "unknown": [{"kind": str(kind), "directive": knob} for kind, knob in layer.unknown.items()],
        "buffers": str(layer.buffering),
        "retries": {
            "tries": layer.retries.tries,
            "post": layer.retries.post,
            "on_timeout": layer.retries.on_timeout,
            "connects": layer.retries.connects,
            "file": layer.retries.file or None,
            "line": layer.retries.line,
        },
        "notices_abort": layer.notices_abort,
    }


def timer_as_json(timer: Timer) -> dict[str, Any]:
    """One timer, for machines; a default is in no file."""
    return {
        "kind": str(timer.kind),
        "limit_s": timer.limit_s,
        "directive": timer.directive,
        "file": timer.file or None,
        "line": timer.line,
        "inherited": timer.inherited,
    }


def decided(reading: Reading, asked: Asked) -> Read:
    """The layers of the route that the request takes.

    Raises:
        NoRoute: no route takes it; names those that there are.
    """
    taken = reading.taken(asked)
    first = next((route for route in taken if route.layers), None)
    if first is None:
        raise NoRoute(_none_takes(reading, asked))
    # Routes that differ in nothing that counts are one answer.
    way = essence(first.layers)
    if any(route.layers and essence(route.layers) != way for route in taken):
        which = " and ".join(
            flag for flag, said in (("--host", asked.host), ("--path", asked.path)) if said is None
        )
        # Of many routes no layers are made for their names' sake.
        names = _named(taken if len(taken) > _MANY else [route for route in taken if route.layers])
        question = (
            f"the limits depend on the route; say which one with {which}" if which else "the limits differ"
        )
        return Read(
            layers=(), routes=reading.routes, not_read=_notes(reading), undecided=f"{question}: {names}"
        )
    return Read(
        layers=tuple(_placed(first)),
        routes=reading.routes,
        not_read=_notes(reading),
        harmless=tuple(first.harmless),
        taken=(first,),
    )


def _placed(route: Route) -> Iterator[Layer]:
    """The route's layers; one without a place of its own has the route's."""
    for layer in route.layers:
        yield layer if layer.file else replace(layer, file=route.file, line=route.line)


def _notes(reading: Reading) -> tuple[NotRead, ...]:
    """What could not be read, each once, when the layers have been made."""
    return tuple(dict.fromkeys(reading.not_read))


def _none_takes(reading: Reading, asked: Asked) -> str:
    if not any(route.layers for route in reading.routes):
        return "it passes no request on to an upstream"
    return f"no route takes {asked.name}; there are {_named([route for route in reading.routes if route.layers])}"


def _named(routes: Sequence[Route]) -> str:
    names = list(dict.fromkeys(route.name for route in routes))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def essence(layers: Iterable[Layer]) -> tuple[Any, ...]:
    """What counts of layers: not where it is written."""
    return tuple(
        (
            layer.name,
            layer.preset,
            tuple(sorted((kind, timer.limit_s) for kind, timer in layer.timers.items())),
            tuple(sorted(layer.unknown.items())),
            layer.buffering,
            (layer.retries.tries, layer.retries.post, layer.retries.on_timeout, layer.retries.connects),
            layer.notices_abort,
        )
        for layer in layers
    )
