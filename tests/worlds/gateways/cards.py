"""``python -m tests.worlds.gateways.cards``: what each installed gateway cancels, hides and says, as a page.

Each gateway stands alone before an upstream that works on and bills whatever becomes of its caller; a tap on either
side sees what it does. Every figure of the page is measured in this run.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.worlds.play import play_in_person
from tests.worlds.world import Ask, Truth, World
from whocut.chain.catalogue import known_timers, overridden, preset
from whocut.chain.layers import LayerRetries, Topology
from whocut.chain.timers import TimerKind
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import found
from whocut.trace.logs.in_run import accounts_of
from whocut.trace.logs.records import EndedBy
from whocut.trace.records import AttemptRecord, LayerRecord, TapSide, UpstreamEnd
from whocut.verdict.summary import judge
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.chain.layers import Layer
    from whocut.trace.logs.records import Account
    from whocut.trace.records import Span
    from whocut.verdict.verdict import Verdict

PAGE = Path(__file__).parents[3] / "docs" / "gateway-cards.md"
SCALE = 50.0
LIMIT_S = 100.0  # two seconds of real time: Apache counts whole ones
# LiteLLM asks three times by the SDK below it, with pauses in real seconds, and is to be done before the client.
_ITS_LIMIT_S = {"litellm": 60.0}
_ITS_SCALE = {"litellm": 10.0}
_ITS_TRIES = {"litellm": LayerRetries(tries=3, post=True, on_timeout=True)}
EACH = 3
_LEAVES_S = 75.0
_APART_S = 2.0  # requests begin so long after each other: a busy machine would keep a crowd waiting
_SILENT_S = 180.0
_SOON_S = 10.0  # a fifth of a second of real time, on a busy machine

_COLUMNS = (
    "ending",
    "lets go of the upstream",
    "the work behind it",
    "the caller sees",
    "its log",
    "is it true?",
    "verdict",
)
_FRACTION = re.compile(r"\d+\.\d+")  # a duration, another one in each line

_HEAD = """\
# What gateways do when a slow answer goes wrong

Made by `make gateway-cards` from measurements; nothing here is copied from documentation. Each gateway stood alone
between a client that waits 400 s and an upstream that works on, and bills, whatever becomes of its caller. Every
wait and every silence that the gateway has a timer for is limited to 100 s; on the clock of the run 100 s are two
seconds. LiteLLM's limit is 60 s, for it waits three times, and its clock is slower. A tap on either side of the
gateway saw when it let go of the upstream and what its caller got. Each row is {each} requests; where they differ,
each way is given.

| column | says |
|---|---|
| lets go of the upstream | when the gateway ended its side towards the model, if it did so by itself |
| the work behind it | how long the generation ran on after the gateway had gone, and whether it was billed |
| the caller sees | the outcome and the status |
| its log | what its access log says in the format that `docs/logs.md` recommends |
| is it true? | whether that fits what the taps saw; a line that does not say who ended the request is `unsaid` |
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """A row: its name, and the request that is sent for it."""

    name: str
    emissions_s: tuple[float, ...]
    fault: str | None = None
    fault_s: float = 0.0
    patience_s: float | None = None


ENDINGS: tuple[Ending, ...] = (
    Ending("a healthy stream with silences", (30, 90, 150, 210)),
    Ending("the caller leaves while waiting", (_SILENT_S,), patience_s=_LEAVES_S),
    Ending("the caller leaves in mid-stream", (20, 130, 180), patience_s=_LEAVES_S),
    Ending("no first byte", (_SILENT_S,)),
    Ending("a stall in mid-stream", (25, 25 + _SILENT_S)),
    Ending("the upstream resets before its answer", (90,), "reset", 40),
    Ending("the upstream closes before its answer", (90,), "close", 40),
    Ending("the upstream half closes before its answer", (90,), "half", 40),
    Ending("the upstream resets in mid-stream", (25, 90), "reset", 60),
    Ending("the upstream closes in mid-stream", (25, 90), "close", 60),
    Ending("the upstream half closes in mid-stream", (25, 90), "half", 60),
)


@dataclass(slots=True)
class Seen:
    """One request, from all sides. `asked` is how often the gateway asked the upstream."""

    let_go: str
    work: str
    caller: str
    log: str
    true: str
    asked: int
    verdict: str


def standing(name: str) -> Layer:
    """The gateway with its limits."""
    has = known_timers(preset(name))
    limits: dict[TimerKind, float | None] = dict.fromkeys((TimerKind.TOTAL, TimerKind.KEEPALIVE))
    limits |= {
        kind: _limit_of(name)
        for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.CONNECT)
        if kind in has
    }
    layer = overridden(preset(name), limits, "this page")
    return replace(layer, gateway=name, retries=_ITS_TRIES.get(name, LayerRetries()))


