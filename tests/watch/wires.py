"""Export requests of spans written field by field, with what no encoder would write: for what reads protobuf.

Fields twice, in any order, of another wire type, unknown ones and groups; bytes that are no UTF-8, ids of other
lengths, values that are nested to any depth. Most requests are whole, since one fault is enough for a refusal.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_VARINT, _FIXED64, _BYTES, _GROUP, _END, _FIXED32 = range(6)
_KEYS: Final = (
    b"http.request.method", b"http.response.status_code", b"error.type", b"url.path", b"response_flags",
    b"http.request.header.x-request-id", b"whocut.layer", b"other", b"service.name", b"http.status_code",
)  # fmt: skip
_TEXTS: Final = (
    b"POST",
    b"timeout",
    b"gateway",
    b"app",
    b"",
    b"UT",
    b"x" * 170,
    b"/v1/images",
    "é€".encode(),
)


def request(dice: random.Random) -> bytes:
    """One export request; every second one may have a fault."""
    return _Writer(dice, faults=dice.random() < 0.5).request()


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, wire: int, value: bytes) -> bytes:
    return _varint(number << 3 | wire) + (_varint(len(value)) + value if wire == _BYTES else value)


class _Writer:
    def __init__(self, dice: random.Random, *, faults: bool) -> None:
        self._dice, self._faults = dice, faults

    def request(self) -> bytes:
        return self._message([(1, self._group)] * self._dice.randint(1, 3))

    def _group(self) -> bytes:
        fields: list[tuple[int, Callable[[], bytes]]] = [(2, self._scope)] * self._dice.choice((1, 1, 2))
        fields += [(1, self._resource)] * self._dice.choice((0, 1, 1, 1, 2))
        return self._message(fields)

    def _resource(self) -> bytes:
        return self._message([(1, self._pair)] * self._dice.randint(0, 3))

    def _scope(self) -> bytes:
        fields: list[tuple[int, Callable[[], bytes]]] = [(2, self._span)] * self._dice.randint(1, 4)
        if self._dice.random() < 0.3:
            fields.append((1, lambda: self._message([(1, self._text), (3, self._pair)])))
        return self._message(fields)

    def _span(self) -> bytes:
        dice = self._dice
        fields: list[tuple[int, Callable[[], bytes]]] = [
            (1, lambda: dice.choice((b"\x01", b"\x02", b"\xab")) * self._length(16)),
            (2, lambda: bytes([dice.randint(0, 5)]) * self._length(8)),
            (5, self._text),
        ]
        if dice.random() < 0.6:
            fields.append((4, lambda: bytes([dice.randint(0, 5)]) * self._length(8)))
        fields += [(9, self._pair)] * dice.randint(0, 5)
        fields += [(11, self._event)] * dice.choice((0, 0, 0, 1, 2))
        if dice.random() < 0.3:
            fields.append((15, self._status))
        if dice.random() < 0.1:
            fields += [(3, self._text), (13, lambda: self._message([(1, self._text), (4, self._pair)]))]
        kind = -1 if self._fault(0.02) else dice.choice((0, 1, 2, 2, 3, 3, 9))
        start, lasts = 1_795_345_500_000_000_000 + dice.randint(0, 3), dice.choice((1, 60)) * 1_000_000_000
        plain = _field(6, _VARINT, _varint(kind))
        plain += _field(7, _FIXED64, struct.pack("<Q", start)) + _field(
            8, _FIXED64, struct.pack("<Q", start + lasts)
        )
        return self._message(fields) + plain

    def _length(self, usual: int) -> int:
        return self._dice.choice((0, 1, 15, 17)) if self._fault(0.02) else usual

    def _event(self) -> bytes:
        fields: list[tuple[int, Callable[[], bytes]]] = [(3, self._pair)] * self._dice.randint(0, 2)
        return self._message([*fields, (2, lambda: self._dice.choice((b"exception", b"message")))])

    def _status(self) -> bytes:
        return self._message([(2, self._text)]) + _field(
            3, _VARINT, _varint(self._dice.choice((0, 1, 2, 2, 7)))
        )

    def _pair(self) -> bytes:
        key: Callable[[], bytes] = lambda: b"\xff" if self._fault(0.01) else self._dice.choice(_KEYS)  # noqa: E731
        return self._message([(1, key), (2, self._value)])

    def _value(self) -> bytes:
        dice = self._dice
        kind = dice.choice((1, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 0))
        if kind == 5:
            return self._nested(dice.choice((1, 2, 3, 40, 44, 46, 47, 48, 60)) if dice.random() < 0.2 else 2)
        written = {
            0: b"",
            1: _field(1, _BYTES, self._text()),
            2: _field(2, _VARINT, _varint(dice.choice((0, 1, 5)))),
            3: _field(3, _VARINT, _varint(dice.choice((200, 504, 0, -1, 2**63 - 1)))),
            4: _field(
                4, _FIXED64, struct.pack("<d", dice.choice((200.0, float("nan"), -float("inf"), -0.0)))
            ),
            6: _field(
                6, _BYTES, self._message([(1, lambda: _field(1, _BYTES, b"k") + _field(2, _BYTES, b""))])
            ),
            7: _field(7, _BYTES, b"\x00\xff"),
        }[kind]
        return written if dice.random() < 0.95 else written + _field(1, _BYTES, self._text())

    def _nested(self, depth: int) -> bytes:
        """An array in an array and so on."""
        value = _field(1, _BYTES, b"x")
        for _ in range(depth):
            value = _field(5, _BYTES, _field(1, _BYTES, value))
        return value

    def _text(self) -> bytes:
        return b"\xc3\x28" if self._fault(0.01) else self._dice.choice(_TEXTS)

    def _message(self, fields: list[tuple[int, Callable[[], bytes]]]) -> bytes:
        dice = self._dice
        order = list(fields)
        if dice.random() < 0.2:
            dice.shuffle(order)
        parts = [_field(number, _BYTES, write()) for number, write in order]
        if dice.random() < 0.05:
            parts.insert(dice.randint(0, len(parts)), self._stranger())
        if self._fault(0.004) and parts:
            parts[-1] = parts[-1][:-1]
        return b"".join(parts)

    def _stranger(self) -> bytes:
        """A field that is unknown, or is of another wire type than it should be."""
        number = self._dice.choice((1, 2, 9, 15, 99, 2_000))
        wire = self._dice.choice((_VARINT, _FIXED64, _FIXED32, _GROUP))
        if wire == _GROUP:
            depth = self._dice.choice((1, 2, 92, 95, 96, 99)) if self._dice.random() < 0.3 else 1
            return b"".join([_field(number, _GROUP, b"")] * depth + [_field(number, _END, b"")] * depth)
        return _field(number, wire, {_VARINT: _varint(7), _FIXED64: b"\1" * 8, _FIXED32: b"\1" * 4}[wire])

    def _fault(self, share: float) -> bool:
        return self._faults and self._dice.random() < share
