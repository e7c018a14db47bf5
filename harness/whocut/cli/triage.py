"""`whocut triage`: the likely cause of a pasted error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.pasted import pasted_text
from whocut.cli.printing import EXIT_FINDING, print_json, say
from whocut.verdict.triage import Cause
from whocut.verdict.triage import triage as triage_text

if TYPE_CHECKING:
    from whocut.chain.layers import Layer

_WHAT_TO_PASTE: Final = (
    "Paste the error here: a traceback with its causes, a response with its headers, a gateway's log line. "
    "End with Ctrl-D on a line of its own."
)


def at_a_terminal() -> bool:
    """Whether the text is going to be typed or pasted by hand."""
    return sys.stdin.isatty()


def triage(
    file: Annotated[
        Path | None, typer.Argument(help="A file with the error; default: standard input.")
    ] = None,
    clipboard: Annotated[bool, typer.Option("--clipboard", help="Read the clipboard instead.")] = False,
    after: Annotated[
        float | None, typer.Option(help="How many seconds it took, where the text does not say.")
    ] = None,
    chain: Annotated[str | None, typer.Option(help="The chain it went through: a name or a file.")] = None,
    redacted: Annotated[
        bool, typer.Option("--redacted", help="Print the text without keys, hosts and addresses, and end.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say the likely cause of a pasted error: an exception, a traceback, curl -v, a HAR, a response, lines of logs.

    Example: curl -sv https://… 2>&1 | whocut triage
    """
    if file is None and not clipboard and at_a_terminal():
        say(_WHAT_TO_PASTE, to_stderr=True)
    text = pasted_text(file, clipboard=clipboard)
    if redacted:
        from whocut.verdict.triage.masked import masked  # noqa: PLC0415  # its patterns are for this flag alone

        say(masked(text))
        return
    layers: tuple[Layer, ...] = ()
    if chain:
        from whocut.config.sources import read_chain  # noqa: PLC0415  # most errors are pasted without a chain

        layers = read_chain(chain).layers
    found = triage_text(text, elapsed_s=after, chain=layers)
    if as_json:
        print_json(found.as_json())
    else:
        for label, words in found.as_words():
            say(f"{label + ':':<11}{words}")
    if found.cause is Cause.UNKNOWN:
        raise typer.Exit(EXIT_FINDING)
