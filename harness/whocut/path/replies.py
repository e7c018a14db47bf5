"""The head of a response, behind the interim ones that may come before it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.errors import Malformed
from whocut.path.http1 import parse_response

if TYPE_CHECKING:
    from whocut.path.http1 import HeadReader, ResponseHead

# `100 Continue` and a few `103 Early Hints` are usual; more than these is a flood.
MAX_INTERIMS: Final = 32


class Replies:
    """Reads the heads of one response; `to_head`: it answers a HEAD.

    Of the bytes taken last: `interims` are the interim heads that were whole, and `begun` is whether some of the
    final one has come. Where that is whole, `raw` is the head as it came, and `data[end:]` what follows it.
    """

    __slots__ = ("_count", "_to_head", "begun", "data", "end", "interims", "raw")

    def __init__(self, *, to_head: bool) -> None:
        self._to_head = to_head
        self._count = 0
        self.interims: tuple[bytes, ...] = ()

    def take(self, heads: HeadReader, data: bytes) -> ResponseHead | None:
        """The final head, in these bytes behind those that the reader has kept; None while it is not whole.

        Raises:
            Malformed: they are not HTTP/1.1, switch to another protocol, or interim responses do not end.
        """
        if self.interims:
            self.interims = ()
        while True:
            whole = heads.take(data)
            if whole is None:
                self.begun = bool(data)
                return None
            data, end = whole
            raw = data if end == len(data) else data[:end]
            head = parse_response(raw, to_head=self._to_head)
            if head.status >= 200:
                self.begun = True
                self.raw, self.data, self.end = raw, data, end
                return head
            self._count += 1
            if head.status == 101 or self._count > MAX_INTERIMS:
                raise Malformed(
                    "the upstream switches protocols, or its interim responses do not end", status=502
                )
            self.interims += (raw,)
            data = data[end:]
            if not data:
                self.begun = False
                return None
