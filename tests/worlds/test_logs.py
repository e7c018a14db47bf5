"""Random worlds whose layers keep logs instead of spans: held to the same truth.

Logs are written from what each hop really saw, with the lies of the real ones: a hop that is blind to its caller's
leaving says that it cut, and none says so of a stream that it cut itself.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.worlds.play import play
from tests.worlds.world import random_world
from whocut.trace.logs.records import Account, EndedBy
from whocut.trace.records import LayerRecord
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.joining import join
from whocut.verdict.verdict import Grade, Kind

if TYPE_CHECKING:
    from tests.worlds.world import Truth
    from whocut.verdict.verdict import Verdict

WORLDS, REQUESTS = 12, 25


def log_of(span: LayerRecord, *, lies: bool) -> Account:
    """What a hop would have written down of what its span shows."""
    facts: dict[str, Any] = {
        "layer": span.layer,
        "place": "made.log:1",
        "signal": "made",
        "end_s": span.end_s,
        "duration_s": span.end_s - span.start_s,
        "trace_id": span.trace_id,
        "parent_id": span.parent_id,
        "status": span.status,
    }
    cut = span.cut
    if cut is not None:
        if lies and cut.phase == "stream":
            return Account(ended_by=EndedBy.NONE, **facts)
        return Account(
            ended_by=EndedBy.LAYER,
            phase=cut.phase,
            timer=cut.timer,
            directive=cut.directive,
            **facts,
        )
    if span.caller_went_first or span.upstream.by_us:
        return Account(ended_by=EndedBy.CLIENT, **facts)
    ended = span.upstream.by_them or (span.status or 0) >= 500
    return Account(ended_by=EndedBy.UPSTREAM if ended else EndedBy.NONE, **facts)


def right(verdict: Verdict, truth: Truth) -> bool:
    """Whether it accuses nobody wrongly."""
    if verdict.kind is Kind.NONE:
        return truth.delivered or verdict.outcome == "censored"
    if verdict.kind is Kind.UNATTRIBUTED:
        return True
    return verdict.layer in truth.layers


def look(*, share: float, lies: bool) -> tuple[Counter[str], Counter[str]]:
    """Verdicts by grade, and the wrong ones, where so many hops have a log instead of a span."""
    grades: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for number in range(WORLDS):
        dice = random.Random(f"logs/{number}")
        world = random_world(dice, REQUESTS)
        spans, _ = play(world)
        truths = {ask.name: ask.truth for ask in world.asks}
        logging = {layer.name for layer in world.topology.hops if dice.random() < share}
        kept = [span for span in spans if span.layer not in logging]
        accounts = [
            log_of(span, lies=lies)
            for span in spans
            if span.layer in logging and isinstance(span, LayerRecord)
        ]
        positions = {layer.name: position for position, layer in enumerate(world.topology.layers)}
        for evidence in join(gather(kept), accounts, positions):
            verdict = attribute(evidence, world.topology)
            truth = truths[verdict.request]
            if not truth.delivered:
                grades[verdict.grade] += 1
                if not right(verdict, truth):
                    wrong[verdict.grade] += 1
    return grades, wrong


def test_honest_logs_name_the_layer_and_are_never_called_proof() -> None:
    """Every hop logs, none has a span: no wrong `proven`, and nearly all are testified, rightly."""
    grades, wrong = look(share=1.0, lies=False)

    assert wrong[Grade.PROVEN] == 0
    assert wrong.total() <= 0.01 * grades.total()
    assert grades[Grade.TESTIFIED] + grades[Grade.PROVEN] >= 0.9 * grades.total()


def test_lying_logs_beside_edges_never_make_a_wrong_proof() -> None:
    """Half of the hops have only a log, and logs lie: the grade falls, and no proof is wrong."""
    grades, wrong = look(share=0.5, lies=True)

    assert wrong[Grade.PROVEN] == 0
    assert wrong.total() <= 0.05 * grades.total()
    assert grades.total() > 100
