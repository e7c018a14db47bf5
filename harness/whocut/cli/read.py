"""`whocut read`: what a gateway's own files say of timers."""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import HostOption, JsonFlag, PathOption
from whocut.cli.printing import EXIT_FINDING, print_json, print_text, say
from whocut.cli.terminal import Terminal
from whocut.config.kubernetes.policies import ROUTED
from whocut.config.leaving import written_for
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.config.writing import Written, target_of, written
from whocut.errors import BadInput
from whocut.show.following import next_command
from whocut.show.read import print_read


def read(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="A configuration, or FORMAT=FILE where its name does not tell."),
    ],
    host: HostOption = None,
    path: PathOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Write the limits as another product's: gateway-api, envoy-gateway, nginx, haproxy."
        ),
    ] = None,
    routes: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            help="With --to gateway-api or envoy-gateway: a file with the HTTPRoutes that it is written for, as "
            "ingress2gateway prints them. May be given several times.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read a gateway's own files as layers: each limit with file and line. Exit 1 where the route decides.

    Example: whocut read ./nginx.conf --host img.example.com --path /v1/images/generations

    Example: whocut read ./ingress.yaml --to envoy-gateway --for ./routes.yaml
    """
    if to is not None:
        target_of(to)  # a misspelling is said before a file is read
    if routes and to is None:
        raise BadInput("it needs --to, with gateway-api or envoy-gateway", field="for")
    if routes and to is not None:
        _print_written(written_for(files, routes, to, Asked(host=host, path=path)), to, as_json=as_json)
        if not as_json:
            policy = f"{to}.yaml"
            against = [part for file in (*routes, f"./{policy}") for part in ("--against", file)]
            asked = [*(("--host", host) if host else ()), *(("--path", path) if path else ())]
            say(
                f"next:   put it into {policy}; {next_command('check', *files, *against, *asked)}",
                to_stderr=True,
            )
        return
    found = read_files(files, Asked(host=host, path=path))
    if to is not None and not found.undecided:
        _print_written(written(found.layers, to), to, as_json=as_json)
    elif as_json:
        print_json(found.as_json())
    else:
        print_read(Terminal(), found)
        if not found.undecided:
            asked = [*(("--host", host) if host else ()), *(("--path", path) if path else ())]
            say(f"next:   {next_command('check', *files, *asked)}")
    if found.undecided:
        if to in ROUTED:
            command = next_command("read", *files, "--to", to, "--for", "ROUTES.yaml")
            say(f"for every route, where their HTTPRoutes are there: {command}", to_stderr=True)
        raise typer.Exit(EXIT_FINDING)


def _print_written(made: Written, to: str, *, as_json: bool) -> None:
    """The text alone on the standard output, so that it can go into a file; beside it what is lost."""
    if as_json:
        print_json({"to": to, "text": made.text, "lost": list(made.lost)})
        return
    print_text(made.text)
    for sentence in made.lost:
        say(f"lost: {sentence}", to_stderr=True)
