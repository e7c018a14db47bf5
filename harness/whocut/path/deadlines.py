"""Which timer of a layer fires next: named instants and one `min()`, no branches.

A timer runs in some phases, from one instant on; the table says which. Where a layer has a `first_byte` timer
it alone watches the wait, and `idle` the bytes before and after it. nginx has one knob for both, Varnish and
Fastly have two; in neither does the limit between bytes end a wait that the other one allows. Where `idle`
does not wait at all (`Layer.idle_waits`), it runs before the wait and after it.
`keepalive` runs between requests and is the connection's, not the exchange's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.timers import Phase, Timer, TimerKind

if TYPE_CHECKING:
    from whocut.chain.layers import Layer

NEVER_S: Final = float("inf")
# A loop may wake a clock's resolution early; no limit is as short as a hundredth of a model millisecond.
TOLERANCE_S: Final = 0.000_01


class Instants(NamedTuple):
    """The instants from which an exchange's timers run."""

    accepted_s: float
    dialled_s: float
    sent_s: float
    stamp_s: float  # the last byte, in either direction: one stamp, so that one request is cut once


class Deadline(NamedTuple):
    """An instant at which a timer fires; `rank` settles a tie between two of them."""

    at_s: float
    rank: int
    timer: Timer


_ALL = frozenset(Phase)
_RUNS: Final = (
    (TimerKind.CONNECT, frozenset({Phase.CONNECT}), Instants._fields.index("dialled_s")),
    (TimerKind.FIRST_BYTE, frozenset({Phase.WAIT}), Instants._fields.index("sent_s")),
    (TimerKind.IDLE, _ALL - {Phase.CONNECT}, Instants._fields.index("stamp_s")),
    (TimerKind.TOTAL, _ALL, Instants._fields.index("accepted_s")),
)


class Deadlines:
    """A layer's timers, by the phase in which each can fire."""

    __slots__ = ("_by_phase", "keepalive_s", "pause_s", "soonest_s", "tried_again")

    def __init__(self, layer: Layer) -> None:
        self._by_phase: dict[Phase, list[tuple[int, int, Timer]]] = {}
        for phase in Phase:
            running = [
                (rank, origin, layer.timers[kind])
                for rank, (kind, phases, origin) in enumerate(_RUNS)
                if phase in phases and kind in layer.timers
            ]
            kinds = {timer.kind for _, _, timer in running}
            if TimerKind.FIRST_BYTE in kinds or (phase is Phase.WAIT and not layer.idle_waits):
                running = [entry for entry in running if entry[2].kind is not TimerKind.IDLE]
            self._by_phase[phase] = running
        # However long ago their instants were, none of a phase's timers fires sooner than this after it
        # began, save `total`, which is watched from the start.
        self.soonest_s = {
            phase: min((timer.limit_s for _, _, timer in running), default=NEVER_S)
            for phase, running in self._by_phase.items()
        }
        self.keepalive_s = layer.limit_s(TimerKind.KEEPALIVE) or NEVER_S
        # The timers after which the layer tries again by itself; `total` is of all tries.
        retries = layer.retries
        self.tried_again = frozenset(TimerKind) - {TimerKind.TOTAL} if retries.on_timeout else frozenset()
        self.tried_again |= {TimerKind.CONNECT} if retries.connects > 1 else frozenset()
        # From a connection that was refused to the next try of one.
        self.pause_s = min(layer.retries.pause_s, layer.limit_s(TimerKind.CONNECT) or NEVER_S)

    def first(self, phase: Phase, instants: Instants) -> Deadline | None:
        """The deadline that comes first in this phase, or None where no timer runs."""
        armed = [
            Deadline(instants[origin] + timer.limit_s, rank, timer)
            for rank, origin, timer in self._by_phase[phase]
        ]
        return min(armed, default=None)