def _limit_of(name: str) -> float:
    return _ITS_LIMIT_S.get(name, LIMIT_S)


def measure(name: str) -> dict[str, list[Seen]]:
    """Each ending through one gateway."""
    client_limits: dict[TimerKind, float | None] = dict.fromkeys(
        (TimerKind.FIRST_BYTE, TimerKind.IDLE), 400.0
    )
    client = replace(overridden(preset("openai-python"), client_limits, "this page"), name="client")
    asks = tuple(
        _ask(ending, number, _APART_S * (EACH * place + number))
        for place, ending in enumerate(ENDINGS)
        for number in range(EACH)
    )
    world = World(
        Topology(name="card", client=client, hops=(standing(name),)),
        asks,
        settles_s=300.0 if name in _ITS_TRIES else 150.0,
    )
    clock_scale = _ITS_SCALE.get(name, SCALE)
    with TemporaryDirectory() as folder:
        place = Path(folder)
        spans, ledger, clock = play_in_person(world, scale=clock_scale, logs=place / "logs")
        epoch_unix_s = clock.epoch_unix_s
        accounts = list(accounts_of(place, world.topology, epoch_unix_s=epoch_unix_s, scale=clock_scale))
    judged = judge((), spans, ledger, world.topology, accounts)
    return _sorted(judged.verdicts, spans, ledger, accounts, GATEWAYS[name].logs_requests)


def _ask(ending: Ending, number: int, starts_s: float) -> Ask:
    return Ask(
        name=f"{ending.name}/{number}",
        starts_s=starts_s,
        stream=len(ending.emissions_s) > 1,
        emissions_s=ending.emissions_s,
        fault=ending.fault,
        fault_s=ending.fault_s,
        patience_s=ending.patience_s,
        truth=Truth(frozenset()),
    )


def _sorted(
    verdicts: Iterable[Verdict],
    spans: list[Span],
    ledger: list[dict[str, Any]],
    accounts: list[Account],
    logs: bool,  # noqa: FBT001  # a fact of the product
) -> dict[str, list[Seen]]:
    card: dict[str, list[Seen]] = {ending.name: [] for ending in ENDINGS}
    for verdict in verdicts:
        of_trace = [span for span in spans if span.trace_id == verdict.trace_id]
        outside, inside = _tap(of_trace, TapSide.OUTSIDE), _tap(of_trace, TapSide.INSIDE)
        rows = {row["generation"]: row for row in ledger if row["trace_id"] == verdict.trace_id}
        told = next((one for one in accounts if one.trace_id == verdict.trace_id), None)
        card[verdict.request.partition("/")[0]].append(
            Seen(
                let_go=_let_go(outside, inside),
                work=_work(rows.values()),
                caller=_caller(of_trace),
                log=_log(told) if logs else "it keeps none",
                true=_true(verdict, told) if logs else "–",
                asked=len(rows),
                verdict=f"{verdict.grade}" if verdict.layer else verdict.kind.value,
            )
        )
    return card


def _tap(spans: list[Span], side: TapSide) -> LayerRecord | None:
    found_ = [span for span in spans if isinstance(span, LayerRecord) and span.tap is side]
    return found_[-1] if found_ else None


def _let_go(outside: LayerRecord | None, inside: LayerRecord | None) -> str:
    if outside is None or inside is None or not inside.caller_went_first or inside.downstream_s is None:
        return "no"
    left_s = outside.caller_left_s
    if left_s is not None and inside.downstream_s >= left_s - _SOON_S:
        after_s = inside.downstream_s - left_s
        return "at once" if after_s < _SOON_S else f"{_about(after_s)} after its caller had left"
    since_s = inside.last_byte_s or inside.first_byte_s or inside.request_sent_s or inside.start_s
    what = "the last byte" if inside.first_byte_s is not None else "the request"
    hung = left_s is not None and left_s - inside.downstream_s > _SOON_S
    return f"{_about(inside.downstream_s - since_s)} after {what}" + (
        ", and told its caller nothing" if hung else ""
    )


def _about(duration_s: float) -> str:
    """To the nearest 5 s: the run's clock is a fiftieth, and its loops come late by some hundredths."""
    return format_duration(5.0 * round(duration_s / 5.0))


def _work(rows: Iterable[dict[str, Any]]) -> str:
    said = []
    for row in rows:
        billed = "billed" if row["billed"] else "not billed"
        ran = f"ran on for {_about(row['orphaned_s'])}, " if row["orphaned_s"] else ""
        said.append(f"{ran}{'delivered, ' if row['delivered'] else ''}{billed}")
    return "; ".join(said) or "never asked for"


