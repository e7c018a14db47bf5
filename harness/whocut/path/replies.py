"""The head of a response, behind the interim ones that may come before it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.errors import Malformed
from whocut.path.http1 import parse_response

if TYPE_CHECKING:
    from whocut.path.http1 import HeadReader, ResponseHead

# `100 Continue` and a few `103 Early Hints` are usual; more than these is a flood.
MAX_INTERIMS: Final = 32


class Reply(NamedTuple):
    """What some bytes of a response held.

    `head` is the final one, `raw` as it came, and `data[end:]` what follows it. It is None while it is not whole;
    `begun` is whether some of it has come.
    """

    interims: tuple[bytes, ...]
    begun: bool
    head: ResponseHead | None = None
    raw: bytes = b""
    data: bytes = b""
    end: int = 0


class Replies:
    """Reads the heads of one response; `to_head`: it answers a HEAD."""

    __slots__ = ("_count", "_to_head")

    def __init__(self, *, to_head: bool) -> None:
        self._to_head = to_head
        self._count = 0

    def take(self, heads: HeadReader, data: bytes) -> Reply:
        """Bytes of the response, behind those that the connection's reader has kept.

        Raises:
            Malformed: they are not HTTP/1.1, switch to another protocol, or interim responses do not end.
        """
        interims: list[bytes] = []
        while True:
            whole = heads.take(data)
            if whole is None:
                return Reply(tuple(interims), begun=bool(data))
            data, end = whole
            raw = data if end == len(data) else data[:end]
            head = parse_response(raw, to_head=self._to_head)
            if head.status >= 200:
                # Without names, which would double what the tuple costs: one is made for every response.
                return Reply(tuple(interims), True, head, raw, data, end)  # noqa: FBT003  # as above
            self._count += 1
            if head.status == 101 or self._count > MAX_INTERIMS:
                raise Malformed(
                    "the upstream switches protocols, or its interim responses do not end", status=502
                )
            interims.append(raw)
            data = data[end:]
            if not data:
                return Reply(tuple(interims), begun=False)
