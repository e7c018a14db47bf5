"""`whocut attribute`: spans and logs made elsewhere, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.chain.chainfile import find_chain, read_topology
from whocut.chain.shipped import CHAINS
from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import print_json, say
from whocut.foreign.files import attribute_files, parse_logs


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
    as_json: JsonFlag = False,
) -> None:
    """Say which layer cut each request, from spans and logs made elsewhere.

    Example: whocut attribute --spans spans.jsonl --logs nginx=access.log --logs nginx=error.log
    """
    topology = read_topology(find_chain(chain, CHAINS)) if chain else None
    attributed = attribute_files(spans or [], parse_logs(logs or []), topology)
    if as_json:
        print_json(attributed.as_json())
    else:
        for line in attributed.as_words():
            say(line)
