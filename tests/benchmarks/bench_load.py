"""One load process beside Locust's own OpenAIUser and AIPerf, in one run: ratios first.

Usage: python -m tests.benchmarks.bench_load [--held 5000] [--beside 500] [--rate 500] [--json]

Three questions. How many requests does one Locust process with the real SDK hold, each answered on time, at how
much memory a user? What does one cost beside the peers, all closed, the same number at once, the same mock? What do
spans and records cost at so many requests a second? AIPerf is installed once, under build/bench; all traffic stays
on 127.0.0.1.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.bench_mock import KEPT, ROOT, free_port

AIPERF = "aiperf==0.13.0"
LOAD = ROOT / "tests" / "benchmarks" / "load"
HELD_S = 44.0  # the article's quickest image
BESIDE_S = 10.0
SOON_S = 0.1
ROUNDS = 6
_TOKENIZER = """
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
made = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>").save_pretrained("tokenizer")
"""


@dataclass(frozen=True)
class Took:
    """What one load said of itself: latencies in seconds, its own CPU and memory, the worst stall of its loop."""

    took_s: tuple[float, ...]
    cpu_s: float
    peak_bytes: int
    most_at_once: int = 0
    stall_s: float | None = None

    def late(self, due_s: float) -> float:
        """By which share of the time due the last answer was late."""
        return max(self.took_s) / due_s - 1

    def p99_late(self, due_s: float) -> float:
        """The same for all but one in a hundred."""
        return sorted(self.took_s)[int(len(self.took_s) * 0.99) - 1] / due_s - 1

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a request."""
        return self.cpu_s / len(self.took_s) * 1000


def ours(
    place: Path, latency_s: float, *, users: int, requests: int, arrivals: str = "closed", **environment: str
) -> Took:
    """`whocut run` through no layer at all."""
    scenario = place / "held.py"
    text = (LOAD / "held.py").read_text()
    settings = {"latency": {"constant_s": latency_s}}
    scenario.write_text(text.replace('"users": 1,', f'"users": 1, "upstream": {settings!r},'))
    out = place / "run"
    command = [sys.executable, "-m", "whocut", "run", str(scenario), "--out", str(out), "--force", "--json"]
    command += ["--users", str(users), "--requests", str(requests), "--arrivals", arrivals]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    # Where nothing is watched, the run rightly says that it has seen nothing.
    if done.returncode > ("BENCH_WATCH" in environment):
        raise RuntimeError(done.stderr)
    generator = json.loads(done.stdout)["generator"]
    rows = {row["span_id"]: row for row in map(json.loads, (out / "attempts.jsonl").open())}
    if not rows:  # watching was switched off: only the cost is known
        return Took((latency_s,) * requests, generator["cpu_s"], generator["peak_bytes"])
    took = tuple(row["ended_s"] - row["due_s"] for row in rows.values())
    return Took(
        took,
        generator["cpu_s"],
        generator["peak_bytes"],
        most_at_once((row["started_s"], row["ended_s"]) for row in rows.values()),
        generator["worst_stall_real_s"],
    )


def most_at_once(spans: Iterator[tuple[float, float]]) -> int:
    """The most that were under way at one instant."""
    changes = sorted(change for began, ended in spans for change in ((began, 1), (ended, -1)))
    at_once = most = 0
    for _, change in changes:
        at_once += change
        most = max(most, at_once)
    return most


@contextlib.contextmanager
def mock(place: Path, latency_s: float) -> Iterator[int]:
    """The mock alone, for a peer; lenient, because AIPerf sends what the model refuses."""
    config = place / "mock.json"
    config.write_text(json.dumps({"latency": {"constant_s": latency_s}, "lenient": True}))
    port = free_port()
    command = [sys.executable, "-m", "whocut_mock", "--port", str(port), "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        try:
            assert started.stdout is not None
            started.stdout.readline()
            yield port
        finally:
            started.kill()


def openai_user(place: Path, latency_s: float, *, users: int, requests: int) -> Took:
    """Locust's own."""
    out = place / "openai_user.json"
    with mock(place, latency_s) as port:
        command = [sys.executable, "-m", "locust", "-f", str(LOAD / "openai_user.py"), "--headless"]
        command += ["-u", str(users), "-r", str(users / 5), "--skip-log-setup", "--only-summary"]
        environment = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_API_KEY": "sk-bench",
            "BENCH_REQUESTS": str(requests),
            "BENCH_OUT": str(out),
        }
        subprocess.run(
            command, cwd=place, env={**os.environ, **environment}, capture_output=True, check=False
        )
    return Took(**{**json.loads(out.read_text()), "took_s": tuple(json.loads(out.read_text())["took_s"])})


