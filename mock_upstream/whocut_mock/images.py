"""Real pictures, cheaply: each shape is drawn and encoded once, and made unique by one small comment.

The comment is where the format allows one, padded to a multiple of three bytes; so everything else keeps
its base64 text, and a picture of a megabyte costs microseconds. The picture itself follows from the seed.
"""

import io
import math
import random
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw

# A comment of this many bytes names one picture: generation, stage and index, padded with spaces.
_STAMP_BYTES = 60
# Waves are drawn as small as this and drawn out: none of them is shorter than a third of the picture.
_WAVES_EDGE = 48
_COARSE = [level & 0xF0 for level in range(256)]
_GRAIN = [level % 3 for level in range(256)]


class Shape(NamedTuple):
    """What makes two pictures differ in more than their comment."""

    width: int
    height: int
    output_format: str = "png"
    background: str = "opaque"
    compression: int = 100


@dataclass(frozen=True, slots=True)
class Plate:
    """One encoded picture with a gap: base64 before it, the raw bytes around the comment, base64 after."""

    before: bytes
    join_left: bytes
    join_right: bytes
    after: bytes
    wrap: Callable[[bytes], bytes]

    @property
    def size_bytes(self) -> int:
        """What keeping it costs."""
        return len(self.before) + len(self.after)

    def print(self, name: str) -> tuple[bytes, bytes, bytes]:
        """The picture's base64 text in three pieces; the first and the last are shared by all of its kind."""
        stamp = name.encode("ascii").ljust(_STAMP_BYTES)[:_STAMP_BYTES]
        return self.before, b64encode(self.join_left + self.wrap(stamp) + self.join_right), self.after


class Press:
    """The plates made so far; of many the longest unused go."""

    def __init__(self, seed: int, keep_bytes: int = 256_000_000) -> None:
        self._seed = seed
        self._keep_bytes = keep_bytes
        self._kept_bytes = 0
        self._plates: dict[Shape, Plate] = {}

    def plate(self, shape: Shape) -> Plate:
        """The plate of this shape; the first time costs tens of milliseconds, so warm up what is common."""
        found = self._plates.pop(shape, None)
        if found is None:
            found = _make_plate(shape, self._seed)
            self._kept_bytes += found.size_bytes
        self._plates[shape] = found
        while self._kept_bytes > self._keep_bytes and len(self._plates) > 1:
            self._kept_bytes -= self._plates.pop(next(iter(self._plates))).size_bytes
        return found


def _make_plate(shape: Shape, seed: int) -> Plate:
    return _ENCODERS[shape.output_format](_draw(shape, seed), shape)


def _draw(shape: Shape, seed: int) -> Image.Image:
    """Slow waves under fine grain: a 1024² PNG of it has about a megabyte, as two published ones had."""
    size = shape.width, shape.height
    dice = random.Random(f"{seed} {shape.width} {shape.height}")
    waves = [_waves(phase, dice).resize(size, Image.Resampling.BICUBIC) for phase in (0.0, 0.33, 0.66)]
    coarse = Image.merge("RGB", waves).point(_COARSE * 3)
    grain = Image.frombytes("RGB", size, dice.randbytes(3 * shape.width * shape.height)).point(_GRAIN * 3)
    picture = ImageChops.add(coarse, grain)
    if shape.background == "transparent":
        picture.putalpha(_veil(size))
    return picture


def _waves(phase: float, dice: random.Random) -> Image.Image:
    """One to three waves across and down, brighter towards the bottom."""
    across, down = dice.uniform(1, 3), dice.uniform(1, 3)
    steps = [step / (_WAVES_EDGE - 1) for step in range(_WAVES_EDGE)]
    columns = [60 * math.sin(math.tau * (across * x + phase)) for x in steps]
    rows = [(math.cos(math.tau * down * y), 110 + 40 * y) for y in steps]
    levels = bytes(round(height * column + level) for height, level in rows for column in columns)
    return Image.frombytes("L", (_WAVES_EDGE, _WAVES_EDGE), levels)


def _veil(size: tuple[int, int]) -> Image.Image:
    """Opaque in an ellipse, and clear around it."""
    veil = Image.new("L", size)
    width, height = size
    ImageDraw.Draw(veil).ellipse((0.05 * width, 0.05 * height, 0.95 * width, 0.95 * height), fill=255)
    return veil


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _split(encoded: bytes, at: int, wrap: Callable[[bytes], bytes]) -> Plate:
    """Cut the file at `at`; the raw joins are as short as the alignment to three bytes allows."""
    left = at - at % 3
    unaligned = (at - left) + len(wrap(b" " * _STAMP_BYTES))
    right = at + (-unaligned) % 3
    return Plate(
        before=b64encode(encoded[:left]),
        join_left=encoded[left:at],
        join_right=encoded[at:right],
        after=b64encode(encoded[right:]),
        wrap=wrap,
    )


def _png_chunk(stamp: bytes) -> bytes:
    body = b"tEXtComment\0" + stamp
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _jpeg_segment(stamp: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(stamp) + 2) + stamp


def _png(picture: Image.Image, shape: Shape) -> Plate:
    del shape  # PNG has no quality
    header_bytes = 8 + 25  # signature and IHDR: the comment may follow at once
    return _split(_encode(picture, "PNG", compress_level=1), header_bytes, _png_chunk)


def _jpeg(picture: Image.Image, shape: Shape) -> Plate:
    header_bytes = 2 + 18  # start marker and JFIF header, which must come first
    # Pillow knows 0 to 95; above that it only turns features off.
    encoded = _encode(picture, "JPEG", quality=max(1, round(shape.compression * 0.95)))
    return _split(encoded, header_bytes, _jpeg_segment)


def _webp(picture: Image.Image, shape: Shape) -> Plate:
    """WebP takes comments only as XMP, in its last chunk: the gap is inside that chunk."""
    gap = b"?" * _STAMP_BYTES
    encoded = _encode(picture, "WEBP", quality=shape.compression, method=0, xmp=gap)
    at = encoded.rindex(gap)
    return _split(encoded[:at] + encoded[at + _STAMP_BYTES :], at, bytes)


def _gif(picture: Image.Image, shape: Shape) -> Plate:
    """GIF takes a comment extension right before its trailer."""
    del shape
    encoded = _encode(picture.convert("RGB").quantize(64, dither=Image.Dither.NONE), "GIF")
    return _split(encoded, len(encoded) - 1, lambda stamp: b"\x21\xfe" + bytes([len(stamp)]) + stamp + b"\0")


def _svg(picture: Image.Image, shape: Shape) -> Plate:
    """A drawing of a few circles in the picture's own colours."""
    colours = memoryview(picture.convert("RGB").tobytes())
    step = max(shape.width, shape.height) // 12
    circles = "".join(
        f'<circle cx="{x}" cy="{y}" r="{step // 2}" fill="rgb({r},{g},{b})"/>'
        for y in range(step // 2, shape.height, step)
        for x in range(step // 2, shape.width, step)
        for r, g, b in (colours[3 * (y * shape.width + x) :][:3],)
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{shape.width}" height="{shape.height}">'
    return _split(
        f"{head}{circles}</svg>".encode(),
        len(head),
        lambda stamp: b"<!--" + stamp.replace(b"--", b"  ") + b"-->",
    )


_ENCODERS: dict[str, Callable[[Image.Image, Shape], Plate]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "gif": _gif,
    "svg": _svg,
}
