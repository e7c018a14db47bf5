"""The commands that send or serve: a run, a chain kept up, the mock alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from whocut.chain.chainfile import find_chain, read_topology
from whocut.chain.load import parse_arrivals
from whocut.chain.want import in_words, parse_wants
from whocut.cli.app import (
    EXIT_COULD_NOT_RUN,
    EXIT_FINDING,
    Terminal,
    app,
    directory_of,
    fail,
    print_json,
)
from whocut.cli.consent import AccountFile, BudgetUsd, Ca, MaxRequests, NewAccount, To, with_consent
from whocut.cli.options import (
    ChainArgument,
    ChainOfScenario,
    ClockOfScenario,
    ClockOption,
    Force,
    JsonFlag,
    OtlpPort,
    ScenarioArgument,
    SeedOfLoad,
    out_option,
    port_option,
    requests_option,
    seed_option,
)
from whocut.clock import parse_clock
from whocut.errors import BadInput, nearest
from whocut.show.run import ShowProgress, print_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whocut.run.finish import Finished
    from whocut.run.scenario import Scenario
    from whocut.trace.rundir import RunDir


@app.command()
def run(
    scenario: ScenarioArgument = "image_generation",
    chain: ChainOfScenario = None,
    clock: ClockOfScenario = None,
    users: Annotated[
        int | None, typer.Option(min=1, max=20_000, help="How many ask at the same time.")
    ] = None,
    requests: Annotated[
        int | None, requests_option(help="How many images are asked for, in each mode.")
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="A mode of the scenario, like plain or stream; several are taken."),
    ] = None,
    seed: SeedOfLoad = 7,
    out: Annotated[Path | None, out_option("runs/SCENARIO-CHAIN")] = None,
    force: Force = False,
    port: Annotated[int, port_option(help="Where the chain listens; 0 is any free port.")] = 0,
    partial_images: Annotated[
        int | None, typer.Option(min=0, max=3, help="Partial images of a streamed request.")
    ] = None,
    otlp: OtlpPort = None,
    want: Annotated[
        list[str] | None, typer.Option(help="A threshold like 'delivered>=0.99'; exit code 1 when it breaks.")
    ] = None,
    arrivals: Annotated[
        str | None,
        typer.Option(
            help="closed, or open arrivals in model time: 30/min, even:2/s. Default: the scenario's."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Load processes: above 1, Locust's own master and workers.")
    ] = 1,
    to: To = None,
    budget_usd: BudgetUsd = None,
    max_requests: MaxRequests = None,
    account: AccountFile = None,
    new_account: NewAccount = False,
    ca: Ca = None,
    stand: Annotated[bool, typer.Option("--stand", hidden=True)] = False,
    live: Annotated[bool, typer.Option("--live", hidden=True)] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send load through a chain, and say which layer cut each request.

    Exit 1 where a threshold breaks, where the run is not valid, and where none of its requests was delivered.

    Example: whocut run image_generation --chain article --mode plain --mode stream --out runs/first
    """
    from whocut.chain.shipped import CHAINS  # noqa: PLC0415
    from whocut.run.endpoint import Consent  # noqa: PLC0415  # keeps --help quick
    from whocut.run.plan import Plan  # noqa: PLC0415
    from whocut.run.run import main_loop, stand_for  # noqa: PLC0415
    from whocut.run.run import run as do_run  # noqa: PLC0415
    from whocut.run.scenario import find_scenario, read_scenario  # noqa: PLC0415
    from whocut.trace.rundir import free_directory  # noqa: PLC0415

    path = find_scenario(scenario)
    told = read_scenario(path)
    modes = pick_modes(told, mode)
    topology = read_topology(find_chain(chain or told.chain, CHAINS))
    open_or_closed = parse_arrivals(arrivals or told.arrivals)
    consent = Consent(to, budget_usd, max_requests, account, new_account, ca)
    name = f"{path.stem}-{'to' if to and not chain else topology.name}"
    directory = directory_of(out, name, force=force and not stand)
    plan = Plan(
        scenario=path,
        topology=topology,
        clock=parse_clock(clock or told.clock),
        users=users or told.users,
        stages=told.stages(modes, requests or told.requests, open_or_closed),
        seed=seed,
        out=free_directory(directory) if stand else directory,
        replace=force and not stand,
        port=port,
        partial_images=told.partial_images if partial_images is None else partial_images,
        processes=processes,
        otlp_port=otlp,
        live=live,
        upstream=told.upstream,
        upstream_in=told.upstream_in,
        steps={name: told.modes[name] for name in modes} if told.steps else {},
        wants=parse_wants([*told.want, *(want or ())]),
        command=tuple(sys.argv[1:]),
    )
    plan = with_consent(plan, consent, own_chain=chain is not None, clock=clock, told=told, want=want or [])
    if stand:
        report_finished(main_loop(stand_for(plan, _say_ready)), print_summary, as_json=as_json)
        return
    with ShowProgress(Terminal(stderr=True)) as progress:
        finished = main_loop(do_run(plan, progress.show))
    report_finished(finished, print_summary, as_json=as_json)


