"""How each layer answers by itself: the catalogue's answer, filled in and put on the wire.

`{date}` is the calendar's instant as HTTP writes it, `{ray}` and `{request_id}` are made up as long as the
vendors'. Other braces stay: some vendors' bodies are JSON.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from whocut.chain.layers import Answer
from whocut.trace.records import new_span_id, new_trace_id

if TYPE_CHECKING:
    from whocut.chain.layers import Layer

BAD_GATEWAY: Final = "bad_gateway"
BAD_REQUEST: Final = "bad_request"
EXPIRY: Final = "expiry"

_REASONS: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


def answer_for(layer: Layer, event: str) -> Answer:
    """What the layer says when one of its timers fires (`event` is the timer), or the upstream ends first."""
    known = layer.answers.get(event)
    if known is None and event != BAD_GATEWAY:
        known = layer.answers.get(EXPIRY)
    return known or plain(502 if event == BAD_GATEWAY else 504)


def refusal(layer: Layer, status: int) -> Answer:
    """What the layer says to bytes that are no HTTP request."""
    known = layer.answers.get(BAD_REQUEST)
    return known if known and known.status == status else plain(status)


def plain(status: int) -> Answer:
    """An answer for layers of which the catalogue knows none."""
    reason = _REASONS[status]
    return Answer(status=status, reason=reason, headers=(("Content-Type", "text/plain"),), body=reason)


def closes(answer: Answer) -> bool:
    """Whether the vendor ends the connection after this answer."""
    return any(name.lower() == "connection" and "close" in value.lower() for name, value in answer.headers)


def render(answer: Answer, *, unix_s: float, close: bool, to_head: bool = False) -> bytes:
    """The answer as bytes. `close`: this is the connection's last; `to_head`: it answers a HEAD."""
    ray = new_span_id()
    request_id = new_trace_id()

    def filled(text: str) -> str:
        if "{" not in text:
            return text
        return (
            text.replace("{date}", formatdate(unix_s, usegmt=True))
            .replace("{ray}", ray)
            .replace("{request_id}", request_id)
        )

    body = filled(answer.body).encode()
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {filled(value)}" for name, value in answer.headers]
    given = {name.lower() for name, _ in answer.headers}
    if "content-length" not in given:
        lines.append(f"Content-Length: {len(body)}")
    if close and "connection" not in given:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if to_head else head + body
