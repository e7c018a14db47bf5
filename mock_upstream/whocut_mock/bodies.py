"""Reading what a request carries, up to a limit, and naming it: equal requests have equal digests."""

from functools import cache
from hashlib import blake2b
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http import HttpProcessingError

from whocut_mock import errors


async def read(request: web.Request, limit_bytes: int) -> bytes:
    """The whole body; more than the limit is refused without being kept."""
    declared = request.content_length
    if declared is not None and declared > limit_bytes:
        raise errors.body_too_large(limit_bytes, declared)
    parts: list[bytes] = []
    size_bytes = 0
    try:
        # Not request.read(): that keeps a copy as long as the request lives, minutes here.
        while size_bytes != declared and (part := await request.content.readany()):
            size_bytes += len(part)
            if size_bytes > limit_bytes:
                raise errors.body_too_large(limit_bytes, size_bytes)
            parts.append(part)
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise errors.not_json() from error
    return b"".join(parts)


def parse_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.not_json() from error
    if not isinstance(parsed, dict):
        raise errors.not_json()
    return parsed


def digest(endpoint: str, fields: Any) -> bytes:
    """The name of this body at this endpoint; the order of its keys does not matter."""
    canonical = fields if isinstance(fields, bytes) else orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    return blake2b(canonical, digest_size=16, person=_person(endpoint)).digest()


@cache
def _person(endpoint: str) -> bytes:
    return blake2b(endpoint.encode(), digest_size=16).digest()
