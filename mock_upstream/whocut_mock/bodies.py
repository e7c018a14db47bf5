"""Reading what a request carries, up to a limit, and naming it: equal requests have equal digests."""

import asyncio
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any, Protocol

import orjson
from aiohttp import web
from aiohttp.http import HttpProcessingError

from whocut_mock import errors


@dataclass
class Held:
    """The bytes of all bodies that are being read or judged at once, within a bound."""

    most_bytes: int
    now_bytes: int = 0

    def take(self, size_bytes: int) -> None:
        """Hold so many more.

        Raises:
            ApiError: there is no room for them.
        """
        if self.now_bytes + size_bytes > self.most_bytes:
            raise errors.too_much_at_once(self.most_bytes)
        self.now_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """So many are held no more."""
        self.now_bytes -= size_bytes


async def read(
    request: web.Request, limit_bytes: int, held: Held, patience_loop_s: float | None = None
) -> bytes:
    """The whole body, which the caller gives back to `held` when it is judged.

    More than the limit is refused without being kept, and so is one that stops coming.
    """
    declared = request.content_length
    if declared is not None and declared > limit_bytes:
        raise errors.body_too_large(limit_bytes, declared)
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(patience_loop_s):
            await _gather(request, declared, limit_bytes, held, parts)
    except BaseException as error:
        held.give(sum(map(len, parts)))
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            raise errors.not_json() from error
        if isinstance(error, TimeoutError):
            raise errors.body_never_came() from None
        raise
    return b"".join(parts)


async def _gather(
    request: web.Request, declared: int | None, limit_bytes: int, held: Held, parts: list[bytes]
) -> None:
    """Not request.read(): that keeps a copy as long as the request lives, minutes here."""
    size_bytes = 0
    while size_bytes != declared and (part := await request.content.readany()):
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise errors.body_too_large(limit_bytes, size_bytes)
        held.take(len(part))
        parts.append(part)


SMALL_BYTES = 1_000_000


class Reader(Protocol):
    """Who holds the bodies of a mock."""

    held: Held

    @property
    def patience_loop_s(self) -> float:
        """How long a body may stop coming."""


async def small(request: web.Request, reader: Reader) -> bytes:
    """The whole of a body that is read where it is needed, and given back at once."""
    body = await read(request, SMALL_BYTES, reader.held, reader.patience_loop_s)
    reader.held.give(len(body))
    return body


def parse_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object, no deeper than it can be written again."""
    try:
        parsed = orjson.loads(body)
        if body.count(b"[") + body.count(b"{") > _DEPTH_SURE:
            orjson.dumps(parsed)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise errors.not_json() from error
    if not isinstance(parsed, dict):
        raise errors.not_json()
    return parsed


def digest(endpoint: str, fields: Any) -> bytes:
    """The name of this body at this endpoint; the order of its keys does not matter."""
    canonical = fields if isinstance(fields, bytes) else orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    return blake2b(canonical, digest_size=16, person=_person(endpoint)).digest()


_DEPTH_SURE = 254  # what orjson writes at any depth; fewer brackets cannot be nested deeper


@cache
def _person(endpoint: str) -> bytes:
    return blake2b(endpoint.encode(), digest_size=16).digest()
