"""`whocut check`: is this chain right?"""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import (
    HostOption,
    JsonFlag,
    PathOption,
    SourcesArgument,
    seed_option,
)
from whocut.cli.printing import (
    EXIT_FINDING,
    Terminal,
    print_json,
    print_text,
    say,
)
from whocut.config.sources import chain_of
from whocut.errors import BadInput, CouldNotRun, nearest
from whocut.proof.check import check as check_chain
from whocut.proof.check import plan_of
from whocut.show.check import ShowCheck, print_report
from whocut.show.check_formats import FORMATS

_NOTHING = "nothing was changed: no file of yours holds the fix"
_FORMATS = ("text", "json", *FORMATS)


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
    write: Annotated[
        bool, typer.Option("--write", help="Change your own files as --fix says, and say which.")
    ] = False,
    caller: Annotated[
        str, typer.Option(help="auto, openai-sdk, or light: ours, with the SDK's policy, for many requests.")
    ] = "auto",
    seed: Annotated[int, seed_option(help="The same seed takes the same time.")] = 0,
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
    if form not in _FORMATS:
        raise BadInput(
            f"there is no format '{form}'{nearest(form, _FORMATS)}; there are {', '.join(_FORMATS)}",
            field="format",
        )
    sources = chain_of(chain, host=host, path=path)
    plan = plan_of(
        sources.topology,
        profile,
        mode,
        want,
        requests=n,
        fix=fix or write,
        caller=caller,
        seed=seed,
        not_read=sources.not_read,
        read_again=sources.read_again,
    )
    try:
        with ShowCheck(Terminal(stderr=True)) as progress:
            checked = check_chain(plan, progress.show)
    except KeyboardInterrupt:
        raise CouldNotRun("stopped before the check was whole; nothing was kept") from None
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
