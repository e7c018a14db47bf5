"""`whocut run`: sends load through a chain, and says which layer cut each request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whocut.chain.between import with_between
from whocut.chain.load import parse_arrivals
from whocut.chain.want import parse_wants
from whocut.cli.consent import (
    AccountFile,
    BreakerOption,
    BudgetUsd,
    Ca,
    Free,
    MaxRequests,
    NewAccount,
    To,
    with_consent,
)
from whocut.cli.finished import print_diffs, report_finished
from whocut.cli.options import (
    BetweenTaps,
    ChainOfScenario,
    ClockOfScenario,
    Force,
    HostOption,
    JsonFlag,
    OtlpPort,
    PathOption,
    ScenarioArgument,
    SeedOfLoad,
    ShowDiff,
    out_option,
    port_option,
    requests_option,
)
from whocut.cli.printing import directory_of, print_line
from whocut.cli.terminal import Terminal
from whocut.clock import parse_clock
from whocut.config.sources import file_reader, read_chain
from whocut.errors import BadInput, require
from whocut.run.endpoint import Consent
from whocut.run.plan import Plan
from whocut.run.run import main_loop, stand_for
from whocut.run.run import run as do_run
from whocut.run.scenario import find_scenario, pick_modes, read_scenario
from whocut.run.several import Listening, one_quota, refuse_counted_by_one, refuse_together
from whocut.show.run import ShowProgress, print_summary
from whocut.trace.rundir import free_directory

if TYPE_CHECKING:
    from whocut.trace.rundir import RunDir


def run(
    scenario: ScenarioArgument = "image_generation",
    chain: ChainOfScenario = None,
    host: HostOption = None,
    url_path: PathOption = None,
    clock: ClockOfScenario = None,
    users: Annotated[
        int | None,
        typer.Option(min=1, max=20_000, help="How many ask at the same time. Default: the scenario's."),
    ] = None,
    requests: Annotated[
        int | None,
        requests_option(help="How many images are asked for, in each mode. Default: the scenario's."),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="A mode of the scenario, like plain or stream; several are taken. Default: the scenario's."
        ),
    ] = None,
    seed: SeedOfLoad = 7,
    out: Annotated[Path | None, out_option("runs/SCENARIO-CHAIN")] = None,
    force: Force = False,
    port: Annotated[int, port_option(help="Where the chain listens; 0 is any free port.")] = 0,
    partial_images: Annotated[
        int | None,
        typer.Option(min=0, max=3, help="Partial images of a streamed request. Default: the scenario's."),
    ] = None,
    otlp: OtlpPort = None,
    between: BetweenTaps = None,
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
    listen: Annotated[
        str | None,
        typer.Option(
            help="Take workers from other machines on this ADDRESS or ADDRESS:PORT, and on --port "
            "the chain's callers. They need the token that WHOCUT_TOKEN holds, or that is made and said."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=1000, help="With --listen: how many workers are waited for.")
    ] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option(help="With --listen: the file with the token. Default: WHOCUT_TOKEN, or a new one."),
    ] = None,
    local_chain: Annotated[
        bool,
        typer.Option(
            "--local-chain", help="With --listen: each worker has the chain and the mock on its own machine."
        ),
    ] = False,
    quota_in: Annotated[
        str | None,
        typer.Option(
            help="With --local-chain: the Redis in which the mocks share one quota, like redis://10.0.0.1:6379/0."
        ),
    ] = None,
    to: To = None,
    budget_usd: BudgetUsd = None,
    max_requests: MaxRequests = None,
    account: AccountFile = None,
    new_account: NewAccount = False,
    ca: Ca = None,
    free: Free = False,
    breaker: BreakerOption = None,
    show_diff: ShowDiff = False,
    stand: Annotated[bool, typer.Option("--stand", hidden=True)] = False,
    live: Annotated[bool, typer.Option("--live", hidden=True)] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send load through a chain, and say which layer cut each request.

    Exit 1 where a threshold breaks, where the run is not valid, and where none of its requests was delivered.

    Example: whocut run image_generation --chain article --mode plain --mode stream --out runs/first

    On several machines: whocut run --listen 10.0.0.1 --workers 2, and there whocut worker --master 10.0.0.1

    Taps around a gateway before a real endpoint, exporting to --otlp: --between outer,inner=nginx:idle=60s
    """
    require("locust")
    path = find_scenario(scenario)
    told = read_scenario(path)
    modes = pick_modes(told, mode)
    topology = read_chain(chain or told.chain, host=host, path=url_path)
    topology = with_between(topology, between or (), file_reader(host=host, path=url_path))
    open_or_closed = parse_arrivals(arrivals or told.arrivals)
    consent = Consent(to, budget_usd, max_requests, account, new_account, ca, free, breaker)
    listening = None
    if listen is not None:
        refuse_together(processes=processes, to=to)
        if local_chain:
            refuse_counted_by_one(told.upstream, told.upstream_in)
        listening = Listening.told(listen, workers, token_file, local_chain=local_chain, beside=stand)
    elif workers != 1 or token_file is not None or local_chain:
        flag = "--local-chain" if local_chain else "--token-file" if token_file is not None else "--workers"
        raise BadInput(f"{flag}: it belongs to workers on other machines. Give --listen ADDRESS as well.")
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
        listening=listening,
        otlp_port=otlp,
        live=live,
        upstream=one_quota(told.upstream, quota_in, local_chain=local_chain),
        upstream_in=told.upstream_in,
        raised_in={mode: least_s for mode, least_s in told.raised_in.items() if mode in modes and to is None},
        steps={name: told.modes[name] for name in modes} if told.steps else {},
        wants=parse_wants([*told.want, *(want or ())]),
        command=tuple(sys.argv[1:]),
    )
    plan = with_consent(plan, consent, own_chain=bool(chain), clock=clock, told=told, want=want or [])
    if stand:
        report_finished(main_loop(stand_for(plan, _say_ready)), print_summary, as_json=as_json)
        return
    if listening is not None:
        listening.tell()
    with ShowProgress(Terminal(stderr=True)) as progress:
        finished = main_loop(do_run(plan, progress.show))
    if show_diff:
        print_diffs(plan.out)
    report_finished(finished, print_summary, as_json=as_json)


def _say_ready(run_dir: RunDir) -> None:
    """One line for the process that makes the load: where the manifest says what to do."""
    print_line({"run_dir": str(run_dir.path.resolve())})
