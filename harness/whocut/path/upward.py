"""The request on its way up: where it ends, and what is kept of it to be sent, or to be sent once more. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from whocut.chain.layers import LayerRetries
    from whocut.path.framing import Framing

# What is kept to send a request again, and of a request while its connection is being made.
MAX_REPLAY_BYTES: Final = 1024 * 1024
MAX_WAITING_BYTES: Final = 64 * 1024


class Upward:
    """One request, from its head on. `done`: all of it has come. `replayable`: all that has come is kept.

    It is kept where it is `idempotent`, or where its layer `replays_posts`.
    """

    __slots__ = ("_framing", "_idempotent", "_kept", "done", "replayable")

    def __init__(
        self, head: bytes, framing: Framing | None, *, idempotent: bool, replays_posts: bool = False
    ) -> None:
        self._kept: bytes | bytearray = head
        self._framing = framing
        self._idempotent = idempotent
        self.done = framing is None
        self.replayable = idempotent or replays_posts

    @property
    def harmless(self) -> bool:
        """Whether to send it twice is the same as to send it once, and can be done."""
        return self._idempotent and self.replayable

    def may_go_again(self, retries: LayerRetries, tries: int, *, unsent: bool) -> bool:
        """Whether a layer with these retries sends it once more after so many tries; `unsent`: none has gone up."""
        if unsent:
            return tries < max(retries.tries, retries.connects)
        return tries < retries.tries and self.replayable and (self._idempotent or retries.post)

    def take(self, data: bytes, at: int, *, waiting: bool) -> tuple[bytes, int]:
        """The piece that belongs to this request, and its end in `data`; `waiting`: it cannot be sent yet.

        Raises:
            Malformed: the body is not framed as the head says.
        """
        framing = self._framing
        assert framing is not None
        end = framing.take(data, at)
        piece = data if end - at == len(data) else data[at:end]
        self.done = framing.done
        if waiting or self.replayable:
            if isinstance(self._kept, bytes):
                self._kept = bytearray(self._kept)
            self._kept += piece
            self.replayable = self.replayable and len(self._kept) <= MAX_REPLAY_BYTES
        if not waiting and not self.replayable:
            self._kept = b""
        return piece, end

    @property
    def crowded(self) -> bool:
        """Whether as much of it waits for a connection as may wait."""
        return len(self._kept) > MAX_WAITING_BYTES

    def all_so_far(self) -> bytes:
        """What a new connection has to be sent; it stays only where it may have to be sent again."""
        kept = bytes(self._kept)
        if not self.replayable:
            self._kept = b""
        return kept

    def answered(self) -> None:
        """A response has begun: it is not sent again."""
        self.replayable = False
        self._kept = b""
