"""The cells: what is done to a request on its way through a gateway, and so what its verdict has to say.

The truth of a cell follows from what the cell does: which fault the mock upstream was told, when the caller leaves,
which timers the gateway has. It knows nothing of spans and verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_S = 2.0  # of every timer that a gateway has: whole seconds, since Apache counts no others
LEAVES_S = 0.8  # long before a timer fires, and long after the gateway has the request
_BEYOND_S = 30.0


class Who(StrEnum):
    """Whose deed the end of a request was."""

    NOBODY = "nobody"
    CLIENT = "client"
    GATEWAY = "gateway"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Truth:
    """Who ended it, and by which timer; `timer` is None where no timer fired, or any one may have (`any_timer`)."""

    who: Who
    timer: TimerKind | None = None
    any_timer: bool = False


class Work(StrEnum):
    """How long the generation takes; the mock tells them apart by the quality asked for."""

    QUICK = "low"  # 0.3 s
    SLOW = "medium"  # 4.5 s, longer than every timer; a stream of it has no gap longer than 1.5 s
    ENDLESS = "high"  # longer than everybody waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One way of ending. `variant` is a change of the gateway's configuration (`variants.py`).

    `timer` is the gateway's timer that ends it: where the product has none of that kind, `without` is the truth.
    `leaves_s` is when the caller leaves, `killed_s` when the gateway's process is killed.
    """

    name: str
    stream: bool = False
    work: Work = Work.QUICK
    fault: str | None = None
    prompt: str = "a cat"
    variant: str | None = None
    leaves_s: float | None = None
    killed_s: float | None = None
    truth: Truth = field(default=Truth(Who.NOBODY))
    without: Truth | None = None

    def truth_for(self, has: Mapping[TimerKind, object]) -> Truth:
        """The truth with a product that has these timers."""
        timer = self.truth.timer
        if timer is None or timer in has or self.truth.who is not Who.GATEWAY:
            return self.truth
        assert self.without is not None, f"{self.name} does not say what happens without a timer {timer}"
        return self.without


_FIRST_BYTE = Truth(Who.GATEWAY, TimerKind.FIRST_BYTE)
_IDLE = Truth(Who.GATEWAY, TimerKind.IDLE)
_NOBODY = Truth(Who.NOBODY)
_STALL = f"stall={LIMIT_S * 1.75:g}"  # shorter than the client's patience: without a timer it is delivered
RETRIED = "to be asked for again"

CELLS: tuple[Cell, ...] = (
    Cell(name="delivered"),
    Cell(name="slow stream", stream=True, work=Work.SLOW),
    Cell(name="first byte", work=Work.ENDLESS, truth=_FIRST_BYTE),
    Cell(name="first byte of a stream", stream=True, fault="hang", truth=_FIRST_BYTE),
    Cell(name="stall", stream=True, fault=_STALL, truth=_IDLE, without=_NOBODY),
    Cell(name="caller leaves, waiting", work=Work.ENDLESS, leaves_s=LEAVES_S, truth=Truth(Who.CLIENT)),
    Cell(
        name="caller leaves, streaming",
        stream=True,
        work=Work.SLOW,
        leaves_s=LEAVES_S,
        truth=Truth(Who.CLIENT),
    ),
    Cell(name="upstream resets", fault="reset_before_headers=0.4", work=Work.SLOW, truth=Truth(Who.UPSTREAM)),
    Cell(name="upstream closes", fault="answer_lost", truth=Truth(Who.UPSTREAM)),
    Cell(name="upstream dies by RST", stream=True, fault="rst_mid_body", truth=Truth(Who.UPSTREAM)),
    Cell(name="upstream dies by FIN", stream=True, fault="fin_mid_body", truth=Truth(Who.UPSTREAM)),
    Cell(name="no last event", stream=True, fault="stream_without_completed", truth=Truth(Who.UPSTREAM)),
    Cell(name="gateway killed", work=Work.ENDLESS, killed_s=LEAVES_S, truth=Truth(Who.GATEWAY)),
    Cell(name="gateway's envelope", work=Work.ENDLESS, variant="envelope", truth=_FIRST_BYTE),
    Cell(name="gzip", variant="gzip"),
    Cell(name="gzip, slow stream", stream=True, work=Work.SLOW, variant="gzip"),
    Cell(name="gzip, stall", stream=True, fault=_STALL, variant="gzip", truth=_IDLE, without=_NOBODY),
    Cell(
        name="gzip, dies by FIN", stream=True, fault="fin_mid_body", variant="gzip", truth=Truth(Who.UPSTREAM)
    ),
    Cell(
        name="gzip, no last event",
        stream=True,
        fault="stream_without_completed",
        variant="gzip",
        truth=Truth(Who.UPSTREAM),
    ),
    Cell(name="retry, delivered", prompt=f"{RETRIED}, well", variant="retry"),
    Cell(name="retry, first byte", prompt=f"{RETRIED}, in vain", variant="retry", truth=_FIRST_BYTE),
)

# The mock's settings: its clock is real, so that all its seconds are.
MOCK = {
    "latency": {
        "rows": [
            {"quality": Work.QUICK.value, "constant_s": 0.3},
            {"quality": Work.SLOW.value, "constant_s": 4.5},
            {"quality": Work.ENDLESS.value, "constant_s": _BEYOND_S},
        ],
        "first_partial_s": [0.2, 0.3],
    },
    "moderation": {"input_s": [0.01, 0.02]},
    "faults": [
        {"fault": "reset_before_headers=0.3", "when": {"prompt": RETRIED, "attempt": 1}},
        # Varnish asks again on a fresh connection by itself before it asks again by its configuration.
        *({"fault": "hang", "when": {"prompt": f"{RETRIED}, in vain", "attempt": n}} for n in range(2, 6)),
    ],
}
