"""Sentences about cuts, made here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.verdict.needed import Needed
from whocut.words import format_duration

if TYPE_CHECKING:
    from whocut.verdict.verdict import Verdict

_NEEDED = {
    Needed.WAIT: "The wait for the first byte would have been",
    Needed.GAP: "The gap between two events of the stream would have been",
    Needed.WHOLE: "The whole answer would have taken",
}


def cut_because(example: Verdict, what: Needed, median_s: float, cuts: int) -> str:
    """Why a timer fired: what it would have had to allow, and what it allows.

    ``The wait for the first byte would have been 180 s (median of 3 cuts); NGINX's … allows 60 s.``
    """
    took = format_duration(round(median_s, 1))
    limit = format_duration(example.limit_s)
    return (
        f"{_NEEDED[what]} {took} (median of {cuts} cut{'' if cuts == 1 else 's'}); "
        f"{example.title}'s {example.directive} allows {limit}."
    )
