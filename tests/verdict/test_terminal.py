"""A waterfall in characters: it fits, it says the cut, and it draws the orphan past it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.reports.made_run import MadeRun, article_run, delivered, nginx_cut, stream_cut, unattributed
from whocut.verdict.terminal import render
from whocut.verdict.waterfall import waterfall

if TYPE_CHECKING:
    from whocut.verdict.summary import Judged


class AsciiFile(io.StringIO):
    """A terminal that knows only ASCII."""

    encoding = "ascii"


def printed(made: MadeRun, request: str, width: int = 100, file: io.StringIO | None = None) -> list[str]:
    """What `render` prints of a request, line by line."""
    judged: Judged = made.judged()
    console = Console(file=file or io.StringIO(), width=width, color_system=None)
    render(waterfall(request, judged.attribution, made.attempts), console)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]  # it is the StringIO above


def bar(lines: list[str], name: str) -> str:
    """The first line that begins with a layer's name."""
    return next(line for line in lines if line.strip().startswith(name))


def test_the_orphan_is_drawn_past_the_cut() -> None:
    """The light blocks of the generation begin under the cut and reach beyond the layers' bars."""
    made = MadeRun()
    request = made.request("plain", nginx_cut(195.0))

    lines = printed(made, request)

    nginx, generation = bar(lines, "nginx"), bar(lines, "generation")
    assert "× cut: proxy_read_timeout 60 s" in nginx
    assert abs(generation.index("░") - nginx.index("×")) <= 1
    assert generation.rindex("░") > 1.5 * nginx.index("×")
    assert "runs on 135 s, billed $0.21" in generation


def test_the_phrase_is_the_verdicts_own() -> None:
    """The terminal says the phrase as the verdict makes it, then the evidence and what followed."""
    made = MadeRun()
    request = made.request("plain", nginx_cut(195.0))

    text = "\n".join(printed(made, request, width=200))

    assert made.judged().verdicts[0].phrase in text
    assert (
        "· nginx: its timer proxy_read_timeout (first_byte) fired while waiting (testified, at 60.0" in text
    )
    assert "· upstream: saw it leave (proven, at 60.0" in text
    assert "· then cloudflare-free: passed on 504" in text


@pytest.mark.parametrize("width", [60, 61, 80, 132, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """From 60 columns on, nothing wraps by accident."""
    made = article_run(requests=6)

    for mode in ("plain", "stream", "no-retry"):
        assert max(map(len, printed(made, f"{mode}-0001", width))) <= width


def test_a_narrow_terminal_is_drawn_as_60_columns() -> None:
    """Below 60 columns the drawing keeps its width instead of losing its meaning."""
    made = MadeRun()
    request = made.request("plain", nginx_cut())

    lines = printed(made, request, width=40)

    assert any(40 < len(line) <= 60 for line in lines)


def test_ascii_terminals_get_ascii() -> None:
    """A terminal without Unicode sees the same drawing in other signs."""
    made = MadeRun()
    request = made.request("stream", stream_cut(195.0, 10.0))

    lines = printed(made, request, file=AsciiFile())

    assert all(line.isascii() for line in lines)
    assert "x cut: proxy_read_timeout 60 s" in bar(lines, "nginx")
    assert ":::" in bar(lines, "generation")


def test_what_was_not_heard_is_named() -> None:
    """An unattributed attempt says so, and what would be needed to say more."""
    made = MadeRun()
    request = made.request("plain", unattributed())

    text = " ".join(printed(made, request, width=200))

    assert "unattributed: " in text
    assert "to say more: a span of cloudflare-free" in text


def test_a_delivered_request_shows_no_cut() -> None:
    """Nothing in the drawing or the key speaks of a cut where none was."""
    made = MadeRun()
    request = made.request("plain", delivered(44.0))

    lines = printed(made, request)

    assert not any("×" in line or "░" in line for line in lines)
    assert not any("═" in line for line in lines)  # the body took milliseconds: too short to be seen
    assert any("nobody cut: delivered" in line for line in lines)


def test_an_unknown_request_is_said() -> None:
    """No span, no drawing: one sentence instead."""
    assert printed(MadeRun(), "plain-0042") == ["no span of request plain-0042 was written"]
