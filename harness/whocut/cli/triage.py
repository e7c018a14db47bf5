"""`whocut triage`: the likely cause of a pasted error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.chain.chainfile import find_chain, read_topology
from whocut.chain.shipped import CHAINS
from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import EXIT_FINDING, print_json, say
from whocut.pasted import pasted_text
from whocut.verdict.triage import Cause
from whocut.verdict.triage import triage as triage_text


def triage(
    file: Annotated[
        Path | None, typer.Argument(help="A file with the error; default: standard input.")
    ] = None,
    clipboard: Annotated[bool, typer.Option("--clipboard", help="Read the clipboard instead.")] = False,
    after: Annotated[
        float | None, typer.Option(help="How many seconds it took, where the text does not say.")
    ] = None,
    chain: Annotated[str | None, typer.Option(help="The chain it went through: a name or a file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say the likely cause of a pasted error: an exception, a traceback, curl -v, a HAR, a response.

    Example: curl -sv https://… 2>&1 | whocut triage
    """
    text = pasted_text(file, clipboard=clipboard)
    layers = read_topology(find_chain(chain, CHAINS)).layers if chain else ()
    found = triage_text(text, elapsed_s=after, chain=layers)
    if as_json:
        print_json(found.as_json())
    else:
        for label, words in found.as_words():
            say(f"{label + ':':<11}{words}")
    if found.cause is Cause.UNKNOWN:
        raise typer.Exit(EXIT_FINDING)
