"""Who ended it, and what to do then, by what a row says from its speaker's point of view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.verdict.triage import advice
from whocut.verdict.triage.endings import By, EndedBy
from whocut.verdict.triage.lexicon import Role

if TYPE_CHECKING:
    from whocut.verdict.triage.lexicon import Said


def side_of(by: By, role: Role) -> EndedBy:
    """The side that ended it, from where the text was written."""
    own = EndedBy.CLIENT if role is Role.CLIENT else EndedBy.LAYER
    return {By.SELF: own, By.UPSTREAM: EndedBy.UPSTREAM, By.CALLER: EndedBy.CLIENT}.get(by, EndedBy.UNKNOWN)


def what_to_do(best: Said, name: str, title: str, directive: str | None, ended_by: EndedBy) -> str:
    """Advice for this ending, with the knob where a timer of the speaker fired."""
    row = best.row
    if row.ending.by is By.SELF and row.kind not in advice.ENDINGS:
        return advice.against_own_timer(name, title, directive, row.timer, ended_by)
    return advice.ENDINGS.get(row.kind, advice.ENDINGS["opaque"])
