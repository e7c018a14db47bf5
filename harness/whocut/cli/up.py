"""`whocut up`: keeps a chain and the mock serving."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from whocut.chain.between import with_between
from whocut.cli.finished import print_diffs, report_finished
from whocut.cli.options import (
    BetweenTaps,
    ClockOption,
    Force,
    HostOption,
    JsonFlag,
    OtlpPort,
    PathOption,
    ShowDiff,
    SourcesOrNone,
    out_option,
    port_option,
    seed_option,
)
from whocut.cli.printing import directory_of, print_line, say
from whocut.clock import parse_clock
from whocut.config.sources import file_reader, read_chain
from whocut.run.plan import Plan
from whocut.run.up import up as keep_up
from whocut.show.run import print_summary


def up(
    chain: SourcesOrNone = None,
    host: HostOption = None,
    path: PathOption = None,
    clock: ClockOption = "real",
    port: Annotated[int, port_option(help="Where clients dial; 0 is any free port.")] = 0,
    otlp: OtlpPort = None,
    between: BetweenTaps = None,
    seed: Annotated[int, seed_option(help="The same seed and requests take the same time.")] = 7,
    out: Annotated[Path | None, out_option("runs/up-CHAIN")] = None,
    force: Force = False,
    show_diff: ShowDiff = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a chain and the mock serving for any client in any language; Ctrl-C judges what was seen.

    Exit 1 where the run is not valid; what the clients got is for them to judge.

    Example: whocut up edge-100 --port 8080 --otlp 4318 --clock scaled:100

    A gateway of yours before it, with a tap outside that exports there: --between outer,door=nginx:idle=60s
    """
    topology = read_chain(chain or ["article"], host=host, path=path)
    topology = with_between(topology, between or (), file_reader(host=host, path=path))
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
        if show_diff:
            print_diffs(plan.out)
        if as_json:
            print_line({"ready": True, "base_url": base_url, "otlp": endpoint})
        else:
            say(f"serving: OPENAI_BASE_URL={base_url}" + (f", OTLP on {endpoint}" if endpoint else ""))
            say("Ctrl-C stops, judges and reports")

    report_finished(asyncio.run(keep_up(plan, ready)), print_summary, as_json=as_json)
