"""Caddy's matchers and the order of its handlers: which of them a request comes to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.config.matching import any_host, regex, understood
from whocut.config.reading import Later, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

# What is the same for every request that is meant here.
_ALWAYS: Final = frozenset({"protocol"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a handler asks of a request; `unclear`: it asks for more than host and path."""

    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    unclear: bool = False

    @classmethod
    def of(cls, tests: Iterable[Sequence[str]]) -> Matcher:
        """All of these tests, each its name and its arguments."""
        hosts: list[str] = []
        paths: list[str] = []
        patterns: list[str] = []
        unclear = False
        for name, *values in tests:
            if name == "host":
                hosts += values
            elif name == "path":
                paths += values
            elif name == "path_regexp" and values and understood(values[-1]):
                patterns.append(values[-1])
            elif name not in _ALWAYS and not (name == "method" and "POST" in values):
                unclear = True
        return cls(tuple(hosts), tuple(paths), tuple(patterns), unclear)

    @property
    def is_empty(self) -> bool:
        """Whether it takes every request."""
        return not (self.hosts or self.paths or self.patterns or self.unclear)

    def takes(self, path: str) -> bool:
        """Whether it takes a path: any of its paths, and each of its patterns."""
        return (not self.paths or any(_fits(one, path) for one in self.paths)) and all(
            regex(pattern, path) for pattern in self.patterns
        )


def _fits(pattern: str, path: str) -> bool:
    """A path is exact but for its stars, and in any case of its letters."""
    body = ".*".join(map(re.escape, re.split(r"\*+", pattern.lower())))
    return re.fullmatch(body, path.lower(), re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class Way:
    """The matchers on the way to a handler, each with its rank among its neighbours and the prefix it takes off."""

    hosts: tuple[str, ...] = ()
    steps: tuple[tuple[Matcher, Rank, str], ...] = ()

    def through(self, matcher: Matcher, place: int, *, wraps: bool, literal: bool) -> Way:
        """One matcher further; Caddy sorts by the length of a single path, unless the order is literal."""
        length = len(matcher.paths[0].rstrip("*")) if len(matcher.paths) == 1 else 0
        exact = len(matcher.paths) == 1 and not matcher.paths[0].endswith("*")
        rank = (0, 0, 0, 0) if literal else (int(wraps), length, int(exact), int(not matcher.is_empty))
        return Way(self.hosts, (*self.steps, (matcher, (int(not matcher.unclear), *rank, -place), "")))

    def without(self, prefix: str) -> Way:
        """The way behind a handler that takes this prefix off the path."""
        *steps, (matcher, rank, _) = self.steps
        return Way(self.hosts, (*steps, (matcher, rank, prefix)))

    def rank(self, path: str) -> Rank | None:
        """The rank with which the handler takes a path."""
        ranks: list[int] = []
        for matcher, rank, prefix in self.steps:
            if not matcher.takes(path):
                return None
            ranks += rank
            path = path.removeprefix(prefix) or "/"
        return tuple(ranks)

    def host_rank(self, host: str) -> Rank | None:
        """The rank of the site, where each matcher on the way takes the host."""
        if any(matcher.hosts and any_host(matcher.hosts)(host) is None for matcher, _, _ in self.steps):
            return None
        return any_host(self.hosts)(host)

    def route(self, file: str, line: int, layer: Callable[[], Layer]) -> Route:
        """The route that ends at a handler."""
        hosts = [*self.hosts, *(host for matcher, _, _ in self.steps for host in matcher.hosts[:1])]
        paths = [path for matcher, _, _ in self.steps for path in (matcher.paths or matcher.patterns)[:1]]
        return Route(
            host=hosts[-1] if len(hosts) > len(self.hosts) else hosts[0] if hosts else "",
            path=(paths[-1].rstrip("*") if paths else "") or "/",
            file=file,
            line=line,
            layers=Later(lambda: (layer(),)),
            takes_host=self.host_rank,
            takes_path=self.rank,
        )
