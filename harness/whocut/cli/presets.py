"""`whocut presets`: the catalogue of layers."""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import print_json
from whocut.cli.terminal import Terminal
from whocut.show import presets as show_presets


def presets(
    name: Annotated[str | None, typer.Argument(help="A layer by name; default: all of them.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of chain files, for your editor.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every layer there is: its timers, what it answers, where that is known from, and what is not.

    Example: whocut presets nginx
    """
    if schema:
        from whocut.chain.schema import chain_schema  # noqa: PLC0415

        print_json(chain_schema())
    elif as_json:
        print_json(show_presets.presets_as_json(name))
    elif name is None:
        show_presets.print_presets(Terminal())
    else:
        show_presets.print_preset(Terminal(), name)
