"""Logs read by the engine give the verdicts, request by request, that reading them in memory gives."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.worlds.play import play
from tests.worlds.world import random_world
from whocut.errors import BadFile, BadInput
from whocut.foreign.files import Attributed, attribute_files, parse_logs
from whocut.foreign.logs import AttributedLogs, attribute_logs
from whocut.foreign.many import COLUMNS
from whocut.trace.logs.formats import formats
from whocut.trace.logs.reading import LONGEST
from whocut.trace.records import LayerRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.chain.layers import Topology

duckdb = pytest.importorskip("duckdb")
LOGS = Path(__file__).parents[1] / "data" / "logs"
EPOCH_UNIX_S = 1_795_345_500
FIXTURES = {
    "nginx": ("nginx.log", "nginx-combined.log", "nginx-error.log", "nginx-loki.log"),
    "apache": (
        "apache.log",
        "apache-combined.log",
        "apache-vhost.log",
        "apache-late.log",
        "apache-error.log",
    ),
    "envoy": ("envoy.log", "envoy-default.log"),
    "traefik": ("traefik.log", "traefik-clf.log"),
    **{name: (f"{name}.log",) for name in ("alb", "caddy", "cloudflare", "heroku")},
    "haproxy": ("haproxy.log", "haproxy-tcp.log"),
    "aws-apigw": ("aws-apigw.log", "aws-apigw-clf.log"),
    "vercel": ("vercel.log",),
    "cloudfront": ("cloudfront.log",),
    "gcp-alb": ("gcp-alb.log",),
    "gcp-cloud-run": ("gcp-cloud-run.log",),
    "gunicorn": ("gunicorn.log", "gunicorn-combined.log", "gunicorn-error.log"),
    "litellm": ("litellm.log", "litellm-plain.log"),
    "uvicorn": ("uvicorn.log",),
    "varnish": ("varnish-default.log",),
}


@pytest.fixture(autouse=True)
def _each_form_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines are left to the reader of lines otherwise, and a form that is read wrongly would not be seen."""
    monkeypatch.setattr("whocut.foreign.rows._FEW", 0)


def both_ways(
    tmp_path: Path, logs: Sequence[str], chain: Topology | None = None
) -> tuple[Attributed, AttributedLogs, list[dict[str, Any]]]:
    """The same logs in memory and by the engine, and the engine's table."""
    table = tmp_path / "verdicts.parquet"
    slow = attribute_files([], parse_logs(logs), chain)
    fast = attribute_logs(logs, chain, verdicts=table)
    assert isinstance(fast, AttributedLogs)
    found = duckdb.sql(f"select * from '{table}'")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert tuple(found.columns) == COLUMNS
    return slow, fast, rows


def of_verdicts(attributed: Attributed) -> Counter[str]:
    """Each verdict as the table has it; the place is the table's own."""
    return Counter(
        repr([_plain(getattr(verdict, name)) for name in COLUMNS if name != "place"])
        for verdict in attributed.verdicts
    )


def of_rows(rows: list[dict[str, Any]]) -> Counter[str]:
    """Each row in the same form."""
    return Counter(repr([_plain(row[name]) for name in COLUMNS if name != "place"]) for row in rows)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value


def assert_the_same(tmp_path: Path, logs: Sequence[str], chain: Topology | None = None) -> AttributedLogs:
    """Both ways have the same verdicts, counts and examples; the engine's result."""
    slow, fast, rows = both_ways(tmp_path, logs, chain)
    if len({one.partition("=")[0] for one in logs}) == 1:
        assert counted(logs, chain) == told(fast)
    assert of_rows(rows) == of_verdicts(slow)
    read = fast.judged.read
    assert (read.lines, read.unreadable, read.passed) == (slow.lines, slow.unreadable, slow.passed)
    assert (read.named, read.passed_named[:3]) == (slow.named, slow.passed_named[:3])
    assert len(fast.judged.unjoined) == slow.unjoined
    assert fast.judged.requests == len(slow.verdicts)
    phrases = {verdict.phrase for verdict in slow.verdicts}
    facts = {fact for verdict in slow.verdicts for fact in verdict.evidence}
    for kind in fast.judged.kinds:
        assert kind.example.phrase in phrases
        assert set(kind.example.evidence) <= facts
    return fast


