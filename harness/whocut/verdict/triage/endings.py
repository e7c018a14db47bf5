"""How a request can end, whatever client or layer says it: what each ending means. A table.

`by` is "self" where the one that says it ended it by itself; "upstream" and "caller" are its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from whocut.chain.timers import Phase, TimerKind


class Cause(StrEnum):
    """Why a generation failed."""

    TIMEOUT_CHAIN = "timeout_chain"
    CONNECTION = "connection"
    CALLER_LEFT = "caller_left"
    MODERATION = "moderation"
    PARAMETER = "parameter"
    RATE_LIMIT = "rate_limit"
    VERIFICATION = "verification"
    UPSTREAM = "upstream"
    UNKNOWN = "unknown"


class EndedBy(StrEnum):
    """The side that ended the request, as seen from where the text was written."""

    CLIENT = "client"
    LAYER = "layer"
    UPSTREAM = "upstream"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """What a retry of the same request would do."""

    SAFE = "safe"
    AFTER_WAIT = "after_wait"
    PAYS_AGAIN = "pays_again"
    USELESS = "useless"
    UNKNOWN = "unknown"


class By(StrEnum):
    """Who ended it, from the point of view of the one that says so."""

    SELF = "self"
    UPSTREAM = "upstream"
    CALLER = "caller"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ending:
    """One way to end. `tells` ranks it against others in the same text: the higher says more."""

    cause: Cause
    by: By
    retry: Retry
    says: str
    timer: TimerKind | None = None
    phase: Phase | None = None
    tells: int = 3


_TIMEOUT, _CONNECTION, _LEFT = Cause.TIMEOUT_CHAIN, Cause.CONNECTION, Cause.CALLER_LEFT
_SAFE, _PAYS, _USELESS, _UNSAID = Retry.SAFE, Retry.PAYS_AGAIN, Retry.USELESS, Retry.UNKNOWN
_CONNECT, _SEND, _WAIT, _STREAM = Phase.CONNECT, Phase.SEND, Phase.WAIT, Phase.STREAM
_FIRST, _IDLE, _TOTAL = TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL

ENDINGS: Final = {
    # --- a timer of its own ---
    "connect": Ending(
        _CONNECTION, By.SELF, _SAFE, "no connection was made in time", TimerKind.CONNECT, _CONNECT, 6
    ),
    "pool": Ending(_CONNECTION, By.SELF, _SAFE, "no connection of the pool became free", None, _CONNECT, 6),
    "send": Ending(_TIMEOUT, By.SELF, _SAFE, "the request could not be sent in time", _IDLE, _SEND, 6),
    "first_byte": Ending(_TIMEOUT, By.SELF, _PAYS, "no answer began in time", _FIRST, _WAIT, 5),
    "read": Ending(_TIMEOUT, By.SELF, _PAYS, "nothing came for too long", _FIRST, _WAIT, 5),
    "idle": Ending(_TIMEOUT, By.SELF, _PAYS, "the response was silent for too long", _IDLE, _STREAM, 5),
    "total": Ending(_TIMEOUT, By.SELF, _PAYS, "the whole took too long", _TOTAL, _WAIT, 5),
    "total_stream": Ending(_TIMEOUT, By.SELF, _PAYS, "the whole took too long", _TOTAL, _STREAM, 5),
    # --- the calling program's own doing ---
    "program": Ending(_TIMEOUT, By.SELF, _PAYS, "the program's own timer fired", _TOTAL, _WAIT, 5),
    "abort": Ending(_TIMEOUT, By.SELF, _PAYS, "the calling program aborted the request itself", tells=4),
    "some_timer": Ending(_TIMEOUT, By.SELF, _PAYS, "a timer of the calling program fired", tells=2),
    # --- the caller left ---
    "left": Ending(_LEFT, By.CALLER, _PAYS, "its caller left before the answer", None, _WAIT, 4),
    "left_stream": Ending(_LEFT, By.CALLER, _PAYS, "its caller left in mid-response", None, _STREAM, 4),
    "left_sending": Ending(
        _LEFT, By.CALLER, _SAFE, "its caller left while the request was sent", None, _SEND, 5
    ),
    # --- the other side ended it, and names no timer ---
    "closed_before": Ending(_CONNECTION, By.UPSTREAM, _UNSAID, "closed before any answer", None, _WAIT, 4),
    "closed": Ending(_CONNECTION, By.UPSTREAM, _UNSAID, "the connection was closed", None, _WAIT, 3),
    "reset": Ending(_CONNECTION, By.UPSTREAM, _UNSAID, "the connection was reset", None, None, 3),
    "mid": Ending(
        _CONNECTION, By.UPSTREAM, _PAYS, "the response ended before it was whole", None, _STREAM, 4
    ),
    "mid_unsaid": Ending(
        _CONNECTION,
        By.UNKNOWN,
        _PAYS,
        "the response ended early, by the other side or by its own timer",
        None,
        _STREAM,
        4,
    ),
    "h2": Ending(_CONNECTION, By.UPSTREAM, _UNSAID, "the HTTP/2 stream was reset", None, _STREAM, 4),
    "failed": Ending(Cause.UPSTREAM, By.UPSTREAM, _UNSAID, "what is behind it failed", None, _WAIT, 4),
    "unwell": Ending(
        Cause.UPSTREAM, By.UNKNOWN, _UNSAID, "a probe of the app failed: it hung, or was too busy", tells=5
    ),
    "timed_out_behind": Ending(
        _TIMEOUT, By.UPSTREAM, _PAYS, "a timer of what is behind it fired", None, _WAIT, 4
    ),
    # --- no connection came about ---
    "refused": Ending(_CONNECTION, By.UPSTREAM, _SAFE, "the connection was refused", None, _CONNECT, 6),
    "none_ready": Ending(
        _CONNECTION, By.UPSTREAM, _SAFE, "nothing behind it was ready to take the request", None, _CONNECT, 6
    ),
    "dns": Ending(_CONNECTION, By.UNKNOWN, _USELESS, "the name was not found", None, _CONNECT, 7),
    "dns_later": Ending(_CONNECTION, By.UNKNOWN, _SAFE, "the resolver did not answer", None, _CONNECT, 7),
    "route": Ending(_CONNECTION, By.UNKNOWN, _SAFE, "there is no route to the address", None, _CONNECT, 6),
    "os_connect": Ending(
        _CONNECTION, By.SELF, _SAFE, "no connection was made in time", TimerKind.CONNECT, _CONNECT, 6
    ),
    "trust": Ending(_CONNECTION, By.SELF, _USELESS, "the certificate is not trusted", None, _CONNECT, 7),
    "tls": Ending(_CONNECTION, By.UNKNOWN, _SAFE, "the TLS handshake failed", None, _CONNECT, 6),
    "proxy": Ending(_CONNECTION, By.UNKNOWN, _USELESS, "a forward proxy refused the way", None, _CONNECT, 6),
    "proxy_failed": Ending(
        _CONNECTION, By.UNKNOWN, _SAFE, "a forward proxy could not open the way", None, _CONNECT, 7
    ),
    "no_credentials": Ending(
        Cause.PARAMETER,
        By.SELF,
        _USELESS,
        "its credentials could not be had: nothing was sent",
        None,
        _CONNECT,
        7,
    ),
    "malformed": Ending(
        Cause.PARAMETER,
        By.SELF,
        _USELESS,
        "the request could not be made as it is written: nothing was sent",
        None,
        _CONNECT,
        7,
    ),
    "cut_sending": Ending(
        _CONNECTION, By.UPSTREAM, _UNSAID, "the connection ended while the request was sent", None, _SEND, 4
    ),
    "no_connection": Ending(_CONNECTION, By.UNKNOWN, _SAFE, "no connection came about", None, _CONNECT, 3),
    # --- words that say little ---
    "opaque": Ending(
        Cause.UNKNOWN, By.UNKNOWN, _UNSAID, "the last line alone does not say what happened", tells=1
    ),
    "browser": Ending(
        Cause.UNKNOWN,
        By.UNKNOWN,
        _UNSAID,
        "a browser says so of a closed connection and of missing CORS headers",
        tells=1,
    ),
    "browser_timeout": Ending(
        _TIMEOUT, By.UNKNOWN, _UNSAID, "the browser gave up, or the connection did", tells=3
    ),
    "not_json": Ending(
        Cause.UNKNOWN,
        By.UNKNOWN,
        _UNSAID,
        "an HTML page came where JSON was expected: a layer's error page",
        tells=1,
    ),
    "short_json": Ending(
        Cause.UNKNOWN, By.UNKNOWN, _UNSAID, "the JSON ends early: an empty or cut body", tells=1
    ),
}
NOTHING_SENT: Final = frozenset(name for name, ending in ENDINGS.items() if ending.phase is _CONNECT)
