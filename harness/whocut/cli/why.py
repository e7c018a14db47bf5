"""`whocut why`: one request, explained."""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import (
    JsonFlag,
    RunArgument,
)
from whocut.cli.printing import print_json, say
from whocut.cli.terminal import Terminal
from whocut.show.following import next_command
from whocut.show.why import explain, show_why


def why(
    run_dir: RunArgument,
    request: Annotated[
        str | None, typer.Argument(help="A request by name; default: one that was cut.")
    ] = None,
    pick: Annotated[
        str, typer.Option(help="typical, cut, orphan, slowest, delivered, tie or unattributed.")
    ] = "typical",
    as_json: JsonFlag = False,
) -> None:
    """Draw one request as a waterfall and say who cut it, with the evidence.

    Example: whocut why runs/first plain-0007
    """
    explained = explain(run_dir, request, pick)
    if as_json:
        print_json(explained.as_json())
    else:
        show_why(explained, Terminal())
        say(f"next:   {next_command('report', run_dir)}")
