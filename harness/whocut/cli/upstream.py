"""`whocut upstream`: serves the mock upstream alone."""

from __future__ import annotations

import typer

from whocut_mock.cli import main as serve_mock


def upstream(context: typer.Context) -> None:
    """Serve the mock upstream alone, for any client in any language.

    Example: whocut upstream --port 8080 --clock scaled:100 --seed 7
    """
    raise typer.Exit(serve_mock(context.args))
