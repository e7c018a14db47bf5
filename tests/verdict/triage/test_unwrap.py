"""What is put around a text, and taken off again."""

from __future__ import annotations

import json
import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.verdict.triage import triage
from whocut.verdict.triage.masked import masked
from whocut.verdict.triage.unwrap import unwrap

LINE = 'Post "https://h/v1": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'


@pytest.mark.parametrize(
    "prefix",
    [
        "relay-1  | ",
        "2026-10-05T11:12:47.123456789Z stderr F ",
        "Oct  5 11:12:47 edge1 relay[2217]: ",
        "[pod/relay-7f5c/relay] ",
        "2026-10-05T11:12:47.310Z ",
        "<134>1 2026-10-05T11:12:47Z edge1 relay 2217 - - ",
        "0|relay  | ",
        "    ",
        "\x1b[31m",
    ],
)
def test_a_collectors_prefix_changes_nothing(prefix: str) -> None:
    """With any of them the answer is that of the bare line."""
    found, bare = triage(prefix + LINE), triage(LINE)

    assert (
        (found.layer, found.directive, found.phase)
        == (bare.layer, bare.directive, bare.phase)
        == (
            "go-http",
            "http.Client.Timeout",
            "wait",
        )
    )


@given(st.integers(1, 4))
def test_quoting_inside_quoting_changes_nothing(depth: int) -> None:
    """A line in the message of a JSON log, in the message of another."""
    text = LINE
    for _ in range(depth):
        text = json.dumps({"level": "error", "msg": text, "status": 500})

    found = triage(text)

    assert (found.layer, found.directive) == ("go-http", "http.Client.Timeout")


def test_pieces_of_a_string_in_node_are_put_together() -> None:
    """A body that Node shows as ``'…' +`` is read as one object."""
    text = "{\n  responseBody: '{\\n' +\n    '  \"error\": {\\n' +\n    '    \"code\": \"no_money\" } }'\n}"

    assert {"error": {"code": "no_money"}} in unwrap(text).objects


def test_code_and_settings_that_an_error_quotes_are_not_what_happened() -> None:
    """Source lines of a traceback, and the options Node shows, name what they do not mean."""
    python = (
        '  File "/app/x.py", line 54, in check\n    raise RateLimitError("insufficient_quota")\n'
        "lib.Error: Response 502: Bad Gateway"
    )
    node = (
        "RequestError: Timeout awaiting 'request' for 800ms\n    at x {\n  code: 'ETIMEDOUT',\n  options: {\n"
        "    retry: {\n      errorCodes: [ 'ENOTFOUND', 'ECONNREFUSED' ]\n    }\n  }\n}"
    )

    assert (triage(python).cause, triage(python).status) == ("upstream", 502)
    assert triage(node).directive == "timeout.request"


@given(st.one_of(st.text(max_size=400), st.text("{}[]\"'\\:,=n0 ", max_size=400)))
def test_no_text_makes_it_raise(text: str) -> None:
    """Whatever is pasted, there is an answer, and a masked text."""
    assert triage(text).do
    assert isinstance(masked(text), str)


@pytest.mark.parametrize(
    "error",
    [
        {"message": ["no", "string"], "param": {"a": 1}, "code": 5, "type": None},
        {"message": None, "param": 7, "code": [], "type": "invalid_request_error"},
        {"message": "x", "param": "\x1b[2J", "code": "\u202ecode", "moderation_details": 4},
    ],
)
def test_an_error_object_of_odd_types_is_answered(error: dict[str, object]) -> None:
    """A parameter that is no string, codes that are numbers, details of another shape: no traceback."""
    assert triage(json.dumps({"error": error})).do_not


def test_control_characters_are_shown_and_not_obeyed() -> None:
    """What a log held does not clear the terminal that shows the answer."""
    found = triage(
        '{"error":{"message":"Unknown parameter: \'\\u001b[2Jx\'.","code":"unknown_parameter","param":"a\\u009bb"}}'
    )

    assert all("\x1b" not in words and "\x9b" not in words for _, words in found.as_words())


