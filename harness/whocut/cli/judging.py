"""The commands that judge a chain or a client before anybody is served: check, presets, policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whocut.chain.chainfile import find_chain, read_topology
from whocut.cli.app import EXIT_FINDING, Terminal, app, print_json
from whocut.cli.options import ChainArgument, JsonFlag, seed_option
from whocut.errors import CouldNotRun


@app.command()
def check(
    chain: ChainArgument,
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
    seed: Annotated[int, seed_option(help="The same seed takes the same time.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Is this chain right? Audit, forecast, and proof in virtual time. Exit 1 where what is wanted is missed.

    Example: whocut check article --mode plain --mode stream-2 --want 'delivered>=0.999' --fix
    """
    from whocut.chain.shipped import CHAINS  # noqa: PLC0415
    from whocut.proof.check import check as check_chain  # noqa: PLC0415  # keeps --help quick
    from whocut.proof.check import plan_of  # noqa: PLC0415
    from whocut.show.check import ShowCheck, print_report  # noqa: PLC0415

    topology = read_topology(find_chain(chain, CHAINS))
    plan = plan_of(topology, profile, mode, want, requests=n, fix=fix, caller=caller, seed=seed)
    try:
        with ShowCheck(Terminal(stderr=True)) as progress:
            checked = check_chain(plan, progress.show)
    except KeyboardInterrupt:
        raise CouldNotRun("stopped before the check was whole; nothing was kept") from None
    if as_json:
        print_json(checked.as_json())
    else:
        print_report(Terminal(), checked, chain)
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
    from whocut.show import presets as show_presets  # noqa: PLC0415  # keeps --help quick

    if schema:
        from whocut.chain.schema import chain_schema  # noqa: PLC0415

        print_json(chain_schema())
    elif as_json:
        print_json(show_presets.presets_as_json(name))
    elif name is None:
        show_presets.print_presets(Terminal())
    else:
        show_presets.print_preset(Terminal(), name)


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

    Example: whocut policy whocut.client:async_reference --markdown card.md
    """
    from whocut.policy import hold_to_contract, write_card  # noqa: PLC0415  # keeps --help quick

    card = hold_to_contract(
        target, command, allow or [], check or [], None if as_json else Terminal(highlight=False)
    )
    write_card(card, markdown=markdown, junit=junit)
    if as_json:
        print_json(card.as_json())
    if card.broken:
        raise typer.Exit(EXIT_FINDING)
