"""``python -m tests.worlds.strangers [REQUESTS] [SEED] [EACH]``: taps on skewed clocks, strangers between them.

EACH is how many requests a world has. One request alone is the hardest: nothing else tells where the taps are.

The truth of a request is its first deed: of a stranger, which says so itself, of the client, whose timer or whose
caller's patience ended it, or of the upstream, which was told to fail. Exits 1 on a wrong `proven`.
"""

from __future__ import annotations

import asyncio
import copy
import random
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tests.worlds.play import ask_one, client_of
from tests.worlds.stranger import Deed, Stranger, Ways, random_ways
from tests.worlds.upstream import WorldUpstream
from tests.worlds.world import CLIENT_TIMERS, SAME_INSTANT_S, Ask, random_ask, with_timers
from whocut.chain.catalogue import preset
from whocut.chain.layers import Between, Layer, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.clock import VirtualLoop, run_virtual
from whocut.path.hop import Hop
from whocut.path.tap import Tap
from whocut.path.target import Target
from whocut.trace.generations import generation_span
from whocut.trace.records import AttemptRecord, GenerationRecord, LayerRecord, Outcome, Span, TapSide
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.gateways import whole_layers
from whocut.verdict.order import NOTICED_WITHIN_S, clock_of
from whocut.verdict.seating import seated, taps_of
from whocut.verdict.verdict import Grade, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from whocut.clock import Clock

PER_WORLD: Final = 15
_SETTLES_S: Final = 1500.0
_SAID_EVERY: Final = 500  # requests
_UNKNOWN: Final = "what is between "


@dataclass(frozen=True, slots=True)
class Strange:
    """A world: strangers from the caller inward, a tap before each and one behind the last, and what is asked."""

    client: Layer
    strangers: tuple[Ways, ...]
    taps: tuple[str, ...]
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class End:
    """One deed that would have ended a request, and when whoever waits outside of it was told; None: never."""

    at_s: float
    layer: str
    timer: TimerKind | None
    told_s: float | None


@dataclass(frozen=True, slots=True)
class Truth:
    """All that ended a request, the first first; nothing where it was delivered."""

    ends: tuple[End, ...]

    @property
    def first(self) -> list[End]:
        """Those that nothing can tell apart."""
        return [end for end in self.ends if end.at_s - self.ends[0].at_s <= SAME_INSTANT_S]

    def seen_by(self, innermost: int | None, world: Strange, *, books: bool) -> list[End]:
        """The first ends that could be seen by taps of which this one stands innermost.

        Behind it all is the upstream: a layer there that hangs is an upstream that is silent. A ledger that saw its
        caller go long before tells of it.
        """
        ends = list(self.ends)
        while len(ends) > 1 and (ends[0].told_s is None or ends[0].told_s > ends[1].at_s):
            place = _place(ends[0].layer, world)
            behind = innermost is None or (place is not None and place >= innermost)
            if not behind or (books and ends[1].at_s - ends[0].at_s > NOTICED_WITHIN_S):
                break
            ends.pop(0)
        return [end for end in ends if end.at_s - ends[0].at_s <= SAME_INSTANT_S]


@dataclass(slots=True)
class Played:
    """What was written, and what was done: the truth by request."""

    spans: list[Span]
    truths: dict[str, Truth]


