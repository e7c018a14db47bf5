"""How an attempt can end badly, by the name of what the HTTP library raised: a table.

Names, because httpx (openai-python 1.x, 2.x) and httpx2 (3.x) raise classes of the same names that share no base.
"""

from __future__ import annotations

from dataclasses import dataclass

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.records import Outcome, UpstreamEnd


@dataclass(frozen=True, slots=True)
class Ending:
    """What one exception means. `phase` None: wherever the attempt stood."""

    outcome: Outcome
    upstream: UpstreamEnd
    timer: TimerKind | None = None
    phase: Phase | None = None


BEFORE_THE_ANSWER = {
    "ConnectTimeout": Ending(Outcome.TIMEOUT, UpstreamEnd.CUT, TimerKind.CONNECT, Phase.CONNECT),
    "WriteTimeout": Ending(Outcome.TIMEOUT, UpstreamEnd.CUT, TimerKind.IDLE, Phase.SEND),
    "ReadTimeout": Ending(Outcome.TIMEOUT, UpstreamEnd.CUT, TimerKind.FIRST_BYTE, Phase.WAIT),
    "ConnectError": Ending(Outcome.REFUSED, UpstreamEnd.REFUSED, phase=Phase.CONNECT),
    "ReadError": Ending(Outcome.RESET, UpstreamEnd.RESET),
    "WriteError": Ending(Outcome.RESET, UpstreamEnd.RESET, phase=Phase.SEND),
    "RemoteProtocolError": Ending(Outcome.RESET, UpstreamEnd.CLOSED),
    # The library would not send what it was given: a header that is none, an address it does not speak.
    "LocalProtocolError": Ending(Outcome.REFUSED, UpstreamEnd.NONE, phase=Phase.CONNECT),
    "UnsupportedProtocol": Ending(Outcome.REFUSED, UpstreamEnd.NONE, phase=Phase.CONNECT),
}
IN_THE_BODY = {
    "ReadTimeout": Ending(Outcome.TIMEOUT, UpstreamEnd.CUT, TimerKind.IDLE, Phase.STREAM),
    "ReadError": Ending(Outcome.RESET, UpstreamEnd.RESET),
    "RemoteProtocolError": Ending(Outcome.TRUNCATED, UpstreamEnd.CLOSED),
}
# Anything that is not an HTTP library's error came from the program that asked: a cancelled task, a killed
# greenlet, a closed generator. Nobody saw how the attempt would have ended.
ABANDONED = Ending(Outcome.CENSORED, UpstreamEnd.ABANDONED)


def ending_of(error: BaseException, *, in_body: bool) -> Ending:
    """The row for an exception, looked up by the names of its class and its bases."""
    table = IN_THE_BODY if in_body else BEFORE_THE_ANSWER
    for kind in type(error).__mro__:
        if kind.__name__ in table:
            return table[kind.__name__]
    return ABANDONED
