"""`whocut worker`: a share of a run's load, from this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from whocut.errors import BadInput, require
from whocut.path.address import parse_master
from whocut.token import FILE_VARIABLE, VARIABLE, environment_of, told_token


def worker(
    master: Annotated[
        str, typer.Option(help="Where the run listens, as its --listen says: ADDRESS, or ADDRESS:PORT.")
    ],
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"The file with the run's token. Default: {VARIABLE} or {FILE_VARIABLE}."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Load processes on this machine; each counts as a worker.")
    ] = 1,
) -> None:
    """Make a share of a run's load from this machine; the scenario comes from the master.

    The run is started elsewhere by `whocut run … --listen`. Its records go there, and it ends this worker.

    Example: WHOCUT_TOKEN=… whocut worker --master 10.0.0.1:5557
    """
    require("locust")
    host, port = parse_master(master)
    token = told_token(os.environ, token_file)
    if token is None:
        raise BadInput(
            f"a worker needs the token of its run. Put it into {VARIABLE}, or name its file with --token-file."
        )
    words = [sys.executable, "-P", "-m", "whocut.load", "--locustfile", "-", "--worker", "--headless"]
    words += ["--master-host", host, "--master-port", str(port), "--skip-log-setup"]
    words += ["--processes", str(processes)] if processes > 1 else []
    os.execve(sys.executable, words, {**os.environ, **environment_of(token)})  # noqa: S606  # no shell
