"""One response's body on its way down: what of it is handed on now, what is held, and where it ends.

Pure: bytes in, bytes out. A layer may hold a body (`Manners.holds_chunked`, `.holds_counted`), and may put one in
chunks of its own: where the body would end with its connection, or where the layer ends cut streams in good order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.layers import Buffering, MidBody
from whocut.path.framing import LAST_CHUNK, Chunked, chunk

if TYPE_CHECKING:
    from typing import Self

    from whocut.chain.layers import Layer
    from whocut.path.framing import Framing

# nginx reads a counted body into buffers of a page or two and passes each on when it is full.
BUFFER_BYTES: Final = 8 * 1024
# What a layer that buffers everything will hold: API Gateway 10 MB, Lambda 6 MB; beyond it bytes pass.
MAX_HELD_BYTES: Final = 32 * 1024 * 1024

Piece = bytes | bytearray | memoryview
"""Bytes that go down, in the form that costs no copy."""


class Manners(NamedTuple):
    """What a layer does to a body. Asked once: an enum's member costs a look-up each time."""

    holds_chunked: bool = False
    holds_counted: bool = False
    ends_cleanly: bool = False  # a cut stream gets its last chunk all the same

    @classmethod
    def of(cls, layer: Layer) -> Manners:
        """As the layer's record says."""
        return cls(
            layer.buffering is Buffering.ALL,
            layer.buffering is not Buffering.NONE,
            layer.mid_body is MidBody.TERMINATED,
        )


class Relay:
    """The way of one body. `framing` says where it ends; None is a response without a body.

    `rechunked`: the body goes down in chunks of this layer's own. `adds_chunks`: its head has to say so. `closes`:
    only the connection's end can tell the caller where the body ends. `end` is the place in the last bytes taken at
    which the body ended. `before` is what was held and goes down ahead of the piece that `take` returned.
    """

    __slots__ = (
        "_framing",
        "_held",
        "_holds_all",
        "adds_chunks",
        "before",
        "closes",
        "done",
        "end",
        "rechunked",
    )

    def __init__(self, framing: Framing | None, manners: Manners, *, minor: bool) -> None:
        self._framing = framing
        self._held: bytearray | None = None
        self._holds_all = manners.holds_chunked
        self.rechunked = self.adds_chunks = self.closes = False
        self.before: Piece = b""
        self.done = False
        self.end = 0
        if framing is None:
            return
        chunked = isinstance(framing, Chunked)
        if manners.holds_chunked if chunked else manners.holds_counted:
            self._held = bytearray()
        if framing.until_close:
            # Seen with nginx, Apache and Caddy: HTTP/1.1 callers get chunks instead, so that an end shows.
            self.rechunked = self.adds_chunks = minor
            self.closes = not minor
        elif manners.ends_cleanly and isinstance(framing, Chunked):
            # To end cleanly in mid-body a layer must never be inside a chunk of another layer's.
            framing.payload = []
            self.rechunked = True

    @property
    def holds(self) -> bool:
        """Whether bytes are held back at the moment."""
        return self._held is not None

    @property
    def holds_everything(self) -> bool:
        """Whether nothing has gone down, so that the layer can still answer instead."""
        return self._held is not None and self._holds_all

    @property
    def ends_with_connection(self) -> bool:
        """Whether a close of the upstream's is the body's good end."""
        return self._framing is not None and self._framing.until_close

    def take(self, data: bytes, at: int, head: bytes = b"", *, as_came: bool = True) -> Piece:
        """What goes down for these bytes: with `head` before them, or as they came, where that is the same.

        Raises:
            Malformed: they are not framed as the head said.
        """
        framing = self._framing
        end = at
        done = True
        if framing is not None:
            end = framing.take(data, at)
            done = framing.done
        self.end = end
        self.done = done
        if self.rechunked:
            out = head + self._in_chunks(data[at:end], done=done)
        elif as_came and end == len(data):
            out = data  # head and body, or body alone, as they came: no copy
        else:
            out = head + data[at:end]
        return out if self._held is None else self._hold(out)

    @classmethod
    def over(cls) -> Self:
        """The way of a body that came with its head, whole: nothing of it is left to be done."""
        relay = cls(None, Manners(), minor=True)
        relay.done = True
        return relay

    def close(self) -> Piece:
        """What goes down when the upstream's close has ended the body."""
        self.done = True
        out = LAST_CHUNK if self.rechunked else b""
        return out if self._held is None else self._hold(out)

    def head_held(self, head_bytes: int) -> bytes:
        """The head, where it is still held, for a caller who will get no more: the held body is thrown away."""
        return bytes(self._held[:head_bytes]) if self._held is not None else b""

    def _in_chunks(self, data: bytes, *, done: bool) -> bytes:
        framing = self._framing
        if isinstance(framing, Chunked):
            data = b"".join(framing.payload or ())
            framing.payload = []
        return (chunk(data) if data else b"") + (LAST_CHUNK if done else b"")

    def _hold(self, out: bytes) -> Piece:
        """What of the held bytes and these goes down now: all at the end, full buffers by nginx's rule."""
        held = self._held
        assert held is not None
        size = len(held) + len(out)
        if self.done or size > MAX_HELD_BYTES:
            self._held = None
            if not held:
                return out  # all of it came at once: no copy
            held += out
            return held
        if self._holds_all or size < BUFFER_BYTES:
            held += out
            return b""
        cut = len(out) - size % BUFFER_BYTES
        self._held = bytearray(out[cut:])
        self.before = held
        return memoryview(out)[:cut]
