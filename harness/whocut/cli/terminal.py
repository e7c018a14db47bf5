"""The output for people, by rich: a file of its own, for rich is no quick import, and short commands need none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from whocut.redact import exact, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType


class Terminal(Console):
    """The output for people.

    Foreign text in it loses its secrets, and its control characters are shown. A closed pipe (``| head``) silences
    the output; the work continues.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments as rich makes them, each with fit text; the terminal's own codes are added after this."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(exact(text)), style, control)

    def on_broken_pipe(self) -> None:
        """Not the end of the process, and of whatever it is in the middle of, as rich has it."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
