"""`whocut check`: is this chain right?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from whocut.chain.durations import parse_duration
from whocut.chain.layers import Topology
from whocut.cli.options import (
    HostOption,
    JsonFlag,
    PathOption,
    SourcesArgument,
    seed_option,
)
from whocut.cli.printing import EXIT_FINDING, print_json, print_text, say
from whocut.cli.terminal import Terminal
from whocut.config.reading import Asked
from whocut.config.sources import chain_of
from whocut.errors import BadInput, CouldNotRun, nearest
from whocut.proof.against import Against
from whocut.proof.against import against as compare
from whocut.proof.check import Plan, plan_of
from whocut.proof.check import check as check_chain
from whocut.show.against import FORMATS as AGAINST_FORMATS
from whocut.show.against import print_against
from whocut.show.check import ShowCheck, print_report
from whocut.show.check_formats import FORMATS

_NOTHING = "nothing was changed: no file of yours holds the fix"


def check(
    chain: SourcesArgument,
    host: HostOption = None,
    path: PathOption = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="Generation times: 1024-high, 1024-medium, constant:195s, lognormal:195s,280s, csv:FILE … "
            "Default: what the chain's upstream takes. May be given several times."
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="plain, no-retry, stream-0 … stream-3, async. May be given several times. "
            "Default: plain, stream-2 and async."
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=100_000, help="Requests to prove in each case.")] = 1000,
    want: Annotated[
        list[str] | None,
        typer.Option(help="A threshold, like 'delivered>=0.999' or 'p95_s<300'. May be given several times."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Search the smallest change that keeps what is wanted.")
    ] = (False),
    write: Annotated[
        bool, typer.Option("--write", help="Change your own files as --fix says, and say which.")
    ] = False,
    caller: Annotated[
        str, typer.Option(help="auto, openai-sdk, or light: ours, with the SDK's policy, for many requests.")
    ] = "auto",
    seed: Annotated[int, seed_option(help="The same seed takes the same time.")] = 0,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="The next chain, by its sources: which requests lived and now die? "
            "May be given several times, a layer each."
        ),
    ] = None,
    heartbeat: Annotated[
        str | None,
        typer.Option(help="A server of yours sends an SSE comment this often while it waits, like 15s."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="text, json, sarif, github, junit or markdown.")
    ] = "text",
    as_json: JsonFlag = False,
) -> None:
    """Is this chain right? Audit, forecast, and proof in virtual time. Exit 1 where what is wanted is missed.

    Example: whocut check article --mode plain --mode stream-2 --want 'delivered>=0.999' --fix

    Example: whocut check cloudflare-free ./nginx.conf litellm=./config.yaml --host img.example.com
    """
    form = "json" if as_json else form
    known = ("text", "json", *(AGAINST_FORMATS if against else FORMATS))
    if form not in known:
        here = " of two chains compared" if against else ""
        raise BadInput(
            f"there is no format '{form}'{here}{nearest(form, known)}; there are {', '.join(known)}",
            field="format",
        )
    beats_s = _heartbeat_s(heartbeat)

    def plan_for(topology: Topology) -> Plan:
        return plan_of(
            topology if beats_s is None else _beating(topology, beats_s),
            profile,
            mode,
            want,
            requests=n,
            fix=fix or write,
            caller=caller,
            seed=seed,
        )

    with _stoppable(), ShowCheck(Terminal(stderr=True)) as progress:
        if against:
            if fix or write or want:
                raise BadInput(
                    "it compares two chains; check the one that is to be mended alone. What keeps requests alive "
                    "in HTTPRoutes is written by `whocut read FILE --to envoy-gateway --for ROUTES`",
                    field="against",
                )
            compared = compare(chain, against, plan_for, Asked(host=host, path=path), progress.show)
        else:
            sources = chain_of(chain, host=host, path=path)
            plan = replace(
                plan_for(sources.topology), not_read=sources.not_read, read_again=sources.read_again
            )
            checked = check_chain(plan, progress.show)
    if against:
        _print_compared(compared, form)
        if not compared.ok:
            raise typer.Exit(EXIT_FINDING)
        return
    asked = [*chain, *(("--host", host) if host else ()), *(("--path", path) if path else ())]
    if form == "json":
        print_json(checked.as_json())
    elif form in FORMATS:
        print_text(FORMATS[form](checked))
    else:
        print_report(Terminal(), checked, asked)
    if write:
        changed = checked.patch.write()
        say(f"changed: {', '.join(changed)}" if changed else _NOTHING, to_stderr=True)
    if not checked.ok:
        raise typer.Exit(EXIT_FINDING)


def _print_compared(compared: Against, form: str) -> None:
    if form == "json":
        print_json(compared.as_json())
    elif form == "text":
        print_against(Terminal(), compared)
    else:
        print_text(AGAINST_FORMATS[form](compared))


@contextmanager
def _stoppable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise CouldNotRun("stopped before the check was whole; nothing was kept") from None


def _heartbeat_s(written: str | None) -> float | None:
    try:
        return None if written is None else parse_duration(written)
    except ValueError as error:
        raise BadInput(str(error), field="heartbeat") from None


def _beating(topology: Topology, every_s: float) -> Topology:
    return replace(topology, upstream=replace(topology.upstream, heartbeat_s=every_s))