def told(fast: AttributedLogs) -> list[tuple[object, ...]]:
    """The kinds without the order of those that are as many."""
    kinds = fast.judged.kinds
    return sorted(
        (one.count, round(one.waited_s, 6), one.example.phrase.partition(" after ")[0]) for one in kinds
    )


def counted(logs: Sequence[str], chain: Topology | None) -> list[tuple[object, ...]]:
    """The same where no table is asked for: then lines of one layer are only counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whocut.foreign.logs.MANY_BYTES", -1)
        fast = attribute_logs(logs, chain)
    assert isinstance(fast, AttributedLogs)
    return told(fast)


def written(tmp_path: Path, name: str, lines: Sequence[str]) -> Path:
    """A log of these lines."""
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def nginx_line(number: int, **other: Any) -> str:
    """A line of the recommended form, as nginx writes it."""
    row = {
        "time": f"{EPOCH_UNIX_S + number}.{number % 1000:03}",
        "trace": f"00-{number + 1:032x}-{number + 1:016x}-01",
        "request_id": f"request-{number}",
        "pid": 7,
        "connection": number,
        "method": "POST",
        "path": "/v1/images/generations",
        "status": 200,
        "completion": "OK",
        "bytes": 120,
        "duration": "45.020",
        "upstream": "10.0.0.1:80",
        "upstream_status": "200",
        "upstream_header_time": "45.010",
        "upstream_response_time": "45.020",
    } | other
    numbers = {"time", "pid", "connection", "status", "bytes", "duration"}
    told = (f'"{key}":{value if key in numbers else json.dumps(value)}' for key, value in row.items())
    return f"{{{','.join(told)}}}"


CUT: dict[str, object] = {
    "status": 504,
    "upstream_status": "504",
    "upstream_header_time": "-",
    "duration": "60.001",
}
LEFT: dict[str, object] = {"status": 499, "completion": "", "upstream_header_time": "-", "duration": "12.5"}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        (name, files)
        for name, all_files in FIXTURES.items()
        for size in range(1, len(all_files) + 1)
        for files in itertools.combinations(all_files, size)
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_every_fixture_has_the_same_verdicts(tmp_path: Path, name: str, files: tuple[str, ...]) -> None:
    """Each format's captured lines, alone and with the layer's other logs."""
    assert_the_same(tmp_path, [f"{name}={LOGS / file}" for file in files])


def test_every_format_is_among_the_fixtures() -> None:
    """A format without lines of its own here would not be held to the other way."""
    assert set(formats()) <= set(FIXTURES)


def test_two_layers_of_fixtures_are_joined_alike(tmp_path: Path) -> None:
    """By name, by time, and with an error log between them."""
    for outer, inner in (("nginx", "envoy"), ("envoy", "haproxy"), ("haproxy", "nginx"), ("alb", "caddy")):
        logs = [f"{name}={LOGS / file}" for name in (outer, inner) for file in FIXTURES[name]]
        assert_the_same(tmp_path, logs)


def lines_of(spans: Sequence[object], layer: str) -> Iterator[str]:
    """What nginx would have logged of what a hop's spans show."""
    for number, span in enumerate(
        span for span in spans if isinstance(span, LayerRecord) and span.layer == layer
    ):
        cut = span.cut
        told: dict[str, object] = {"status": span.status or 0}
        if cut is not None:
            told = CUT if cut.phase == "wait" else {"completion": "OK"}
        elif span.caller_went_first or span.upstream.by_us:
            told = LEFT if not span.first_byte_s else {"completion": ""}
        elif span.upstream.by_them:
            told = {"status": 502, "upstream_header_time": "-"}
        yield nginx_line(
            number,
            **(
                told
                | {
                    "time": f"{EPOCH_UNIX_S + span.end_s:.3f}",
                    "duration": f"{span.end_s - span.start_s:.3f}",
                    "trace": f"00-{span.trace_id}-{span.parent_id or '0' * 16}-01",
                    "request_id": "",
                }
            ),
        )


