"""What a finished generation says: a JSON body or the events of a stream, around their pictures.

Both are lists of buffers, so that a cached picture is written where it lies.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from whocut_mock.images import Plate, Press, Shape
from whocut_mock.parameters import EDITS, Order
from whocut_mock.usage import Usage

PICTURE = "\0picture\0"  # takes the place of a picture's base64 text in a JSON value
_SMALL_BYTES = 65_536
_PICTURE_JSON = orjson.dumps(PICTURE)


def plate_for(order: Order, press: Press) -> Plate:
    """The plate of this order's shape."""
    width, height = order.size
    compression = 100 if order.output_format == "png" else order.output_compression
    return press.plate(_shape(width, height, order.output_format, order.background, compression))


_shape = lru_cache(maxsize=512)(Shape)


def described(order: Order) -> dict[str, str]:
    """What every answer says about its picture: everything resolved, never `auto`."""
    return {
        "background": order.background,
        "output_format": order.output_format,
        "quality": order.quality,
        "size": order.size_text,
    }


def json_body(order: Order, usage: Usage, *, name: str, created: int, press: Press) -> list[bytes]:
    """The body of a plain answer; `name` makes its pictures unique."""
    first, *others = _plain_gaps(
        order.background,
        order.output_format,
        order.quality,
        order.size_text,
        order.safety_identifier,
        order.n,
        usage,
    )
    names = [f"{name}/{index}" for index in range(order.n)]
    return _filled([b'{\n  "created": %d,%b' % (created, first), *others], order, press, names)


@lru_cache(maxsize=512)
def _plain_gaps(
    background: str,
    output_format: str,
    quality: str,
    size: str,
    safety_identifier: str | None,
    n: int,
    usage: Usage,
) -> tuple[bytes, ...]:
    """The text of a plain answer between its pictures, without what comes before `background`."""
    body: dict[str, Any] = {
        "background": background,
        "output_format": output_format,
        "quality": quality,
        "size": size,
        "data": [{"b64_json": PICTURE}] * n,
        "usage": usage.json,
    }
    if safety_identifier is not None:
        body["safety_identifier"] = safety_identifier
    return tuple(orjson.dumps(body, option=orjson.OPT_INDENT_2).removeprefix(b"{").split(_PICTURE_JSON))


def linked_body(order: Order, usage: Usage, *, created: int, urls: Sequence[str]) -> bytes:
    """The body of a plain answer whose pictures are to be downloaded."""
    data = [{"url": url} for url in urls]
    body = {"created": created, **described(order), "data": data, "usage": usage.json}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def partial_event(order: Order, index: int, *, name: str, created: int, press: Press) -> list[bytes]:
    """One partial image."""
    kind = f"{_prefix(order)}.partial_image"
    facts: dict[str, Any] = {
        "type": kind,
        "b64_json": PICTURE,
        "created_at": created,
        **described(order),
        "partial_image_index": index,
    }
    return filled(event(kind, facts), order, press, [f"{name}/partial/{index}"])


def completed_event(order: Order, usage: Usage, *, name: str, created: int, press: Press) -> list[bytes]:
    """The final image and the bill: the only end marker a caller may trust."""
    kind = f"{_prefix(order)}.completed"
    facts: dict[str, Any] = {
        "type": kind,
        "b64_json": PICTURE,
        "created_at": created,
        **described(order),
        "usage": usage.json,
    }
    return filled(event(kind, facts), order, press, [f"{name}/0"])


def event(kind: str, facts: dict[str, Any]) -> bytes:
    """One event without a picture: its name, one line of data, a blank line."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(facts))


def _prefix(order: Order) -> str:
    return "image_edit" if order.endpoint == EDITS else "image_generation"


def filled(text: bytes, order: Order, press: Press, names: Sequence[str]) -> list[bytes]:
    """The text with pictures of these names in their places; only what is between them is joined."""
    return _filled(text.split(_PICTURE_JSON), order, press, names)


def _filled(gaps: Sequence[bytes], order: Order, press: Press, names: Sequence[str]) -> list[bytes]:
    plate = plate_for(order, press)
    buffers: list[bytes] = []
    pending = gaps[0]
    for name, gap in zip(names, gaps[1:], strict=True):
        before, stamp, after = plate.print(name)
        head, tail = pending + b'"', b'"' + gap
        buffers += (
            [head + before + stamp, after] if len(before) < len(after) else [head, before, stamp + after]
        )
        pending = tail
    buffers.append(pending)
    # A small answer goes out in one write; a large one is not copied.
    return [b"".join(buffers)] if sum(map(len, buffers)) <= _SMALL_BYTES else buffers
