"""`whocut tap`: watches a connection from its place on the path."""

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
from whocut.errors import BadInput
from whocut.path import Target
from whocut.path.certificates import Certificate
from whocut.run.tap import TapPlan, parse_listen
from whocut.run.tap import tap as stand_there
from whocut.show.following import next_command


def tap(
    to: Annotated[str, typer.Option(help="The URL behind it, like https://api.openai.com/v1.")],
    listen: Annotated[str, typer.Option(help="Where it listens, on this machine.")] = "127.0.0.1:8080",
    name: Annotated[str, typer.Option(help="Its name in the records, when there are several.")] = "tap",
    position: Annotated[
        int,
        typer.Option(
            min=1, help="Rarely needed: taps find their order by their spans. 1 is right behind the client."
        ),
    ] = 1,
    out: Annotated[Path | None, out_option("runs/NAME")] = None,
    force: Force = False,
    ca: Annotated[
        Path | None, typer.Option(help="Certificates to trust. Default: SSL_CERT_FILE, the system's.")
    ] = None,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Listen with TLS, with a certificate made for this machine's own names."),
    ] = False,
    cert: Annotated[Path | None, typer.Option(help="Listen with TLS, with this certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key. Default: in the same file.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Let --to be http:// inside a private network, keys in the clear.")
    ] = False,
    keep_host: Annotated[
        bool | None,
        typer.Option(
            "--keep-host/--set-host",
            help="Pass Host on as it came, or as --to has it. Default: as it came, save for https elsewhere.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Watch a connection from its place on the path: pass every byte on, write down when it came and how it ended.

    Example: whocut tap --listen 127.0.0.1:8080 --to https://api.openai.com/v1 --out runs/tap
    """
    host, port = parse_listen(listen)
    if key is not None and cert is None:
        raise BadInput("--key: it belongs to a certificate. Give that with --cert.")
    if tls and cert is not None:
        raise BadInput("--tls: it makes a certificate, and --cert gives one. Give one of the two.")
    plan = TapPlan(
        name=name,
        position=position,
        host=host,
        port=port,
        to=Target.parse(to, trust=ca, plain=plain),
        out=directory_of(out, name, force=force),
        replace=force,
        certificate=Certificate(cert, key) if cert is not None else None,
        own_certificate=tls,
        keeps_host=keep_host,
        command=tuple(sys.argv[1:]),
    )

    def ready(base_url: str, to_trust: Path | None) -> None:
        if as_json:
            print_line(
                {"ready": True, "base_url": base_url, "certificate": str(to_trust) if to_trust else None}
            )
            return
        trust = f" SSL_CERT_FILE={to_trust}" if to_trust else ""
        say(f"watching: OPENAI_BASE_URL={base_url}{trust}\nCtrl-C takes the tap away")

    def complain(sentence: str) -> None:
        say(f"warning: {sentence}", to_stderr=True)

    tapped = run_real(stand_there(plan, ready, complain))
    if as_json:
        print_json(tapped.as_json())
        return
    say(f"{tapped.exchanges} exchanges in {tapped.run_dir}")
    if tapped.lost:
        say(f"warning: {tapped.lost}", to_stderr=True)
    say(f"next: {next_command('attribute', '--spans', tapped.run_dir / 'spans.jsonl')}")