def pick_modes(told: Scenario, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The modes to run: those asked for, or the scenario's own choice.

    Raises:
        BadInput: the scenario has no such mode; names the nearest one.
    """
    modes = tuple(dict.fromkeys(wanted or told.default_modes))
    for name in modes:
        if name not in told.modes:
            raise BadInput(
                f"--mode: there is no mode '{name}'{nearest(name, told.modes)}; there are {', '.join(told.modes)}"
            )
    return modes


def _say_ready(run_dir: RunDir) -> None:
    """One line for whoever makes the load: where the manifest says what to do."""
    _print_line({"run_dir": str(run_dir.path.resolve())})


def report_finished(
    finished: Finished,
    show: Callable[[Terminal, dict[str, Any], Path | None], None],
    *,
    as_json: bool,
    in_front: str | None = None,
) -> None:
    """Print what came of a run, and end with its exit code; of the JSON, one part's fields come out `in_front`."""
    if as_json:
        summary = finished.summary
        print_json({**(summary.pop(in_front) if in_front else {}), **summary})
    else:
        show(Terminal(), finished.summary, finished.report)
    if finished.ended_early:
        fail(finished.ended_early, EXIT_COULD_NOT_RUN)
    finding = finding_of(finished.summary, warned=not as_json)
    if finding:
        fail(finding, EXIT_FINDING)


def finding_of(summary: Mapping[str, Any], *, warned: bool = False) -> str | None:
    """Why a run that came to its end is still no success, in a sentence: the failed cases of its ``junit.xml``.

    Where whoever reads it was `warned` already, the warnings are not said once more.
    """
    broken = [
        f"{row['want']} ({in_words(row['measured'])})" for row in summary["thresholds"] if not row["holds"]
    ]
    parts = [f"broken thresholds: {', '.join(broken)}"] if broken else []
    parts += [summary["unusable"]] if summary["unusable"] else []
    if not summary["valid"]:
        why = "see the warnings above" if warned else "; ".join(summary["warnings"])
        parts.append(f"the run is not valid: {why}")
    return "; ".join(parts) or None


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def upstream(context: typer.Context) -> None:
    """Serve the mock upstream alone, for any client in any language.

    Example: whocut upstream --port 8080 --clock scaled:100 --seed 7
    """
    from whocut_mock.cli import main as serve_mock  # noqa: PLC0415  # keeps --help quick

    raise typer.Exit(serve_mock(context.args))


@app.command()
def up(
    chain: ChainArgument = "article",
    clock: ClockOption = "real",
    port: Annotated[int, port_option(help="Where clients dial; 0 is any free port.")] = 0,
    otlp: OtlpPort = None,
    seed: Annotated[int, seed_option(help="The same seed and requests take the same time.")] = 7,
    out: Annotated[Path | None, out_option("runs/up-CHAIN")] = None,
    force: Force = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a chain and the mock serving for any client in any language; Ctrl-C judges what was seen.

    Exit 1 where the run is not valid; what the clients got is for them to judge.

    Example: whocut up edge-100 --port 8080 --otlp 4318 --clock scaled:100
    """
    import asyncio  # noqa: PLC0415  # keeps --help quick

    from whocut.chain.shipped import CHAINS  # noqa: PLC0415  # as above
    from whocut.run.plan import Plan  # noqa: PLC0415  # as above
    from whocut.run.up import up as keep_up  # noqa: PLC0415  # as above

    topology = read_topology(find_chain(chain, CHAINS))
    plan = Plan(
        scenario=Path("up"),
        topology=topology,
        clock=parse_clock(clock),
        users=1,
        stages=(),
        seed=seed,
        out=directory_of(out, f"up-{topology.name}", force=force),
        replace=force,
        port=port,
        otlp_port=otlp,
        command=tuple(sys.argv[1:]),
    )

    def ready(base_url: str, endpoint: str | None) -> None:
        if as_json:
            _print_line({"ready": True, "base_url": base_url, "otlp": endpoint})
        else:
            typer.echo(f"serving: OPENAI_BASE_URL={base_url}" + (f", OTLP on {endpoint}" if endpoint else ""))
            typer.echo("Ctrl-C stops, judges and reports")

    report_finished(asyncio.run(keep_up(plan, ready)), print_summary, as_json=as_json)


@app.command()
def tap(
    to: Annotated[str, typer.Option(help="What stands behind it, like https://api.openai.com/v1.")],
    listen: Annotated[str, typer.Option(help="Where it listens, on this machine.")] = "127.0.0.1:8080",
    name: Annotated[str, typer.Option(help="Its name in the records, when there are several.")] = "tap",
    position: Annotated[
        int, typer.Option(min=1, help="How many layers it stands behind the client; 1 is right behind it.")
    ] = 1,
    out: Annotated[Path | None, out_option("runs/NAME")] = None,
    force: Force = False,
    ca: Annotated[
        Path | None, typer.Option(help="Certificates to trust. Default: SSL_CERT_FILE, the system's.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Watch a connection from where it stands: pass every byte on, write down when it came and how it ended.

    Example: whocut tap --listen 127.0.0.1:8080 --to https://api.openai.com/v1 --out runs/tap
    """
    from whocut.clock import run_real  # noqa: PLC0415  # keeps --help quick
    from whocut.path import Target  # noqa: PLC0415  # as above
    from whocut.run.tap import TapPlan, parse_listen  # noqa: PLC0415  # as above
    from whocut.run.tap import tap as stand_there  # noqa: PLC0415  # as above

    host, port = parse_listen(listen)
    plan = TapPlan(
        name=name,
        position=position,
        host=host,
        port=port,
        to=Target.parse(to, trust=ca),
        out=directory_of(out, name, force=force),
        replace=force,
        command=tuple(sys.argv[1:]),
    )

    def ready(base_url: str) -> None:
        if as_json:
            _print_line({"ready": True, "base_url": base_url})
        else:
            typer.echo(f"watching: OPENAI_BASE_URL={base_url}\nCtrl-C takes the tap away")

    tapped = run_real(stand_there(plan, ready))
    if as_json:
        print_json(tapped.as_json())
        return
    typer.echo(f"{tapped.exchanges} exchanges in {tapped.run_dir}")
    if tapped.lost:
        typer.echo(f"warning: {tapped.lost}", err=True)
    typer.echo(f"next: whocut attribute --spans {tapped.run_dir / 'spans.jsonl'}")


def _print_line(value: dict[str, object]) -> None:
    """One object on one line, for whoever waits for it."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()
