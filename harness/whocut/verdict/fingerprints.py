"""Fingerprints: what a caller can tell of the layer that answered, from one response alone.

Data: the rows are in ``fingerprints.yaml``, and `inference` reads a response by them.

A CDN may relay the page of the hop behind it under headers of its own: `depth` says how far in a layer is, and
where two rows fit, the innermost is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from whocut.chain.timers import Phase, TimerKind
from whocut.tables import table


class Depth(IntEnum):
    """How far in a layer usually is."""

    EDGE = 1  # CDN
    PLATFORM = 2  # load balancer, hosting platform
    GATEWAY = 3  # a proxy of one's own
    APP = 4  # the application server itself


class Ended(StrEnum):
    """Who ended the request, by the page's own account."""

    LAYER = "layer"  # a timer of the layer that wrote the page
    UPSTREAM = "upstream"  # the hop behind the layer that wrote the page
    CALLER = "caller"  # the layer waited for its caller, and in vain


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One page of one layer; ``fingerprints.yaml`` says what each column means."""

    layer: str
    title: str
    depth: Depth
    ended: Ended
    timer: TimerKind | None
    phase: Phase
    directive: str
    status: tuple[int, ...]
    headers: tuple[tuple[str, str], ...]
    body: tuple[str, ...]
    whole: str | None
    quoted: bool
    without: tuple[str, ...]
    elapsed_s: tuple[float, ...]
    tries: int
    or_upstream: bool
    source: str
    memory: frozenset[str]

    @property
    def verified(self) -> bool:
        """Whether the page itself (its body, or its headers where it has none) is more than a memory."""
        return ("body" if self.body or self.whole is not None else "headers") not in self.memory


@cache
def fingerprints() -> tuple[Fingerprint, ...]:
    """Every row."""
    return tuple(_row(row) for row in table(Path(__file__).with_suffix(".yaml")))


def fingerprints_as_markdown() -> str:
    """The rows for the documentation."""
    head = ["| layer | status | body | elapsed, s | means | known by |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(_markdown(row) for row in fingerprints())])


def _row(row: dict[str, Any]) -> Fingerprint:
    layer, title, depth = row["page"]
    says = row["says"]
    return Fingerprint(
        layer=layer,
        title=title,
        depth=Depth[depth.upper()],
        ended=Ended(says["ended"]),
        timer=TimerKind(says["timer"]) if says["timer"] else None,
        phase=Phase(says["phase"]),
        directive=says.get("directive", ""),
        status=tuple(row.get("status", ())),
        headers=tuple(row.get("headers", {}).items()),
        body=tuple(row.get("body", ())),
        whole=row.get("whole"),
        quoted=row.get("quoted", False),
        without=tuple(row.get("without", ())),
        elapsed_s=tuple(float(limit_s) for limit_s in row.get("elapsed", ())),
        tries=row.get("tries", 1),
        or_upstream=row.get("or_upstream", False),
        source=row["source"],
        memory=frozenset(row.get("memory", ())),
    )


def _markdown(row: Fingerprint) -> str:
    body = "empty" if row.whole == "" else row.whole or (row.body[0] if row.body else "–")
    limits = ", ".join(f"{limit_s:g}" for limit_s in row.elapsed_s) + (
        f" × 1–{row.tries}" if row.tries > 1 else ""
    )
    means = {
        Ended.LAYER: f"`{row.directive}` fired",
        Ended.UPSTREAM: "the hop behind it ended",
        Ended.CALLER: "its caller was too slow",
    }[row.ended]
    known = row.source if row.verified else f"{row.source}, **unverified**"
    page = body.replace("|", "\\|")
    status = ", ".join(map(str, row.status)) or "–"
    return f"| {row.title} | {status} | `{page}` | {limits or '–'} | {means} | {known} |"
