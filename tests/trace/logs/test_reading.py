"""Reading logs: no bytes make a reader raise, broken lines are counted and named, two logs tell one story."""

from __future__ import annotations

from contextlib import suppress
from math import isfinite
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whocut.chain.timers import Phase, TimerKind
from whocut.errors import BadInput
from whocut.trace.logs.fields import clf_instant, iso_instant, trace_of
from whocut.trace.logs.formats import as_markdown, find_format, formats, recognise
from whocut.trace.logs.reading import Read, read_line, read_lines, told_together
from whocut.trace.logs.records import Account, EndedBy, Unreadable

DATA = Path(__file__).parent.parent.parent / "data" / "logs"
DOCS = Path(__file__).parent.parent.parent.parent / "docs"
REAL = [line for path in sorted(DATA.glob("*.log")) for line in path.read_bytes().splitlines()]


def read_or_refuse(line: bytes, name: str) -> None:
    """Read a line; what comes of it is an account that can be reckoned with, or "not of this format"."""
    with suppress(Unreadable):
        account = read_line(line, formats()[name])
        if account is not None:
            assert all(figure is None or figure >= 0 for figure in (account.status, account.bytes))
            assert all(isfinite(instant or 0) for instant in (account.end_s, account.duration_s))
            assert (account.duration_s or 0) >= 0


@given(st.binary(max_size=400), st.sampled_from(sorted(formats())))
@example(
    b'{"ts": 1e400, "msg": "handled request", "request": {"headers": {"X": []}}, "status": "x"}', "caddy"
)
@example(b'{"time": "x", "state": 5, "Ta": null, "status": [], "bytes": {}}', "haproxy")
@example(b'{"completion": 1, "upstream_status": 2, "status": 1e999}', "nginx")
@example(b'{"EdgeResponseStatus": {}, "EdgeStartTimestamp": [], "RequestHeaders": 3}', "cloudflare")
@example(b'1.1.1.1 - - [99/Zzz/2026:99:99:99 +9999] "" 200 -', "apache")
@example(b"at= path=", "heroku")
@example(
    b'{"httpRequest": {"status": [], "latency": "1e999s", "requestUrl": 5}, "timestamp": {}, "trace": 1, '
    b'"resource": {"type": "http_load_balancer"}, "jsonPayload": {"statusDetails": []}}',
    "gcp-alb",
)
@example(
    b'{"date": "2026-99-99", "time": "99:99:99", "sc-status": "504", "x-edge-result-type": "Error", '
    b'"x-edge-request-id": "a", "time-taken": "-1", "sc-bytes": [], "cs-uri-stem": 3}',
    "cloudfront",
)
@example(
    b'{"logName": "run.googleapis.com%2Frequests", "resource": {}, "httpRequest": {"latency": "-1s"}, '
    b'"textPayload": 7}',
    "gcp-cloud-run",
)
def test_no_bytes_make_a_reader_raise(line: bytes, name: str) -> None:
    """Whatever stands in a line, it is read or refused."""
    read_or_refuse(line, name)


@given(
    st.sampled_from(REAL),
    st.sampled_from(sorted(formats())),
    st.integers(0, 400),
    st.binary(max_size=6),
    st.integers(0, 12),
)
def test_no_damage_to_a_real_line_makes_a_reader_raise(
    line: bytes, name: str, at: int, put: bytes, taken: int
) -> None:
    """A real line with bytes lost or changed, given to any reader, is read or refused."""
    read_or_refuse(line[:at] + put + line[at + taken :], name)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), st.lists, max_leaves=3))
def test_json_of_any_shape_is_read_or_refused(value: object) -> None:
    """A known key with a value of another kind is no reason to fail."""
    import json  # noqa: PLC0415

    keys = (
        "ts msg request status size duration DownstreamStatus StartUTC Duration response_code response_flags "
    )
    keys += "start_time EdgeResponseStatus RequestHeaders state Ta Tr time bytes completion upstream_status"
    line = json.dumps(dict.fromkeys(keys.split(), value)).encode()

    for name in formats():
        read_or_refuse(line, name)


def test_lines_that_cannot_be_read_are_counted_and_named() -> None:
    """Each unreadable line is counted; the first ones are named by file and line, with the reason."""
    read = Read()
    lines = [b"nonsense\n", b"\n", *[line + b"\n" for line in (DATA / "nginx.log").read_bytes().splitlines()]]

    read_lines([*lines, b"{broken\n"], find_format("nginx"), "edge", "access.log", read)

    assert (read.lines, read.unreadable, len(read.accounts)) == (12, 2, 10)
    assert read.named[0].startswith("access.log:1: neither")
    assert read.named[1].startswith("access.log:13: ")
    assert {account.layer for account in read.accounts} == {"edge"}
    assert read.accounts[0].place == "access.log:3"