def aiperf(place: Path, latency_s: float, *, users: int, requests: int) -> Took:
    """AIPerf, with one worker; its cost is that of all its processes, its memory is not seen."""
    if not (KEPT / "aiperf" / "bin" / "aiperf").exists():
        subprocess.run([sys.executable, "-m", "venv", str(KEPT / "aiperf")], check=True)
        subprocess.run([str(KEPT / "aiperf" / "bin" / "pip"), "install", "-q", AIPERF], check=True)
    binaries = KEPT / "aiperf" / "bin"
    subprocess.run([str(binaries / "python"), "-c", _TOKENIZER], cwd=place, check=True, capture_output=True)
    prompts = [json.dumps({"text": f"a harbour in the morning fog, take {take}"}) for take in range(20)]
    (place / "prompts.jsonl").write_text("\n".join(prompts) + "\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with mock(place, latency_s) as port:
        command = [str(binaries / "aiperf"), "profile", "--model", "gpt-image-2", "--ui", "none"]
        command += ["--url", f"http://127.0.0.1:{port}", "--endpoint-type", "image_generation"]
        command += ["--concurrency", str(users), "--request-count", str(requests), "--workers-max", "1"]
        command += ["--tokenizer", "./tokenizer", "--input-file", "prompts.jsonl"]
        command += ["--custom-dataset-type", "single_turn", "--api-key", "sk-bench"]
        command += ["--extra-inputs", "output_format:webp", "--extra-inputs", "output_compression:0"]
        subprocess.run(command, cwd=place, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    records = next((place / "artifacts").rglob("profile_export.jsonl")).read_text().splitlines()
    took = tuple(json.loads(line)["metrics"]["request_latency"]["value"] / 1000 for line in records)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(
        took, cpu_s, peak_bytes=0
    )  # the system tells the largest child ever, and that was somebody else


def aiperf_warm(place: Path, latency_s: float, *, users: int, requests: int) -> Took:
    """AIPerf without what it takes to start: the same with one request is taken off."""
    (place / "one").mkdir()
    one = aiperf(place / "one", SOON_S, users=1, requests=1)
    many = aiperf(place, latency_s, users=users, requests=requests)
    return replace(many, cpu_s=many.cpu_s - one.cpu_s)


def held(place: Path, most: int) -> dict[str, Any]:
    """So many in flight at once, each due by the clock; memory a user beside a process with one."""
    alone = ours(place, 0.01, users=1, requests=20)
    rate = most / HELD_S * 1.04
    many = ours(place, HELD_S, users=int(most * 1.1), requests=int(most * 2.5), arrivals=f"even:{rate:.2f}/s")
    return {
        "in_flight": many.most_at_once,
        "answered": len(many.took_s),
        "latest": many.late(HELD_S),
        "kb_a_user": (many.peak_bytes - alone.peak_bytes) / (most * 1.1) / 1000,
        "cpu_ms": many.cpu_ms,
        "stall_s": many.stall_s,
    }


def beside(place: Path, users: int) -> dict[str, dict[str, float]]:
    """The same number at once by each, in turn."""
    tools = {"whocut": ours, "OpenAIUser": openai_user, "AIPerf": aiperf_warm}
    measured = {}
    for name, tool in tools.items():
        measured[name] = took = tool(place, BESIDE_S, users=users, requests=users * 3)
        print(f"{name}: {took.cpu_ms:.3f} ms CPU a request", file=sys.stderr)
    return {
        name: {
            "cpu_ms": took.cpu_ms,
            "late_p99": took.p99_late(BESIDE_S),
            "late_max": took.late(BESIDE_S),
            "mb": took.peak_bytes / 1e6,
            "answered": len(took.took_s),
        }
        for name, took in measured.items()
    }


def telemetry(place: Path, rate: int) -> dict[str, float]:
    """CPU a request with everything, without spans, without any watching: medians of rounds in turn."""
    variants: dict[str, dict[str, str]] = {
        "everything": {},
        "no spans": {"BENCH_SPANS": "off"},
        "the bare SDK": {"BENCH_SPANS": "off", "BENCH_WATCH": "off"},
    }
    costs: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, environment in variants.items():
            took = ours(
                place, SOON_S, users=200, requests=rate * 10, arrivals=f"even:{rate}/s", **environment
            )
            costs[name].append(took.cpu_ms)
            print(f"{name}: {took.cpu_ms:.3f} ms CPU a request", file=sys.stderr)
    return {name: statistics.median(figures) for name, figures in costs.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--held", type=int, default=5000)
    parser.add_argument("--beside", type=int, default=500)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        figures: dict[str, Any] = {
            "telemetry": telemetry(place, asked.rate),
            "beside": beside(place, asked.beside),
            "held": held(place, asked.held),
        }
    if asked.json:
        print(json.dumps(figures, indent=1))
        return
    costs = figures["telemetry"]
    print(f"at {asked.rate} requests a second, CPU a request beside everything but the spans:")
    for name, cost_ms in costs.items():
        print(f"  {name:<14} {cost_ms / costs['no spans']:.3f}  ({cost_ms:.3f} ms)")
    print(f"{asked.beside} at once, answers due after {BESIDE_S:g} s, CPU a request beside ours:")
    for name, row in figures["beside"].items():
        ratio = row["cpu_ms"] / figures["beside"]["whocut"]["cpu_ms"]
        memory = f"{row['mb']:.0f} MB" if row["mb"] else "memory not seen"
        print(
            f"  {name:<14} {ratio:.2f}  ({row['cpu_ms']:.2f} ms), {memory}, late p99 "
            f"{row['late_p99']:.1%}, most {row['late_max']:.1%}, {row['answered']} answered"
        )
    row = figures["held"]
    print(
        f"held: {row['in_flight']} in flight at once, {row['answered']} answered, the latest {row['latest']:.1%} "
        f"after {HELD_S:g} s, {row['kb_a_user']:.1f} KB a user, {row['cpu_ms']:.2f} ms CPU each, worst stall "
        f"{row['stall_s'] * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
