"""Two layers' logs of any size, and a sample of their requests the slow way: ``bench_logs --two-layers LINES``.

nginx before Envoy, 100 requests a second, of which some are cut by the one, some by the other, some are left by
their callers; every fiftieth never reaches Envoy. The sample are stretches of neighbouring requests. Their lines,
and those of a thousand requests on each side, are read in memory, request by request, and every column of the table
that the engine wrote must be the same.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from whocut.foreign.files import attribute_files, parse_logs
from whocut.foreign.logs import AttributedLogs, attribute_logs
from whocut.foreign.many import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from whocut.verdict.verdict import Verdict

EPOCH_UNIX_S: Final = 1_795_000_000.0
ABSENT: Final = 50  # each request of such a number has no line of Envoy's
BESIDE: Final = 1_000  # requests on each side of a stretch
STRETCH: Final = 500
PATHS: Final = ("/v1/images/generations", "/v1/images/edits")
COMPARED: Final = tuple(name for name in COLUMNS if name not in {"request", "place"})


@dataclass(slots=True)
class Sampled:
    """What came of a sample: how many requests, which of them are not the same, and how many are proven."""

    requests: int = 0
    different: int = 0
    proven: int = 0
    inferred: int = 0
    first: str = ""


def write(folder: Path, lines: int) -> tuple[Path, Path]:
    """Both logs: so many requests, each with a trace id and an id of its own."""
    dice = random.Random("two layers")
    outer, inner = folder / "nginx.log", folder / "envoy.log"
    with outer.open("w") as of_nginx, inner.open("w") as of_envoy:
        start_s = EPOCH_UNIX_S
        for number in range(lines):
            start_s += dice.expovariate(100)
            told_outer, told_inner = _request(dice, number, start_s)
            of_nginx.write(told_outer)
            if number % ABSENT:
                of_envoy.write(told_inner)
    return outer, inner


def take_names(path: Path) -> None:
    """The same log without a name in any line, as where no layer hands one on."""
    nameless = path.with_suffix(".nameless")
    with path.open("rb") as named, nameless.open("wb") as file:
        for line in named:
            untraced = re.sub(rb'"traceparent":"[^"]*"', b'"traceparent":null', line)
            file.write(re.sub(rb'"(trace|request_id)":"[^"]*"', rb'"\1":"-"', untraced))
    nameless.replace(path)


# Of 1,000 requests those below this: nginx' status, whether it saw a head, and Envoy's status, flag and details.
_ENDS: Final = (
    (940, 200, True, 200, "-", "via_upstream"),
    (960, 504, False, 0, "DC", "downstream_remote_disconnect"),
    (975, 504, True, 504, "UT", "response_timeout"),
    (985, 499, False, 0, "DC", "downstream_remote_disconnect"),
    (992, 502, True, 502, "-", "via_upstream"),
    (1000, 429, True, 429, "-", "via_upstream"),
)


def _request(dice: random.Random, number: int, start_s: float) -> tuple[str, str]:
    chosen = dice.randrange(1000)
    _, status, answered, code, flag, details = next(end for end in _ENDS if chosen < end[0])
    took_s = {504: 60.0 + dice.random() / 100, 200: dice.uniform(20, 59), 499: dice.uniform(1, 59)}.get(
        status, 0.02
    )
    path = PATHS[dice.random() < 0.2]
    trace = f"00-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-01"
    header = f"{took_s:.3f}" if answered else "-"
    began_s = start_s + dice.uniform(0.0005, 0.004)
    began = datetime.fromtimestamp(began_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    of_nginx = (
        f'{{"time":{start_s + took_s:.3f},"trace":"{trace}","request_id":"req-{number}","pid":7,'
        f'"connection":{number},"method":"POST","path":"{path}","status":{status},'
        f'"completion":"{"" if status == 499 else "OK"}","bytes":2048,"duration":{took_s:.3f},'
        f'"upstream":"127.0.0.1:8443","upstream_status":"{status}","upstream_header_time":"{header}",'
        f'"upstream_response_time":"{took_s:.3f}"}}\n'
    )
    of_envoy = (
        f'{{"bytes_sent":{2048 if code else 0},"duration":{round((took_s - 0.001) * 1e3)},"method":"POST",'
        f'"path":"{path}","request_id":"req-{number}","response_code":{code},'
        f'"response_code_details":"{details}","response_flags":"{flag}","start_time":"{began}Z",'
        f'"traceparent":"{trace}","upstream_host":"10.0.0.1:80"}}\n'
    )
    return of_nginx, of_envoy


def envoys_before(number: int) -> int:
    """How many lines Envoy has written before the request of this number, which counts from 0."""
    return number - (number + ABSENT - 1) // ABSENT


def stretches(lines: int, requests: int) -> list[int]:
    """The first requests of stretches that are as many requests together, spread over the log."""
    count = max(1, min(requests, lines) // STRETCH)
    return [round(at * (lines - STRETCH) / max(1, count - 1)) if count > 1 else 0 for at in range(count)]


def attribute_with_table(outer: Path, inner: Path, table: Path) -> int:
    """Both logs by the engine, with a row for each request; how many requests there are."""
    told = attribute_logs([f"nginx={outer}", f"envoy={inner}"], verdicts=table)
    assert isinstance(told, AttributedLogs)
    return told.judged.requests


def sample(outer: Path, inner: Path, table: Path, lines: int, requests: int, folder: Path) -> Sampled:
    """Judge stretches the slow way, and hold the table against them."""
    import duckdb  # noqa: PLC0415  # an extra brings it

    sampled = Sampled()
    firsts = stretches(lines, requests)
    ranges = [(max(0, first - BESIDE), min(lines, first + STRETCH + BESIDE)) for first in firsts]
    of_outer = _excerpts(outer, ranges)
    of_inner = _excerpts(inner, [(envoys_before(low), envoys_before(high)) for low, high in ranges])
    for first, (low, _), some_outer, some_inner in zip(firsts, ranges, of_outer, of_inner, strict=True):
        outer_part, inner_part = folder / "nginx-part.log", folder / "envoy-part.log"
        outer_part.write_bytes(some_outer)
        inner_part.write_bytes(some_inner)
        slow = attribute_files([], parse_logs([f"nginx={outer_part}", f"envoy={inner_part}"])).verdicts
        moved = {str(outer_part): (outer, low), str(inner_part): (inner, envoys_before(low))}
        names = [_name(verdict.request, moved) for verdict in slow]
        middle = _middle(first, lines, outer, inner)
        expected = {
            name: verdict
            for name, verdict in zip(names, slow, strict=True)
            if name in middle or _number(name) in middle
        }
        found = duckdb.execute(
            f"select request, {', '.join(COMPARED)} from '{table}' where request in (select unnest($1))",
            [list(expected)],
        ).fetchall()
        _compare(expected, {row[0]: row[1:] for row in found}, sampled)
    return sampled


def _middle(first: int, lines: int, outer: Path, inner: Path) -> frozenset[str | int]:
    """What the requests of a stretch may be called: by their numbers, or by their places."""
    numbers = range(first, min(lines, first + STRETCH))
    return frozenset(
        [
            *numbers,
            *(f"{outer}:{number + 1}" for number in numbers),
            *(f"{inner}:{envoys_before(number) + 1}" for number in numbers if number % ABSENT),
        ]
    )


def _number(name: str) -> int:
    return int(name[4:]) if name.startswith("req-") else -1


def _name(request: str, moved: dict[str, tuple[Path, int]]) -> str:
    """A request's name in the whole log: its place is that of the excerpt, moved."""
    path, _, line = request.rpartition(":")
    if path not in moved:
        return request
    whole, before = moved[path]
    return f"{whole}:{int(line) + before}"


def _compare(expected: dict[str, Verdict], found: dict[str, tuple[Any, ...]], sampled: Sampled) -> None:
    for name, verdict in expected.items():
        slow = tuple(_plain(getattr(verdict, column)) for column in COMPARED)
        sampled.requests += 1
        sampled.proven += found.get(name, ())[COMPARED.index("grade")] == "proven" if name in found else 0
        sampled.inferred += slow[COMPARED.index("grade")] == "inferred"
        if found.get(name) != slow:
            sampled.different += 1
            sampled.first = sampled.first or f"{name}: {found.get(name)}, and {slow} in memory"


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value


def _excerpts(path: Path, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Lines of ascending ranges, which may overlap: from the first, counted from 0, to before the last."""
    kept: list[tuple[int, bytes]] = []
    with path.open("rb") as file:
        numbered = enumerate(file)
        for low, high in ranges:
            kept = [one for one in kept if one[0] >= low]
            while (not kept or kept[-1][0] < high - 1) and (one := next(numbered, None)) is not None:
                if one[0] >= low:
                    kept.append(one)
            yield b"".join(line for number, line in kept if number < high)
