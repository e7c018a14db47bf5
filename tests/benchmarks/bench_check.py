"""How long a check takes: catalogue, forecast, one request of the SDK, a regression, ten thousand requests.

Run it alone: ``python -m tests.benchmarks.bench_check [catalogue] [forecast] [sdk] [regression] [many]``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from whocut.chain import catalogue
from whocut.chain.chainfile import read_topology
from whocut.chain.forecast import forecast
from whocut.chain.modes import MODES
from whocut.chain.profiles import ARTICLE, Profile
from whocut.chain.shipped import CHAINS
from whocut.clock.clock import cpu_s, wall_s
from whocut.proof.proof import Case, prove

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.layers import Topology

MANY = 10_000
CASES = 30
HIGH = ARTICLE["1024-high"]


def shipped(name: str) -> Topology:
    """A chain that comes with the package."""
    return read_topology(CHAINS / f"{name}.yaml")


def best_s(work: Callable[[], object], times: int = 5) -> float:
    """The quickest of some runs: what is more than that is not the work's."""
    taken = []
    for _ in range(times):
        began = wall_s()
        work()
        taken.append(wall_s() - began)
    return min(taken)


def say(what: str, seconds: float, wanted: str = "") -> None:
    """One line."""
    goal = f"   wanted: {wanted}" if wanted else ""
    sys.stdout.write(f"{what:<76} {seconds * 1000:>10.1f} ms{goal}\n")
    sys.stdout.flush()


def bench_catalogue() -> None:
    """Reading every preset."""

    def read() -> None:
        catalogue.catalogue.cache_clear()
        catalogue.catalogue()

    say(f"the catalogue, {len(catalogue.catalogue())} names", best_s(read), "< 150 ms")


def bench_forecast() -> None:
    """The forecast's own number of requests, evenly spread."""
    for chain in ("article", "four-layers", "haproxy-blind"):
        for mode in ("plain", "stream-3", "async"):
            work = partial(forecast, shipped(chain), HIGH, MODES[mode])
            say(f"forecast, {chain}, {mode}", best_s(work, 2), "< 100 ms")


def bench_sdk() -> None:
    """The default SDK behind a 100 s edge, 195 s: three POSTs, five virtual minutes."""
    case = Case(
        topology=shipped("edge-100"),
        profile=Profile(name="195 s", median_s=195, constant=True),
        mode=MODES["plain"],
        requests=1,
        caller="openai-sdk",
    )
    proofs = [prove(case) for _ in range(8)]
    say(
        "the SDK asks once: three POSTs, 301 virtual seconds", min(p.asking_wall_s for p in proofs), "< 50 ms"
    )
    say("  with everything started, drained and judged", min(p.wall_s for p in proofs))


def bench_regression() -> None:
    """Thirty cases of six hundred virtual seconds."""
    slow = Profile(name="599 s", median_s=599, constant=True)
    cases = [
        Case(
            topology=shipped("direct"),
            profile=slow,
            mode=MODES["plain"],
            requests=1,
            seed=seed,
            caller="openai-sdk",
        )
        for seed in range(CASES)
    ]
    seconds = best_s(lambda: [prove(case) for case in cases], 2)
    say(f"a regression of {CASES} cases of 600 virtual seconds, with the SDK", seconds, "< 5,000 ms")


def bench_many() -> None:
    """Ten thousand requests through four layers, without the SDK."""
    topology = shipped("four-layers")
    patient = tuple(
        replace(layer, timers={kind: replace(timer, limit_s=900.0) for kind, timer in layer.timers.items()})
        for layer in topology.hops
    )
    chains = {"all delivered": replace(topology, hops=patient), "all cut, three attempts each": topology}
    for what, chain in chains.items():
        case = Case(topology=chain, profile=HIGH, mode=MODES["plain"], requests=MANY)
        began, began_cpu = wall_s(), cpu_s()
        proof = prove(case)
        say(f"{MANY:,} requests through four layers, {what}", wall_s() - began, "< 60,000 ms")
        say("  of it CPU", cpu_s() - began_cpu)
        say(f"  of it asking ({len(proof.judged.verdicts):,} attempts)", proof.asking_wall_s)


BENCHES = {
    "catalogue": bench_catalogue,
    "forecast": bench_forecast,
    "sdk": bench_sdk,
    "regression": bench_regression,
    "many": bench_many,
}


if __name__ == "__main__":
    sys.stdout.write(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()
