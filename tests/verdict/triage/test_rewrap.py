"""Texts that were broken at a width, or drawn into a frame: they are answered as the whole ones are."""

from __future__ import annotations

import textwrap
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.verdict.triage import triage
from whocut.verdict.triage.rewrap import rejoined, unframed

WHOLE: Final = (
    'Post "https://img.example.com/v1": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
    "OpenrouterException - No endpoints found that support the requested output modalities: image, text",
    "The organisation has no money left: Billing hard limit has been reached, and so the image is refused",
    "the relay says upstream connect error or disconnect/reset before headers. reset reason: connection failure",
    "image generation failed: Your request was rejected as a result of our safety system, so try another one",
)


@given(text=st.sampled_from(WHOLE), width=st.integers(45, 100))
def test_a_text_that_was_broken_at_a_width_is_answered_as_the_whole(text: str, width: int) -> None:
    """Whatever the width of the window, the mail or the screenshot."""
    broken = "\n".join(textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False))

    found, whole = triage(broken), triage(text)

    assert (found.cause, found.layer, found.retry) == (whole.cause, whole.layer, whole.retry)


def test_a_terminal_of_eighty_columns_breaks_words() -> None:
    """A terminal breaks where its edge is, in the middle of a word, too: such lines go together without a blank."""
    text = " ".join(WHOLE)
    cut = "\n".join(text[at : at + 80].ljust(80, ".") for at in range(0, len(text) - 80, 80))

    assert "\n" not in rejoined(cut)
    assert rejoined(cut).startswith(text[:320])


@given(text=st.sampled_from(WHOLE), width=st.integers(45, 100))
def test_a_frame_around_the_lines_changes_nothing(text: str, width: int) -> None:
    """A terminal's program draws a box around its message."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    boxed = "\n".join(
        ["╭" + "─" * (width + 2) + "╮"]
        + [f"│ {line.ljust(width)} │" for line in lines]
        + ["╰" + "─" * (width + 2) + "╯"]
    )

    found, whole = triage(boxed), triage(text)

    assert (found.cause, found.layer, found.retry) == (whole.cause, whole.layer, whole.retry)


@pytest.mark.parametrize(
    "text",
    [
        "[2026-09-14 08:02:11 +0000] [7] [INFO] Starting\n[2026-09-14 08:04:56 +0000] [7] [CRITICAL] WORKER",
        "HTTP/1.1 504 Gateway Time-out\nServer: Apache/2.4.62 (Debian) on a machine of ours\nConnection: close",
        "a short line\nand another one\nand a third",
        "one line alone",
        "",
    ],
)
def test_records_and_headers_stay_lines_of_their_own(text: str) -> None:
    """What begins as a record, a header or a tag does is no rest of the line before."""
    assert rejoined(text) == text


@given(st.text(alphabet="ab .|│\n", max_size=400))
def test_no_letter_is_lost_where_lines_are_joined(text: str) -> None:
    """Only breaks and blanks go."""
    assert "".join(rejoined(text).split()) == "".join(text.split())


def test_a_table_that_is_not_one_stays() -> None:
    """A line without a frame means that there is none."""
    text = "| a | b |\nno frame here"

    assert unframed(text) == text
