"""A video of one picture: an MP4 file whose only frame is a JPEG, so that a video's link leads to a video."""

import struct

_TIMESCALE = 1_000
_DURATION = 8 * _TIMESCALE  # eight seconds, as Veo's are
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def of_picture(jpeg: bytes, size: tuple[int, int]) -> bytes:
    """The file. Boxes of ISO/IEC 14496-12; its frame follows everything that describes it."""
    head = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isommp41")
    moov = _moov(size, len(jpeg), 0)
    offset = len(head) + len(moov) + 8
    return head + _moov(size, len(jpeg), offset) + _box(b"mdat", jpeg)


def _moov(size: tuple[int, int], jpeg_bytes: int, offset: int) -> bytes:
    width, height = size
    entry = _box(
        b"jpeg",
        struct.pack(">6xH16x2H2I4xH", 1, width, height, 0x480000, 0x480000, 1),
        bytes([4]) + b"JPEG".ljust(31, b"\0"),
        struct.pack(">Hh", 24, -1),
    )
    table = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">3I", 1, 1, _DURATION)),
        _full(b"stsc", struct.pack(">4I", 1, 1, 1, 1)),
        _full(b"stsz", struct.pack(">3I", 0, 1, jpeg_bytes)),
        _full(b"stco", struct.pack(">2I", 1, offset)),
    )
    where = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">4I2H", 0, 0, _TIMESCALE, _DURATION, 0x55C4, 0)),
        _full(b"hdlr", b"\0" * 4 + b"vide" + b"\0" * 12 + b"film\0"),
        _box(b"minf", _full(b"vmhd", b"\0" * 8, flags=1), where, table),
    )
    track = _full(
        b"tkhd",
        struct.pack(">5I8x4H", 0, 0, 1, 0, _DURATION, 0, 0, 0, 0),
        _MATRIX,
        struct.pack(">2I", width << 16, height << 16),
        flags=3,
    )
    movie = _full(
        b"mvhd",
        struct.pack(">4IIH10x", 0, 0, _TIMESCALE, _DURATION, 0x10000, 0x100),
        _MATRIX,
        b"\0" * 24,
        struct.pack(">I", 2),
    )
    return _box(b"moov", movie, _box(b"trak", track, media))


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", len(content) + 8) + kind + content
