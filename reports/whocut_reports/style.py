"""One look for every figure: what each colour means, the type, and how a figure becomes a file.

The colours are Okabe and Ito's, told apart by people of any colour vision, and each means one thing
everywhere. What is no colour's job alone has a second sign: an orphan is hatched, a cut carries a cross.
"""

from __future__ import annotations

import io
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from whocut.waterfall.rows import ticks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.text import Text

INK: Final = "#1f2933"
QUIET: Final = "#52606d"
RULE: Final = "#d9dee4"
PAPER: Final = "#ffffff"

DELIVERED: Final = "#009e73"
CUT: Final = "#d55e00"
CUT_INK: Final = "#b84f00"  # the same for type, which needs more contrast
CASCADE: Final = "#c3c9d0"
CASCADE_STREAMING: Final = "#98a2ad"
ORPHAN: Final = "#aa4487"
ORPHAN_PAPER: Final = "#f6e6f0"
WAITING: Final = "#a9d6f2"
STREAMING: Final = "#0072b2"
WORKING: Final = "#bfe5d8"
REJECTED: Final = "#f0e442"
REJECTED_PAPER: Final = "#f6efb0"  # the same as an area: how far the share of them may lie
UNATTRIBUTED: Final = "#3b3b3b"
CENSORED: Final = "#ffffff"
# Several layers can cut in one run; each has a shade by its place in the chain, none of them a colour used above.
CUTTERS: Final = ("#d55e00", "#e69f00", "#8c3b00", "#f5b98a", "#b07d2b", "#5e2a00")

_DOTS: Final = ".."


def colours_of(layers: Iterable[str]) -> dict[str, str]:
    """One colour a layer, by its place in the chain from the caller inward: the same in every picture and table."""
    return {name: CUTTERS[place % len(CUTTERS)] for place, name in enumerate(dict.fromkeys(layers))}


def cut_fill(colour: str, number: int) -> dict[str, Any]:
    """How a cut by this layer is filled; its second timer, or its like, has dots in the same colour."""
    return {"facecolor": colour, **({"hatch": _DOTS * number} if number else {})}


WIDTH_IN: Final = 10.0
MARGIN: Final = 0.004  # left of what is at the edge, as a share of the width
DPI: Final = 100
_HATCH: Final = "////"

_LOOK: Final[dict[Any, Any]] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "hatch.linewidth": 0.9,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and parsed by a test
    "svg.hashsalt": "whocut",  # the same run gives the same bytes
    "text.parse_math": False,  # names and errors come from elsewhere: a dollar sign is a dollar sign
}


def figure(height_in: float) -> Figure:
    """An empty figure of the page's width; draw on it inside `look()`."""
    return Figure(figsize=(WIDTH_IN, height_in), dpi=DPI)


def look() -> AbstractContextManager[None]:
    """The one look, for as long as its ``with`` lasts."""
    return mpl.rc_context(_LOOK)


def svg(drawn: Figure) -> str:
    """The figure as an SVG document, the same bytes for the same figure."""
    FigureCanvasSVG(drawn)
    buffer = io.StringIO()
    with look():
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(drawn: Figure, scale: int = 2) -> bytes:
    """The figure as a picture for a README, sharp on dense screens."""
    FigureCanvasAgg(drawn)
    buffer = io.BytesIO()
    with look():
        drawn.savefig(buffer, format="png", dpi=DPI * scale, metadata={"Software": None})
    return buffer.getvalue()


def inline(document: str, name: str, alt: str) -> str:
    """An SVG document as an element of a page: no prolog, ids of its own, words for who cannot see it."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    safe = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return body.replace("<svg", f'<svg role="img" aria-label="{safe}"', 1)


def text_width(text: Text) -> float:
    """How wide a text is, in pixels of the figure."""
    return float(text.get_window_extent(_ruler()).width)


@cache
def _ruler() -> RendererAgg:
    """One renderer that measures texts: a figure's own would take the memory of all its pixels for each text."""
    return RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call]  # matplotlib's own gap


def shortened(text: Text, room_px: float, middle: str | None = None) -> None:
    """Cut a text down to the room it has; `middle` is the part of it that may go, else its end."""
    whole = text.get_text()
    part = whole if middle is None else middle
    for kept in (60, 48, 40, 34, 28, 24, 20, 16, 12, 8):
        if text_width(text) <= room_px:
            return
        if kept < len(part):
            text.set_text(whole.replace(part, part[: kept - 1] + "…", 1))


def brief(text: str, most: int) -> str:
    """A text of so many signs at most; a longer one keeps its end, where counts and knobs are."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most - most // 2) :]}"


def ink_on(colour: str) -> str:
    """Dark or light type, whichever reads better on a colour."""
    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else PAPER


def hatched(colour: str = ORPHAN, paper: str = ORPHAN_PAPER) -> dict[str, Any]:
    """How a bar of an orphan is filled."""
    return {"facecolor": paper, "edgecolor": colour, "hatch": _HATCH, "linewidth": 0.8}


def seconds_axis(axes: Axes, end_s: float, *, label: str) -> None:
    """An x axis of model seconds with a few round ticks."""
    axes.set_xticks(ticks(end_s))
    axes.set_xlim(0, end_s)
    axes.set_xlabel(label)
