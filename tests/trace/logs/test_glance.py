"""A glance at a line tells what the format's reader tells, or it tells nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whocut.foreign.kinds import meaning_of
from whocut.trace.logs.formats import formats
from whocut.trace.logs.reading import read_line

if TYPE_CHECKING:
    from collections.abc import Hashable

    from whocut.trace.logs.records import LogFormat

LOGS = Path(__file__).parents[2] / "data" / "logs"
GLANCED = {
    "nginx": ("nginx.log", "nginx-combined.log", "nginx-error.log"),
    "haproxy": ("haproxy.log",),
    "envoy": ("envoy.log", "envoy-default.log"),
    "alb": ("alb.log",),
}
# Lines that no fixture has, and on which forms hang.
WRITTEN = {
    "nginx": """
192.0.2.1 - - [22/Nov/2026:11:05:00 +0200] "POST /x HTTP/1.1" 504 167 "-" "a"
192.0.2.1 - me [22/Nov/2026:11:05:00 +0000] "GET /\\x22 HTTP/1.1" 200 1 "-" "a"
192.0.2.1 - - [22/Nov/2026:11:05:00 +0000] "POST /x HTTP/1.1" 504 0 "-" "a" 310 60.001 [ns-app-80] [] \
10.0.0.1:80, 10.0.0.2:80 0, 0 30.000, 30.001 504, 504 0123456789abcdef
""",
    "haproxy": """
{"time":1795345500.123,"trace":"","request_id":"r-1","method":"POST","path":"/x","status":504,"bytes":1,\
"state":"sH--","frontend":"fe","backend":"be","server":"s","TR":0,"Tw":0,"Tc":1,"Tr":-1,"Ta":60001,"retries":0}
Nov 18 10:00:00 lb haproxy[7]: 10.0.0.1:5 [18/Nov/2026:10:00:00.123] fe be/s 0/0/1/-1/60001 504 1 - - sH-- \
1/1/1/1/0 0/0 {00-0123456789abcdef0123456789abcdef-0123456789abcdef-01|r-1} "POST /x HTTP/1.1"
""",
}
# What lines of all forms hang on, and what none of them expects.
ODD = (
    *('"', "\\", '\\"', " ", "  ", "\t", "[", "]", "/", "-", ",", ":", "{", "}", "\x00", "\r", "\x0b"),
    *("\u00fc", "\u0663", "\ufeff", "null", "true", "1e9", "+", ".", "0"),
)


def lines_of(name: str) -> list[bytes]:
    """Captured lines of a format, and those written here."""
    captured = [line for file in GLANCED[name] for line in (LOGS / file).read_bytes().splitlines()]
    return [*captured, *WRITTEN.get(name, "").strip().encode().splitlines()]


def look(log: LogFormat, line: bytes) -> tuple[Hashable, float] | None:
    """What a glance tells, as those who count ask it."""
    assert log.glance is not None
    try:
        return log.glance(line)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def disagreement(log: LogFormat, line: bytes, seen: dict[Hashable, tuple[object, ...]]) -> str:
    """Where a glance and the reader part; empty where they do not."""
    told = look(log, line)
    if told is None:
        return ""
    signature, took_s = told
    account = read_line(line, log)
    if account is None or account.remark:
        return "it settles a line of no request"
    named = account.trace_id is not None or account.request_id is not None
    means = (*meaning_of(account), named, account.end_s is not None)
    if seen.setdefault(signature, means) != means:
        return f"{signature} means {means}, and {seen[signature]}"
    if took_s != (account.duration_s or 0.0):
        return f"it took {account.duration_s}, and not {took_s}"
    return ""


def changed(dice: random.Random, line: bytes, others: list[bytes]) -> bytes:
    """A line that is a little wrong: cut, doubled, with other bytes, other digits, or the end of another line."""
    at = dice.randrange(len(line) + 1)
    to = min(len(line), at + dice.randrange(4))
    odd = dice.choice((*(one.encode() for one in ODD), b"\xff"))
    return dice.choice(
        (
            line[:at],
            line[at:],
            line[:at] + odd + line[to:],
            line[:at] + odd + line[at:],
            line[:at] + b"%d" % dice.randrange(10) + line[at + 1 :],
            line[:at] + line[to:],
            line[:at] + dice.choice(others)[at:],
            line + dice.choice((b"\r", b" ", b' "x"', b" 1", line)),
        )
    )


@pytest.mark.parametrize("name", sorted(GLANCED))
def test_a_glance_settles_each_access_line_that_was_captured(name: str) -> None:
    """A glance that settles nothing would be slow and unseen."""
    log = formats()[name]

    left = [line for line in lines_of(name) if look(log, line) is None]

    for line in left:
        account = read_line(line, log) if b"BADREQ" not in line else None
        assert account is None or account.remark, line


@pytest.mark.parametrize("name", sorted(GLANCED))
def test_a_glance_means_what_the_reader_means(name: str) -> None:
    """Captured lines, and thousands that are a little wrong."""
    log, lines = formats()[name], lines_of(name)
    dice = random.Random(f"glance/{name}")
    seen: dict[Hashable, tuple[object, ...]] = {}
    tried = [*lines, *(changed(dice, dice.choice(lines), lines) for _ in range(6_000))]
    tried += [changed(dice, line, lines) for line in tried[-2_000:]]

    found = [(line, said) for line in tried if (said := disagreement(log, line, seen))]

    assert found[:3] == []
    assert sum(look(log, line) is not None for line in tried) > 1_000


def test_every_format_with_columns_has_a_glance() -> None:
    """What a columnar engine reads fast is counted fast, too."""
    assert {log.name for log in formats().values() if log.columns} == set(GLANCED)
    assert {log.name for log in formats().values() if log.glance} == set(GLANCED)


def test_a_glance_leaves_a_connection_of_tcplog_to_the_reader() -> None:
    """It has other columns than a request's line, and a glance that took them for those would miscount."""
    log = formats()["haproxy"]
    lines = (LOGS / "haproxy-tcp.log").read_bytes().splitlines()

    assert [look(log, line) for line in lines] == [None] * len(lines)
    assert all(read_line(line, log) for line in lines)
