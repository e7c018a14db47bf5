"""`whocut attribute`: spans and logs made elsewhere, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.cli.options import (
    BetweenTaps,
    JsonFlag,
)
from whocut.cli.printing import EXIT_FINDING, fail, print_json, say
from whocut.foreign.files import attribute_material


def attribute(
    spans: Annotated[
        list[Path] | None, typer.Option(help="OTLP/JSON lines, as a Collector's file exporter writes them.")
    ] = None,
    logs: Annotated[
        list[str] | None,
        typer.Option(
            help="FORMAT=FILE or LAYER:FORMAT=FILE, from the caller inward; docs/logs.md lists them."
        ),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(help="The chain it went through: a name or a file. Default: as the material shows."),
    ] = None,
    between: BetweenTaps = None,
    as_json: JsonFlag = False,
) -> None:
    """Say which layer cut each request, from spans and logs made elsewhere.

    Exit 1 where nothing could be read, and where what could be read holds no request.

    Example: whocut attribute --spans spans.jsonl --logs nginx=access.log --logs nginx=error.log

    Two taps and the layer between them: whocut attribute --spans outer/spans.jsonl --spans inner/spans.jsonl
    --between outer,inner=nginx:idle=60s
    """
    attributed = attribute_material(spans=spans or (), logs=logs or (), chain=chain, between=between or ())
    if as_json:
        print_json(attributed.as_json())
    else:
        for line in attributed.as_words():
            say(line)
    if attributed.unusable:
        fail(attributed.unusable, EXIT_FINDING)
