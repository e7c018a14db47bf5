"""How long it took: it names no layer, but for one of a given chain that can end a request in this way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.verdict import inference
from whocut.verdict.triage import advice
from whocut.verdict.triage.endings import EndedBy
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.chain.layers import Layer
    from whocut.chain.timers import TimerKind
    from whocut.verdict.triage.answer import Triage
    from whocut.verdict.triage.facts import Facts

# How far a told time may lie from a limit, as a share of it, and still be it.
_NEAR: Final = 0.02


def with_chain(found: Triage, facts: Facts) -> Triage:
    """The same, with the layer of a given chain whose limit the time is, if that layer can end it in this way."""
    if found.layer is not None or not facts.chain:
        return found
    inferred = inference.by_limits(facts.seen, facts.chain)
    if inferred is None or inferred.layer is None:
        more = inferred.alternatives if inferred else ()
        return replace(found, alternatives=more or found.alternatives)
    layer = next(one for one in facts.chain if one.name == inferred.layer)
    if not _can(layer, inferred.timer, facts.code):
        return found
    return replace(
        found,
        layer=inferred.layer,
        product=inferred.title,
        directive=inferred.directive or None,
        timer=inferred.timer,
        phase=inferred.phase or found.phase,
        grade=Grade.INFERRED,
        ended_by=EndedBy.LAYER,
        do=advice.against_own_timer(
            layer.preset, layer.title, inferred.directive or None, inferred.timer, EndedBy.LAYER
        ),
        why=(*found.why, *inferred.why),
        alternatives=inferred.alternatives,
    )


def _can(layer: Layer, timer: TimerKind | None, status: int | None) -> bool:
    """Whether this timer of a layer can give this status."""
    if status is None or timer is None:
        return True
    answer = layer.answers.get(timer) or layer.answers.get("expiry")
    return answer is None or answer.status == status


def coincidences(facts: Facts) -> tuple[str, ...]:
    """Layers one of whose default limits is the time it took: told, and not accused."""
    if facts.chain:
        return ()
    seen = replace(facts.seen, body=None, headers={}, status=facts.code)
    found = inference.infer(seen)
    if found is None:
        return ()
    return found.alternatives or ((found.title,) if found.title else ())


def is_its_limit(name: str | None, timer: TimerKind | None, facts: Facts) -> bool:
    """Whether the told time is this named layer's own limit: then its answer of any 5xx is that timer's."""
    entry, took_s = advice.limit_of(name, timer), facts.elapsed_s(by_limit=False)
    if entry is None or not entry.limit or took_s is None:
        return False
    return abs(took_s - entry.limit) <= _NEAR * entry.limit
