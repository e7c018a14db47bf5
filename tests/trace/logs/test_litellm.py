"""LiteLLM's log: which of its requests its own timer ended. Lines are captured, stack traces cut short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whocut.trace.logs.formats import find_format, recognise
from whocut.trace.logs.reading import Read, read_file, read_line, told_together
from whocut.trace.logs.records import Account, EndedBy, Unreadable

LOGS = Path(__file__).parents[2] / "data" / "logs"
TOOK = (
    "LiteLLM Proxy:ERROR: x.py:1 - litellm.Timeout: APITimeoutError - Request timed out. Error_str: Request timed "
    "out. - timeout value=60.0, time taken=60.01 seconds"
)


@pytest.mark.parametrize("file", ["litellm.log", "litellm-plain.log"])
def test_its_own_timer_is_told_from_a_failure_behind_it(file: str) -> None:
    """The first of each: delivered, cut by its own timer, answered with a 502, connection lost."""
    read = Read()
    read_file(LOGS / file, find_format("litellm"), "litellm", read)
    assert read.named == []
    unjoined: list[Account] = []

    told = told_together(read.accounts, unjoined)

    assert [(one.status, one.ended_by, one.directive) for one in told[:4]] == [
        (200, EndedBy.NONE, None),
        (408, EndedBy.LAYER, "request_timeout"),
        (502, EndedBy.UPSTREAM, None),
        (500, EndedBy.UPSTREAM, None),
    ]


def test_a_caller_that_left_has_no_access_line() -> None:
    """The proxy goes on, and its timer fires: an error line that belongs to no request that was answered."""
    read = Read()
    read_file(LOGS / "litellm.log", find_format("litellm"), "litellm", read)
    unjoined: list[Account] = []

    told_together(read.accounts, unjoined)

    assert [one.ended_by for one in unjoined] == [EndedBy.LAYER] * 2


def test_how_long_it_took_is_read() -> None:
    """Where the line says so."""
    account = read_line(TOOK.encode(), find_format("litellm"))

    assert account is not None
    assert (account.duration_s, account.ended_by) == (60.01, EndedBy.LAYER)


def test_a_408_alone_and_another_s_timeout_stay_unsaid() -> None:
    """A 408 of the model's side looks like its own."""
    lines = (
        'INFO:     10.0.0.1:1 - "POST /v1/images/generations HTTP/1.1" 408 Request Timeout',
        "LiteLLM Proxy:ERROR: x.py:1 - litellm.Timeout: Timeout Error: OpenAIException - Error code: 408",
    )

    told = [read_line(line.encode(), find_format("litellm")) for line in lines]

    assert [one and one.ended_by for one in told] == [EndedBy.UNSAID, EndedBy.UNSAID]


@pytest.mark.parametrize(
    "line", ['{"message": "x"}', '{"message": 1, "level": 2, "timestamp": []}', "LiteLLM Pro"]
)
def test_a_torn_line_is_refused(line: str) -> None:
    """It is of no form that is read."""
    with pytest.raises(Unreadable):
        find_format("litellm").read(line)


def test_its_lines_are_left_to_triage() -> None:
    """Triage knows its words, also of an answer behind it; access lines are any ASGI app's."""
    row = {
        "message": TOOK,
        "level": "ERROR",
        "timestamp": "2026-11-27T21:57:59",
        "component": "uvicorn.error",
    }

    assert [recognise(line) for line in (TOOK, json.dumps(row))] == [None, None]
