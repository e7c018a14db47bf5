"""How far something is, as a terminal shows it: one line that changes, or a line now and then anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from whocut.clock.clock import wall_s

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

_LINE_EVERY_REAL_S = 2.0


class ProgressLine:
    """One line that changes in a terminal; elsewhere a line every two seconds, the first after `after_real_s`."""

    def __init__(self, console: Console, *, after_real_s: float = 0.0) -> None:
        self._console = console
        self._live = (
            Live(console=console, transient=True, refresh_per_second=8) if console.is_terminal else None
        )
        self._next_line = wall_s() + after_real_s

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Show this now, or when the next line is due."""
        if self._live:
            self._live.update(Text(text))
        elif wall_s() >= self._next_line:
            self._next_line = wall_s() + _LINE_EVERY_REAL_S
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
