"""A figure of rows: names on the left, one axis below all of them, and a key at the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut_reports import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.text import Text

LEFT: Final = 0.19
_AXIS_IN, _KEY_IN = 0.6, 0.34


class Rows:
    """`figure` and `axes` of so many rows of `row_in` inches, the first on top. To be made in `style.look()`."""

    def __init__(self, count: int, row_in: float, *, top_in: float, right: float) -> None:
        self._count, self._top_in, self._rows_in = count, top_in, row_in * count + 0.1
        self.height_in = top_in + self._rows_in + _AXIS_IN + _KEY_IN
        self.figure = style.figure(self.height_in)
        foot = (_AXIS_IN + _KEY_IN) / self.height_in
        self.axes = self.figure.add_axes((LEFT, foot, right - LEFT, self._rows_in / self.height_in))
        self.axes.set_ylim(count - 0.5, -0.5)
        self.axes.set_yticks([])

    def scaled(self, end: float, label: str) -> None:
        """Give the axis its end and its name, with a line behind the marks at each tick."""
        style.seconds_axis(self.axes, end, label=label)
        self.axes.grid(visible=True, axis="x", color=style.RULE, linewidth=0.7)
        self.axes.set_axisbelow(True)

    def place(self, number: int) -> float:
        """The middle of a row, as a share of the figure's height."""
        return 1 - (self._top_in + self._rows_in * (number + 0.5) / self._count) / self.height_in

    def name(self, number: int, name: str, *, up_in: float = 0.0, **look: Any) -> Text:
        """Write a row's name, `up_in` inches above its middle, shortened to the room that there is."""
        text = self.figure.text(style.MARGIN, self.place(number) + up_in / self.height_in, name, **look)
        style.shortened(text, (LEFT - style.MARGIN) * style.WIDTH_IN * style.DPI - 8)
        return text

    def key(self, handles: Sequence[Artist], **look: Any) -> None:
        """The key, in one line at the foot."""
        self.figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(LEFT - 0.004, 0.01),
            ncols=len(handles),
            fontsize=9,
            borderpad=0,
            **look,
        )
