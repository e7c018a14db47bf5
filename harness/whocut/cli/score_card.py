"""`whocut policy`: reads what was asked for, holds the client to the contract, writes the cards."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.text import Text

from whocut.chain.durations import parse_duration
from whocut.contract.card import Card, Result, print_result
from whocut.contract.checks import BY_ID, CHECKS
from whocut.contract.client import Candidate, command_client, find_client
from whocut.contract.hold import hold
from whocut.contract.play import WATCH_REAL_S
from whocut.errors import BadInput, CouldNotRun, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console


def hold_to_contract(
    target: str | None,
    command: str | None,
    allow: Sequence[str],
    only: Sequence[str],
    console: Console | None,
    watch: str | None = None,
    *,
    shorten: bool = True,
    asks: bool = False,
) -> Card:
    """The card of the client that was named; shown as it is made, where there is a console.

    Raises:
        BadInput: not exactly one client, or an unknown check.
        NotInstalled: the command's program is not here.
    """
    for name in only:
        _known("check", name)
    allowed = dict(_allowed(written) for written in allow)
    checks = [BY_ID[name] for name in only] or list(CHECKS)

    def show(result: Result) -> None:
        if console is not None:
            print_result(console, result)

    logging.getLogger().addHandler(logging.NullHandler())  # what the client logs is not what we say
    card = hold(
        _target(target, command, asks=asks),
        allow=allowed,
        checks=checks,
        show=show,
        watch_real_s=_watch_s(watch),
        shorten=shorten,
    )
    if console is not None:
        console.print(Text(f"\n{card.line}", style="bold"), soft_wrap=True)
    return card


def write_card(card: Card, *, markdown: Path | None, junit: Path | None) -> None:
    """Write the files that were asked for.

    Raises:
        CouldNotRun: one cannot be written.
    """
    for path, content in ((markdown, card.markdown().encode()), (junit, card.junit())):
        if path is None:
            continue
        try:
            path.write_bytes(content)
        except OSError as error:
            raise CouldNotRun(f"{path} cannot be written: {error.strerror or error}") from None


def _target(target: str | None, command: str | None, *, asks: bool = False) -> Candidate:
    if (target is None) == (command is None):
        raise BadInput("name one client: TARGET as MODULE:CALLABLE, or --command 'node client.mjs'")
    if target is not None and asks:
        raise BadInput("--asks is about a program: name it with --command")
    return find_client(target) if target is not None else command_client(command or "", asks=asks)


def _watch_s(written: str | None) -> float:
    if written is None:
        return WATCH_REAL_S
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        raise BadInput(f"--watch '{written}': {error}") from None
    if seconds is None:
        raise BadInput(f"--watch '{written}': a watch ends; write a duration like 60s")
    return seconds


def _allowed(written: str) -> tuple[str, str]:
    name, _, reason = written.partition("=")
    _known("allow", name)
    if not reason.strip():
        raise BadInput(f"{name}: say why, as in {name}='the gateway deduplicates'", field="allow")
    return name, reason.strip()


def _known(field: str, name: str) -> None:
    if name not in BY_ID:
        raise BadInput(
            f"there is no check '{name}'{nearest(name, BY_ID)}; there are {', '.join(BY_ID)}", field=field
        )
