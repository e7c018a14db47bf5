"""How many spans a watch takes in and judges: ``python -m tests.benchmarks.bench_watch [TRACES]``.

Export requests of 128 traces each go into a watch in this process, without a socket: what is measured is decoding,
the journal, deciding, and the file of verdicts. Told are spans a second of CPU and memory after each fifth of the
traces: a watch that is on for ever has to stand still.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import orjson

from tests.benchmarks.bench_attribute import foreign_line
from whocut.clock.clock import cpu_s
from whocut.trace.receiver import JSON, Sent
from whocut.watch.serve import Watch, WatchPlan

A_REQUEST, OF_A_TRACE = 128, 5


def main() -> None:
    """Take in, decide, and say what it took."""
    traces = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    now_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        plan = WatchPlan(
            host="127.0.0.1", port=0, state=Path(folder) / "state", verdicts=Path(folder) / "verdicts.jsonl"
        )
        watch = Watch(plan, now_s=lambda: now_s)
        watch.tune()
        for part in range(5):
            used_s = 0.0
            for first in range(part * traces // 5, (part + 1) * traces // 5, A_REQUEST):
                rows: list[object] = []
                for number in range(first, first + A_REQUEST):
                    rows += orjson.loads(foreign_line(number))["resourceSpans"]
                body = orjson.dumps({"resourceSpans": rows})
                begun_s = cpu_s()
                watch.keep(Sent(JSON, body), watch.read(JSON, body))
                now_s += 1.0
                watch.decide()
                used_s += cpu_s() - begun_s
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
                1e6 if sys.platform == "darwin" else 1e3
            )
            spans = traces // 5 * OF_A_TRACE
            sys.stdout.write(
                f"{spans * (part + 1):>9,} spans: {spans / used_s:>7,.0f} a second of CPU, peak {peak_mb:.0f} MB, "
                f"{watch.desk.held:,} held, {watch.metrics.decided:,} traces decided\n"
            )
            sys.stdout.flush()
        watch.close()


if __name__ == "__main__":
    main()
