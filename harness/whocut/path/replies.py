"""The head of a response, behind the interim ones that may come before it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.errors import Malformed
from whocut.path.http1 import HeadReader, parse_response

if TYPE_CHECKING:
    from whocut.path.http1 import ResponseHead

# `100 Continue` and a few `103 Early Hints` are usual; more than these is a flood.
MAX_INTERIMS: Final = 32


class Replies:
    """Reads the heads of one connection's responses.

    Of the bytes taken last: `interims` are the interim heads that were whole; where there were some, `begun` is
    whether some of the final one has come.
    """

    __slots__ = ("_count", "_heads", "begun", "interims")

    def __init__(self) -> None:
        self._heads = HeadReader(status=502)
        self._count = 0  # of interim heads before the final one
        self.begun = False
        self.interims: tuple[bytes, ...] = ()

    def take(self, data: bytes, *, to_head: bool) -> tuple[ResponseHead, bytes, bytes, int] | None:
        """The final head, in these bytes behind those that are kept; None while it is not whole.

        With it: the head as it came, the bytes that it came in, and its end in them. `to_head`: it answers a HEAD.

        Raises:
            Malformed: they are not HTTP/1.1, switch to another protocol, or interim responses do not end.
        """
        if self.interims:
            self.interims = ()
        while True:
            whole = self._heads.take(data)
            if whole is None:
                self.begun = bool(data)
                return None
            data, end = whole
            raw = data if end == len(data) else data[:end]
            head = parse_response(raw, to_head=to_head)
            if head.status >= 200:
                self._count = 0
                self.begun = True
                return head, raw, data, end
            self._count += 1
            if head.status == 101 or self._count > MAX_INTERIMS:
                raise Malformed(
                    "the upstream switches protocols, or its interim responses do not end", status=502
                )
            self.interims += (raw if head.minor else b"HTTP/1.1" + raw[8:],)  # whatever it says, ours is 1.1
            data = data[end:]
            if not data:
                self.begun = False
                return None
