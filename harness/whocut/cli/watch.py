"""`whocut watch`: the judge that is always on."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whocut.cli.options import BetweenTaps, JsonFlag
from whocut.cli.printing import print_line, say
from whocut.clock import run_real
from whocut.config.sources import read_chain
from whocut.errors import BadInput
from whocut.foreign.files import said_between
from whocut.run.signals import Signals
from whocut.run.tap import parse_listen
from whocut.trace.export import ENDPOINTS, exporter_from_environment, wanted
from whocut.trace.sender import Sender
from whocut.watch.desk import Waiting
from whocut.watch.sent import parse_watched
from whocut.watch.serve import Watch, WatchPlan
from whocut.watch.telling import spans_of

if TYPE_CHECKING:
    from whocut.watch.desk import Decided


def watch(
    listen: Annotated[
        str, typer.Option(help="Where OTLP/HTTP spans and logs come, and /metrics is; on this machine.")
    ] = "127.0.0.1:4318",
    logs: Annotated[
        list[str] | None,
        typer.Option(
            help="FORMAT=FILE or LAYER:FORMAT=FILE to follow, from the caller inward; FORMAT=otlp:SERVICE where "
            "that service sends its lines."
        ),
    ] = None,
    run: Annotated[list[Path] | None, typer.Option(help="A run directory whose spans to follow.")] = None,
    chain: Annotated[
        str | None, typer.Option(help="The chain: a name or a file. Default: as each trace shows it.")
    ] = None,
    between: BetweenTaps = None,
    state: Annotated[Path, typer.Option(help="Where what is undecided is kept.")] = Path("whocut-watch"),
    out: Annotated[
        Path | None, typer.Option(help="The file of verdicts, a JSON line each. Default: in --state.")
    ] = None,
    quiet: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence after which a trace is decided.")
    ] = 10.0,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for a layer that usually reports, and has not.")
    ] = 900.0,
    held: Annotated[int, typer.Option(min=1_000, help="Spans and lines in memory at most.")] = 400_000,
    export: Annotated[
        bool, typer.Option("--export", help="Send verdicts as spans to OTEL_EXPORTER_OTLP_ENDPOINT.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Judge what the files hold, and end: no port is taken.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Judge what comes, for as long as it comes: spans and logs in, metrics and verdicts out.

    Example: whocut watch --logs nginx=/var/log/nginx/access.log

    Two taps export to it, nginx is between them: whocut watch --between outer,inner=nginx:first_byte=60s
    """
    host, port = parse_listen(listen)
    if export and not wanted():
        raise BadInput(f"no backend is named. Set {ENDPOINTS[1]}.", field="export")
    topology = read_chain(chain) if chain else None
    plan = WatchPlan(
        host=host,
        port=port,
        state=state,
        verdicts=out or state / "verdicts.jsonl",
        logs=parse_watched(logs or ()),
        runs=run or (),
        chain=topology,
        between=said_between(topology, between or ()),
        waiting=Waiting(quiet_s=quiet, patience_s=patience, most_held=held),
    )
    run_real(_watch(plan, export=export, once=once, as_json=as_json))


async def _watch(plan: WatchPlan, *, export: bool, once: bool, as_json: bool) -> None:
    with ExitStack() as stack:
        sender = Sender(exporter_from_environment()) if export else None
        if sender is not None:
            stack.callback(sender.close)

        def tell(decided: Decided) -> None:
            if sender is not None:
                for span in spans_of(decided):
                    sender.send(span)

        watching = Watch(plan, tell=tell, failed=lambda: sender.failed if sender else 0)
        stack.callback(watching.close)
        watching.tune()
        stopped = asyncio.Event()
        Signals(stopped.set).listen()
        receiver = None
        if not once:
            receiver = await watching.listen()
            base_url = receiver.endpoint
            if as_json:
                print_line({"ready": True, "endpoint": base_url, "verdicts": str(plan.verdicts)})
            else:
                say(f"OTEL_EXPORTER_OTLP_ENDPOINT={base_url}  metrics: {base_url}/metrics")
                say(
                    f"verdicts: {plan.verdicts}\nCtrl-C ends the watch; what is undecided is kept for the next one"
                )
        try:
            await watching.run(stopped, once=once)
        finally:
            if receiver is not None:
                await receiver.close()
        counted = watching.metrics.kinds
        told = {kind: counted[kind] for kind in ("cut", "none", "unattributed")}
        if as_json:
            print_line({"verdicts": told, "undecided": len(watching.desk)})
        else:
            say(f"{told['cut']} cut, {told['none']} not cut, {told['unattributed']} unattributed")
