"""Inputs from inputs: bytes of a corpus, changed at random places; and JSON in which one value is another."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random

_MOST_BYTES: Final = 64 * 1024

# What parsers, terminals and judges stumble over.
_PIECES: Final = (
    b"", b"\x00", b"\r\n", b"\n", b"\x1b[2J\x1b]0;title\x07", b"\xff\xfe", b"\xe2\x80\xae",
    b"\xed\xa0\x80", b"$5_{$",
    b"[" * 3000, b"{" * 500, b'{"a":' * 300, b"(" * 300, b" " * 5000, b"a" * 5000, b"\n" * 2000,
    b"eyJaaaaaaaa-" * 400,
    b"status" + b" " * 2000, b"9" * 400, b"9" * 5000, b"1e999", b"-1", b"NaN", b"Infinity",
    b"\xc2\xb2", b"1.2.3s",
    b"null", b"true", b'"', b"'", b"\\", b"\\u0000", b"\\ud800", b"%s%n", b"%00", b"{{7*7}}",
    b"<!--", b"]]>", b"--",
    b"&a [*a, *a]", b"*a", b"!!python/object:os.system x", b": ", b"- - - -", b"#", b"=", b";",
    b"../../etc/passwd",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"Host: a\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, "", "x", " ", "\x1b[31m", "evil", "-1", "9" * 400, "9" * 5000, "\u2028", "\ud800", "zz",
    "0" * 32, "a" * 16,
    "\u00b2", 0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 1e308, -1e308, 5e-324, 0.1, True, False,
    [], {}, [[]], [{}],
    {"a": {}}, [None], ["x"] * 50, [1, "a", None], {"stringValue": 5}, {"intValue": "x"}, {"doubleValue": "NaN"},
    {"doubleValue": "Infinity"}, {"arrayValue": {"values": [{}]}}, {"kvlistValue": {"values": 3}},
    {"boolValue": "x"},
)  # fmt: skip


def mutated(draw: random.Random, corpus: list[bytes]) -> bytes:
    """An input of the corpus with some changes, or random bytes."""
    kind = draw.random()
    data = draw.choice(corpus)
    if kind < 0.05:
        return draw.randbytes(draw.randrange(200))
    if kind < 0.5:
        changed = _by_values(draw, data)
        if changed is not None:
            return changed[:_MOST_BYTES]
    for _ in range(1 + int(draw.expovariate(0.7))):
        data = draw.choice(_CHANGES)(draw, data, corpus)
    return data[:_MOST_BYTES]


def _by_values(draw: random.Random, data: bytes) -> bytes | None:
    """The same JSON, or one of its lines, with one or two other values; None where it is no JSON."""
    lines = data.splitlines(keepends=True)
    one = draw.randrange(len(lines)) if lines else 0
    for start, end in ((0, len(lines)), (one, one + 1)):
        try:
            tree = json.loads(b"".join(lines[start:end]))
        except (ValueError, RecursionError):
            continue
        if not isinstance(tree, dict | list):
            continue
        for _ in range(draw.choice((1, 1, 2))):
            _change(draw, tree)
        written = json.dumps(tree, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
        return b"".join((*lines[:start], written, b"\n", *lines[end:]))
    return None


def _change(draw: random.Random, tree: Any) -> None:
    """Another value, another name, a value less, a value twice: somewhere in the tree."""
    places = _containers(tree)
    inside = draw.choice(places)
    keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
    if not keys:
        return
    key = draw.choice(keys)
    way = draw.random()
    if way < 0.7:
        inside[key] = deepcopy(draw.choice(_VALUES))
    elif way < 0.85:
        del inside[key]
    elif isinstance(inside, dict):
        inside[draw.choice(keys)] = deepcopy(inside[key])
    else:
        inside.insert(key, deepcopy(inside[key]))


def _containers(tree: Any) -> list[Any]:
    found, left = [], [tree]
    while left:
        inside = left.pop()
        found.append(inside)
        values = inside.values() if isinstance(inside, dict) else inside
        left += [value for value in values if isinstance(value, dict | list)]
    return found


def _insert(draw: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(_PIECES) + data[at:]


def _flip(draw: random.Random, data: bytes, _: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _time in range(draw.randrange(1, 5)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _drop(draw: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + data[start + draw.choice((1, 2, 10, 100)) :]


def _cut(draw: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _twice(draw: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = draw.randrange(len(data) + 1)
    piece = data[start : start + draw.choice((1, 10, 100))]
    return data[:start] + piece * draw.choice((2, 3, 50)) + data[start:]


def _splice(draw: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    other = draw.choice(corpus)
    return data[: draw.randrange(len(data) + 1)] + other[draw.randrange(len(other) + 1) :]


def _digits(draw: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Another number, where there is one."""
    at = draw.randrange(len(data) + 1)
    while at < len(data) and not data[at : at + 1].isdigit():
        at += 1
    end = at
    while end < len(data) and data[end : end + 1].isdigit():
        end += 1
    return data[:at] + draw.choice((b"0", b"-1", b"9" * 30, b"9" * 400, b"1e9", b"", b"0.0.0")) + data[end:]


_CHANGES: Final = (_insert, _insert, _flip, _drop, _cut, _twice, _splice, _digits)
