"""`whocut tap`: watches a connection from where it stands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whocut.cli.options import (
    Force,
    JsonFlag,
    out_option,
)
from whocut.cli.printing import directory_of, print_json, print_line, say
from whocut.clock import run_real
from whocut.path import Target
from whocut.run.tap import TapPlan, parse_listen
from whocut.run.tap import tap as stand_there
from whocut.show.following import next_command


def tap(
    to: Annotated[str, typer.Option(help="What stands behind it, like https://api.openai.com/v1.")],
    listen: Annotated[str, typer.Option(help="Where it listens, on this machine.")] = "127.0.0.1:8080",
    name: Annotated[str, typer.Option(help="Its name in the records, when there are several.")] = "tap",
    position: Annotated[
        int, typer.Option(min=1, help="How many layers it stands behind the client; 1 is right behind it.")
    ] = 1,
    out: Annotated[Path | None, out_option("runs/NAME")] = None,
    force: Force = False,
    ca: Annotated[
        Path | None, typer.Option(help="Certificates to trust. Default: SSL_CERT_FILE, the system's.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Watch a connection from where it stands: pass every byte on, write down when it came and how it ended.

    Example: whocut tap --listen 127.0.0.1:8080 --to https://api.openai.com/v1 --out runs/tap
    """
    host, port = parse_listen(listen)
    plan = TapPlan(
        name=name,
        position=position,
        host=host,
        port=port,
        to=Target.parse(to, trust=ca),
        out=directory_of(out, name, force=force),
        replace=force,
        command=tuple(sys.argv[1:]),
    )

    def ready(base_url: str) -> None:
        if as_json:
            print_line({"ready": True, "base_url": base_url})
        else:
            say(f"watching: OPENAI_BASE_URL={base_url}\nCtrl-C takes the tap away")

    tapped = run_real(stand_there(plan, ready))
    if as_json:
        print_json(tapped.as_json())
        return
    say(f"{tapped.exchanges} exchanges in {tapped.run_dir}")
    if tapped.lost:
        say(f"warning: {tapped.lost}", to_stderr=True)
    say(f"next: {next_command('attribute', '--spans', tapped.run_dir / 'spans.jsonl')}")
