"""``python -m tests.worlds.in_person [REQUESTS] [SEED]``: random worlds with the installed gateways in them.

On a scaled clock bytes take time, so that only requests are asked whose truth does not hang on a hair: made six
percent slower or quicker, the upstream would still lead to the same end. Exits 1 on one wrong verdict.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.worlds.gateways.play import STREAMS_NONE
from tests.worlds.judge import accuses_wrongly
from tests.worlds.play import play_in_person
from tests.worlds.world import FAULTS, Ask, Truth, World, truth_of
from whocut.chain.catalogue import known_timers, overridden, preset
from whocut.chain.layers import Layer, Topology
from whocut.chain.products import products
from whocut.chain.timers import Timer, TimerKind
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import found
from whocut.trace.logs.in_run import accounts_of
from whocut.verdict.summary import judge
from whocut.verdict.verdict import Grade, Kind

SCALE = 50.0
PER_WORLD = 40
_HAIR = 0.06
_NEAR_S = 8.0  # 160 ms of real time
_LEAST_GAP_S = 18.0  # nginx does not set a timer anew within 300 ms of real time
_LONGEST_S = 320.0
_NONE = Timer(kind=TimerKind.IDLE, limit_s=1.0, directive="no such knob")


@dataclass(slots=True)
class Look:
    """What came of it; `wrong` holds every verdict that accuses the wrong layer or timer."""

    requests: int = 0
    cut: int = 0
    attributed: int = 0
    wrong: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    grades: Counter[str] = field(default_factory=Counter)
    contradicted: int = 0


def look_in_person(*, requests: int, seed: int) -> Look:
    """Play worlds until so many requests have been asked."""
    look = Look()
    for number in range(-(-requests // PER_WORLD)):
        with TemporaryDirectory() as folder:
            _look(look, _world(random.Random(f"{seed}/{number}")), f"{seed}/{number}", Path(folder))
        sys.stderr.write(f"\r{look.requests} requests")
    sys.stderr.write("\n")
    return look


def _look(look: Look, world: World, where: str, folder: Path) -> None:
    spans, ledger, clock = play_in_person(world, scale=SCALE, logs=folder / "logs")
    accounts = accounts_of(folder, world.topology, epoch_unix_s=clock.epoch_unix_s, scale=SCALE)
    judged = judge((), spans, ledger, world.topology, accounts)
    truths = {ask.name: ask.truth for ask in world.asks}
    chain = " → ".join(
        f"{layer.name} {layer.limit_s(TimerKind.FIRST_BYTE):g} s" for layer in world.topology.layers
    )
    look.requests += len(judged.verdicts)
    for verdict in judged.verdicts:
        truth = truths[verdict.request]
        if not truth.delivered:
            look.cut += 1
            look.attributed += verdict.kind is Kind.CUT
            look.grades[verdict.grade] += 1
        look.contradicted += bool(verdict.contradictions)
        if accuses_wrongly(verdict, truth):
            told = f"{verdict.phrase}; truth: {sorted(truth.culprits, key=str)}"
            look.wrong.append(f"{where} ({chain}) {verdict.request}: {told}")
    look.disagreements += [f"{where} {one}" for one in judged.figures.agreement.disagree]


def _world(dice: random.Random) -> World:
    """One to three layers, at least one of them real."""
    count = dice.randint(1, 3)
    real = {dice.randrange(count), *(place for place in range(count) if dice.random() < 0.4)}
    limits_s = dice.sample((50.0, 70.0, 90.0, 120.0, 150.0, 190.0, 240.0), count + 1)
    hops = tuple(_hop(dice, place, limits_s[place], real=place in real) for place in range(count))
    client = replace(_limited(preset("openai-python"), limits_s[count] * dice.choice((1, 3))), name="client")
    topology = Topology(name="in-person", client=client, hops=hops)
    return World(
        topology, tuple(_ask(dice, topology, number) for number in range(PER_WORLD)), settles_s=100.0
    )


def _limited(layer: Layer, limit_s: float) -> Layer:
    """The layer with one limit for every wait and silence that it has a timer for."""
    limits: dict[TimerKind, float | None] = dict.fromkeys((TimerKind.TOTAL, TimerKind.KEEPALIVE))
    has = known_timers(layer)
    limits |= {kind: limit_s for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE) if kind in has}
    if (
        TimerKind.CONNECT in has
        and has[TimerKind.CONNECT].directive == has.get(TimerKind.IDLE, _NONE).directive
    ):
        limits[TimerKind.CONNECT] = limit_s  # one knob for all of them
    return overridden(layer, limits, "this world")


def _hop(dice: random.Random, place: int, limit_s: float, *, real: bool) -> Layer:
    name = dice.choice(_standing())
    layer = replace(_limited(preset(name), limit_s), name=f"{name}-{place}", gateway=name if real else "")
    return layer if real else replace(layer, notices_abort=dice.random() < 0.5)


@cache
def _standing() -> list[str]:
    """The gateways that are installed, that relay streams, and whose limits may be any number of milliseconds."""
    relays = {name: of for name, of in products().items() if name not in STREAMS_NONE}
    return [name for name, of in relays.items() if not of.unit_real_s and found(GATEWAYS[name])]


def _ask(dice: random.Random, topology: Topology, number: int) -> Ask:
    while True:
        ask = _any_ask(dice, topology, number)
        faster, slower = (_truth(topology, ask, 1 + by) for by in (-_HAIR, _HAIR))
        if faster == slower == ask.truth:
            return ask


def _any_ask(dice: random.Random, topology: Topology, number: int) -> Ask:
    duration_s = min(_LONGEST_S, _LEAST_GAP_S + dice.lognormvariate(4.6, 0.6))
    emissions = [duration_s]
    stream = dice.random() < 0.5
    while stream and dice.random() < 0.7:
        before_s = emissions[0] - _LEAST_GAP_S - dice.uniform(0, emissions[0])
        if before_s < _LEAST_GAP_S:
            break
        emissions.insert(0, before_s)
    ask = Ask(
        name=f"request-{number}",
        starts_s=dice.uniform(0, 40),
        stream=stream,
        emissions_s=tuple(emissions),
        fault=dice.choice(FAULTS) if dice.random() < 0.2 else None,
        fault_s=dice.uniform(0.1, 0.9) * duration_s,
        patience_s=dice.uniform(10, 200) if dice.random() < 0.2 else None,
        truth=Truth(frozenset()),
    )
    return replace(ask, truth=_truth(topology, ask, 1.0))


def _truth(topology: Topology, ask: Ask, slower: float) -> Truth:
    return truth_of(
        topology,
        tuple(at_s * slower for at_s in ask.emissions_s),
        ask.fault_s if ask.fault else None,
        ask.patience_s,
        same_instant_s=_NEAR_S,
    )


def main() -> int:
    """Look, say what was seen, and judge."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    seen = look_in_person(requests=requests, seed=seed)
    sys.stdout.write(
        f"{seen.requests} requests, {seen.cut} cut, {seen.attributed} attributed, {dict(seen.grades)}, "
        f"{seen.contradicted} contradicted by a log\n"
    )
    for what in (*seen.wrong[:20], *seen.disagreements[:20]):
        sys.stdout.write(f"wrong: {what}\n")
    sys.stdout.write(f"{len(seen.wrong)} wrong, {len(seen.disagreements)} disagreements with the ledger\n")
    return 1 if seen.wrong or seen.disagreements or Grade.PROVEN not in seen.grades else 0


if __name__ == "__main__":
    sys.exit(main())
