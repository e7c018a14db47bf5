"""One chain, emulated in virtual time and with the real gateway in it: one verdict on every request."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.excused import unless_it_stood_still
from tests.path.gateways import marks_of, needed
from tests.worlds.play import play, play_in_person
from tests.worlds.world import Ask, Truth, World
from whocut.chain.catalogue import overridden, preset
from whocut.chain.layers import LayerRetries, Topology
from whocut.chain.products import product, products
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, run_real
from whocut.errors import NotInstalled
from whocut.path import start_chain
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.nginx import Nginx
from whocut.trace.logs.formats import formats
from whocut.trace.logs.in_run import accounts_of
from whocut.verdict.summary import judge
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.verdict.verdict import Verdict

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]

SCALE = 50.0  # 100 s are 2 s of real time: far from the 300 ms within which nginx is lazy
LIMIT_S = 100.0
LONGER_S = 120.0
SILENT_S = 150.0
# What lets its caller hang where the side towards the model ends in mid-body: a verdict on that is less sure.
HOLDS_ON = frozenset({"http-proxy-middleware"})
# What reads an image before it answers, and streams none.
STREAMS_NONE = frozenset({"litellm"})
# It asks three times by the SDK below it, whose pauses are real seconds: a shorter limit, and a slower clock.
TRIES = {"litellm": LayerRetries(tries=3, post=True, on_timeout=True)}
ITS_LIMIT_S = {"litellm": 60.0}
ITS_SCALE = {"litellm": 10.0}
SILENCES = frozenset({TimerKind.CONNECT, TimerKind.FIRST_BYTE, TimerKind.IDLE})
# No two instants of the requests and of the chains' limits, whose order matters, lie nearer than 17 s: 340 ms.
MARGIN_REAL_S = 0.25
NOBODY = Truth(frozenset())


def gateway(name: str, **changes: object) -> Layer:
    """The product in person, with a limit for every silence that it has a timer for, and no other limit.

    Where two knobs watch one wait, their limits differ: at one instant either could be the one.
    """
    knobs = product(name).knobs
    limits = {kind: ITS_LIMIT_S.get(name, LIMIT_S) if kind in SILENCES else None for kind in knobs}
    if knobs.get(TimerKind.IDLE) not in {None, knobs.get(TimerKind.FIRST_BYTE)}:
        limits[TimerKind.IDLE] = LONGER_S
    layer = replace(overridden(preset(name), limits, "this test"), retries=TRIES.get(name, LayerRetries()))
    return replace(layer, gateway=name, **changes)  # type: ignore[arg-type]  # the layer's own fields


def hop(name: str, limit_s: float) -> Layer:
    """An emulated layer whose limit is another."""
    layer = overridden(preset("nginx"), {TimerKind.FIRST_BYTE: limit_s, TimerKind.IDLE: limit_s}, "this test")
    return replace(layer, name=name)


def topology(*hops: Layer) -> Topology:
    """A client that waits longer than anybody, and these layers."""
    limits: dict[TimerKind, float | None] = {TimerKind.FIRST_BYTE: 400.0, TimerKind.IDLE: 400.0}
    client = overridden(preset("openai-python"), limits, "this test")
    return Topology(name="in-person", client=replace(client, name="client"), hops=hops)


def ask(
    name: str,
    *emissions_s: float,
    fault: str | None = None,
    fault_s: float = 0.0,
    patience_s: float | None = None,
) -> Ask:
    """One request; several emissions make it a stream."""
    return Ask(
        name=name,
        starts_s=0.0,
        stream=len(emissions_s) > 1,
        emissions_s=emissions_s,
        fault=fault,
        fault_s=fault_s,
        patience_s=patience_s,
        truth=NOBODY,
    )


ASKS = (
    ask("delivered", 40),
    ask("delivered as a stream", 25, 60, 100, 180),
    ask("silent before the first byte", SILENT_S),
    ask("silent in mid-stream", 25, 25 + SILENT_S),
    ask("silent after two events", 20, 60, 60 + SILENT_S),
    ask("reset before the first byte", 90, fault="reset", fault_s=40),
    ask("reset in mid-stream", 25, 90, fault="reset", fault_s=60),
    ask("closed before the first byte", 90, fault="close", fault_s=40),
    ask("closed in mid-stream", 25, 90, fault="close", fault_s=60),
    ask("caller left while waiting", SILENT_S, patience_s=42),
    ask("caller left in mid-stream", 25, 90, 160, patience_s=42),
)
CHAINS: dict[str, Callable[[str], tuple[Layer, ...]]] = {
    "alone": lambda name: (gateway(name),),
    "behind a longer limit": lambda name: (hop("edge", 250), gateway(name)),
    "behind a shorter limit": lambda name: (hop("edge", 60), gateway(name)),
    "before a shorter limit": lambda name: (gateway(name), hop("inner", 60)),
    "between two hops": lambda name: (hop("edge", 250), gateway(name), hop("inner", 200)),
    "behind another gateway": lambda name: (
        replace(gateway("nginx"), name="outer", timers=hop("", 250).timers),
        gateway(name),
    ),
}


def judged(world: World, tmp_path: Path | None = None, scale: float = SCALE) -> dict[str, Verdict]:
    """The verdict on each request; with a folder, through the real gateways and with their logs heard."""
    if tmp_path is None:
        spans, ledger = play(world)
        verdicts = judge((), spans, ledger, world.topology)
    else:
        spans, ledger, clock = play_in_person(world, scale=scale, logs=tmp_path / "logs")
        accounts = accounts_of(tmp_path, world.topology, epoch_unix_s=clock.epoch_unix_s, scale=scale)
        verdicts = judge((), spans, ledger, world.topology, accounts)
    assert verdicts.figures.agreement.disagree == ()
    return {verdict.request: verdict for verdict in verdicts.verdicts}


def said(verdict: Verdict) -> tuple[object, ...]:
    """What must be the same whoever stood there."""
    return (
        verdict.kind,
        verdict.layer,
        verdict.timer,
        verdict.phase,
        verdict.limit_s,
        verdict.grade,
        verdict.tie,
    )


def asks_of(name: str) -> tuple[Ask, ...]:
    """The requests that a product can take."""
    return tuple(one for one in ASKS if not (one.stream and name in STREAMS_NONE))


# LiteLLM loads for ten seconds, and its three tries outlast the other chains' limits.
IN_CHAINS = [
    pytest.param(name, chain, marks=marks_of(name, daily=True))
    for name in sorted(products())
    for chain in CHAINS
    if chain == "alone" or name not in TRIES
]


@pytest.mark.parametrize(("name", "chain"), IN_CHAINS)
def test_one_topology_has_one_verdict(name: str, chain: str, tmp_path: Path) -> None:
    """Layer, timer, phase and grade are those of the emulated chain, and the ledger agrees with both.

    Where the gateway stands alone between the taps, each verdict on what ended is proven.
    """
    for layer in CHAINS[chain](name):
        if layer.gateway:
            needed(layer.gateway)
    world = World(topology(*CHAINS[chain](name)), asks_of(name), settles_s=200 if name in TRIES else 60)

    emulated = judged(world)
    with unless_it_stood_still(MARGIN_REAL_S):
        real = judged(world, tmp_path, ITS_SCALE.get(name, SCALE))
        if name in HOLDS_ON:
            emulated, real = without_grades(emulated), without_grades(real)
        elif chain == "alone":
            assert {verdict.grade for verdict in real.values() if verdict.layer} == {Grade.PROVEN}
        same_verdicts(emulated, real)


def without_grades(verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    """The same, but for how sure they are."""
    return {
        request: replace(verdict, grade=Grade.TESTIFIED) if verdict.grade is Grade.PROVEN else verdict
        for request, verdict in verdicts.items()
    }


def same_verdicts(emulated: dict[str, Verdict], real: dict[str, Verdict]) -> None:
    """Whoever stood there."""
    assert {request: said(verdict) for request, verdict in real.items()} == {
        request: said(verdict) for request, verdict in emulated.items()
    }


WRITES = sorted(name for name, driver in GATEWAYS.items() if driver.logs_requests)
LIES = {
    "nginx": (
        (gateway("nginx"),),
        ask("cut in mid-stream", 25, 25 + SILENT_S),
        "nginx's status 200, completion OK",
        "says that it went through whole; the edges show that it cut",
    ),
    "haproxy": (
        (hop("edge", 60), gateway("haproxy")),
        ask("its caller was cut before", SILENT_S),
        "haproxy's sH-- 504",
        "says it cut; its caller had left before, as the edges show",
    ),
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_what_a_gateway_s_log_says_otherwise_is_printed(name: str, tmp_path: Path) -> None:
    """A stream that nginx cut is a 200 in its log; to HAProxy a caller that had left is a timeout of its own."""
    needed(name)
    layers, asked, says, against = LIES[name]

    with unless_it_stood_still(MARGIN_REAL_S):
        (verdict,) = judged(World(topology(*layers), (asked,), settles_s=120), tmp_path).values()

        assert len(verdict.contradictions) == 1
        assert says in verdict.contradictions[0]
        assert against in verdict.contradictions[0]
        assert verdict.grade == "proven"


def test_a_product_that_can_stand_in_a_chain_has_a_driver_and_a_log_format() -> None:
    """The three find each other by name alone: a preset, a file among the gateways, a log format."""
    assert sorted(GATEWAYS) == sorted(products())
    assert set(WRITES) <= set(formats())


@pytest.mark.parametrize("name", WRITES)
def test_a_gateway_s_log_stays_and_its_process_does_not(name: str, tmp_path: Path) -> None:
    """Its access log lies under its place in the chain; a second run does not add to the first one's."""
    needed(name)
    world = World(topology(gateway(name)), (ask("delivered", 20),), settles_s=1)

    for _ in range(2):
        play_in_person(world, scale=SCALE, logs=tmp_path)

    lines = (tmp_path / f"1-{name}" / "access.log").read_text(encoding="utf-8").splitlines()
    told = [account for line in lines if (account := formats()[name].read(line)) is not None]
    assert [account.path for account in told].count("/v1/images/generations") == 1


def test_a_chain_whose_gateway_is_missing_says_what_to_install_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hops that had been started are closed again."""
    missing = type("Missing", (Nginx,), {"program": "whocut-no-such-program"})()
    monkeypatch.setitem(GATEWAYS, "nginx", missing)

    async def main() -> int:
        with pytest.raises(NotInstalled, match="sudo apt-get install nginx-light"):
            await start_chain(
                topology(gateway("nginx"), hop("inner", 60)),
                upstream=("127.0.0.1", 9),
                clock=Clock(),
                sink=None,
                real_logs=tmp_path,
            )
        return len(asyncio.all_tasks())

    assert run_real(main()) == 1
