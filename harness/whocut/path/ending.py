"""How a layer ends a response that will not come whole: one table, from what the caller has to what it gets."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Way(Enum):
    """A way to tell the caller that no more will come."""

    ANSWER = "answer"  # an answer of the layer's own, in place of the response
    CLOSE = "close"  # FIN, after what was sent
    RESET = "reset"  # RST
    TERMINATE = "terminate"  # the last chunk: a cut that looks complete
    ABORT = "abort"  # at once: the caller does not take what was sent before


class Standing(NamedTuple):
    """The state of the exchange when its response ends too early."""

    begun: bool  # some of the response is the caller's already, or can no longer be taken back
    silent: bool  # the layer forwards connections, not HTTP, or has nothing to say
    writable: bool  # the caller keeps up
    resets: bool  # this layer ends with a reset
    terminates: bool  # it ends a stream with its last chunk, and is between two chunks


_ANY: Final = None
# The first row that fits. A column is one field of `Standing`, in its order.
_WAYS: Final = (
    # begun, silent, writable, resets, terminates
    ((False, False, _ANY, _ANY, _ANY), Way.ANSWER),
    ((False, True, _ANY, True, _ANY), Way.RESET),
    ((False, True, _ANY, False, _ANY), Way.CLOSE),
    ((True, _ANY, False, _ANY, _ANY), Way.ABORT),
    ((True, _ANY, True, True, _ANY), Way.RESET),
    ((True, _ANY, True, False, True), Way.TERMINATE),
    ((True, _ANY, True, False, False), Way.CLOSE),
)


def way_out(standing: Standing) -> Way:
    """The way in which this response ends."""
    return next(
        way
        for row, way in _WAYS
        if all(wanted is _ANY or wanted is has for wanted, has in zip(row, standing, strict=True))
    )
