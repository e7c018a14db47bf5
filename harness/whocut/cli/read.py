"""`whocut read`: what a gateway's own files say of timers."""

from __future__ import annotations

from typing import Annotated

import typer

from whocut.cli.options import HostOption, JsonFlag, PathOption
from whocut.cli.printing import EXIT_FINDING, print_json, print_text, say
from whocut.cli.terminal import Terminal
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.config.writing import target_of, written
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
    as_json: JsonFlag = False,
) -> None:
    """Read a gateway's own files as layers: each limit with file and line. Exit 1 where the route decides.

    Example: whocut read ./nginx.conf --host img.example.com --path /v1/images/generations
    """
    if to is not None:
        target_of(to)  # a misspelling is said before a file is read
    found = read_files(files, Asked(host=host, path=path))
    if to is not None and not found.undecided:
        made = written(found.layers, to)
        if as_json:
            print_json({"to": to, "text": made.text, "lost": list(made.lost)})
        else:
            print_text(made.text)
            for sentence in made.lost:
                say(f"lost: {sentence}", to_stderr=True)
    elif as_json:
        print_json(found.as_json())
    else:
        print_read(Terminal(), found)
        if not found.undecided:
            say(f"next:   {next_command('check', *files)}")
    if found.undecided:
        raise typer.Exit(EXIT_FINDING)
