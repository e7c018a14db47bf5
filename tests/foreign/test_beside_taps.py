"""Logs and spans of others beside taps: they never make a verdict worse, and each line is accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.test_attribute import EPOCH_UNIX_S, nginx_line
from tests.foreign.test_attribute import span as foreign_span
from whocut.foreign.files import Attributed, attribute_files, parse_logs
from whocut.trace import otlp
from whocut.trace.records import CALLER_LEFT, DownstreamEnd, Event, LayerRecord, TapSide, UpstreamEnd
from whocut.verdict.verdict import Grade, Kind

TRACE = 7


def tap(own: int, parent: int | None, name: str, upstream: UpstreamEnd, **has: Any) -> LayerRecord:
    """A tap with the defaults of its command line: position 1, and a clock that nobody set."""
    left = upstream is UpstreamEnd.ABANDONED
    ends = {UpstreamEnd.ABANDONED: DownstreamEnd.LEFT, UpstreamEnd.COMPLETE: DownstreamEnd.ANSWERED}
    return LayerRecord(
        trace_id=f"{TRACE:032x}", span_id=f"{own:016x}", parent_id=f"{parent:016x}" if parent else None,
        layer=name, name="POST /v1/images/generations", start_s=0.0, end_s=60.0, position=1, tap=TapSide.ALONE,
        clock=f"{name}-{own}", upstream=upstream, upstream_s=60.0,
        downstream=ends.get(upstream, DownstreamEnd.TRUNCATED), downstream_s=60.0, request_sent_s=0.0,
        events=[Event(CALLER_LEFT, 60.0)] if left else [], **has,
    )  # fmt: skip


def around_a_cut(names: tuple[str, str] = ("outer", "inner"), parent: int | None = None) -> list[LayerRecord]:
    """Something between two taps let go after a minute and answered 504."""
    return [
        tap(101, parent, names[0], UpstreamEnd.COMPLETE, status=504, first_byte_s=60.0),
        tap(102, 101, names[1], UpstreamEnd.ABANDONED),
    ]


def judged(folder: Path, taps: list[LayerRecord], *others: dict[str, Any], logs: str = "") -> Attributed:
    """Spans of taps, spans of others, and one nginx log."""
    spans = folder / "spans.jsonl"
    with spans.open("wb") as file:
        for one in taps:
            file.write(otlp.encode_line([one], EPOCH_UNIX_S))
        for other in others:
            file.write(json.dumps({"resourceSpans": [other]}).encode() + b"\n")
    (folder / "access.log").write_text(logs)
    return attribute_files([spans], parse_logs([f"nginx={folder / 'access.log'}"] if logs else []))


def test_two_taps_with_the_defaults_of_their_command_line_are_told_apart(tmp_path: Path) -> None:
    """One name, one position: the place between them is proven all the same."""
    (told,) = judged(tmp_path, around_a_cut(("tap", "tap"))).verdicts

    assert (told.layer, told.grade) == ("what is between tap and tap-2", Grade.PROVEN)


def test_a_log_belongs_to_the_layer_between_the_taps(tmp_path: Path) -> None:
    """It is not put behind the inner tap: its layer is the one that the taps stand around."""
    attributed = judged(tmp_path, around_a_cut(), logs=nginx_line(status=504, duration=60.0, header="-"))

    (told,) = attributed.verdicts
    assert (told.layer, told.grade) == ("nginx", Grade.PROVEN)
    assert any("access.log" in fact.fact for fact in told.evidence)
    assert attributed.as_chain() == ["client", "nginx", "upstream"]


def test_a_log_that_says_less_never_lowers_a_verdict(tmp_path: Path) -> None:
    """The default format says 504 and no more; the taps prove it, and the line is joined or counted."""
    combined = (
        '10.0.0.1 - - [22/Nov/2026:10:46:00 +0000] "POST /v1/images/generations HTTP/1.1" 504 160 "-" "x"\n'
    )

    attributed = judged(tmp_path, around_a_cut(), logs=combined)

    (told,) = attributed.verdicts
    assert (told.kind, told.layer, told.grade) == (Kind.CUT, "nginx", Grade.PROVEN)


def test_a_line_that_fits_no_request_is_counted_and_is_none(tmp_path: Path) -> None:
    """Edges say which requests there were."""
    other = nginx_line(status=200, duration=1.0, at=5000.0)

    attributed = judged(tmp_path, around_a_cut(), logs=other)

    assert (len(attributed.verdicts), attributed.unjoined) == (1, 1)
    assert any("could not be joined" in line for line in attributed.as_words())


CAPTURED = Path(__file__).parents[1] / "data" / "logs"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("nginx", "nginx-error.log"),
        ("nginx", "nginx-combined.log"),
        ("apache", "apache-error.log"),
        ("apache", "apache-combined.log"),
        ("envoy", "envoy-default.log"),
        ("haproxy", "haproxy.log"),
        ("traefik", "traefik-clf.log"),
        ("caddy", "caddy.log"),
    ],
)
def test_no_line_that_cannot_be_joined_becomes_an_attempt(name: str, file: str, tmp_path: Path) -> None:
    """Lines of other days beside one request that taps saw: its verdict stays, each line is counted or unjoined."""
    spans = tmp_path / "spans.jsonl"
    with spans.open("wb") as written:
        for one in around_a_cut():
            written.write(otlp.encode_line([one], EPOCH_UNIX_S))

    attributed = attribute_files([spans], parse_logs([f"{name}={CAPTURED / file}"]))

    (told,) = attributed.verdicts
    assert (told.kind, told.grade) == (Kind.CUT, Grade.PROVEN)
    assert attributed.unjoined > 0
    assert attributed.unjoined + attributed.passed + attributed.unreadable <= attributed.lines
    assert attributed.unjoined_named


def test_spans_of_a_client_of_one_s_own_beside_taps_leave_the_taps_their_say(tmp_path: Path) -> None:
    """OpenTelemetry's client span calls a cut stream healthy: the taps saw who ended it."""
    taps = [
        tap(101, 5, "outer", UpstreamEnd.CLOSED, status=200, first_byte_s=1.0),
        tap(102, 101, "inner", UpstreamEnd.ABANDONED, status=200, first_byte_s=1.0),
    ]

    attributed = judged(tmp_path, taps, foreign_span(5, 3, "my-app", status=200, trace=TRACE))

    (told,) = attributed.verdicts
    assert (told.kind, told.grade) == (Kind.CUT, Grade.PROVEN)
    assert told.layer == "what is between outer and inner"
    assert attributed.as_chain()[0] == "my-app"


def test_a_200_of_a_log_that_cannot_tell_is_not_testified(tmp_path: Path) -> None:
    """The access log of nginx calls a stream that it cut a success."""
    (tmp_path / "access.log").write_text(nginx_line(status=200, duration=60.0))

    (told,) = attribute_files([], parse_logs([f"nginx={tmp_path / 'access.log'}"])).verdicts

    assert (told.kind, told.grade) == (Kind.NONE, Grade.INFERRED)
    assert "cannot tell" in told.phrase


def test_no_layer_is_named_by_the_time_alone_where_no_limits_are_known(tmp_path: Path) -> None:
    """Ten seconds are the default limit of a product that does not stand here."""
    taps = [tap(101, None, "outer", UpstreamEnd.COMPLETE, status=504, first_byte_s=60.0)]

    (told,) = judged(tmp_path, taps).verdicts

    assert told.kind is Kind.UNATTRIBUTED
