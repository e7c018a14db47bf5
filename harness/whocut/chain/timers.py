"""The five timers, each between two events, and the phases in which they can fire.

=============  ========================================  =====================
timer          armed → fires                             bytes re-arm it
=============  ========================================  =====================
`connect`      dialling → connected                      no
`first_byte`   request sent in full → first byte         no
`idle`         last byte → next byte, either direction   yes
`total`        request accepted → response sent in full  no: streaming does not help
`keepalive`    response sent → next request              –
=============  ========================================  =====================

A layer that has a `first_byte` timer leaves the wait to it: its `idle` timer then watches sending and streaming
alone (Varnish, Fastly, Heroku). Many vendors' one knob is `first_byte` and `idle` at once; then two timers carry
the same directive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class TimerKind(StrEnum):
    """From which event to which event a timer runs; see the module's table."""

    CONNECT = "connect"
    FIRST_BYTE = "first_byte"
    IDLE = "idle"
    TOTAL = "total"
    KEEPALIVE = "keepalive"


class JobTimer(StrEnum):
    """The clocks of a job, which no layer on the way has: they end a job, and not an attempt."""

    POLL = "poll"  # the submit → the poller gives up
    EXPIRY = "expiry"  # the end of the work → its result is kept no more
    CALLBACK = "callback"  # the end of the work → the last try to tell its receiver


class Phase(StrEnum):
    """The part of an attempt that a layer is in, seen from that layer."""

    CONNECT = "connect"
    SEND = "send"
    WAIT = "wait"
    STREAM = "stream"

    @property
    def while_(self) -> str:
        """The phase in a sentence: ``while waiting``."""
        return _WHILE[self]


_WHILE = {
    Phase.CONNECT: "while connecting",
    Phase.SEND: "while sending the request",
    Phase.WAIT: "while waiting",
    Phase.STREAM: "while streaming",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One named clock in one layer.

    `directive` is the vendor's own name of the knob. `sending_directive` is the knob that watches the request on
    its way up, where that is another. `source` says where the limit was read; `verified` is False
    where that is a memory. `file` and `line` are the place in the user's own file, where a file has it; `inherited`
    is True where it was not written for this route, but holds there. `knob` is the vendor's configuration line
    with `{s}` for the limit, and `most_s` the highest limit the vendor allows (None: no such bound), which is
    `most_sure` where a document or the code says so.
    """

    kind: TimerKind
    limit_s: float
    directive: str
    sending_directive: str | None = None
    source: str = ""
    verified: bool = True
    knob: str = ""
    most_s: float | None = None
    most_sure: bool = True
    file: str = ""
    line: int | None = None
    inherited: bool = False

    def __post_init__(self) -> None:
        if not self.limit_s > 0:
            raise ValueError(f"{self.directive}: a limit must be positive; leave the timer out for none")

    def named_in(self, phase: Phase) -> str:
        """The vendor's name of the knob that fires in this phase."""
        return self.sending_directive if phase is Phase.SEND and self.sending_directive else self.directive

    @property
    def is_beyond(self) -> bool:
        """Whether the limit is above the highest that the vendor allows."""
        return self.most_s is not None and self.limit_s > self.most_s

    def set_to(self, limit_s: float) -> str:
        """The vendor's configuration line that sets this limit; a plain sentence where none is known."""
        if not self.knob:
            return f"{self.directive}: {limit_s:g} s"
        whole_s = math.ceil(limit_s)
        hours, rest_s = divmod(whole_s, 3600)
        return self.knob.format(
            s=f"{limit_s:g}",
            ms=f"{limit_s * 1000:g}",
            min=math.ceil(limit_s / 60),
            hms=f"{hours:02}:{rest_s // 60:02}:{rest_s % 60:02}",
        )
