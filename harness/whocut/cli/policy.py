"""`whocut policy`: holds a client to the retry contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import EXIT_FINDING, print_json
from whocut.cli.score_card import hold_to_contract, write_card
from whocut.cli.terminal import Terminal
from whocut.contract.checks import JOBS
from whocut.errors import CouldNotRun


def policy(
    target: Annotated[
        str | None,
        typer.Argument(
            help="MODULE:CALLABLE that takes base_url and api_key and returns an OpenAI-like client."
        ),
    ] = None,
    command: Annotated[
        str | None, typer.Option(help="A program instead: it asks OPENAI_BASE_URL for one image.")
    ] = None,
    asks: Annotated[
        bool,
        typer.Option(
            "--asks",
            help="The program asks for what it reads in WHOCUT_ASKS: a JSON list of arguments, one object a call.",
        ),
    ] = False,
    allow: Annotated[
        list[str] | None, typer.Option(help="ID=reason: a broken check that is meant to be; may be repeated.")
    ] = None,
    check: Annotated[
        list[str] | None, typer.Option(help="Only this check, by its id; may be repeated.")
    ] = None,
    jobs: Annotated[
        bool, typer.Option("--jobs", help="The checks for a client that asks for images as jobs, instead.")
    ] = False,
    watch: Annotated[
        str | None,
        typer.Option(
            help="How long a client that blocks, or a program, is watched in real time, from its first attempt on; "
            "default: 12s. Its waits pass quickly meanwhile, where they can."
        ),
    ] = None,
    real_waits: Annotated[
        bool,
        typer.Option(
            "--real-waits",
            help="Let a client that blocks, or a program, wait in real time, not on a clock of its own.",
        ),
    ] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the score card as Markdown here.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the score card as JUnit XML here.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Hold a client to the retry contract: some forty checks, a score card, exit 1 on a broken obligatory one.

    Example: whocut policy whocut.client:async_reference --markdown card.md
    """
    card = hold_to_contract(
        target,
        command,
        allow or [],
        [*(check or []), *(each.id for each in JOBS if jobs)],
        None if as_json else Terminal(highlight=False),
        watch,
        shorten=not real_waits,
        asks=asks,
    )
    write_card(card, markdown=markdown, junit=junit)
    if as_json:
        print_json(card.as_json())
    if card.unreached is not None:
        raise CouldNotRun(f"no check could be tried on {card.target}: {card.unreached}")
    if card.broken:
        raise typer.Exit(EXIT_FINDING)
