"""gunicorn's two logs: what is joined, what is left to triage's own words, and what is refused."""

from __future__ import annotations

import pytest

from whocut.trace.logs.formats import find_format, recognise
from whocut.trace.logs.reading import read_line, told_together
from whocut.trace.logs.records import Account, EndedBy, Unreadable

ASKED = '10.0.0.1 - - [14/Sep/2026:08:30:30 +0000] "POST /x HTTP/1.1" 200 2 "-" "curl"'
TRACED = f'{ASKED} 1.954714 <4951> "00-{"a" * 32}-{"b" * 16}-01" "r-1"'
TIMEOUT = "[2026-09-14 08:30:30 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:4951)"
KILLED = "[2026-09-14 08:30:31 +0000] [7] [ERROR] Worker (pid:4951) was sent SIGKILL! Perhaps out of memory?"


def read(line: str) -> Account | None:
    """What a line tells."""
    return read_line(line.encode(), find_format("gunicorn"))


def test_the_recommended_format_says_duration_trace_and_id() -> None:
    """What `%(L)s`, the traceparent and the request's id say is read."""
    account = read(TRACED)

    assert account is not None
    assert (account.duration_s, account.trace_id, account.request_id) == (1.954714, "a" * 32, "r-1")
    assert not account.anonymous


def test_a_worker_timeout_ends_the_request_of_its_worker_and_a_kill_does_not_undo_it() -> None:
    """The pid joins them; the kill that follows the timeout is not a second end."""
    told = told_together([one for line in (TRACED, TIMEOUT, KILLED) if (one := read(line)) is not None])

    assert [(one.ended_by, one.directive, one.request_id) for one in told] == [
        (EndedBy.LAYER, "timeout", "r-1")
    ]


def test_without_an_access_log_the_timeout_and_its_kill_are_one() -> None:
    """Lines of one worker within a second tell of one request."""
    told = told_together([one for line in (TIMEOUT, KILLED) if (one := read(line)) is not None])

    assert [one.ended_by for one in told] == [EndedBy.LAYER]


@pytest.mark.parametrize(
    "line",
    [
        "[2026-09-14 08:30:30 +0000] [7] [INFO] Worker exiting (pid: 4951)",
        "[2026-09-14 08:30:30 +0000] [7] [INFO] Booting worker with pid: 12",
        "[2026-09-14 08:30:30 +0000] [7] [ERROR] Worker (pid:12) was sent SIGTERM!",
        "Traceback (most recent call last):",
        '  File "/srv/app.py", line 4, in app',
        "SystemExit: 1",
    ],
)
def test_a_line_without_a_request_is_passed_over(line: str) -> None:
    """Starts, exits and tracebacks end no request."""
    assert read(line) is None


@pytest.mark.parametrize("line", [TRACED[:-1], TRACED.replace("<4951>", "4951"), TIMEOUT[:20], "nonsense"])
def test_a_torn_line_is_refused(line: str) -> None:
    """It is of no form that is read."""
    with pytest.raises(Unreadable):
        read(line)


def test_only_the_recommended_form_is_known_for_gunicorn_s() -> None:
    """Its default is combined, and its error log has no request: triage reads those by its own words."""
    known = recognise(TRACED)

    assert known is not None
    assert known[0].name == "gunicorn"
    assert [recognise(line) for line in (ASKED, TIMEOUT, KILLED)] == [None, None, None]
