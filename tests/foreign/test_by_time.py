"""Lines that only time joins: the engine joins them as lines in memory are joined, each to the same request."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.benchmarks import two_layers
from tests.foreign.test_many import (
    CUT,
    EPOCH_UNIX_S,
    LEFT,
    assert_the_same,
    nginx_line,
    of_rows,
    of_verdicts,
    written,
)
from whocut.foreign.files import attribute_files, parse_logs
from whocut.foreign.logs import AttributedLogs, attribute_logs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

duckdb = pytest.importorskip("duckdb")
ENDS: tuple[dict[str, Any], ...] = ({}, {}, {}, CUT, LEFT, {"status": 502, "upstream_header_time": "-"})
PATHS = ("/v1/images/generations", "/v1/images/generations?n=2", "/v1/images/edits", "")


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows move on, and answers are fetched, many times."""
    monkeypatch.setattr("whocut.foreign.by_time._BEHIND", 5)
    monkeypatch.setattr("whocut.foreign.rows._AT_ONCE", 7)


def layers_of(
    dice: random.Random, *, requests: int, per_s: float, layers: int, named: float = 0.0, undated: float = 0.0
) -> list[list[str]]:
    """Lines of each layer, from the caller inward; some are missing, and some know no duration."""
    logs: list[list[str]] = [[] for _ in range(layers)]
    at_s = float(EPOCH_UNIX_S)
    for number in range(requests):
        at_s += round(dice.expovariate(per_s), dice.choice((0, 1, 3)))
        took_s = dice.choice((0.0, 1.0, round(dice.uniform(0, 90), 3), 60.0))
        name = f"request-{number}" if dice.random() < named else ""
        path = dice.choice(PATHS)
        for log in logs:
            if dice.random() < 0.1:
                continue
            began_s = at_s + dice.choice((0.0, 0.001, 0.001, dice.uniform(-1.2, 1.2)))
            lasted_s = took_s if dice.random() < 0.7 else took_s / 2
            if dice.random() < undated:
                second = int(began_s + lasted_s) - EPOCH_UNIX_S
                log.append(
                    f"192.0.2.1 - - [22/Nov/2026:{11 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} "
                    f'+0000] "POST {path or "/"} HTTP/1.1" {dice.choice((200, 504, 499))} 167 "-" "a"'
                )
                continue
            told = dice.choice(ENDS) | {"time": f"{began_s + lasted_s:.3f}", "duration": f"{lasted_s:.3f}"}
            log.append(nginx_line(number, **told, trace="", path=path, request_id=name))
    return logs


def logs_of(tmp_path: Path, layers: Sequence[Sequence[str]]) -> list[str]:
    """The layers' logs, as the command is given them."""
    return [
        f"layer-{at}:nginx={written(tmp_path, f'{at}.log', lines)}"
        for at, lines in enumerate(layers, start=1)
    ]


@pytest.mark.parametrize("per_s", [0.5, 20.0, 400.0], ids=["apart", "busy", "crowded"])
@pytest.mark.parametrize("layers", [2, 3])
def test_each_line_goes_to_the_request_that_it_goes_to_in_memory(
    tmp_path: Path, layers: int, per_s: float
) -> None:
    """Alone in its second, among others that fit as well, and where hundreds began at once."""
    dice = random.Random(f"{layers}/{per_s}")

    fast = assert_the_same(
        tmp_path, logs_of(tmp_path, layers_of(dice, requests=200, per_s=per_s, layers=layers))
    )

    assert not fast.judged.alone
    assert all(kind.example.grade != "proven" for kind in fast.judged.kinds)


@pytest.mark.parametrize("named", [0.0, 0.5], ids=["no name", "half of them named"])
def test_lines_of_several_forms_are_joined_alike(tmp_path: Path, named: float) -> None:
    """Lines that know no duration, by their ends; lines with a name begin what lines without one join."""
    dice = random.Random(f"forms/{named}")
    for requests, per_s in ((150, 3.0), (150, 100.0)):
        layers = layers_of(dice, requests=requests, per_s=per_s, layers=2, named=named, undated=0.4)

        fast = assert_the_same(tmp_path, logs_of(tmp_path, layers))

        assert not fast.judged.alone


def test_names_of_several_attempts_among_lines_without_one_are_judged_together(tmp_path: Path) -> None:
    """The way of single requests: two lines of one layer have one name, and others have none."""
    layers = layers_of(random.Random("twice"), requests=40, per_s=2.0, layers=2, named=0.5)
    layers[0].append(nginx_line(900, trace="", request_id="request-1"))
    layers[0].append(nginx_line(901, trace="", request_id="request-1"))

    fast = assert_the_same(tmp_path, logs_of(tmp_path, layers))

    assert fast.judged.alone == fast.judged.requests


@pytest.mark.parametrize("named", [True, False], ids=["by trace id", "by time"])
def test_a_sample_of_two_layers_is_judged_as_in_memory(tmp_path: Path, *, named: bool) -> None:
    """The benchmark's proof, of few requests: every column of the table, and nothing proven."""
    outer, inner = two_layers.write(tmp_path, 2_600)
    for path in () if named else (outer, inner):
        two_layers.take_names(path)

    requests = two_layers.attribute_with_table(outer, inner, tmp_path / "verdicts.parquet")

    sampled = two_layers.sample(outer, inner, tmp_path / "verdicts.parquet", 2_600, 600, tmp_path)
    assert requests == 2_600
    assert (sampled.requests, sampled.different, sampled.proven) == (500, 0, 0), sampled.first


def test_a_line_that_others_fit_as_well_is_no_testimony(tmp_path: Path) -> None:
    """Two requests began together, one of them was cut: which of them it was is inferred, and the grade says so."""
    outer = [nginx_line(at, trace="", request_id="", status=502, upstream_header_time="-") for at in (0, 0)]
    cut = CUT | {"duration": "45.020"}
    inner = [nginx_line(0, trace="", request_id="", **cut), nginx_line(0, trace="", request_id="")]
    logs = logs_of(tmp_path, [outer, inner])

    fast = attribute_logs(logs, verdicts=tmp_path / "v.parquet")

    assert isinstance(fast, AttributedLogs)
    slow = attribute_files([], parse_logs(logs))
    found = duckdb.sql(f"select * from '{tmp_path / 'v.parquet'}'")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert of_rows(rows) == of_verdicts(slow)
    assert {row["grade"] for row in rows if row["kind"] == "cut"} == {"inferred"}
