"""`whocut compare`: what changed between runs, checks or sweeps, and is it better?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from whocut.cli.options import (
    JsonFlag,
)
from whocut.cli.printing import EXIT_FINDING, print_json, print_text, say
from whocut.cli.terminal import Terminal
from whocut.compare.decide import Change
from whocut.compare.decide import compare as held_against
from whocut.compare.reading import read_account
from whocut.compare.words import as_json as in_json
from whocut.errors import BadInput, nearest
from whocut.show.compare import as_markdown, print_comparison
from whocut.trace.rundir import write_whole

_FORMATS: Final = ("text", "json", "markdown", "html")


def compare(
    one: Annotated[
        Path,
        typer.Argument(
            metavar="A", help="A run directory, or a file with the JSON of a run, a sweep or a check."
        ),
    ],
    others: Annotated[list[Path], typer.Argument(metavar="B...", help="What is held against A, one by one.")],
    fail_on_worse: Annotated[
        bool, typer.Option("--fail-on-worse", help="Exit 1 where an answer is worse, or a run is not valid.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="text, json, markdown or html.")] = "text",
    out: Annotated[
        Path | None, typer.Option(help="Write it to this file; a page needs one.", metavar="FILE")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What changed between A and B: better, worse, or cannot tell, with intervals.

    Example: whocut compare runs/before runs/after --fail-on-worse
    """
    form = "json" if as_json else form
    if form not in _FORMATS:
        raise BadInput(
            f"there is no format '{form}'{nearest(form, _FORMATS)}; there are {', '.join(_FORMATS)}",
            field="format",
        )
    if form == "html" and out is None:
        raise BadInput("a page is written to a file; add --out compare.html", field="format")
    before = read_account(one)
    seen = [held_against(before, read_account(other)) for other in others]
    if form == "html":
        from whocut_reports import comparison_page  # noqa: PLC0415  # only who wants the page pays for its pictures

        text = comparison_page(seen)
    elif form == "markdown":
        text = "\n".join(map(as_markdown, seen))
    if form == "json":
        print_json({"comparisons": [in_json(found) for found in seen]})
    elif form == "text":
        for found in seen:
            print_comparison(Terminal(), found)
    elif out is None:
        print_text(text)
    else:
        write_whole(out, text.encode())
        say(f"wrote:  {out}")
    if fail_on_worse and any(found.answer is Change.WORSE or found.doubts for found in seen):
        raise typer.Exit(EXIT_FINDING)
