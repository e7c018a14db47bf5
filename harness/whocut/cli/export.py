"""`whocut export`: attempts and verdicts of a run, in the forms of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.chain.plain import topology_of
from whocut.cli.options import (
    RunArgument,
)
from whocut.cli.printing import print_json, print_text, say
from whocut.errors import BadInput, nearest
from whocut.export.formats import FORMATS, Exported
from whocut.export.table import rows_of, schema
from whocut.redact import exact_bytes
from whocut.show.following import next_command
from whocut.trace.rundir import RunDir, write_whole
from whocut.verdict.figures import doubts_of
from whocut.verdict.of_run import judge_run


def export(
    run_dir: RunArgument,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="; ".join(f"{name}: {one.says}" for name, one in FORMATS.items()) + "."
        ),
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to. Default: the standard output.")
    ] = None,
    as_schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a row instead.")
    ] = False,
) -> None:
    """Write a run's attempts and verdicts for other programs: a row an attempt, with what was found of it.

    Example: whocut export runs/first --format parquet --out first.parquet
    """
    if as_schema:
        print_json(dict(schema()))
        return
    if form not in FORMATS:
        raise BadInput(
            f"there is no format '{form}'{nearest(form, FORMATS)}; there are {', '.join(FORMATS)}",
            field="format",
        )
    if out is None and not FORMATS[form].text:
        raise BadInput(f"{form} is not text; add --out FILE", field="format")
    run = RunDir.open(run_dir)
    topology = topology_of(run.manifest)
    judged = judge_run(run, topology)
    made = FORMATS[form].write(
        Exported(
            run.path.name,
            doubts_of(run),
            tuple(rows_of(run.attempts(), judged.verdicts)),
            judged.figures,
            topology,
        )
    )
    if out is None:
        print_text(made.decode())
        return
    write_whole(out, exact_bytes(made))
    say(f"wrote:  {out} ({judged.figures.attempts:,} attempts)", to_stderr=True)
    say(f"next:   {next_command('compare', run_dir)} OTHER", to_stderr=True)