@pytest.mark.parametrize("named", [True, False], ids=["by name", "by time"])
def test_worlds_that_only_log_have_the_same_verdicts(tmp_path: Path, *, named: bool) -> None:
    """Random chains with retries within one trace: what is singular goes the way of single requests."""
    grades: Counter[str] = Counter()
    for number in range(6):
        dice = random.Random(f"many/{number}")
        world = random_world(dice, 25)
        spans, _ = play(world)
        logs = []
        for hop in world.topology.hops:
            lines = list(lines_of(spans, hop.name))
            if not named:
                lines = [line.replace('"trace":"00-', '"trace":"x') for line in lines]
            path = written(tmp_path, f"{number}-{hop.name}.log", lines)
            logs.append(f"{hop.name}:nginx={path}")

        fast = assert_the_same(tmp_path, logs, world.topology)

        grades.update({kind.example.grade: kind.count for kind in fast.judged.kinds})
    assert grades["testified"] > 20
    assert not grades["proven"]


def test_names_that_reach_over_several_traces_are_joined_alike(tmp_path: Path) -> None:
    """Retries of one request id, lines without a trace id, and another layer's id of its own."""
    dice = random.Random("names")
    outer, inner = [], []
    for number in range(120):
        trace = "" if dice.random() < 0.3 else f"00-{number // 2 + 1:032x}-{1:016x}-01"
        request = f"request-{number // dice.choice((1, 2, 3))}"
        ends = dice.choice(({}, CUT, LEFT, {"status": 502, "upstream_header_time": "-"}))
        outer.append(nginx_line(number, trace=trace, request_id=request, **ends))
        ends = dice.choice(({}, CUT, {"duration": "3.0"} | CUT | {"duration": "3.0"}, LEFT))
        if dice.random() < 0.8:
            own = dice.choice((request, f"own-{number}"))
            inner.append(nginx_line(number, trace=trace, request_id=own, **ends))
    outer_path, inner_path = written(tmp_path, "outer.log", outer), written(tmp_path, "inner.log", inner)

    fast = assert_the_same(tmp_path, [f"edge:nginx={outer_path}", f"app:nginx={inner_path}"])

    assert fast.judged.alone
    assert fast.judged.alone < fast.judged.requests


