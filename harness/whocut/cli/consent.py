"""The flags of a real endpoint, for every command that can send to one; and what they make of its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whocut.cli.printing import say
from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.run.endpoint import Consent
    from whocut.run.plan import Plan
    from whocut.run.scenario import Scenario

To = Annotated[
    str | None,
    typer.Option(help="A real endpoint instead of the mock, like https://api.openai.com/v1. It costs money."),
]
BudgetUsd = Annotated[
    float | None,
    typer.Option(help="With --to: the most that may ever be spent by the account, all runs together."),
]
MaxRequests = Annotated[
    int | None,
    typer.Option(min=1, help="With --to: the most attempts on the wire, retries and all runs together."),
]
AccountFile = Annotated[
    Path | None,
    typer.Option(help="With --to: the file of what was spent. Default: one for the key, for all runs."),
]
NewAccount = Annotated[
    bool, typer.Option("--new-account", help="With --to: begin an account; there must be none yet.")
]
Free = Annotated[
    bool,
    typer.Option(
        "--free",
        help="With --to on this machine or a private network: nothing there bills. No key is sent.",
    ),
]
BreakerOption = Annotated[
    str | None,
    typer.Option(
        "--breaker",
        help="With --to: the share of failures that ends the run, like 80% or 80%/50, or off. Default: 50%/20.",
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(help="With --to: certificates to trust. Default: SSL_CERT_FILE, the system's."),
]


def with_consent(
    plan: Plan, consent: Consent, *, own_chain: bool, clock: str | None, told: Scenario, want: Sequence[str]
) -> Plan:
    """The plan as it is, or as it goes to a real endpoint, its estimate printed.

    Raises:
        BadInput: a flag of a real endpoint without one, or without what it needs.
        Withheld: not even one attempt may go out.
    """
    from whocut.run.endpoint import agree, estimate  # noqa: PLC0415  # keeps --help quick

    if consent.to is None:
        if lonely := consent.lonely:
            raise BadInput(f"{lonely} is about a real endpoint; name one with --to URL")
        return plan
    plan = agree(plan, consent, own_chain=own_chain, clock=clock, told=told, want=want)
    for line in estimate(plan, told):
        say(line, to_stderr=True)
    return plan
