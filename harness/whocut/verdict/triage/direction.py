"""Which way a connection of a Go program went, by its two ports.

Go writes the address of its own side first: ``read tcp 10.0.0.1:8080->10.0.0.2:51234``. Systems give
callers a port of a high range. Where only the other port is of it, the program had accepted the connection: the
other side is its caller. Where both are of it, or neither is, the text does not tell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.endings import Cause, EndedBy, Retry

if TYPE_CHECKING:
    from whocut.verdict.triage.facts import Facts

_GIVEN_FROM: Final = 32768  # the lowest port that Linux gives to callers by itself
_TCP: Final = re.compile(
    r"\b(?P<does>read|write) tcp [0-9a-fA-F.:\[\]x]{2,60}:(?P<own>\d{1,5})->"
    r"[0-9a-fA-F.:\[\]x]{2,60}:(?P<other>\d{1,5}):(?P<why>[^\n]{0,160})"
)
_WAITED: Final = "i/o timeout"


def the_callers_connection_ended(facts: Facts) -> Triage | None:
    """A connection that the program had accepted, and that its caller left or let lie."""
    found = [match for match in _TCP.finditer(facts.pasted.text) if _was_accepted(match)]
    if not found or any(not _was_accepted(match) for match in _TCP.finditer(facts.pasted.text)):
        return None
    match = found[0]
    sending = match["does"] == "read"
    waited = _WAITED in match["why"]
    phase = Phase.SEND if sending else Phase.STREAM
    return Triage(
        cause=Cause.CALLER_LEFT,
        name="its caller sent nothing more" if waited and sending else "its caller left",
        phase=phase,
        status=facts.code,
        ended_by=EndedBy.CLIENT,
        retry=Retry.UNKNOWN if sending else Retry.PAYS_AGAIN,
        do=advice.ENDINGS["left" if sending else "left_stream"],
        why=(f"port {match['own']} is the program's own, port {match['other']} its caller's",),
    )


def _was_accepted(match: re.Match[str]) -> bool:
    return int(match["own"]) < _GIVEN_FROM <= int(match["other"])
