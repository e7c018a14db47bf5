"""uvicorn: its default access lines. They have no instant, no duration and no id, and any ASGI app writes them.

A line is written as the response begins: a response that broke off or whose caller left looks like a whole one.
"""

from __future__ import annotations

import re
from typing import Final

from whocut.chain.timers import Phase
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

_LEVEL: Final = re.compile(
    r"^(?:\x1b\[\d{1,2}m)?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(?:\x1b\[0m)?: {1,8}(?P<text>.*)$"
)
_ACCESS: Final = re.compile(
    r'^(?:(?P<client>\S+) )?- "(?:\x1b\[\d{1,2}m)?(?P<method>[A-Z]+) (?P<path>[^\s"]*) '
    r'HTTP/(?:1\.[01]|2)(?:\x1b\[0m)?" '
    r"(?:\x1b\[\d{1,2}m)?(?P<status>\d{3})(?: [A-Za-z' -]{0,60})?(?:\x1b\[0m)?$"
)

_RELAYED = Signal("5xx", EndedBy.UPSTREAM, Phase.WAIT, says="the app answered so", handed_on=True)
_WHOLE = Signal("2xx, 3xx, 4xx", EndedBy.NONE, says="no hop, as far as the access log knows")
SIGNALS: Final = (_RELAYED, _WHOLE)
LIES: Final = "uvicorn logs the status of a response that broke off, or whose caller left, as of a whole one"


def read(line: str) -> Account | None:
    """One access line; uvicorn's other lines are passed over."""
    level = _LEVEL.match(line)
    if level is None:
        raise Unreadable("it is not a line of uvicorn, which begins with a level")
    match = _ACCESS.match(level["text"])
    if match is None:
        if '- "' in level["text"]:
            raise Unreadable("it is not an access line of uvicorn as it comes")
        return None
    return access(match)


def access_in(text: str) -> Account | None:
    """What an access line tells, less its level; None for another text."""
    match = _ACCESS.match(text)
    return None if match is None else access(match)


def access(match: re.Match[str]) -> Account:
    """What an access line tells."""
    status = int(match["status"])
    signal = _RELAYED if status >= 500 else _WHOLE
    return as_account(
        signal,
        signal=f"status {status}",
        caveat=LIES if signal is _WHOLE else "",
        status=status,
        path=match["path"],
        keys=(f"status {status}",),
        anonymous=True,
    )


FORMAT: Final = LogFormat(
    name="uvicorn",
    title="uvicorn",
    read=read,
    signals=SIGNALS,
    code="access log",
    signs=(' - "',),
    hint="give its default access log",
    recommended="# nothing to choose: uvicorn writes access lines on standard output\nuvicorn app:app",
    remarks=(
        f"{LIES}.",
        "It has no instant, duration or id: lines of it join to nothing. Give the gateway's before it.",
    ),
)
