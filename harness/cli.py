"""The command line. Every command: an example in its help, words for people, JSON for machines.

Exit codes: 0 all thresholds hold · 1 a finding or a broken threshold · 2 bad input, named with its place and the
nearest right spelling · 3 could not run (a port is taken, something is not installed, it was stopped).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console

from harness.chain.chainfile import find_chain, read_topology
from harness.chain.plain import topology_from_plain
from harness.clock import parse_clock
from harness.errors import BadInput, WhocutError, nearest
from harness.show import ShowProgress, print_summary

if TYPE_CHECKING:
    from harness.run import Finished

EXIT_FINDING = 1
EXIT_COULD_NOT_RUN = 3

app = typer.Typer(
    name="whocut",
    help="Which layer cut the request? Load, traces and verdicts for slow AI image calls.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _all_commands() -> None:
    """Which layer cut the request? Load, traces and verdicts for slow AI image calls."""


JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="A scenario by name, or a path to a Locust file.")] = (
        "image_generation"
    ),
    chain: Annotated[str, typer.Option(help="A chain by name, or a path to a chain file.")] = "article",
    clock: Annotated[
        str, typer.Option(help="real, or scaled:100 for 100 model seconds a second.")
    ] = "scaled:100",
    users: Annotated[int, typer.Option(min=1, max=20_000, help="How many ask at the same time.")] = 20,
    requests: Annotated[int, typer.Option(min=1, help="How many images are asked for, in each mode.")] = 60,
    mode: Annotated[
        list[str] | None, typer.Option(help="plain, stream or no-retry; may be given several times.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed asks the same and takes the same time.")] = 7,
    out: Annotated[
        Path | None, typer.Option(help="The run directory to make. Default: runs/SCENARIO-CHAIN.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that is in --out.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the chain listens; 0 is any free port.")
    ] = 0,
    partial_images: Annotated[
        int, typer.Option(min=0, max=3, help="Partial images of a streamed request.")
    ] = 2,
    as_json: JsonFlag = False,
) -> None:
    """Send load through a chain, and say which layer cut each request.

    Example: whocut run image_generation --chain article --mode plain --mode stream --out runs/first
    """
    from harness.run import CHAINS, Plan, find_scenario, main_loop  # noqa: PLC0415  # keeps --help quick
    from scenarios.plan import MODES  # noqa: PLC0415  # only this command asks

    modes = tuple(dict.fromkeys(mode or ["plain"]))
    for name in modes:
        if name not in MODES:
            raise BadInput(
                f"--mode: there is no mode '{name}'{nearest(name, MODES)}; there are {', '.join(MODES)}"
            )
    topology = read_topology(find_chain(chain, CHAINS))
    path = find_scenario(scenario)
    plan = Plan(
        scenario=path,
        topology=topology,
        clock=parse_clock(clock),
        users=users,
        requests=requests,
        modes=modes,
        seed=seed,
        out=out or Path("runs") / f"{path.stem}-{topology.name}",
        replace=force or out is None,
        port=port,
        partial_images=partial_images,
        command=tuple(sys.argv[1:]),
    )
    with ShowProgress(Console(stderr=True)) as progress:
        finished = main_loop(plan, progress.show)
    _report(finished, as_json=as_json)


def _report(finished: Finished, *, as_json: bool) -> None:
    if as_json:
        _print_json(finished.summary)
    else:
        print_summary(Console(), finished.summary, finished.report)
    if finished.ended_early:
        _fail(finished.ended_early, EXIT_COULD_NOT_RUN)


@app.command()
def why(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
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
    from harness.why import explain, show_why  # noqa: PLC0415  # keeps --help quick

    explained = explain(run_dir, request, pick)
    if as_json:
        _print_json(explained.as_json())
    else:
        show_why(explained, Console())


@app.command()
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    as_json: JsonFlag = False,
) -> None:
    """Make the page and the pictures of a run anew from what it holds.

    Example: whocut report runs/first
    """
    from harness.run import judge_run  # noqa: PLC0415
    from harness.trace.rundir import RunDir  # noqa: PLC0415
    from reports import write_report  # noqa: PLC0415  # matplotlib takes a second to import

    found = RunDir.open(run_dir)
    topology = topology_from_plain(found.manifest["topology"])
    page = write_report(found, judge_run(found, topology), topology)
    if as_json:
        _print_json({"report": str(page)})
    else:
        typer.echo(f"report: {page}")


@app.command()
def policy(
    target: Annotated[
        str | None,
        typer.Argument(
            help="MODULE:CALLABLE that takes base_url and api_key and returns an OpenAI-like client."
        ),
    ] = None,
    command: Annotated[
        str | None, typer.Option(help="A program instead: it asks OPENAI_BASE_URL for one image.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="ID=reason: a broken check that is meant to be; may be repeated.")
    ] = None,
    check: Annotated[
        list[str] | None, typer.Option(help="Only this check, by its id; may be repeated.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the score card as Markdown here.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the score card as JUnit XML here.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Hold a client to the retry contract: some thirty checks, a score card, exit 1 on a broken obligatory one.

    Example: whocut policy harness.client:async_reference --markdown card.md
    """
    from harness.policy import hold_to_contract, write_card  # noqa: PLC0415  # keeps --help quick

    card = hold_to_contract(
        target, command, allow or [], check or [], None if as_json else Console(highlight=False)
    )
    write_card(card, markdown=markdown, junit=junit)
    if as_json:
        _print_json(card.as_json())
    if card.broken:
        raise typer.Exit(EXIT_FINDING)


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def _fail(sentence: str, code: int) -> None:
    typer.echo(f"whocut: {sentence}", err=True)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line; every mistake ends in one sentence and its exit code."""
    try:
        app(standalone_mode=True)
    except WhocutError as error:
        typer.echo(f"whocut: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("whocut: stopped", err=True)
        sys.exit(EXIT_COULD_NOT_RUN)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody left to tell
        sys.exit(0)
