"""What `--from` and the flags around it ask of a backend, read into one search."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from whocut.chain.durations import parse_duration
from whocut.clock.clock import calendar_s
from whocut.errors import BadInput
from whocut.redact import protect
from whocut.show.progress import ProgressLine
from whocut.trace.fetching.asked import (
    DEFAULT_LIMIT,
    DEFAULT_WINDOW_S,
    MOST_TRACES,
    Asked,
    Looked,
    near_limits,
)
from whocut.trace.fetching.fetch import Source, backends, everything, fetch_spans, parse_source
from whocut.trace.logs.fields import iso_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.records import Span

_FORMS: Final = ", ".join(f"{name}={backend.address}" for name, backend in backends().items())

From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="BACKEND=ADDRESS",
        help=f"Where traces are kept: {_FORMS}. Suspicious ones are fetched whole (docs/where-traces.md).",
    ),
]
Service = Annotated[
    str | None, typer.Option(help="With --from: the service whose spans are searched. Default: all of them.")
]
Since = Annotated[
    str | None,
    typer.Option(help="With --from: how far back, as 90m, or an instant. Default: 1h; of a file, all of it."),
]
Until = Annotated[
    str | None, typer.Option(help="With --from: up to when, as 5m back, or an instant. Default: now.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, max=MOST_TRACES, help=f"With --from: fetch at most so many traces. Default: {DEFAULT_LIMIT}."
    ),
]
SlowerThan = Annotated[
    str | None, typer.Option(help="With --from: a span that took longer, as 90s, is suspicious too.")
]
Every = Annotated[
    bool, typer.Option("--all", help="With --from: fetch every trace of the time, not only suspicious ones.")
]
TokenEnv = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="With --from: the environment variable that holds a token, or USER:PASSWORD."
    ),
]
_FLAGS: Final = {"every": "all"}


@dataclass(frozen=True, slots=True)
class Search:
    """The flags as they were written; what was left out is None."""

    service: str | None
    since: str | None
    until: str | None
    limit: int | None
    slower_than: str | None
    every: bool
    token_env: str | None

    def refuse_alone(self) -> None:
        """Without `--from` none of the flags means anything.

        Raises:
            BadInput: one of them was given.
        """
        for one in fields(self):
            if getattr(self, one.name):
                raise BadInput(
                    "it belongs to --from. Name a backend with --from, or leave this out.",
                    field=_FLAGS.get(one.name, one.name),
                )

    def spans_of(self, written: Sequence[str], chain: Topology | None) -> tuple[list[Span], list[Looked]]:
        """The spans of these backends, and how the searches went; `chain` says which limits are known.

        Raises:
            BadInput: a flag or an address is invalid.
            CouldNotRun: a backend cannot be reached.
            RemoteFailure: a backend refused, or sent what is no answer of its kind.
        """
        sources = [parse_source(one) for one in written]
        asked = [self._asked(source, chain) for source in sources]
        spans: list[Span] = []
        looked: list[Looked] = []
        with ProgressLine(Console(stderr=True), after_real_s=2.0) as line:
            for source, search in zip(sources, asked, strict=True):
                line.say(f"searching {source.name}")
                found, went = fetch_spans(source, search)
                spans += found
                looked.append(went)
        return spans, looked

    def _asked(self, source: Source, chain: Topology | None) -> Asked:
        now_s = calendar_s()
        first_s, last_s = everything() if source.backend.local else (now_s - DEFAULT_WINDOW_S, now_s)
        since_s = first_s if self.since is None else _instant(self.since, now_s, "since")
        until_s = last_s if self.until is None else _instant(self.until, now_s, "until")
        if not since_s < until_s:
            raise BadInput("it is not after --since. Give a later instant.", field="until")
        return Asked(
            since_unix_s=since_s,
            until_unix_s=until_s,
            service=self.service,
            limit=self.limit or DEFAULT_LIMIT,
            near=() if self.every else near_limits(chain),
            slower_than_s=_duration(self.slower_than, "slower_than") if self.slower_than else None,
            every=self.every,
            token=None if self.token_env is None else _token(self.token_env),
        )


def _token(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value.isascii() or not value.isprintable() or not value:
        raise BadInput(
            "the environment variable of that name is not set, or is no token. Set it to the token.",
            field="token_env",
        )
    protect(value, value.rpartition(" ")[2], value.partition(":")[2])
    return value


def _instant(written: str, now_s: float, flag: str) -> float:
    """A duration back from now, or an instant of the calendar; one without a zone is in UTC."""
    if "-" in written:
        at_s = iso_instant(written)
        if at_s is None or at_s < 0:
            raise BadInput(f"'{written}' is no instant. Write it like 2026-11-27T10:00:00Z.", field=flag)
        return at_s
    return max(0.0, now_s - _duration(written, flag))


def _duration(written: str, flag: str) -> float:
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        raise BadInput(f"{error}.", field=flag) from None
    if seconds is None:
        raise BadInput(f"'{written}' is no length of time. Write it like 1h or 90s.", field=flag)
    return seconds