def account(ended_by: EndedBy, end_s: float, *, remark: bool = False, **facts: object) -> Account:
    """An account with what a test needs."""
    facts = {"keys": ("a",), "signal": "x", "phase": None} | facts
    return Account(ended_by=ended_by, end_s=end_s, remark=remark, **facts)  # type: ignore[arg-type]


def test_an_error_line_explains_the_only_access_line_it_can_belong_to() -> None:
    """Of two requests of one caller, the remark belongs to the one that was under way."""
    early = account(EndedBy.NONE, 100.0, duration_s=5.0)
    late = account(EndedBy.NONE, 200.0, duration_s=60.0)
    said = account(EndedBy.LAYER, 199.5, remark=True, phase=Phase.STREAM, timer=TimerKind.IDLE)

    told = told_together([early, late, said])

    assert [one.ended_by for one in told] == [EndedBy.NONE, EndedBy.LAYER]
    assert told[1].timer is TimerKind.IDLE


def test_an_error_line_that_could_belong_to_two_stands_alone() -> None:
    """Nothing is guessed: two requests of one key that ended together leave the remark by itself."""
    both = [account(EndedBy.NONE, 100.0, duration_s=60.0) for _ in range(2)]
    said = account(EndedBy.LAYER, 100.0, remark=True)

    unjoined: list[Account] = []
    told = told_together([*both, said], unjoined)

    assert [one.ended_by for one in told] == [EndedBy.NONE, EndedBy.NONE]
    assert unjoined == [said]  # counted, and no request of its own


BEGUN_S = 1000.0


@pytest.mark.parametrize(
    ("begun_s", "status", "path", "joined"),
    [
        pytest.param(BEGUN_S, 502, "/x?n=1", True, id="two minutes before"),
        pytest.param(BEGUN_S, 502, "/y", False, id="of another path"),
        pytest.param(BEGUN_S, 500, "/x", False, id="an app's own failure"),
        pytest.param(BEGUN_S, 200, "/x", False, id="a delivery"),
        pytest.param(BEGUN_S - 481.0, 502, "/x", False, id="more than ten minutes before"),
        pytest.param(BEGUN_S + 121.0, 502, "/x", False, id="begun after it"),
    ],
)
def test_an_error_line_belongs_to_the_request_that_began_up_to_ten_minutes_before(
    begun_s: float, status: int, path: str, *, joined: bool
) -> None:
    """Where an access line has the begin alone, its error line comes as late as the request took."""
    access = account(EndedBy.UNSAID, begun_s, status=status, path=path, at_begin=True)
    end_s, timer = BEGUN_S + 120.0, TimerKind.FIRST_BYTE
    said = account(EndedBy.LAYER, end_s, remark=True, phase=Phase.WAIT, timer=timer)
    module = account(EndedBy.UPSTREAM, end_s, remark=True, phase=Phase.WAIT, path="/x")

    told = told_together([said, module, access])

    assert [one.ended_by for one in told] == [EndedBy.LAYER if joined else EndedBy.UNSAID]


STAMP = "[22/Nov/2026:12:06:12 +0000]"
ASKED = '"POST /v1/images/generations HTTP/1.1" 504 160'
NOT_ITS_OWN = {
    "lighttpd under httpd": (
        "httpd",
        f'10.0.0.1 img.example - {STAMP} {ASKED} "-" "x"',
        "as lighttpd writes it",
    ),
    "lighttpd under httpd, by this machine's name": (
        "httpd",
        f'127.0.0.1 localhost - {STAMP} {ASKED} "-" "x"',
        "as lighttpd writes it",
    ),
    "lighttpd under nginx": (
        "nginx",
        f'127.0.0.1 localhost - {STAMP} {ASKED} "-" "x"',
        "nginx writes '-' as the second column",
    ),
    "Traefik under nginx": (
        "nginx",
        f'127.0.0.1 - - {STAMP} {ASKED} "-" "-" 2 "up@file" "http://127.0.0.1:1" 1002ms',
        "give it as traefik=FILE",
    ),
    "Traefik under httpd": (
        "httpd",
        f'127.0.0.1 - - {STAMP} {ASKED} "-" "-" 2 "up@file" "http://127.0.0.1:1" 1002ms',
        "give it as traefik=FILE",
    ),
    "Apache under nginx": (
        "nginx",
        f'127.0.0.1 - - {STAMP} {ASKED} "-" "x" - 1002345 40812 "00-{"a" * 32}-{"b" * 16}-01" "id"',
        "give it as apache=FILE",
    ),
    "nginx under httpd": (
        "httpd",
        f'127.0.0.1 - - {STAMP} "POST / HTTP/1.1" 499 0 "-" "x"',
        "give it as nginx=FILE",
    ),
}


