"""What an HTTP library raises when a request ends badly, and what that says of who ended it. A table.

The wording is that of httpx, requests, aiohttp, the openai SDKs, Node's fetch (undici), axios, Go and curl. Most of
it was measured, each ending against each client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from whocut.chain.timers import Phase, TimerKind


@dataclass(frozen=True, slots=True)
class Raised:
    """One wording. `ours`: a timer of the client itself fired; otherwise somebody else ended the connection."""

    pattern: re.Pattern[str]
    says: str
    ours: bool = False
    timer: TimerKind | None = None
    phase: Phase | None = None
    client: str = "client"
    directive: str = "timeout"
    verified: bool = True


def _raised(pattern: str, says: str, *rest: object, **named: object) -> Raised:
    return Raised(re.compile(pattern), says, *rest, **named)  # type: ignore[arg-type]  # a table of literals


def _ours(
    pattern: str,
    says: str,
    timer: TimerKind,
    phase: Phase,
    client: str = "client",
    directive: str = "timeout",
    *,
    verified: bool = True,
) -> Raised:
    return Raised(re.compile(pattern), says, True, timer, phase, client, directive, verified)  # noqa: FBT003


_CONNECT, _FIRST, _IDLE, _TOTAL = TimerKind.CONNECT, TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL

# Read from the top: the more exact wording stands first.
RAISED: Final = (
    # --- a timer of the client itself ---
    _ours(
        "UND_ERR_HEADERS_TIMEOUT|timed out waiting for response headers",
        "undici gave up waiting for the response's head",
        _FIRST,
        Phase.WAIT,
        "openai-node",
        "undici headersTimeout",
    ),
    _ours(
        "UND_ERR_BODY_TIMEOUT",
        "undici gave up on a silent body",
        _IDLE,
        Phase.STREAM,
        "openai-node",
        "undici bodyTimeout",
    ),
    _ours(
        "UND_ERR_CONNECT_TIMEOUT",
        "undici could not connect in time",
        _CONNECT,
        Phase.CONNECT,
        "openai-node",
        "undici connectTimeout",
    ),
    _ours(
        "ConnectTimeout|Connection timed out after|connect timeout=|ETIMEDOUT",
        "the client could not connect in time",
        _CONNECT,
        Phase.CONNECT,
        directive="timeout.connect",
    ),
    _ours("WriteTimeout", "the client could not send in time", _IDLE, Phase.SEND, directive="timeout.write"),
    _ours(
        r"ReadTimeout|[Rr]ead timed out|read timeout=",
        "the client sat through its own read timeout",
        _FIRST,
        Phase.WAIT,
        directive="timeout.read",
    ),
    _ours(
        "APITimeoutError|APIConnectionTimeoutError|Request timed out",
        "the OpenAI SDK gave up by its own timer",
        _FIRST,
        Phase.WAIT,
        directive="timeout.read",
    ),
    _ours(
        r"timeout of \d+ ?ms exceeded",
        "axios gave up by its own timer",
        _TOTAL,
        Phase.WAIT,
        "axios",
        "timeout",
    ),
    _ours(
        r"Client\.Timeout (?:or context cancellation )?exceeded|context deadline exceeded",
        "the Go client's own deadline passed",
        _TOTAL,
        Phase.WAIT,
        "go-http",
        "Client.Timeout",
    ),
    _ours(
        r"curl: \(28\)|Operation timed out after|Operation too slow",
        "curl gave up by its own timer",
        _TOTAL,
        Phase.WAIT,
        "curl",
        "--max-time",
        verified=False,
    ),
    _ours(
        "aborted due to timeout",
        "the client's AbortSignal fired",
        _TOTAL,
        Phase.WAIT,
        "undici",
        "AbortSignal.timeout",
    ),
    # --- somebody on the way, in mid-body ---
    _raised(
        "incomplete chunked read|Response ended prematurely|TransferEncodingError"
        "|outstanding read data remaining",
        "the body ended without its last chunk: a hop that speaks HTTP gave up in mid-body",
        phase=Phase.STREAM,
    ),
    _raised(
        r"IncompleteRead\(|received \d+ bytes, expected|ContentLengthError|bytes remaining to read",
        "the body is shorter than announced: a hop that speaks HTTP gave up in mid-body",
        phase=Phase.STREAM,
    ),
    _raised(
        r"not closed cleanly: INTERNAL_ERROR|curl: \(92\)|StreamResetByPeer|stream error: stream ID",
        "the HTTP/2 stream was reset, as nginx does when it cuts in mid-body",
        phase=Phase.STREAM,
    ),
    _raised(
        "TypeError: terminated",
        "the body ended before it was whole: a hop gave up in mid-body",
        phase=Phase.STREAM,
    ),
    # --- somebody on the way, before the answer ---
    _raised(
        "Server disconnected|RemoteDisconnected|Remote end closed connection without response|Empty reply"
        "|other side closed|socket hang up|ServerDisconnectedError",
        "the connection was closed before any answer",
        phase=Phase.WAIT,
    ),
    _raised(
        r"[Cc]onnection reset by peer|ECONNRESET|\[Errno 104\]|ConnectionResetError|curl: \(56\)",
        "the connection was reset: a killed process, a layer below HTTP, or a hop that closes with a reset",
    ),
    _raised(
        r"[Cc]onnection refused|ECONNREFUSED|\[Errno 111\]|curl: \(7\)",
        "nobody took the connection",
        phase=Phase.CONNECT,
    ),
    _ours(
        r"(?m)^(?:asyncio\.(?:exceptions\.)?|builtins\.)?TimeoutError\b",
        "the program's own timer fired",
        _TOTAL,
        Phase.WAIT,
        directive="ClientTimeout.total",
    ),
    _raised(
        "APIConnectionError|Connection error|fetch failed", "the connection ended without a whole answer"
    ),
)
REFUSED: Final = "nobody took the connection"


def raised_in(text: str) -> Raised | None:
    """The most telling wording in an exception's text, its causes included."""
    return next((row for row in RAISED if row.pattern.search(text)), None)
