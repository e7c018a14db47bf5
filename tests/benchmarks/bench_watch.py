"""What a watch takes in and judges: ``python -m tests.benchmarks.bench_watch [--minutes 10] [--cut 0.2] …``.

The watch is a process of its own, `whocut watch` as users start it, and so is the load (`watch_load`). Told are the
spans a second that came, the watch's own CPU for them, and its memory after each minute. Then the books are closed:
each span that was acknowledged is judged, late or shed, as the metrics say; each trace that was acknowledged whole
has its verdict, and no trace has two. Exits 1 where that is not so.

`--rate 0` sends as fast as it is answered; `--held` says how many spans the watch may hold. Above that it decides
early, and what comes later is late: the books must be closed as well.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.benchmarks.watch_load import TRACES_A_SET, trace_id
from tests.processes import wait_until
from whocut.clock.clock import pause, wall_s

_TRACE = re.compile(rb'"trace":"([0-9a-f]{32})","of":(\d+)')
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Start both, look at the watch each minute, close the books."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=20_000.0)
    parser.add_argument("--cut", type=float, default=0.01)
    parser.add_argument("--kind", choices=("foreign", "own"), default="foreign")
    parser.add_argument("--held", type=int, default=400_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watch, endpoint = _start(Path(folder), asked.held)
        try:
            return _measure(asked, watch, endpoint, Path(folder))
        finally:
            watch.kill()
            watch.wait()


def _start(folder: Path, held: int) -> tuple[subprocess.Popen[bytes], str]:
    told = folder / "told"
    command = [sys.executable, "-m", "whocut", "watch", "--listen", "127.0.0.1:0", "--json"]
    command += ["--state", str(folder / "state"), "--held", str(held)]
    with told.open("wb") as file:
        watch = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    wait_until(lambda: b"ready" in told.read_bytes() or watch.poll() is not None)
    return watch, json.loads(told.read_bytes().splitlines()[0])["endpoint"]


def _measure(asked: argparse.Namespace, watch: subprocess.Popen[bytes], endpoint: str, folder: Path) -> int:
    port = endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.benchmarks.watch_load", port]
    command += ["--rate", str(asked.rate), "--seconds", str(asked.minutes * 60)]
    command += ["--cut", str(asked.cut), "--kind", asked.kind]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    assert load.stdout.readline() == "made\n"
    answers: list[str] = []
    reading = threading.Thread(target=lambda: answers.append(load.communicate()[0]))
    reading.start()
    began_s, began_cpu_s = wall_s(), _cpu_s(watch.pid)
    _say(f"{asked.kind} spans, {asked.cut:.0%} of the traces cut, {asked.rate or 'as many as go'} a second")
    minute = 0
    while reading.is_alive():
        reading.join(1.0)
        if wall_s() - began_s >= 60 * (minute + 1):
            minute += 1
            seen = _metrics(endpoint)
            _say(
                f"  minute {minute:>2}: {seen['whocut_spans_total']:>12,.0f} spans, {_rss_mb(watch.pid):4.0f} MB, "
                f"{_cpu_s(watch.pid) - began_cpu_s:6.1f} s of CPU, {seen['whocut_held']:>9,.0f} held, "
                f"{seen['whocut_journal_bytes'] / 1e6:5.1f} MB in the journal"
            )
    took_s = wall_s() - began_s
    until_s = wall_s() + 1_000
    while _metrics(endpoint)["whocut_open_traces"] and wall_s() < until_s:
        pause(0.5)
    used_s = _cpu_s(watch.pid) - began_cpu_s
    seen = _metrics(endpoint)
    peak_mb = _peak_mb(watch.pid)
    watch.send_signal(signal.SIGINT)
    watch.wait(60)
    sent = json.loads(answers[0])
    spans = sent["acknowledged"]
    _say(
        f"{spans:,} spans acknowledged in {took_s:.0f} s, {spans / took_s:,.0f} a second; the watch used "
        f"{used_s:.1f} s of CPU until all were judged: {spans / used_s:,.0f} spans a second of CPU, "
        f"peak {peak_mb:.0f} MB"
    )
    _say(
        f"the load: answers {sent['answers']}, {sent['cpu_s']:.1f} s of CPU, a request began "
        f"{sent['behind_s']:.2f} s late at most"
    )
    return _books(sent, seen, folder / "state" / "verdicts.jsonl")


def _books(sent: dict[str, Any], seen: dict[str, float], verdicts: Path) -> int:
    judged, late, shed = (seen[f"whocut_{name}_total"] for name in ("judged", "late", "shed"))
    refused = sum(value for name, value in seen.items() if name.startswith("whocut_refused_requests_total"))
    told: defaultdict[str, float] = defaultdict(float)
    size = 0
    with verdicts.open("rb") as file:
        for line in file:
            size += len(line)
            found = _TRACE.search(line, len(line) - 120)
            assert found is not None, line
            told[found[1].decode()] += 1 / int(found[2])
    whole = {trace_id(number, at) for number in sent["whole"] for at in range(TRACES_A_SET)}
    lost = len(whole - told.keys())
    twice = sum(round(count) > 1 for count in told.values())
    not_acknowledged = sum(count for status, count in sent["answers"].items() if status != "200")
    _say(
        f"books: {sent['acknowledged']:,} acknowledged = {judged:,.0f} judged + {late:,.0f} late + "
        f"{shed:,.0f} shed; {seen['whocut_decided_early_total']:,.0f} traces decided early; "
        f"{refused:.0f} requests refused, {not_acknowledged} not acknowledged"
    )
    _say(
        f"{len(told):,} traces have verdicts ({size / 1e9:.2f} GB); of {len(whole):,} that were acknowledged whole "
        f"{lost} are lost; {twice} were judged twice"
    )
    closed = sent["acknowledged"] == judged + late + shed and refused == not_acknowledged
    return int(bool(lost or twice or not closed))


def _metrics(endpoint: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{endpoint}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[:1] != "#"
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _rss_mb(pid: int) -> float:
    return _status_mb(pid, "VmRSS")


def _peak_mb(pid: int) -> float:
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1e3


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
