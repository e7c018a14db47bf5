"""The commands that read what is there: a run directory, a pasted error, traces and logs from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.chain.chainfile import find_chain, read_topology
from whocut.chain.plain import topology_from_plain
from whocut.cli.app import EXIT_FINDING, Terminal, app, fail, print_json
from whocut.cli.options import JsonFlag, RunArgument


@app.command()
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
    from whocut.show.why import explain, show_why  # noqa: PLC0415  # keeps --help quick

    explained = explain(run_dir, request, pick)
    if as_json:
        print_json(explained.as_json())
    else:
        show_why(explained, Terminal())


@app.command()
def report(
    run_dir: RunArgument,
    as_json: JsonFlag = False,
) -> None:
    """Make the page and the pictures of a run anew from what it holds.

    Example: whocut report runs/first
    """
    from whocut.run.finish import judge_run  # noqa: PLC0415
    from whocut.trace.rundir import RunDir  # noqa: PLC0415
    from whocut_reports import write_report  # noqa: PLC0415  # matplotlib takes a second to import

    found = RunDir.open(run_dir)
    topology = topology_from_plain(found.manifest["topology"])
    page = write_report(found, judge_run(found, topology), topology)
    if as_json:
        print_json({"report": str(page)})
    else:
        typer.echo(f"report: {page}")


@app.command()
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
    from whocut.chain.shipped import CHAINS  # noqa: PLC0415  # as above
    from whocut.pasted import pasted_text  # noqa: PLC0415  # keeps --help quick
    from whocut.verdict.advice import Cause  # noqa: PLC0415  # as above
    from whocut.verdict.triage import triage as triage_text  # noqa: PLC0415  # as above

    text = pasted_text(file, clipboard=clipboard)
    layers = read_topology(find_chain(chain, CHAINS)).layers if chain else ()
    found = triage_text(text, elapsed_s=after, chain=layers)
    if as_json:
        print_json(found.as_json())
    else:
        for label, words in found.as_words():
            typer.echo(f"{label + ':':<11}{words}")
    if found.cause is Cause.UNKNOWN:
        raise typer.Exit(EXIT_FINDING)


@app.command(name="attribute")
def attribute_command(
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

    Exit 1 where nothing could be read, and where what could be read holds no request.

    Example: whocut attribute --spans spans.jsonl --logs nginx=access.log --logs nginx=error.log
    """
    from whocut.chain.shipped import CHAINS  # noqa: PLC0415  # as above
    from whocut.foreign.files import attribute_files, parse_logs  # noqa: PLC0415  # keeps --help quick

    topology = read_topology(find_chain(chain, CHAINS)) if chain else None
    attributed = attribute_files(spans or [], parse_logs(logs or []), topology)
    if as_json:
        print_json(attributed.as_json())
    else:
        for line in attributed.as_words():
            typer.echo(line)
    if attributed.unusable:
        fail(attributed.unusable, EXIT_FINDING)
