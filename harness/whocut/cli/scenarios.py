"""`whocut scenarios`: what can be named as a scenario."""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import print_json, say
from whocut.show import lists


def scenarios(
    name: Annotated[
        str | None, typer.Argument(help="One by name, or a file. Default: all that are shipped.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Every shipped scenario: what it asks, and its modes.

    Example: whocut scenarios
    """
    if as_json:
        print_json(lists.scenarios_as_json(name))
        return
    for line in lists.scenario_lines(name):
        say(line)