# --- how long it takes --------------------------------------------------------------------------------------

UNITS = (
    "a", " ", "\n", "{", "[", '"', "\\", "\\n", "a=", "status ", '{"a":', "504 ", "60 s ", "eyJaaaaaaaa-", "a.",
    "http://a.b/", "error ", "HTTP/1.1 504 x\n", '  File "x", line 1\n', "<title>", "a: ", "\x1b[", "\\u0041",
    "timed out ", "dial tcp ", "at=error path=/ ", "web-1  | x\n", "try again in ", "1.2.3.4:", "retry ",
)  # fmt: skip


def took_s(text: str) -> float:
    """Seconds of this process alone: what else runs on the machine does not count."""
    begun_s = time.process_time()
    triage(text)
    return time.process_time() - begun_s


@pytest.mark.real_time
@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_the_time_grows_as_the_text_does(unit: str) -> None:
    """Four times the text takes four times as long, with room for noise; a square would take sixteen times."""
    triage(unit)
    short, long = (unit * (size // len(unit) + 1) for size in (12_000, 48_000))

    ratio = took_s(long) / max(took_s(short), 0.02)

    assert ratio < 11


@pytest.mark.real_time
def test_a_megabyte_takes_no_longer_than_two_windows() -> None:
    """Of a longer text both ends are read."""
    draw = random.Random(7)
    text = "".join(draw.choice(string.printable) for _ in range(1_000_000))
    end = "\n" + LINE

    found = triage(text + end)

    assert found.layer == "go-http"
    assert took_s(text) < 6 * max(took_s(text[:131_072]), 0.05)


@pytest.mark.real_time
@pytest.mark.parametrize(
    "unit", ["x", "504 ", "timed out 60 s ", '{"a":', "a=1&", "\\n", "1.2.3.4:"], ids=repr
)
def test_a_line_of_two_megabytes_takes_no_longer_than_one_of_one(unit: str) -> None:
    """One line without an end costs what its two windows cost: twice the line, the same time."""
    one, two = (unit * (size // len(unit)) for size in (1_000_000, 2_000_000))
    triage(unit)

    ratio = took_s(two) / max(took_s(one), 0.05)

    assert ratio < 3


# --- masked -------------------------------------------------------------------------------------------------


def test_a_host_in_prose_is_masked_and_a_module_is_not() -> None:
    """An ending that no module has tells a host, also outside any URL."""
    found = masked(
        "draw.acme.io and acme.de fail; java.io.IOException, celery.app.trace, os.path, api.openai.com"
    )

    assert found.startswith("host-1.example and host-2.example fail")
    assert found.endswith("java.io.IOException, celery.app.trace, os.path, api.openai.com")


def test_a_masked_text_keeps_what_decides_and_loses_what_identifies() -> None:
    """Hosts and addresses become numbers, the same one each time; errors, statuses and vendors stay."""
    text = (
        'Post "https://img.acme-corp.io/v1/images": dial tcp 10.2.3.4:443: i/o timeout (key sk-abcdef123456)\n'
        "lookup img.acme-corp.io on 10.0.0.2:53; bob@acme-corp.io; /home/bob/app/draw.py; api.openai.com 504\n"
        '{"prompt": "a cat of Bob\'s", "model": "gpt-image-2"} requests.exceptions.ReadTimeout org-abcDEF12345'
    )

    found = masked(text)

    for gone in ("acme-corp", "10.2.3.4", "10.0.0.2", "sk-abc", "bob@", "/home/bob", "cat of", "abcDEF"):
        assert gone not in found
    for kept in ("i/o timeout", "504", "requests.exceptions.ReadTimeout", "gpt-image-2", "draw.py"):
        assert kept in found
    assert found.count("host-1.example") == 2
    assert (triage(found).cause, triage(found).phase) == (triage(text).cause, triage(text).phase)
