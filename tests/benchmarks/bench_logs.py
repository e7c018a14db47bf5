"""How fast logs of any size are attributed: ``python -m tests.benchmarks.bench_logs [LINES ...]``.

With ``--two-layers LINES`` two layers' logs of so many lines each are joined, by trace id and by time, and a sample
of their requests is judged in memory as well (`two_layers`).

Each way reads the same file in a process of its own: in memory, as the command reads many lines, the same with a
row for each request in Parquet, and, beside them, what a user would do instead: a DuckDB query that only counts
statuses and durations, and goaccess, where it is installed, on the form that it knows. Told are lines a second of
CPU, the ratio to reading in memory, and peak memory. In memory at most 100,000 lines are read; of other forms than
nginx' a million at most. Each way is the least of three below a million lines, and of two at a million. Exits 1
where a million lines or more are not read 15 times as fast at the largest size, or more than 1.5 GB are needed.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import two_layers as proof
from whocut.clock.clock import cpu_s, wall_s

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH_UNIX_S = 1_795_000_000.0
SIZES = (100_000, 1_000_000)
MOST_IN_MEMORY = 100_000
MOST_OF_OTHERS = 1_000_000
SAMPLE = 10_000  # requests of two layers that are judged the slow way, too
WANTED_RATIO, WANTED_MB = 15.0, 1_500.0
A_QUERY = """select status, upstream_header_time = '-' as unanswered, count(*), quantile_cont(duration, 0.5)
from read_ndjson('{path}', columns = {{'status': 'INTEGER', 'upstream_header_time': 'VARCHAR',
'duration': 'DOUBLE'}}) group by all"""


def main() -> int:
    """Write, read each way in a child, judge the figures."""
    sizes = [int(size) for size in sys.argv[1:]] or list(SIZES)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            in_memory_us = 0.0
            read = [lines for lines in sizes if lines <= MOST_OF_OTHERS or form.startswith("nginx")]
            for lines in read:
                path = Path(folder) / f"{form}.log"
                write(path, form, lines)
                for way in ("memory", "engine", "parquet", *PEERS.get(form, ())):
                    if way == "goaccess" and shutil.which(way) is None:
                        sys.stdout.write("goaccess is not here. Install it with: apt install goaccess\n")
                        continue
                    if way == "memory" and lines > MOST_IN_MEMORY:
                        continue
                    times = 3 if lines < MOST_OF_OTHERS else 2 if lines == MOST_OF_OTHERS else 1
                    done = min(
                        (child_of(form, way, path) for _ in range(times)), key=lambda one: one["cpu_s"]
                    )
                    us = done["cpu_s"] / lines * 1e6
                    if way == "memory":
                        in_memory_us = us
                    ratio = in_memory_us / us if in_memory_us else float("nan")
                    sys.stdout.write(
                        f"{form:9} {lines:>10,} {way:8} {us:7.2f} µs a line, {1e6 / us:>9,.0f} lines/s of CPU, "
                        f"{ratio:5.1f} ×, {done['took_s']:7.1f} s, {done['peak_mb']:5.0f} MB, {done['verdicts']}\n"
                    )
                    sys.stdout.flush()
                    if way == "engine" and lines >= max(read):
                        good = good and ratio >= WANTED_RATIO
                    good = good and (way == "memory" or done["peak_mb"] <= WANTED_MB)
                path.unlink()
    return 0 if good else 1


def two_layers(lines: int) -> int:
    """Two layers of so many lines, joined by trace id and by time; a sample of 10,000 requests the slow way."""
    good = True
    with tempfile.TemporaryDirectory() as folder:
        outer, inner = proof.write(Path(folder), lines)
        for named in (True, False):
            if not named:
                proof.take_names(outer)
                proof.take_names(inner)
            done = child_of("by trace id" if named else "by time", "two-layers", outer)
            rows = lines + sum(number % proof.ABSENT > 0 for number in range(lines))
            begun_s = cpu_s()
            table = outer.with_suffix(".parquet")
            sampled = proof.sample(outer, inner, table, lines, SAMPLE, Path(folder))
            sys.stdout.write(
                f"two layers {'by trace id' if named else 'by time':11} {rows:>11,} lines "
                f"{done['cpu_s'] / rows * 1e6:6.2f} µs a line, {done['took_s']:7.1f} s, {done['peak_mb']:5.0f} MB, "
                f"{done['verdicts']:,} requests; of {sampled.requests:,} judged in memory "
                f"{sampled.different} differ ({sampled.inferred} inferred, {sampled.proven} proven), "
                f"{cpu_s() - begun_s:.0f} s {sampled.first}\n"
            )
            sys.stdout.flush()
            good = good and not sampled.different and not sampled.proven and done["peak_mb"] <= WANTED_MB
    return 0 if good else 1


def child_of(form: str, way: str, path: Path) -> dict[str, float]:
    """What one way took, in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--child", form, way, str(path)]
    done: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return done


