"""A client on another machine: its clock may say anything, and no verdict on its attempts becomes another one."""

from __future__ import annotations

import pytest

from tests.reports.made_run import MadeRun, article_run
from whocut.trace.records import AttemptRecord
from whocut.verdict.verdict import Grade, Verdict


def verdicts_of(run: MadeRun) -> dict[str, Verdict]:
    """By request and attempt."""
    attribution = run.judged().attribution
    both = zip(attribution.evidence, attribution.verdicts, strict=True)
    return {f"{evidence.request} {evidence.attempt}": verdict for evidence, verdict in both}


def far(run: MadeRun, later_s: float) -> MadeRun:
    """The same run, its clients on a machine of their own, whose clock is so much later."""
    for span in run.spans:
        if isinstance(span, AttemptRecord):
            span.clock = "far"
            span.move_own(later_s)
            span.start_s += later_s
            span.end_s += later_s
    return run


@pytest.mark.parametrize("later_s", [0.0, -0.3, 0.3, -61.0, 61.0, -86_400.0, 86_400.0])
def test_verdicts_do_not_hang_on_the_clock_of_a_worker_elsewhere(later_s: float) -> None:
    """The same layer, timer and kind for each attempt; no grade is better than on one clock."""
    near, there = verdicts_of(article_run(requests=6)), verdicts_of(far(article_run(requests=6), later_s))

    assert near.keys() == there.keys()
    for name, verdict in near.items():
        other = there[name]
        assert (other.kind, other.layer, other.timer) == (verdict.kind, verdict.layer, verdict.timer)
        assert not (other.grade is Grade.PROVEN and verdict.grade is not Grade.PROVEN)
