"""`whocut jobs`: a small service before a slow endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from whocut.cli.options import JsonFlag
from whocut.cli.printing import print_line, say
from whocut.clock import run_real
from whocut.errors import BadInput
from whocut.jobs.serve import JobsPlan, Ready, Stopping, serve
from whocut.jobs.store import path_of
from whocut.path.target import Target
from whocut.run.signals import Signals
from whocut.run.tap import parse_listen

_KEY_VARIABLE = "OPENAI_API_KEY"
_MOCK_KEY = "sk-mock"


def jobs(
    to: Annotated[str, typer.Option(help="The endpoint behind it, like https://api.openai.com/v1.")],
    listen: Annotated[str, typer.Option(help="Where it listens, on this machine.")] = "127.0.0.1:8090",
    store: Annotated[
        str,
        typer.Option(
            help="The file of the jobs: sqlite:///jobs.db, or a path. No other database is supported."
        ),
    ] = "sqlite:///jobs.db",
    at_once: Annotated[int, typer.Option(min=1, max=200, help="Images that are made at once.")] = 3,
    budget_usd: Annotated[
        float | None, typer.Option(min=0, help="The most that all jobs of the store may cost.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificates to trust.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take image jobs for a slow endpoint: a task id at once, the image by poll, stream or webhook, and a page.

    Example: whocut jobs --to http://127.0.0.1:8000/v1 --listen 127.0.0.1:8090 --store sqlite:///jobs.db
    """
    target = Target.parse(to, trust=ca)
    host, port = parse_listen(listen)
    if budget_usd is None and not target.loopback:
        raise BadInput("images of this endpoint cost money; say how much: --budget-usd 5", field="budget-usd")
    key = os.environ.get(_KEY_VARIABLE) or (_MOCK_KEY if target.loopback else "")
    if not key:
        raise BadInput(f"the key is missing; put it into {_KEY_VARIABLE}")
    if ca is not None:
        os.environ["SSL_CERT_FILE"] = str(ca.absolute())
    plan = JobsPlan(
        to=target,
        host=host,
        port=port,
        store=path_of(store),
        api_key=key,
        at_once=at_once,
        budget_usd=budget_usd,
    )

    def ready(told: Ready) -> None:
        if as_json:
            print_line(
                {
                    "ready": True,
                    "base_url": told.base_url,
                    "page": told.entry,
                    "token_file": str(told.token_file),
                    "unknown": told.unknown,
                }
            )
            return
        say(f"the page: {told.entry} (this link works once)")
        say(f"for programs: {told.base_url}/jobs with the token in the file {told.token_file}")
        say("Ctrl-C ends the service when the images under way are there; a second one in a few seconds")
        if told.unknown:
            say(f"warning: {told.unknown} jobs have an unknown outcome; none is sent again by itself")

    async def until_a_signal() -> int:
        stopping = Stopping()
        Signals(stopping.ask, stopping.ask_at_once).listen()
        return await serve(plan, ready, stopping)

    left = run_real(until_a_signal())
    if left and not as_json:
        say(f"warning: {left} images were under way; their outcome is unknown, and they are not sent again")
