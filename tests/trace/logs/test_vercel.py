"""Entries of Vercel's log drains: which of them is a request, and which only says something of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from whocut.trace.logs.formats import find_format, recognise
from whocut.trace.logs.reading import read_line
from whocut.trace.logs.records import Account, Unreadable

LINES = (Path(__file__).parents[2] / "data" / "logs" / "vercel.log").read_text(encoding="utf-8").splitlines()
LOG = find_format("vercel")
OWN: dict[str, Any] = json.loads(LINES[0])
TIMED_OUT: dict[str, Any] = json.loads(LINES[3])


def told(entry: dict[str, Any]) -> Account | None:
    """What this entry tells."""
    return read_line(json.dumps(entry).encode(), LOG)


@pytest.mark.parametrize(
    "changed",
    [
        {"message": "drawing", "type": "stdout"},
        {"message": "Error: 504 from upstream", "type": "stderr", "statusCode": 500},
        {"proxy": {**OWN["proxy"], "statusCode": -1}},
        {"source": "build", "proxy": None, "statusCode": None, "message": "done"},
        {"proxy": None, "statusCode": None},
    ],
    ids=["printed", "printed an error", "revalidated behind the caller's back", "a build", "of no request"],
)
def test_an_entry_that_is_no_request_is_passed_over(changed: dict[str, Any]) -> None:
    """What a function prints is told for each line of it: a request would be counted as often."""
    assert told(OWN | changed) is None


@pytest.mark.parametrize("message", ["", "[POST] /ok status=200", "START RequestId: 6 Version: 2\nhello\n"])
def test_a_request_has_one_entry_of_its_own(message: str) -> None:
    """It has no message, or the function's report of the whole call."""
    account = told(OWN | {"message": message})

    assert account is not None
    assert not account.remark
    assert (account.status, account.path, account.request_id) == (200, "/ok", "iad1::r1")
    assert account.trace_id == "00000000000000000000000000000001"


def test_the_timeout_s_own_words_are_laid_over_the_request() -> None:
    """They name the request, its duration, and the end that follows from the proxy's begin."""
    account = told(TIMED_OUT)

    assert account is not None
    assert account.remark
    assert account.keys == ("iad1::r2",)
    assert (account.duration_s, account.end_s) == (300.0, OWN["proxy"]["timestamp"] / 1000 + 300)
    assert account.directive == "maxDuration"
    assert not account.caveat


def test_a_timeout_behind_an_answer_says_what_else_it_can_be() -> None:
    """A 202 may have been whole, and only the work behind it was stopped."""
    account = told(TIMED_OUT | {"statusCode": 202})

    assert account is not None
    assert "waitUntil" in account.caveat


def test_a_report_says_how_long_it_took() -> None:
    """Milliseconds of the function's own report; without one there is no duration."""
    durations = {
        account.path: account.duration_s
        for account in (read_line(line.encode(), LOG) for line in LINES)
        if account is not None and not account.remark
    }

    assert durations["/reported"] == pytest.approx(12.01676)
    assert durations["/reported-timeout"] == 300.0
    assert durations["/relayed-504"] is None


def test_an_entry_is_recognised_where_it_is_pasted() -> None:
    """Triage asks every format; nothing but Vercel writes a deployment's and a project's id so."""
    found = recognise(LINES[3])

    assert found is not None
    assert found[0].name == "vercel"


@pytest.mark.parametrize("line", [f"[{LINES[0]}]", LINES[0][:80], '{"deploymentId": "a"}', "nonsense"])
def test_what_is_no_entry_is_refused_with_the_way_out(line: str) -> None:
    """A delivery of many entries is an array; one object a line is read."""
    with pytest.raises(Unreadable):
        LOG.read(line)
    assert "jq -c" in LOG.hint
