"""`whocut attribute` over the spans of a world, held against the truth: with the layer between said, or not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.worlds.gateways.cells import Who
from tests.worlds.gateways.play import INNER, OUTER, between

if TYPE_CHECKING:
    from tests.worlds.gateways.cells import Truth
    from tests.worlds.gateways.play import Asked, World

_CLIENT = "client"
_UPSTREAM = "upstream"
_OTHERS = {Who.CLIENT: {_CLIENT, "openai-python"}, Who.UPSTREAM: {_UPSTREAM}}


@dataclass(slots=True)
class Score:
    """What came of a gateway, or of a cell.

    `cuts` are the gateway's own by a timer; `named` those that were proven with it. `beside` are requests of which
    a busy machine made something else than the cell means, or left open what came first; `unsent` those whose
    caller left before they were sent.
    """

    requests: int = 0
    beside: int = 0
    cuts: int = 0
    named: int = 0
    unattributed: int = 0
    lost: int = 0
    unsent: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    tracebacks: int = 0

    def add(self, other: Score) -> None:
        """Put two together."""
        self.requests += other.requests
        self.beside += other.beside
        self.cuts += other.cuts
        self.named += other.named
        self.unattributed += other.unattributed
        self.lost += other.lost
        self.unsent += other.unsent
        self.wrong += other.wrong
        self.told += other.told
        self.tracebacks += other.tracebacks


def judge_world(world: World, *, said: bool) -> dict[str, Score]:
    """The score of each cell; `said` names the gateway between the taps."""
    rows, words = _attributed(world, said=said)
    by_trace = {str(row["trace_id"]): row for row in rows}
    scores: dict[str, Score] = {}
    for trace_id, asked in world.asked.items():
        score = scores.setdefault(asked.cell.name, Score())
        _judge(score, by_trace.get(trace_id), asked, world, said=said)
    everywhere = scores.setdefault("", Score())
    everywhere.tracebacks = f"{words}{world.words}".count("Traceback (most recent call last)")
    if everywhere.tracebacks:
        everywhere.told.append(f"{words}{world.words}"[-1500:])
    return scores


def _attributed(world: World, *, said: bool) -> tuple[list[dict[str, Any]], str]:
    command = [sys.executable, "-m", "whocut", "attribute", "--json"]
    for path in world.spans:
        command += ["--spans", str(path)]
    if said:
        command += ["--between", between(world.name)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    words = done.stderr.decode("utf-8", "replace")
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"whocut attribute ended with {done.returncode}: {words[-1500:]}")
    return json.loads(done.stdout)["verdicts"], words


def _judge(score: Score, row: dict[str, Any] | None, asked: Asked, world: World, *, said: bool) -> None:
    truths = asked.truths(world.stalls)
    truth = truths[0]
    score.requests += 1
    by_timer = truth.who is Who.GATEWAY and truth.timer is not None and len(truths) == 1
    score.beside += len(truths) > 1 or truth != asked.truth
    score.cuts += by_timer
    if row is None:
        score.lost += asked.sent
        score.unsent += not asked.sent
        return
    if row["kind"] == "unattributed":
        score.unattributed += 1
        return
    if all(accuses_wrongly(row, one, world.name, said=said) for one in truths):
        score.wrong[str(row["grade"])] += 1
        score.told.append(
            f"{asked.cell.name}: {row['phrase']}; truth: {truth.who} {truth.timer or ''}; saw {asked.saw}"
        )
        return
    score.named += by_timer and row["grade"] == "proven" and row["timer"] == truth.timer


def accuses_wrongly(row: dict[str, Any], truth: Truth, name: str, *, said: bool) -> bool:
    """Whether a verdict names another layer or timer than the truth, or calls a delivery what was none.

    Without the gateway being said its place is all that can be known of it: any name will do that is not one of
    the layers that are known to stand elsewhere.
    """
    if truth.who is Who.NOBODY:
        return bool(row["kind"] != "none" or row["outcome"] != "delivered")
    if row["kind"] == "none":
        return True
    layers = set(row["tie"]) or {row["layer"]}
    if truth.who is not Who.GATEWAY:
        return not layers & _OTHERS[truth.who]
    elsewhere = {OUTER, INNER} | _OTHERS[Who.CLIENT] | _OTHERS[Who.UPSTREAM]
    if not (layers - elsewhere if not said else {name} & layers):
        return True
    return bool(row["timer"] and not truth.any_timer and row["timer"] != truth.timer and not row["tie"])
