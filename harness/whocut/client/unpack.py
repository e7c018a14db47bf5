"""Packed bodies, unpacked as their bytes come, in bounded memory: what cannot be read has not been delivered.

gzip and deflate are always known; br and zstd where this Python has a module for them. A body may be packed several
times; its `Content-Encoding` names the packings in the order in which they were put on.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE_BYTES: Final = 256 * 1024
# More than ten images of the largest size in base64: a body that unpacks to more is not an answer.
MOST_BYTES: Final = 256 * 2**20


class _Packing(Protocol):
    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What these bytes unpack to, in pieces; raises an error of its own where they are invalid."""


class Unpacked:
    """One body. `readable` is False, and `why` says why, as soon as its bytes turn out to be unreadable."""

    def __init__(self, encoding: str) -> None:
        self.readable = True
        self.why = ""
        self._unpacked_bytes = 0
        self._packings: list[_Packing] = []
        for name in reversed([one.strip().lower() for one in encoding.split(",")]):
            if name in {"", "identity"}:
                continue
            packing = _packing(name)
            if packing is None:
                self._give_up(f"its content-encoding '{name}' is unknown here")
                return
            self._packings.append(packing)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes unpack to, in pieces."""
        if not self.readable:
            return
        try:
            for piece in self._through(data, 0):
                self._unpacked_bytes += len(piece)
                if self._unpacked_bytes > MOST_BYTES:
                    self._give_up(f"it unpacks to more than {MOST_BYTES} bytes")
                    return
                yield piece
        except Exception as error:  # noqa: BLE001  # each module has errors of its own, and all mean the same
            self._give_up(f"its packing is invalid: {error}")

    def _through(self, data: bytes, at: int) -> Iterator[bytes]:
        if at == len(self._packings):
            yield data
            return
        for piece in self._packings[at].pieces(data):
            yield from self._through(piece, at + 1)

    def _give_up(self, why: str) -> None:
        self.readable, self.why = False, why


class _Zlib:
    """gzip or deflate."""

    def __init__(self, wbits: int) -> None:
        self._unpack = zlib.decompressobj(wbits)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            piece = self._unpack.decompress(data, _PIECE_BYTES)
            if piece:
                yield piece
            data = self._unpack.unconsumed_tail


class _Deflate:
    """deflate comes in zlib's wrapping or, from some servers, without it: its first two bytes tell."""

    def __init__(self) -> None:
        self._head = b""
        self._unpack: _Zlib | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._unpack is None:
            data, self._head = self._head + data, b""
            if len(data) < 2:
                self._head = data
                return
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._unpack = _Zlib(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        yield from self._unpack.pieces(data)


class _Brotli:
    """br, with a bound on what one step gives."""

    def __init__(self, module: Any) -> None:
        self._unpack = module.Decompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while piece := self._unpack.process(data, output_buffer_limit=_PIECE_BYTES):
            yield piece
            data = b""


class _Zstd:
    """zstd by Python's own module (3.14) or its backport; both bound what one step gives."""

    def __init__(self, module: Any) -> None:
        self._unpack = module.ZstdDecompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while not self._unpack.eof:
            piece = self._unpack.decompress(data, max_length=_PIECE_BYTES)
            data = b""
            if piece:
                yield piece
            elif self._unpack.needs_input:
                return


def _packing(name: str) -> _Packing | None:
    if name in {"gzip", "x-gzip"}:
        return _Zlib(zlib.MAX_WBITS | 16)
    if name == "deflate":
        return _Deflate()
    for module_name, made in _BY_MODULE.get(name, ()):
        try:
            return made(import_module(module_name))
        except (ImportError, AttributeError):
            continue
    return None


_BY_MODULE: Final[dict[str, tuple[tuple[str, Callable[[Any], _Packing]], ...]]] = {
    "br": (("brotli", _Brotli),),
    "zstd": (("compression.zstd", _Zstd), ("backports.zstd", _Zstd)),
}
