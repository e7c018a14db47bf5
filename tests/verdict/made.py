"""Figures made up: the account of nothing, with what a test cares about."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from whocut.chain.catalogue import preset
from whocut.chain.layers import Topology
from whocut.verdict.figures import CutFigures, Figures, Generator, Hops, ModeFigures, RunFigures, Summary
from whocut.verdict.summary import judge
from whocut.verdict.verdict import Grade

NOTHING = judge((), (), (), Topology(name="made", client=preset("openai-python"), hops=())).figures


def figures(**facts: Any) -> RunFigures:
    """A run's account with these facts."""
    return replace(NOTHING, **facts)


def mode(*, billed_usd: float = 0.0) -> ModeFigures:
    """A mode's account with this bill."""
    books = replace(NOTHING.ledger, billed_usd=billed_usd)
    return ModeFigures(
        **{one.name: getattr(NOTHING, one.name) for one in fields(Figures)} | {"ledger": books}, decided=None
    )


def cut(attempts: int, **facts: Any) -> CutFigures:
    """So many attempts that were cut alike."""
    known: dict[str, Any] = {
        "layer": "nginx",
        "title": "NGINX",
        "timer": None,
        "directive": None,
        "phase": None,
        "grade": Grade.PROVEN,
        "limit_s": None,
        "after_s": None,
        "tie": (),
        "reason": "",
        "phrase": "",
        "contradictions": 0,
    }
    return CutFigures(attempts=attempts, **known | facts)


def summary(of: RunFigures = NOTHING, **facts: Any) -> Summary:
    """A run's summary with these facts; it is valid unless it has warnings."""
    known: dict[str, Any] = {
        "run_dir": "runs/x",
        "scenario": "a",
        "chain": "b",
        "clock": "real",
        "seed": 7,
        "wall_s": 1.0,
        "generator": Generator(
            worst_stall_s=None,
            worst_stall_real_s=None,
            cpu_s=None,
            peak_bytes=None,
            silent=0,
            raised=0,
            raised_first=None,
            workers=(),
        ),
        "hops": Hops(worst_stall_s=0.0, worst_stall_real_s=0.0),
        "thresholds": (),
        "warnings": (),
        "ended_early": None,
        "unusable": None,
    } | facts
    return Summary.of(of, valid=not known["warnings"], **known)
