"""How gateways match hosts and paths: tests that give a rank, the same rule written once."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from whocut.config.reading import Rank

_MOST_PATTERN: Final = 300
_MOST_TEXT: Final = 2_000
# A repetition of a repetition makes a backtracking engine slow; gateways use engines that do not backtrack.
_SLOW: Final = re.compile(r"[+*}]\)?[+*{]|\([^)]*[+*][^)]*\)[+*{]")


def understood(pattern: str) -> bool:
    """Whether a pattern can be tried here: it is one for Python too, and cannot be slow."""
    return _compiled(pattern, fold=False) is not None


def regex(pattern: str, text: str, *, fold: bool = False, whole: bool = False) -> bool:
    """Whether a pattern takes a text; one that Python does not know, or that could be slow, takes none."""
    compiled = _compiled(pattern, fold=fold)
    if compiled is None:
        return False
    return (compiled.fullmatch if whole else compiled.search)(text[:_MOST_TEXT]) is not None


def captured(pattern: str, text: str) -> dict[str, str] | None:
    """The groups that a pattern takes of a text, by number and by name; None: it does not take the text."""
    compiled = _compiled(pattern, fold=False)
    found = compiled.search(text[:_MOST_TEXT]) if compiled is not None else None
    if found is None:
        return None
    groups = {str(number): group or "" for number, group in enumerate((found[0], *found.groups()))}
    return groups | {name: group or "" for name, group in found.groupdict().items()}


@lru_cache(maxsize=10_000)
def _compiled(pattern: str, *, fold: bool) -> re.Pattern[str] | None:
    pattern = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)
    if len(pattern) > _MOST_PATTERN or _SLOW.search(pattern.replace(".*", ".").replace(".+", ".")):
        return None
    try:
        return re.compile(pattern, re.IGNORECASE if fold else 0)
    except (re.error, RecursionError, OverflowError):
        return None


def host_rank(pattern: str, host: str) -> Rank | None:
    """Exact before ``*.example.com`` before ``example.*`` before ``*``; the longer wildcard first."""
    pattern, host = pattern.lower(), host.lower().split(":")[0]
    if pattern.split(":")[0] == host:
        return (4, 0)
    if pattern == "*" or not pattern:
        return (1, 0)
    if pattern.startswith("*") and host.endswith(pattern[1:]):
        return (3, len(pattern))
    if pattern.endswith("*") and host.startswith(pattern[:-1]):
        return (2, len(pattern))
    return None


def any_host(patterns: Iterable[str]) -> Callable[[str], Rank | None]:
    """The best rank of several patterns; no pattern takes every host."""
    patterns = list(patterns)

    def takes(host: str) -> Rank | None:
        if not patterns:
            return (0, 0)
        return max((rank for one in patterns if (rank := host_rank(one, host)) is not None), default=None)

    return takes


def path_rank(kind: str, value: str, path: str) -> Rank | None:
    """Exact before a prefix, and the longer prefix first; of whole segments where `kind` is ``segments``."""
    if kind == "exact":
        return (3, len(value)) if path == value else None
    if kind == "regex":
        return (2, len(value)) if regex(value, path, whole=True) else None
    if kind == "segments":
        stem = value.rstrip("/")
        return (1, len(stem)) if path == stem or path.startswith(f"{stem}/") else None
    return (1, len(value)) if path.startswith(value) else None