def _caller(spans: list[Span]) -> str:
    client = next(span for span in spans if isinstance(span, AttemptRecord))
    if client.upstream is UpstreamEnd.ABANDONED:
        return "it had left"
    status = f" ({client.status})" if client.status is not None else ""
    return f"{client.outcome.replace('_', ' ')}{status}"


def _log(account: Account | None) -> str:
    if account is None:
        return "no line"
    says = f": {account.says}" if account.says else ""
    return f"`{_FRACTION.sub('…', account.signal)}`{says}"


def _true(verdict: Verdict, account: Account | None) -> str:
    if account is None:
        return "–"
    if account.ended_by is EndedBy.UNSAID:
        return "unsaid"
    return "**no**" if verdict.contradictions else "yes"


def as_markdown(cards: dict[str, dict[str, list[Seen]]], versions: dict[str, str]) -> str:
    """The page."""
    parts = [_HEAD.format(each=EACH), _in_short(cards)]
    parts += [_section(name, card, versions[name]) for name, card in cards.items()]
    return "\n".join(parts)


def _in_short(cards: dict[str, dict[str, list[Seen]]]) -> str:
    lines = [
        "## In short\n",
        "| gateway | notices a caller that leaves | cuts a stall | asks again for a POST | its log is wrong in |",
        "|---|---|---|---|---|",
    ]
    for name, card in cards.items():
        waiting, streaming = (
            card[f"the caller leaves {where}"] for where in ("while waiting", "in mid-stream")
        )
        notices = [_all(one.let_go == "at once" for one in seen) for seen in (waiting, streaming)]
        stall = _all(one.let_go != "no" for one in card["a stall in mid-stream"])
        again = _all(one.asked > 1 for one in card["the upstream resets before its answer"])
        wrong = sum(any("no" in one.true for one in seen) for seen in card.values())
        logs = any(one.true != "–" for seen in card.values() for one in seen)
        said = f"{wrong} of {len(card)} endings" if logs else "it keeps none"
        lines.append(
            f"| {preset(name).title} | waiting: {notices[0]}; streaming: {notices[1]} | {stall} | {again} "
            f"| {said} |"
        )
    return "\n".join(lines) + "\n"


def _all(held: Iterable[bool]) -> str:
    seen = list(held)
    return "yes" if all(seen) else "no" if not any(seen) else f"{sum(seen)} of {len(seen)} times"


def _section(name: str, card: dict[str, list[Seen]], version: str) -> str:
    lines = [
        f"## {preset(name).title}\n",
        f"{version}\n",
        f"| {' | '.join(_COLUMNS)} |",
        "|---|---|---|---|---|---|---|",
    ]
    for ending, seen in card.items():
        columns = (
            _ways(one.let_go for one in seen),
            _ways(one.work for one in seen),
            _ways(one.caller for one in seen),
            _ways(one.log for one in seen),
            _ways(one.true for one in seen),
            _ways(one.verdict for one in seen),
        )
        lines.append(f"| {ending} | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def _ways(said: Iterable[str]) -> str:
    """What was seen, and how often where it was not always the same."""
    counted = Counter(said)
    if len(counted) == 1:
        return next(iter(counted)).replace("|", "\\|")
    return "; ".join(f"{count}×: {what}" for what, count in counted.most_common()).replace("|", "\\|")


_VERSION = {
    "nginx": "-v",
    "haproxy": "-v",
    "apache": "-v",
    "varnish": "-V",
    "envoy": "--version",
    "caddy": "version",
    "traefik": "version",
    "http-proxy-middleware": "--version",
    "litellm": "--version",
}


def version_of(name: str) -> str:
    """The first line with a number that the program prints of its version."""
    program = found(GATEWAYS[name])
    assert program is not None
    done = subprocess.run([program, _VERSION[name]], capture_output=True, check=False, timeout=300)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    told = next((line.strip() for line in lines if any(letter.isdigit() for letter in line)), "")
    told = told.replace(program, Path(program).name)
    return f"Node {told}" if name == "http-proxy-middleware" else " ".join(told.split())


def main() -> int:
    """Measure every gateway that is installed, and write the page."""
    wanted = sys.argv[1:] or list(GATEWAYS)
    standing_here = [name for name in wanted if found(GATEWAYS[name])]
    for name in set(wanted) - set(standing_here):
        sys.stderr.write(f"{name} is passed over. Install it with: {GATEWAYS[name].install}\n")
    cards = {}
    for name in standing_here:
        sys.stderr.write(f"{name}\n")
        cards[name] = measure(name)
    PAGE.write_text(as_markdown(cards, {name: version_of(name) for name in cards}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
