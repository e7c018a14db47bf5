"""`whocut chains`: what can be named as a chain."""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import print_json, say
from whocut.show import lists


def chains(
    name: Annotated[
        str | None, typer.Argument(help="One by name, or a file. Default: all that are shipped.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Every shipped chain with its layers, and the ways of asking that `check` takes.

    Example: whocut chains
    """
    if as_json:
        print_json(lists.chains_as_json(name))
        return
    for line in lists.chain_lines(name):
        say(line)