def child(form: str, way: str, path: Path) -> None:
    """Read and attribute, and say what it took."""
    started_s, begun_s = wall_s(), cpu_s()
    verdicts = WAYS[way](form.partition("-")[0], path)
    of_others = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, of_others.ru_maxrss)
    figures = {
        "took_s": wall_s() - started_s,
        "cpu_s": cpu_s() - begun_s + of_others.ru_utime + of_others.ru_stime,
        "peak_mb": peak / (1e6 if sys.platform == "darwin" else 1e3),
        "verdicts": verdicts,
    }
    sys.stdout.write(json.dumps(figures))


def _in_memory(name: str, path: Path) -> int:
    from whocut.foreign.files import attribute_files, parse_logs  # noqa: PLC0415

    return len(attribute_files([], parse_logs([f"{name}={path}"])).verdicts)


def _by_engine(name: str, path: Path, verdicts: Path | None = None) -> int:
    from whocut.foreign.files import parse_logs  # noqa: PLC0415
    from whocut.foreign.kinds import LogOfLayer  # noqa: PLC0415
    from whocut.foreign.many import judge_logs  # noqa: PLC0415
    from whocut.foreign.material import topology_of  # noqa: PLC0415

    logs = [LogOfLayer(one.path, one.format, one.layer, 1) for one in parse_logs([f"{name}={path}"])]
    return judge_logs(logs, topology_of((), (), [name], ()), verdicts=verdicts).requests


def _with_parquet(name: str, path: Path) -> int:
    return _by_engine(name, path, path.with_suffix(".parquet"))


def _own_query(name: str, path: Path) -> int:
    import duckdb  # noqa: PLC0415

    del name
    return len(duckdb.connect().execute(A_QUERY.format(path=path)).fetchall())