ODD = (
    nginx_line(1, path='/a"b'),
    nginx_line(2, path="/ü/日本"),
    nginx_line(3, trace="00-" + "0" * 32 + "-0000000000000001-01"),
    nginx_line(4, trace="ff-" + "1" * 32 + "-0000000000000001-01"),
    nginx_line(5, trace="Root=1-67891233-abcdef012345678912345678"),
    nginx_line(6, trace="None", request_id="-"),
    nginx_line(7, upstream_header_time="0.001, 60.002"),
    nginx_line(8, upstream_header_time="0.001, -", status=504),
    nginx_line(9, upstream_header_time="0.001 : 3.0", status=504),
    nginx_line(10, duration="01.5"),
    nginx_line(11, time="1e9"),
    nginx_line(12, status="true"),
    nginx_line(13, status="504.5", upstream_header_time="-"),
    nginx_line(14, completion="MAYBE"),
    nginx_line(15, bytes="-5"),
    nginx_line(16).replace(",", ", ").replace('":', '": '),
    nginx_line(17)[:-40],
    nginx_line(18) + "  ",
    "\ufeff" + nginx_line(19),
    nginx_line(20, request_id="tab\there"),
    nginx_line(22).replace('"pid"', '"pod"'),
    nginx_line(23, connection="99999999999999999999"),
    nginx_line(24).replace('"POST"', '"POST" '),
    (
        "2026/11/22 11:05:24 [error] 7#7: *25 upstream timed out (110: Connection timed out) while reading "
        'response header from upstream, client: 10.0.0.1, server: , request: "POST /x HTTP/1.1", upstream: '
        '"http://u/x"'
    ),
    nginx_line(25, **CUT),
    "web-1  | " + nginx_line(26),
    '192.0.2.1 - - [22/Nov/2026:11:05:00 +0200] "POST /x HTTP/1.1" 504 167 "-" "a"',
    '192.0.2.1 - - [31/Feb/2026:11:05:00 +0200] "POST /x HTTP/1.1" 504 167 "-" "a"',
    '192.0.2.1 - me [22/Nov/2026:11:05:00 -0330] "POST" 400 - "-" "a"',
    '192.0.2.1 x - [22/Nov/2026:11:05:00 +0000] "POST /x HTTP/1.1" 200 1 "-" "a"',
    '192.0.2.1 - - [22/Nov/2026:11:05:00 +0000] "POST /x HTTP/1.1" 502 1 "-" "a" rt=60.0 uht="-"',
    "",
    "   ",
    "nonsense",
    "x" * 70_000,
    "y" * 1_000_000,
    nginx_line(27)[: len(nginx_line(27)) // 2],
    *(
        nginx_line(28, path="/" + "z" * (LONGEST + more - len(nginx_line(28, path="/"))))
        for more in (-1, 0, 1)
    ),
    nginx_line(29, trace=["a"], request_id=None, completion={}),
    nginx_line(30, status=True, duration="-3", upstream_header_time=0),
    nginx_line(31) + nginx_line(32),
    '192.0.2.1 - - [22/Nov/2026:11:05:00 +0000] "GET /\\x22 HTTP/1.1" 200 1 "-" "a"',
    '192.0.2.1 - - [22/Nov/2026:11:05:00 +00]00] "POST /x HTTP/1.1" 504 167 "-" "a"',
    '192.0.2.1 - - [22/Nov/2026:11:05:00 +0000] "POST /x HTTP/1.1" 504 167 "-" "a\\" 1 2 \\"b" "c"',
)


# Bytes that keep a whole block from the engine: each in a file of its own.
ODD_BYTES = (
    b"\xff\xfe{",
    b'{"time":\x00}',
    b"a\rb",
    nginx_line(21).replace("request-21", "raw\ttab").encode(),
    nginx_line(21).replace("request-21", "\u00fc").encode("latin-1"),
)


@pytest.mark.parametrize("few", [0, 200], ids=["each form", "one form"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_odd_lines_mean_the_same_both_ways(
    tmp_path: Path, end: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that nearly fit, among lines that do."""
    monkeypatch.setattr("whocut.foreign.rows._FEW", few)
    path = tmp_path / "odd.log"
    lines = (part for number, odd in enumerate(ODD) for part in (nginx_line(100 + number), odd))
    path.write_bytes(end.join(lines).encode())

    assert_the_same(tmp_path, [f"nginx={path}"])


def test_signatures_without_an_end_are_still_counted_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that never repeats itself: few signatures are remembered, and the rest is read line by line."""
    monkeypatch.setattr("whocut.foreign.counting._MOST", 3)
    path = written(tmp_path, "a.log", [nginx_line(number, status=200 + number % 90) for number in range(300)])

    fast = assert_the_same(tmp_path, [f"nginx={path}"])

    assert fast.judged.requests == 300


def test_odd_bytes_mean_the_same_both_ways(tmp_path: Path) -> None:
    """Invalid UTF-8, NUL, a lone CR, and a tab where JSON has none."""
    for number, odd in enumerate(ODD_BYTES):
        path = tmp_path / f"{number}.log"
        path.write_bytes(b"\n".join([nginx_line(100).encode(), odd, nginx_line(101, **CUT).encode()]))
        assert_the_same(tmp_path, [f"nginx={path}"])


def test_packed_and_rotated_files_are_read_from_the_oldest(tmp_path: Path) -> None:
    """A pattern names them all; gzip and zstd are told by their first bytes."""
    zstandard = pytest.importorskip("zstandard")
    lines = [nginx_line(number, **(CUT if number % 3 else {})) + "\n" for number in range(9)]
    (tmp_path / "access.log").write_text("".join(lines[6:]))
    (tmp_path / "access.log.1").write_bytes(zstandard.compress("".join(lines[3:6]).encode()))
    (tmp_path / "access.log.10.gz").write_bytes(gzip.compress("".join(lines[:3]).encode()))

    fast = assert_the_same(tmp_path, [f"nginx={tmp_path}/access.log*"])

    assert [Path(file.path).name for file in parse_logs([f"nginx={tmp_path}/access.log*"])] == [
        "access.log.10.gz",
        "access.log.1",
        "access.log",
    ]
    assert fast.sentence.startswith("66.7% of 9 requests were cut: 6 × nginx cut by first_byte")


def test_many_blocks_and_a_line_without_an_end_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines keep the numbers of the file, whatever the blocks are."""
    monkeypatch.setattr("whocut.foreign.blocks.PIECE", 1000)
    monkeypatch.setattr("whocut.foreign.blocks._BLOCK", 3000)
    lines = [nginx_line(number, **(CUT if number % 10 == 0 else {})) for number in range(100)]
    lines[55] = "nonsense"
    path = tmp_path / "a.log"
    path.write_text("\n".join(lines))

    _, fast, rows = both_ways(tmp_path, [f"nginx={path}"])

    assert {row["place"] for row in rows} == {f"{path}:{at + 1}" for at in range(100) if at != 55}
    assert fast.judged.read.named[0].startswith(f"{path}:56: ")


def test_error_lines_far_apart_and_many_find_their_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remarks are fetched in batches; keys that a whole client shares are no reason to fetch the whole log."""
    monkeypatch.setattr("whocut.foreign.remarks._AT_ONCE", 7)
    monkeypatch.setattr("whocut.foreign.remarks._MOST_ROWS", 20)
    access, error = [], []
    for number in range(200):
        at = f"{11 + number // 60:02}:{number % 60:02}:00"
        status = 504 if number % 5 == 0 else 200
        access.append(f'192.0.2.1 - - [22/Nov/2026:{at} +0000] "POST /x HTTP/1.1" {status} 167 "-" "a"')
        if number % 5 == 0 and number % 3:
            error.append(
                f"2026/11/22 {at} [error] 7#7: *{number} upstream timed out (110: Connection timed out) while "
                "reading response header from upstream, client: 192.0.2.1, server: , request: "
                '"POST /x HTTP/1.1", upstream: "http://10.0.0.1:80/x"'
            )
    logs = [f"nginx={written(tmp_path, 'a.log', access)}", f"nginx={written(tmp_path, 'e.log', error)}"]

    fast = assert_the_same(tmp_path, logs)

    assert fast.judged.kinds[1].example.timer == "first_byte"


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """A pattern without files, a packed file that ends too early, a table in a place that is missing."""
    path = written(tmp_path, "a.log", [nginx_line(1)])
    broken = tmp_path / "b.log.gz"
    broken.write_bytes(gzip.compress(path.read_bytes())[:-9])

    with pytest.raises(BadInput, match="no file fits the pattern"):
        parse_logs([f"nginx={tmp_path}/*.nothing"])
    with pytest.raises(BadFile, match="cannot be unpacked"):
        attribute_logs([f"nginx={broken}"], verdicts=tmp_path / "v.parquet")
    with pytest.raises(BadFile, match="cannot be written"):
        attribute_logs([f"nginx={path}"], verdicts=tmp_path / "missing" / "v.parquet")
    with pytest.raises(BadFile, match="cannot be read"):
        attribute_logs([f"nginx={tmp_path / 'missing.log'}"], verdicts=tmp_path / "v.parquet")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (name, file)
        for name, log in formats().items()
        if log.columns
        for file in FIXTURES[name]
        if not {"error", "tcp", "loki"}
        & set(file.removesuffix(".log").split("-"))  # left to the reader of lines
    ],
)
def test_the_engine_reads_each_captured_line_of_a_format_that_has_columns(
    tmp_path: Path, name: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns that fit nothing would be slow and unseen: no line of a fixture is left to the reader of lines."""
    left: list[bytes] = []
    monkeypatch.setattr(
        "whocut.foreign.rows._File._one_by_one", lambda _self, lines: left.extend(line for _, line in lines)
    )

    attribute_logs([f"{name}={LOGS / file}"], verdicts=tmp_path / "v.parquet")

    assert [line for line in left if line.strip() and b"BADREQ" not in line] == []
