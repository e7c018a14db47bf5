"""How an answer reaches the wire: its headers, its bytes, and the account of who took them."""

import asyncio
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from whocut_mock import delivery
from whocut_mock.errors import ApiError

# An answer is handed over in pieces of this size, so that a slow reader never makes us copy a whole picture.
_PIECE_BYTES = 262_144

SERVER = "mock-upstream"  # the real one bears its CDN's name; ours must not be taken for a CDN
API_VERSION = "2020-10-01"

# What lets a page of any origin read an answer; a browser application that dares to hold its key calls like that.
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-Request-ID, Retry-After"}

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Facts(NamedTuple):
    """What an answer's head may tell of it."""

    request_id: str
    organization: str
    processing_s: float
    unix_s: float


def standard_headers(facts: Facts) -> dict[str, str]:
    """The headers that every answer of OpenAI's API carries."""
    return {
        "x-request-id": facts.request_id,
        "openai-processing-ms": str(round(facts.processing_s * 1000)),
        "openai-version": API_VERSION,
        "openai-organization": facts.organization,
        "Server": SERVER,
        "Date": _http_date(int(facts.unix_s)),
    }


def plain_headers(facts: Facts) -> dict[str, str]:
    """The headers of an answer of any other vendor's API."""
    return {"Server": SERVER, "Date": _http_date(int(facts.unix_s))}


def cdn_headers(facts: Facts) -> dict[str, str]:
    """The headers of a page that a CDN in front of the API wrote itself: its own name, nothing of the API's."""
    ray = facts.request_id.removeprefix("req_")[:16]
    return {
        "Date": _http_date(int(facts.unix_s)),
        "Cache-Control": "private, max-age=0, no-store, no-cache, must-revalidate",
        "Server": "cloudflare",
        "CF-RAY": f"{ray}-FRA",
    }


@lru_cache(maxsize=16)
def _http_date(unix_s: int) -> str:
    return formatdate(unix_s, usegmt=True)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The head of an answer as it is on the wire."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    reason = _REASONS.get(status, "")
    return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode()


def pretty(value: Any) -> bytes:
    """JSON as the API prints it: over several lines."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """The answer to a request that is refused."""
    return web.Response(
        status=error.status,
        body=pretty(error.envelope()),
        content_type="application/json",
        headers={**headers, **error.headers},
    )


def plain(value: Any, headers: Mapping[str, str], *, status: int = 200) -> web.Response:
    """A small answer."""
    return web.Response(status=status, body=pretty(value), content_type="application/json", headers=headers)


def writes_through(request: web.Request) -> asyncio.Transport:
    """Make every write wait until the kernel has taken it; return the transport."""
    transport = request.transport
    if transport is None:
        raise delivery.CallerGone("the connection was lost before the answer began")
    transport.set_write_buffer_limits(high=0)
    return transport


async def write_pieces(to: web.StreamResponse | AbstractStreamWriter, buffers: Iterable[bytes]) -> None:
    """Write large buffers without copying them whole."""
    for buffer in buffers:
        if len(buffer) <= _PIECE_BYTES:
            await to.write(buffer)
            continue
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE_BYTES):
            await to.write(view[start : start + _PIECE_BYTES])
