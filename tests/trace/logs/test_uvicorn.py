"""uvicorn's access lines: what they say, what they leave unsaid, and what is refused."""

from __future__ import annotations

import pytest

from whocut.trace.logs.formats import find_format, recognise
from whocut.trace.logs.reading import read_line
from whocut.trace.logs.records import EndedBy, Unreadable

ASKED = 'INFO:     10.0.0.1:41022 - "POST /v1/images/generations HTTP/1.1" {0}'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (ASKED.format("200 OK"), (200, EndedBy.NONE)),
        (ASKED.format("504 Gateway Timeout"), (504, EndedBy.UPSTREAM)),
        (ASKED.format("500 Internal Server Error"), (500, EndedBy.NONE)),
        (ASKED.format("\x1b[32m200 OK\x1b[0m").replace("INFO", "\x1b[32mINFO\x1b[0m"), (200, EndedBy.NONE)),
        (ASKED.format("200 OK").replace("10.0.0.1:41022", ""), (200, EndedBy.NONE)),
        (f"api-1  | {ASKED.format('503 Service Unavailable')}", (503, EndedBy.UPSTREAM)),
    ],
)
def test_an_access_line_says_its_status_and_no_more(line: str, says: tuple[int, EndedBy]) -> None:
    """A 500 is a failure, a 504 a cut behind the app; no instant is made up, and any ASGI app has such lines."""
    account = read_line(line.encode(), find_format("uvicorn"))

    assert account is not None
    assert (account.status, account.ended_by) == says
    assert (account.end_s, account.duration_s, account.path) == (None, None, "/v1/images/generations")
    assert account.anonymous
    assert recognise(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "WARNING:  Invalid HTTP request received.",
        "ERROR:    Exception in ASGI application",
        "INFO:     Started server process [1]",
    ],
)
def test_other_lines_are_passed_over(line: str) -> None:
    """They end no request that could be named."""
    assert read_line(line.encode(), find_format("uvicorn")) is None


@pytest.mark.parametrize("line", [ASKED.format("2"), ASKED[:40], ASKED[1:], "nonsense"])
def test_a_torn_line_is_refused(line: str) -> None:
    """It is of no form that is read."""
    with pytest.raises(Unreadable):
        find_format("uvicorn").read(line)