@pytest.mark.parametrize("case", NOT_ITS_OWN)
def test_another_product_s_line_is_refused_and_named(case: str) -> None:
    """It would testify to another layer than the one whose log it is."""
    name, line, says = NOT_ITS_OWN[case]

    with pytest.raises(Unreadable, match=says):
        find_format(name).read(line)


def test_a_misspelt_format_names_the_nearest() -> None:
    """``ngnix`` is answered with nginx."""
    with pytest.raises(BadInput, match="did you mean 'nginx'"):
        find_format("ngnix")


def test_the_page_of_formats_is_the_codes() -> None:
    """docs/logs.md is what the tables print; `python -m whocut.trace.logs > docs/logs.md` makes it anew."""
    assert (DOCS / "logs.md").read_text(encoding="utf-8") == as_markdown()


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("22/Nov/2026:11:05:00 +0000", 1795345500.0),
        ("22/Nov/2026:13:05:00 +0200", 1795345500.0),
        ("22/Nov/2026:11:05:00.250", 1795345500.25),
        ("22/Xyz/2026:11:05:00 +0000", None),
        ("31/Feb/2026:11:05:00 +0000", None),
    ],
)
def test_instants_of_the_common_log_format(text: str, unix_s: float | None) -> None:
    """Zones count; a log without one speaks UTC."""
    assert clf_instant(text) == unix_s


@pytest.mark.parametrize(
    "value", [1795345500, "1795345500", 1795345500000, 1795345500000000000, "2026-11-22T11:05:00Z"]
)
def test_instants_in_any_unit(value: object) -> None:
    """Seconds, milliseconds, nanoseconds and RFC 3339 are one instant."""
    assert iso_instant(value) == 1795345500.0


def test_amazons_trace_header_is_a_trace_id() -> None:
    """``Root=1-…`` holds the 32 digits of a trace id."""
    assert trace_of("Root=1-67891233-abcdef012345678912345678") == ("67891233abcdef012345678912345678", None)


NOT_CLOUD_LOGGING = {
    "an application's own JSON": b'{"httpRequest": {"status": 504, "latency": "60s"}, "severity": "ERROR"}',
    "a torn line": b'{"httpRequest": {"status": 504}, "resource": {"type": "http_load_balancer"',
    "another resource's entry": b'{"httpRequest": {"status": 504}, "resource": {"type": "gce_instance"}, '
    b'"logName": "projects/p/logs/requests"}',
}


@pytest.mark.parametrize("case", NOT_CLOUD_LOGGING)
@pytest.mark.parametrize("name", ["gclb", "cloud-run"])
def test_an_entry_of_something_else_is_refused(case: str, name: str) -> None:
    """What does not name the product as its writer is no testimony of it."""
    with pytest.raises(Unreadable):
        read_line(NOT_CLOUD_LOGGING[case], find_format(name))


def test_an_entry_received_before_its_end_was_dated_by_its_end() -> None:
    """LogEntry's instant is the begin's, unless the entry had then been received before the request was over."""
    line = (DATA / "gcp-alb.log").read_bytes().splitlines()[1]
    log = find_format("gcp-alb")

    begun = read_line(line, log)
    ended = read_line(line.replace(b"11:20:00", b"11:05:00"), log)

    assert begun is not None
    assert ended is not None
    assert (begun.end_s, ended.end_s) == (1795345530.001, 1795345500.0)


def test_a_pasted_entry_is_recognised_and_an_application_s_own_is_not() -> None:
    """Triage asks every format; only what names the product is its line."""
    for name in ("gcp-alb", "gcp-cloud-run"):
        found = recognise((DATA / f"{name}.log").read_text(encoding="utf-8").splitlines()[1])
        assert found is not None
        assert found[0].name == name
    assert recognise(NOT_CLOUD_LOGGING["an application's own JSON"].decode()) is None


def test_cloudfront_s_line_is_read_with_blanks_for_tabs_and_not_in_another_order() -> None:
    """A terminal pastes blanks; no field holds one. Another choice of fields would be read as what it is not."""
    log = find_format("cloudfront")
    head, line = (DATA / "cloudfront.log").read_bytes().splitlines()[1:4:2]

    assert read_line(line.replace(b"\t", b" "), log) == read_line(line, log)
    assert read_line(head, log) is None
    with pytest.raises(Unreadable, match="as JSON"):
        read_line(head.replace(b"date time", b"time date"), log)
    for torn in (line[:150], line.replace(b"2026-11-22", b"-"), b'{"sc-status": "504"}'):
        with pytest.raises(Unreadable):
            read_line(torn, log)
    found = recognise(line.decode())
    assert found is not None
    assert found[0] is log
