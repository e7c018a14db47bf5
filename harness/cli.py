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
from harness.chain.want import parse_wants
from harness.clock import parse_clock
from harness.errors import BadInput, CouldNotRun, WhocutError, nearest
from harness.show import ShowProgress, print_summary

if TYPE_CHECKING:
    from harness.finish import Finished

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
    chain: Annotated[
        str | None, typer.Option(help="A chain by name, or a path to a chain file. Default: the scenario's.")
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(help="real, or scaled:100 for 100 model seconds a second. Default: the scenario's."),
    ] = None,
    users: Annotated[
        int | None, typer.Option(min=1, max=20_000, help="How many ask at the same time.")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(min=1, help="How many images are asked for, in each mode.")
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="A mode of the scenario, like plain or stream; several are taken."),
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
        int | None, typer.Option(min=0, max=3, help="Partial images of a streamed request.")
    ] = None,
    otlp: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Take other processes' spans on this port, by OTLP/HTTP."),
    ] = None,
    want: Annotated[
        list[str] | None, typer.Option(help="A threshold like 'delivered>=0.99'; exit code 1 when it breaks.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send load through a chain, and say which layer cut each request.

    Example: whocut run image_generation --chain article --mode plain --mode stream --out runs/first
    """
    from harness.plan import Plan  # noqa: PLC0415  # keeps --help quick
    from harness.run import main_loop  # noqa: PLC0415
    from harness.scenario import CHAINS, find_scenario, read_scenario  # noqa: PLC0415

    path = find_scenario(scenario)
    told = read_scenario(path)
    modes = tuple(dict.fromkeys(mode or told.default_modes))
    for name in modes:
        if name not in told.modes:
            raise BadInput(
                f"--mode: there is no mode '{name}'{nearest(name, told.modes)}; there are {', '.join(told.modes)}"
            )
    topology = read_topology(find_chain(chain or told.chain, CHAINS))
    plan = Plan(
        scenario=path,
        topology=topology,
        clock=parse_clock(clock or told.clock),
        users=users or told.users,
        requests=requests or told.requests,
        modes=modes,
        seed=seed,
        out=out or Path("runs") / f"{path.stem}-{topology.name}",
        replace=force or out is None,
        port=port,
        partial_images=told.partial_images if partial_images is None else partial_images,
        otlp_port=otlp,
        upstream=told.upstream,
        upstream_in=told.upstream_in,
        wants=parse_wants([*told.want, *(want or ())]),
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
    broken = [row["want"] for row in finished.summary["thresholds"] if not row["holds"]]
    if broken:
        _fail(f"broken thresholds: {', '.join(broken)}", EXIT_FINDING)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def upstream(context: typer.Context) -> None:
    """Serve the mock upstream alone, for any client in any language.

    Example: whocut upstream --port 8080 --clock scaled:100 --seed 7
    """
    from mock_upstream.cli import main as serve_mock  # noqa: PLC0415  # keeps --help quick

    raise typer.Exit(serve_mock(context.args))


@app.command()
def up(
    chain: Annotated[str, typer.Argument(help="A chain by name, or a path to a chain file.")] = "article",
    clock: Annotated[str, typer.Option(help="real, or scaled:100 for 100 model seconds a second.")] = "real",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where clients dial; 0 is any free port.")] = 0,
    otlp: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Take other processes' spans on this port, by OTLP/HTTP."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and requests take the same time.")] = 7,
    out: Annotated[
        Path | None, typer.Option(help="The run directory to make. Default: runs/up-CHAIN.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that is in --out.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a chain and the mock serving for any client in any language; Ctrl-C judges what was seen.

    Example: whocut up edge-100 --port 8080 --otlp 4318 --clock scaled:100
    """
    import asyncio  # noqa: PLC0415  # keeps --help quick

    from harness.plan import Plan  # noqa: PLC0415  # as above
    from harness.scenario import CHAINS  # noqa: PLC0415  # as above
    from harness.up import up as keep_up  # noqa: PLC0415  # as above

    topology = read_topology(find_chain(chain, CHAINS))
    plan = Plan(
        scenario=Path("up"),
        topology=topology,
        clock=parse_clock(clock),
        users=1,
        requests=1,
        modes=(),
        seed=seed,
        out=out or Path("runs") / f"up-{topology.name}",
        replace=force or out is None,
        port=port,
        otlp_port=otlp,
        command=tuple(sys.argv[1:]),
    )

    def ready(base_url: str, endpoint: str | None) -> None:
        if as_json:
            sys.stdout.buffer.write(
                orjson.dumps(
                    {"ready": True, "base_url": base_url, "otlp": endpoint}, option=orjson.OPT_APPEND_NEWLINE
                )
            )
            sys.stdout.buffer.flush()
        else:
            typer.echo(f"serving: OPENAI_BASE_URL={base_url}" + (f", OTLP on {endpoint}" if endpoint else ""))
            typer.echo("Ctrl-C stops, judges and reports")

    _report(asyncio.run(keep_up(plan, ready)), as_json=as_json)


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
def check(
    chain: Annotated[str, typer.Argument(help="A chain by name, or a path to a chain file.")],
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="Generation times: 1024-high, 1024-medium, constant:195s, lognormal:195s,280s, csv:FILE … "
            "Default: what the chain's upstream takes. May be given several times."
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="plain, no-retry, stream-0 … stream-3, async. May be given several times."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=100_000, help="Requests to prove in each case.")] = 1000,
    want: Annotated[
        list[str] | None,
        typer.Option(help="A threshold, like 'delivered>=0.999' or 'p95_s<300'. May be given several times."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Search the smallest change that keeps what is wanted.")
    ] = (False),
    caller: Annotated[
        str, typer.Option(help="auto, openai-sdk, or light: ours, with the SDK's policy, for many requests.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="The same seed takes the same time.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Is this chain right? Audit, forecast, and proof in virtual time. Exit 1 where what is wanted is missed.

    Example: whocut check article --mode plain --mode stream-2 --want 'delivered>=0.999' --fix
    """
    from harness.check import check as check_chain  # noqa: PLC0415  # keeps --help quick
    from harness.check import plan_of  # noqa: PLC0415
    from harness.scenario import CHAINS  # noqa: PLC0415
    from harness.show_check import ShowCheck, print_report  # noqa: PLC0415

    topology = read_topology(find_chain(chain, CHAINS))
    plan = plan_of(topology, profile, mode, want, requests=n, fix=fix, caller=caller, seed=seed)
    try:
        with ShowCheck(Console(stderr=True)) as progress:
            checked = check_chain(plan, progress.show)
    except KeyboardInterrupt:
        raise CouldNotRun("stopped before the check was whole; nothing was kept") from None
    if as_json:
        _print_json(checked.as_json())
    else:
        print_report(Console(), checked, chain)
    if not checked.ok:
        raise typer.Exit(EXIT_FINDING)


@app.command()
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
    from harness import show_presets  # noqa: PLC0415  # keeps --help quick

    if schema:
        from harness.chain.schema import chain_schema  # noqa: PLC0415

        _print_json(chain_schema())
    elif as_json:
        _print_json(show_presets.presets_as_json(name))
    elif name is None:
        show_presets.print_presets(Console())
    else:
        show_presets.print_preset(Console(), name)


@app.command()
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    as_json: JsonFlag = False,
) -> None:
    """Make the page and the pictures of a run anew from what it holds.

    Example: whocut report runs/first
    """
    from harness.finish import judge_run  # noqa: PLC0415
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
    from harness.pasted import pasted_text  # noqa: PLC0415  # keeps --help quick
    from harness.scenario import CHAINS  # noqa: PLC0415  # as above
    from harness.verdict.advice import Cause  # noqa: PLC0415  # as above
    from harness.verdict.triage import triage as triage_text  # noqa: PLC0415  # as above

    text = pasted_text(file, clipboard=clipboard)
    layers = read_topology(find_chain(chain, CHAINS)).layers if chain else ()
    found = triage_text(text, elapsed_s=after, chain=layers)
    if as_json:
        _print_json(found.as_json())
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

    Example: whocut attribute --spans spans.jsonl --logs nginx=access.log --logs nginx=error.log
    """
    from harness.attribute import attribute_files, parse_logs  # noqa: PLC0415  # keeps --help quick
    from harness.scenario import CHAINS  # noqa: PLC0415  # as above

    topology = read_topology(find_chain(chain, CHAINS)) if chain else None
    attributed = attribute_files(spans or [], parse_logs(logs or []), topology)
    if as_json:
        _print_json(attributed.as_json())
    else:
        for line in attributed.as_words():
            typer.echo(line)


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