@dataclass(slots=True)
class Look:
    """What came of it. `around` are cuts of a stranger between two taps that both report, `named` those found."""

    requests: int = 0
    around: int = 0
    named: int = 0
    wrong: dict[str, Counter[str]] = field(default_factory=dict)
    grades: dict[str, Counter[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @property
    def wrong_proven(self) -> int:
        """Of all ways of withholding."""
        return sum(of_way[Grade.PROVEN] for of_way in self.wrong.values())

    @property
    def named_share(self) -> float:
        """Of a stranger's cuts, with all taps reporting."""
        return self.named / self.around if self.around else 1.0


def random_strange(dice: random.Random, each: int = PER_WORLD) -> Strange:
    """One or two strangers, and so many requests; sometimes all taps have the default name."""
    count = dice.choice((1, 1, 2))
    strangers = tuple(random_ways(dice, f"stranger-{number}") for number in range(count))
    names = (
        ["tap"] * (count + 1) if dice.random() < 0.2 else dice.sample(["a", "b", "c", "edge", "x"], count + 1)
    )
    client = replace(with_timers(dice, preset("openai-python"), CLIENT_TIMERS, one_knob=True), name="client")
    bare = Topology(name="strange", client=client, hops=())
    return Strange(
        client, strangers, tuple(names), tuple(random_ask(dice, bare, number) for number in range(each))
    )


def play(world: Strange) -> Played:
    """All of it, in virtual time."""
    return run_virtual(_play(world))


async def _play(world: Strange) -> Played:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock: Clock = loop.clock()
    spans: list[Span] = []
    ledger: list[dict[str, Any]] = []
    deeds: list[Deed] = []
    server = await loop.create_server(lambda: WorldUpstream(clock, ledger), "127.0.0.1", 0, backlog=4096)
    standing: list[Hop | Stranger] = []
    to = server.sockets[0].getsockname()[:2]
    for number in reversed(range(len(world.taps))):
        name = world.taps[number]
        tap = Hop(
            Layer(name=name, title=name, silent=True),
            upstream=Target.parse(f"http://127.0.0.1:{to[1]}"),
            clock=clock,
            sink=spans.append,
            position=1,
            tap=Tap(side=TapSide.ALONE, clock=f"{name}-{number}"),
        )
        await tap.listen()
        standing.append(tap)
        to = ("127.0.0.1", tap.port)
        if number:
            stranger = Stranger(world.strangers[number - 1], to, clock, deeds)
            to = await stranger.listen()
            standing.append(stranger)
    async with client_of(world.client, clock, spans) as client:
        url = f"http://127.0.0.1:{to[1]}/v1/images/generations"
        await asyncio.gather(*(ask_one(client, ask, clock, url) for ask in world.asks))
    await asyncio.sleep(clock.real_s(_SETTLES_S))
    for one in reversed(standing):
        await one.close()
    server.close()
    await server.wait_closed()
    last = {one.ways.name: one.asked for one in standing if isinstance(one, Stranger)}
    # Of a try after which a layer further out asked again nobody's request ended.
    deeds = [deed for deed in deeds if deed.number == last[deed.layer][deed.ask]]
    truths = {
        attempt.request: _truth(attempt, deeds, ledger)
        for attempt in spans
        if isinstance(attempt, AttemptRecord)
    }
    return Played(spans + [generation_span(row) for row in ledger], truths)


def _truth(attempt: AttemptRecord, deeds: Iterable[Deed], ledger: Iterable[dict[str, Any]]) -> Truth:
    if attempt.outcome is Outcome.DELIVERED:
        return Truth(())
    ends = [
        End(deed.at_s, deed.layer, deed.timer, deed.told_s) for deed in deeds if deed.ask == attempt.request
    ]
    if attempt.upstream.by_us:
        at_s = attempt.end_s if attempt.upstream_s is None else attempt.upstream_s
        ends.append(End(at_s, "client", attempt.cut.timer if attempt.cut else None, at_s))
    mine = [row for row in ledger if row["trace_id"] == attempt.trace_id]
    if mine and mine[-1]["fault"]:
        ends.append(End(mine[-1]["failed_s"], "upstream", None, mine[-1]["failed_s"]))
    assert ends, f"{attempt.request} ended as {attempt.outcome}, and nobody did it"
    return Truth(tuple(sorted(ends, key=lambda end: end.at_s)))


# --- judged ------------------------------------------------------------------------------------------------


def look_at_strangers(
    *, requests: int, seed: int, each: int = PER_WORLD, progress: Callable[[int], None] = lambda _done: None
) -> Look:
    """Play worlds until so many requests have been asked, and judge each with more and less of what was written."""
    look = Look()
    for number in range(-(-requests // each)):
        look_at_world(look, seed=seed, number=number, each=each)
        progress(look.requests)
    return look


def look_at_world(look: Look, *, seed: int, number: int, each: int) -> None:
    """Play one of the worlds, and judge it with more and less of what was written."""
    dice = random.Random(f"strangers/{seed}/{number}")
    world = random_strange(dice, each)
    played = play(world)
    look.requests += len(played.truths)
    for way, (given, said) in _ways(played, world, dice).items():
        _judge(look, f"{seed}/{number}", way, given, said, world, played)


def _ways(played: Played, world: Strange, dice: random.Random) -> dict[str, tuple[list[Span], bool]]:
    skewed = _skewed(played.spans, dice)
    without_books = [span for span in skewed if not isinstance(span, GenerationRecord)]
    clocks = sorted({str(clock_of(span)) for span in skewed if isinstance(span, LayerRecord) and span.tap})
    silent = {clock for clock in clocks if dice.random() < 0.4}
    some = [span for span in skewed if not (isinstance(span, LayerRecord) and clock_of(span) in silent)]
    del world
    return {
        "all": (skewed, False),
        "said": (skewed, True),
        "one clock": (played.spans, False),
        "no ledger": (without_books, False),
        "no client": ([span for span in skewed if not isinstance(span, AttemptRecord)], False),
        "some taps": (some, False),
        "some taps, no ledger": ([span for span in some if not isinstance(span, GenerationRecord)], False),
    }


def _skewed(spans: list[Span], dice: random.Random) -> list[Span]:
    """Each tap's clock wrong by up to ten minutes, or by less than a second."""
    wrong_by_s: dict[str | None, float] = {None: 0.0}
    moved = copy.deepcopy(spans)
    for span in moved:
        if isinstance(span, LayerRecord) and span.tap is not None:
            by_s = wrong_by_s.setdefault(
                clock_of(span), dice.uniform(-600, 600) if dice.random() < 0.5 else dice.uniform(-1, 1)
            )
            span.move(by_s)
            span.move_own(by_s)
    return moved


def _judge(
    look: Look,
    where: str,
    way: str,
    given: list[Span],
    said: bool,  # noqa: FBT001  # of a way
    world: Strange,
    played: Played,
) -> None:
    bare = Topology(name="strange", client=world.client, hops=(), whole=False)
    order = taps_of(given).names if said else ()
    if said and len(set(world.taps)) == len(world.taps) and tuple(order) == world.taps:
        pairs = zip(world.taps, world.taps[1:], world.strangers, strict=False)
        between = tuple(Between(outer, inner, _known(ways)) for outer, inner, ways in pairs)
        bare = replace(bare, between=between)
    spans, topology = seated(given, bare)
    wrong, grades = look.wrong.setdefault(way, Counter()), look.grades.setdefault(way, Counter())
    names = {span.trace_id: span.request for span in played.spans if isinstance(span, AttemptRecord)}
    for evidence in gather(whole_layers(spans, topology)):
        if evidence.trace_id not in names:
            continue  # of another program, which had a tap's port in mind
        verdict = attribute(evidence, topology)
        request = names[evidence.trace_id]
        truth = played.truths[request]
        if truth.ends:
            grades[verdict.grade if verdict.kind is not Kind.NONE else f"nobody, {verdict.grade}"] += 1
        strangers = {end.layer for end in truth.first} & {ways.name for ways in world.strangers}
        if way == "all" and any(_seen_behind(name, world, given) for name in strangers):
            look.around += 1
            look.named += verdict.kind is Kind.CUT
        if _accuses_wrongly(verdict, truth, world, given):
            wrong[verdict.grade] += 1
            if verdict.grade in {Grade.PROVEN, Grade.TESTIFIED}:
                look.told.append(
                    f"{verdict.grade} {where} {request} ({way}): {verdict.phrase}; "
                    f"truth: {truth.ends}; {world.strangers}"
                )


def _seen_behind(name: str, world: Strange, given: Iterable[Span]) -> bool:
    """Whether the tap behind a stranger wrote anything: one that was never asked is not known to be there."""
    place = _place(name, world)
    assert place is not None
    inner = f"{world.taps[place + 1]}-{place + 1}"
    return any(isinstance(one, LayerRecord) and clock_of(one) == inner for one in given)


def _known(ways: Ways) -> Layer:
    timers = {
        kind: Timer(kind=kind, limit_s=limit_s, directive=str(kind))
        for kind, limit_s in ways.limits_s.items()
    }
    return Layer(
        name=ways.name, title=ways.name, timers=timers, notices_abort=not ways.blind, idle_waits=False
    )


def _accuses_wrongly(verdict: Verdict, truth: Truth, world: Strange, given: Sequence[Span]) -> bool:
    if verdict.kind is Kind.UNATTRIBUTED:
        return False
    api_s = verdict.outcome is Outcome.REJECTED and verdict.grade is not Grade.PROVEN
    if not truth.ends or (verdict.kind is Kind.NONE and not api_s):
        return bool(truth.ends) is (verdict.kind is Kind.NONE)
    reporting = {clock_of(one) for one in given if isinstance(one, LayerRecord)}
    # The numbers of the taps that report, from the caller inward.
    taps = [number for number, name in enumerate(world.taps) if f"{name}-{number}" in reporting]
    books = any(isinstance(one, GenerationRecord) for one in given)
    seen = truth.seen_by(taps[-1] if taps else None, world, books=books)
    return not any(_names(verdict, end, world, taps) for end in seen)


def _names(verdict: Verdict, end: End, world: Strange, taps: list[int]) -> bool:
    """Whether a verdict may be of this end: by name, by place, or as the upstream that is behind all taps."""
    layers = set(verdict.tie) or {verdict.layer or ""}
    if end.layer in layers:
        return verdict.timer in {None, end.timer} or bool(verdict.tie)
    place = _place(end.layer, world)
    if place is None:
        return False
    outer, inner = [at for at in taps if at <= place], [at for at in taps if at > place]
    if verdict.timer is None and outer and inner and layers <= {_named(outer[-1], inner[0], taps, world)}:
        return True
    by_itself = verdict.grade is not Grade.PROVEN and "client" in layers
    return not inner and (verdict.kind is Kind.NONE or "upstream" in layers or by_itself)


def _place(name: str, world: Strange) -> int | None:
    return next((at for at, ways in enumerate(world.strangers) if ways.name == name), None)


def _named(outer: int, inner: int, taps: list[int], world: Strange) -> str:
    return f"{_UNKNOWN}{_called(outer, taps, world)} and {_called(inner, taps, world)}"


def _called(number: int, taps: list[int], world: Strange) -> str:
    """A tap's name as the judge has it: with a number, where one further out has the same."""
    same = sum(world.taps[other] == world.taps[number] for other in taps if other < number)
    return f"{world.taps[number]}-{same + 1}" if same else world.taps[number]


def said_of(look: Look) -> str:
    """What came of it, for people: a line for each way of withholding, and the wrong ones above `inferred`."""
    lines = [f"{look.requests} requests; {look.named} of {look.around} cuts between two taps attributed"]
    for way, counts in look.grades.items():
        grades = {str(grade): number for grade, number in sorted(counts.items())}
        wrong = {str(grade): number for grade, number in look.wrong[way].items()}
        lines.append(f"{way:>22}: {grades}; wrong: {wrong}")
    lines += [f"wrong: {line}" for line in sorted(look.told)[:20]]
    return "\n".join([*lines, f"{look.wrong_proven} wrong proven"])


def _say_how_far(requests: int) -> None:
    if requests % _SAID_EVERY == 0:
        sys.stderr.write(f"\r{requests} requests")
        sys.stderr.flush()


def main() -> int:
    """Look, say what was seen, and judge."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    each = int(sys.argv[3]) if len(sys.argv) > 3 else PER_WORLD
    look = look_at_strangers(requests=requests, seed=seed, each=each, progress=_say_how_far)
    sys.stdout.write(f"{said_of(look)}\n")
    return 1 if look.wrong_proven or look.named_share < 0.999 else 0


if __name__ == "__main__":
    sys.exit(main())
