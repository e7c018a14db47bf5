"""`whocut sweep`: how many requests at once before the 429s?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

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
from whocut.cli.finished import report_finished
from whocut.cli.options import (
    ChainOfScenario,
    ClockOfScenario,
    Force,
    HostOption,
    JsonFlag,
    PathOption,
    ScenarioArgument,
    SeedOfLoad,
    out_option,
    requests_option,
)
from whocut.cli.printing import directory_of
from whocut.cli.terminal import Terminal
from whocut.clock import parse_clock
from whocut.config.sources import read_chain
from whocut.errors import BadInput, require
from whocut.run.endpoint import Consent
from whocut.run.plan import Plan
from whocut.run.run import main_loop
from whocut.run.run import run as do_run
from whocut.run.scenario import find_scenario, pick_modes, read_scenario
from whocut.run.sweep import Sweep, levels_to, parse_levels, parse_tolerate
from whocut.show.run import ShowProgress
from whocut.show.sweep import print_sweep


def sweep(
    scenario: ScenarioArgument = "concurrency",
    chain: ChainOfScenario = None,
    host: HostOption = None,
    url_path: PathOption = None,
    highest: Annotated[
        int | None, typer.Option("--max", min=1, max=1000, help="Up to so many at once. Default: 10.")
    ] = None,
    levels: Annotated[str | None, typer.Option(help="These levels instead, like 1,3,5,10.")] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Halve the way from 1 to --max instead of asking every level.")
    ] = False,
    requests: Annotated[
        int | None,
        requests_option(
            help="How many images are asked for, at each level. Default: the scenario's, or three a place."
        ),
    ] = None,
    gap: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds of rest after each. Default: none, then as found by the 429s."),
    ] = None,
    tolerate: Annotated[str, typer.Option(help="The share of 429s that is still all right.")] = "1%",
    mode: Annotated[str | None, typer.Option(help="A mode of the scenario. Default: its first one.")] = None,
    clock: ClockOfScenario = None,
    seed: SeedOfLoad = 7,
    out: Annotated[Path | None, out_option("runs/sweep-SCENARIO-CHAIN")] = None,
    force: Force = False,
    want: Annotated[
        list[str] | None,
        typer.Option(help="A threshold on what is recommended, like 'max_in_flight>=3'; exit code 1."),
    ] = None,
    to: To = None,
    budget_usd: BudgetUsd = None,
    max_requests: MaxRequests = None,
    account: AccountFile = None,
    new_account: NewAccount = False,
    ca: Ca = None,
    free: Free = False,
    breaker: BreakerOption = None,
    as_json: JsonFlag = False,
) -> None:
    """How many requests at once before the 429s: the knee, and the semaphore and gap to set.

    Exit 1 where a threshold breaks, where the run is not valid, and where no image came at any level.

    Exit 1 where a threshold breaks, where the run is not valid, and where no image came at any level.

    Example: whocut sweep --levels 1,3,5,10 --want 'max_in_flight>=3'
    """
    require("locust")
    path = find_scenario(scenario)
    told = read_scenario(path)
    (asked, *_) = pick_modes(told, [mode] if mode else None)
    topology = read_chain(chain or told.chain, host=host, path=url_path)
    if levels is not None and (highest is not None or bisect):
        other = "--max" if highest is not None else "--bisect"
        raise BadInput(f"{other} and --levels both say which levels to ask; give one of them")
    highest = highest or 10
    chosen = parse_levels(levels) if levels is not None else (1, highest) if bisect else levels_to(highest)
    told_to = Sweep(
        mode=asked,
        tolerate=parse_tolerate(tolerate),
        at_least=told.requests,
        requests=requests,
        gap_s=gap,
        bisect=bisect,
    )
    plan = Plan(
        scenario=path,
        topology=topology,
        clock=parse_clock(clock or told.clock),
        users=max(chosen),
        stages=told_to.stages(sorted({*chosen})),
        seed=seed,
        out=directory_of(
            out, f"sweep-{path.stem}-{'to' if to and not chain else topology.name}", force=force
        ),
        replace=force,
        partial_images=told.partial_images,
        upstream=told.upstream,
        upstream_in=told.upstream_in,
        wants=parse_wants(want or ()),
        command=tuple(sys.argv[1:]),
        sweep=told_to.tolerate,
        then=told_to.then,
    )
    consent = Consent(to, budget_usd, max_requests, account, new_account, ca, free, breaker)
    plan = with_consent(plan, consent, own_chain=bool(chain), clock=clock, told=told, want=want or [])
    with ShowProgress(Terminal(stderr=True)) as progress:
        finished = main_loop(do_run(plan, progress.show))
    report_finished(finished, print_sweep, as_json=as_json, in_front="sweep")
