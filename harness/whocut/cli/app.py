"""The application: a table of commands, each loaded from its own file when it is called.

`whocut triage` imports neither Locust nor the OpenTelemetry SDK: no other command's file is opened. The help
of the whole reads the table alone; a test holds each sentence to the command's own.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

# Newer typer carries a click of its own, older uses the package: no one name fits both in a signature.


class _Command(NamedTuple):
    """A file of this room, the function in it, and what typer must know beyond its signature."""

    summary: str
    settings: dict[str, Any] = {}  # noqa: RUF012  # never written


# `whocut upstream` hands all of its arguments to the mock's own parser.
_AS_WRITTEN: Final = {
    "context_settings": {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
}

COMMANDS: Final[dict[str, _Command]] = {
    "run": _Command("Send load through a chain, and say which layer cut each request."),
    "worker": _Command("Make a share of a run's load from this machine; the scenario comes from the master."),
    "check": _Command("Is this chain right? Audit, forecast, and proof in virtual time."),
    "read": _Command("Read a gateway's own files as layers: each limit with its file and line."),
    "triage": _Command("Say the likely cause of a pasted error."),
    "why": _Command("Draw one request as a waterfall and say who cut it, with the evidence."),
    "attribute": _Command("Say which layer cut each request, from spans and logs made elsewhere."),
    "watch": _Command(
        "Judge what comes, for as long as it comes: spans and logs in, metrics and verdicts out."
    ),
    "policy": _Command("Hold a client to the retry contract."),
    "sweep": _Command("How many requests at once before the 429s?"),
    "up": _Command("Keep a chain and the mock serving for any client in any language."),
    "upstream": _Command("Serve the mock upstream alone, for any client in any language.", _AS_WRITTEN),
    "jobs": _Command(
        "Take image jobs for a slow endpoint: a task id at once, the image by poll, stream or webhook, and a page."
    ),
    "tap": _Command("Watch a connection from its place on the path."),
    "scenarios": _Command("Every shipped scenario: what it asks, and its modes."),
    "chains": _Command("Every shipped chain with its layers, and the ways of asking that `check` takes."),
    "presets": _Command("Every layer there is: its timers, what it answers, and the sources."),
    "compare": _Command("What changed between A and B: better, worse, or cannot tell, with intervals."),
    "export": _Command("Write a run's attempts and verdicts for other programs."),
    "report": _Command("Make the page and the pictures of a run anew from what it holds."),
    "doctor": _Command(
        "What is installed here: versions, extras, gateways, ports, clock; lines to paste into an issue."
    ),
}


class _Lazy(TyperGroup):
    """The group: it knows the names of its commands, and opens a command's file when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; None: no such command."""
        del ctx
        return command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table, whole sentences; no command's file is opened."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.summary) for name, row in COMMANDS.items()])


def command(name: str) -> Any:
    """One command, made from the function of its name in its own file."""
    module = import_module(f"whocut.cli.{name}")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name=name, **COMMANDS[name].settings)(getattr(module, name))
    made = get_command(alone)
    gc.enable()  # all is imported; the program's start had stopped it
    return made


app = typer.Typer(
    name="whocut",
    help="Which layer cut the request? Load, traces and verdicts for slow AI image calls.",
    cls=_Lazy,
    invoke_without_command=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:  # typer's form of a flag's callback
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  # it brings a mail parser

        typer.echo(f"whocut {version('whocut')}")
        raise typer.Exit


# One line a question; the whole fits on a screen.
FIRST: Final = """\
whocut: which layer cut the request?
  An error in front of you?     whocut triage error.txt          (or paste it: whocut triage)
  Traces and logs of it?        whocut attribute --spans spans.jsonl --logs nginx=access.log
  Is this chain right?          whocut check cloudflare-free ./nginx.conf      (or: whocut check article)
  How many at once?             whocut sweep
  Does this client behave?      whocut policy module:callable    (any language: --command 'node client.mjs')
  Where did the job go?         whocut run lost_results          (a service that keeps jobs: whocut jobs)
  All of it on one page?        whocut run                       (then: whocut why RUN, whocut compare A B)
What there is: whocut scenarios, whocut chains, whocut presets; what is installed: whocut doctor
All commands:  whocut --help"""


@app.callback()
def _all_commands(
    ctx: typer.Context,
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit."),
    ] = False,
) -> None:
    """Which layer cut the request? Load, traces and verdicts for slow AI image calls."""
    del show_version  # its callback has said it
    if ctx.invoked_subcommand is None:
        typer.echo(FIRST)
