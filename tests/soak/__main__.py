"""Load for hours through the products' own doors: ``python -m tests.soak --hours 2 --in-flight 500 --seed 7``.

`whocut run` sends so many requests at once through the chain of this folder to its mock, and is asked for its
end when the time is over. Beside it, rounds of a guarded `whocut run --to` spend an account that a budget bounds.
Samples come as they are taken. Exits 1 on a finding: a process that grows or keeps files open, a line that cannot
be read, a verdict that the ledger denies, a budget that was passed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from tests.soak.sampling import family_of, held_by
from tests.soak.spending import Rounds, guarded_rounds
from tests.soak.watched import Files, Samples
from whocut.clock import parse_clock
from whocut.clock.clock import pause, wall_s
from whocut.run.scenario import read_scenario
from whocut.trace.rundir import ATTEMPTS, LEDGER, SPANS, RunDir

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.soak.sampling import Held

HERE: Final = Path(__file__).parent
SCENARIO: Final = HERE / "scenario.py"
CHAIN: Final = HERE / "chain.yaml"
_FILES_AT_THE_END: Final = 32
_MORE_THAN_ENOUGH: Final = 1_000_000
_STOPPED: Final = 3  # the exit code of a run that was asked for its end
_OF_GUARD: Final = ("latency", "faults")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line."""

    hours: float
    in_flight: int
    seed: int
    clock: str
    every_s: float
    step_usd: float
    out: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, sample, judge; the exit code."""
    asked = _asked(arguments)
    shutil.rmtree(asked.out, ignore_errors=True)
    asked.out.mkdir(parents=True)
    settings = {name: read_scenario(SCENARIO).upstream[name] for name in _OF_GUARD}
    with guarded_rounds(
        asked.out / "guard",
        SCENARIO,
        CHAIN,
        settings,
        clock=asked.clock,
        seed=asked.seed,
        step_usd=asked.step_usd,
    ) as (rounds, endpoint):
        found = list(_one_run(asked, rounds, endpoint))
    found += rounds.findings
    _say(rounds.report())
    for finding in found:
        _say(f"FINDING {finding}")
    _say("no finding" if not found else f"{len(found)} findings")
    return 1 if found else 0


def _asked(arguments: Sequence[str] | None) -> Asked:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=float, default=2.0, help="of model time")
    options.add_argument("--in-flight", type=int, default=500)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--clock", default="real")
    options.add_argument("--every-s", type=float, default=60.0, help="real seconds between two samples")
    options.add_argument(
        "--step-usd", type=float, default=50.0, help="what one round of the spend guard may cost"
    )
    options.add_argument("--out", type=Path, default=Path("build/soak"))
    return Asked(**vars(options.parse_args(arguments)))


def _one_run(asked: Asked, rounds: Rounds, endpoint: int) -> Iterator[str]:
    """The run beside which the account is spent; what is found."""
    command = [sys.executable, "-m", "whocut", "run", str(SCENARIO), "--chain", str(CHAIN), "--json"]
    command += ["--clock", asked.clock, "--seed", str(asked.seed), "--users", str(asked.in_flight)]
    command += ["--requests", str(_MORE_THAN_ENOUGH), "--out", str(asked.out / "run")]
    _say(f"$ {' '.join(command[1:])}")
    with (asked.out / "run.json").open("wb") as out, (asked.out / "run.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log)
    files = Files(asked.out / "run")
    samples, beside = Samples(process.pid), Samples(endpoint, prefix="guard's ")
    began_s = wall_s()
    try:
        ended = _watch(asked, process, files, (samples, beside), rounds)
    except BaseException:
        process.send_signal(signal.SIGKILL)
        raise
    finally:
        process.wait()
    _say(f"ended after {wall_s() - began_s:.0f} s with exit code {process.returncode}")
    for line in (*samples.report(), *beside.report()):
        _say(line)
    yield from samples.findings()
    yield from beside.findings()
    yield from files.unreadable
    yield from files.unfinished
    if ended is None or ended > _FILES_AT_THE_END:
        yield f"the layers still held {ended} files after the load; at most {_FILES_AT_THE_END} are their own"
    yield from _verdicts(asked, process.returncode, files)


def _watch(
    asked: Asked, process: subprocess.Popen[bytes], files: Files, families: Sequence[Samples], rounds: Rounds
) -> int | None:
    """Take samples until the run has ended; how many files its process held last, when only judging was left."""
    ended, began_s, next_s = None, wall_s(), 0.0
    lasts_s, over_s = asked.hours * 3600 / parse_clock(asked.clock).scale, inf
    attempts = asked.out / "run" / ATTEMPTS
    while process.poll() is None:
        at_s = wall_s() - began_s
        if over_s == inf and lasts_s and attempts.is_file() and attempts.stat().st_size:
            over_s = at_s + lasts_s
        if at_s >= over_s:
            _say("the time is over: what is in flight is waited for")
            process.send_signal(signal.SIGINT)
            lasts_s, over_s = 0, inf
        if any("whocut.load" in command for _, command in family_of(process.pid)):
            if at_s >= next_s:
                next_s = at_s + asked.every_s
                files.read()
                now = {name: held for family in families for name, held in family.take(at_s).items()}
                rounds.look()
                _say(_row(at_s, files, now))
        elif files.in_flight == 0 and (held := held_by(process.pid)):
            ended = held.files
        pause(min(1.0, asked.every_s / 4))
    files.read()
    return ended


def _row(at_s: float, files: Files, now: Mapping[str, Held]) -> str:
    held = ", ".join(
        f"{name} {one.rss_mib:.0f} MiB {one.files} files {one.cpu_s:.0f} s" for name, one in now.items()
    )
    return (
        f"{at_s:7.0f} s  in flight {files.in_flight}, ended {sum(files.ended.values())}, "
        f"spans {files.lines[SPANS]}  {held}"
    )


def _verdicts(asked: Asked, code: int, files: Files) -> Iterator[str]:
    """What the run says of itself, and whether its three accounts are the same."""
    if "Traceback" in (asked.out / "run.log").read_text():
        yield "the run wrote a traceback into run.log"
    if code != _STOPPED:
        yield f"the run ended with exit code {code}: {(asked.out / 'run.log').read_text()[-500:]}"
        return
    summary = orjson.loads((asked.out / "run.json").read_bytes())
    _say(
        f"{summary['requests']} requests, {summary['attempts']} attempts, {files.lines[ATTEMPTS]} + "
        f"{files.lines[SPANS]} + {files.lines[LEDGER]} lines; {summary['attempt_outcomes']}"
    )
    _say(f"{summary['agreement']['checked']} verdicts held against the ledger")
    for warning in summary["warnings"]:
        _say(f"the run warns: {warning}")
    yield from (f"the ledger disagrees: {one}" for one in summary["agreement"]["disagree"])
    delivered = sum(row["delivered"] for row in RunDir.open(asked.out / "run").ledger())
    if not delivered or summary["attempt_outcomes"].get("delivered", 0) > delivered:
        yield f"{summary['attempt_outcomes']} by the client, {delivered} delivered by the ledger"
    if "stopped by a signal" not in summary["ended_early"]:
        yield f"the run ended by itself: {summary['ended_early']}"
    if len(files.ended) < 3:  # delivered, refused, cut: less has shown nothing
        yield f"only {files.ended} came of it: the load has shown nothing"
    if summary["censored"] or summary["never_ended"]:
        yield f"{summary['censored']} attempts are censored, {summary['never_ended']} never ended"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a tool, for its user


if __name__ == "__main__":
    sys.exit(main())