def _goaccess(name: str, path: Path) -> int:
    del name
    told = path.with_suffix(".json")
    command = [
        "goaccess",
        str(path),
        "--log-format=COMBINED",
        "--no-progress",
        "--no-global-config",
        "-o",
        str(told),
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    counted: int = json.loads(told.read_text())["general"]["valid_requests"]
    return counted


def _two_layers(name: str, outer: Path) -> int:
    del name
    return proof.attribute_with_table(outer, outer.with_name("envoy.log"), outer.with_suffix(".parquet"))


WAYS: dict[str, Callable[[str, Path], int]] = {
    "memory": _in_memory,
    "engine": _by_engine,
    "parquet": _with_parquet,
    "query": _own_query,
    "goaccess": _goaccess,
    "two-layers": _two_layers,
}
PEERS = {"nginx": ("query",), "nginx-combined": ("goaccess",)}


def write(path: Path, form: str, lines: int) -> None:
    """A log of so many lines: 94 % delivered, 3 % cut after 60 s, the rest left, refused, or ended."""
    dice = random.Random(form)
    at_s = EPOCH_UNIX_S
    with path.open("w") as file:
        for number in range(lines):
            at_s += dice.expovariate(100)
            file.write(FORMS[form](dice, number, at_s))


ENDS = ((200, 0.94), (504, 0.97), (499, 0.98), (429, 0.99), (502, 1.0))


def _drawn(dice: random.Random) -> tuple[int, float]:
    chosen = dice.random()
    status = next(status for status, below in ENDS if chosen <= below)
    took = {200: dice.uniform(20, 59), 504: 60.0 + dice.random() / 100, 499: dice.uniform(1, 59)}
    return status, took.get(status, 0.02)


def _nginx(dice: random.Random, number: int, at_s: float) -> str:
    status, took_s = _drawn(dice)
    header = "-" if status in {504, 499, 502} else f"{took_s:.3f}"
    return (
        f'{{"time":{at_s:.3f},"trace":"00-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-01",'
        f'"request_id":"req-{number}","pid":{dice.randint(10, 14)},"connection":{number},"method":"POST",'
        f'"path":"/v1/images/generations","status":{status},"completion":"{"" if status == 499 else "OK"}",'
        f'"bytes":{dice.randint(100, 2_000_000)},"duration":{took_s:.3f},"upstream":"127.0.0.1:8443",'
        f'"upstream_status":"{status}","upstream_header_time":"{header}","upstream_response_time":"{took_s:.3f}"}}\n'
    )


def _clock_of(at_s: float) -> str:
    seconds = int(at_s - EPOCH_UNIX_S) % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _combined(dice: random.Random, number: int, at_s: float) -> str:
    status, _ = _drawn(dice)
    return (
        f"10.0.{number % 250}.{dice.randint(1, 250)} - - [18/Nov/2026:{_clock_of(at_s)} +0000] "
        f'"POST /v1/images/generations HTTP/1.1" {status} {dice.randint(100, 2_000_000)} '
        '"-" "OpenAI/Python 3.54.0"\n'
    )


def _haproxy(dice: random.Random, number: int, at_s: float) -> str:
    status, took_s = _drawn(dice)
    state = {504: "sH--", 499: "CH--", 502: "SH--"}.get(status, "----")
    return (
        f"10.0.0.1:{number % 60_000} [18/Nov/2026:{_clock_of(at_s)}.{number % 1000:03}] fe images/one "
        f"0/0/1/{-1 if status == 504 else round(took_s * 1e3)}/{round(took_s * 1e3)} {status} 2048 - - {state} "
        '90/90/80/80/0 0/0 "POST /v1/images/generations HTTP/1.1"\n'
    )


def _envoy(dice: random.Random, number: int, at_s: float) -> str:
    status, took_s = _drawn(dice)
    flags, details = {504: ("UT", "response_timeout"), 499: ("DC", "downstream_remote_disconnect")}.get(
        status, ("-", "via_upstream")
    )
    return (
        f'{{"bytes_sent":2048,"duration":{round(took_s * 1e3)},"method":"POST","path":"/v1/images/generations",'
        f'"request_id":"req-{number}","response_code":{0 if status == 499 else status},'
        f'"response_code_details":"{details}","response_flags":"{flags}",'
        f'"start_time":"2026-11-18T{_clock_of(at_s)}.{number % 1000:03}Z",'
        f'"traceparent":"00-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-01","upstream_host":"10.0.0.1:80"}}\n'
    )


def _alb(dice: random.Random, number: int, at_s: float) -> str:
    status, took_s = _drawn(dice)
    target = "-" if status in {504, 502} else status
    status = 460 if status == 499 else status
    return (
        f"https 2026-11-19T{_clock_of(at_s + took_s)}.{number % 1_000_000:06}Z app/images/50dc6c495c0c9188 "
        f"192.0.2.1:40001 10.0.0.1:80 0.000 {took_s:.3f} 0.000 {status} {target} 310 512 "
        '"POST https://images.example.com:443/v1/images/generations HTTP/1.1" "OpenAI/Python 3.54.0" - - '
        f'arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/images/73e2 "Root=1-{number:08x}-{number:024x}" '
        f'"-" "-" 0 2026-11-19T{_clock_of(at_s)}.{number % 1_000_000:06}Z "forward" "-" "-" "10.0.0.1:80" '
        f'"{target}" "-" "-" T\n'
    )


FORMS: dict[str, Callable[[random.Random, int, float], str]] = {
    "nginx": _nginx,
    "nginx-combined": _combined,
    "haproxy": _haproxy,
    "envoy": _envoy,
    "alb": _alb,
}


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    elif "--two-layers" in sys.argv:
        sys.exit(two_layers(int(sys.argv[2])))
    else:
        sys.exit(main())
