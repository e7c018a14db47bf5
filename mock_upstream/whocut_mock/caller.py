"""Who asks, as far as the headers say: the key, the attempt, the trace. The key itself is never kept."""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

# W3C Trace Context, version 00 and what later versions must keep compatible.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
)
_ATTEMPTS_MOST = 1_000_000


class Caller(NamedTuple):
    """The facts of one attempt that its headers carry."""

    key: str | None
    key_hash: str | None  # twelve digits that tell keys apart and give none away
    attempt: int
    trace_id: str | None
    parent_span_id: str | None


def bearer(headers: Mapping[str, str]) -> str | None:
    """The key of an `Authorization: Bearer` header."""
    return of_scheme("bearer", headers)


def of_scheme(wanted: str, headers: Mapping[str, str]) -> str | None:
    """The key of an `Authorization` header of this scheme, named in lower case."""
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == wanted else None


def read_caller(headers: Mapping[str, str], key: str | None) -> Caller:
    """The caller of a request with these headers and this key."""
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    return Caller(
        key=key,
        key_hash=None if key is None else _key_hash(key),
        attempt=_attempt(headers.get("x-stainless-retry-count", "")),
        trace_id=trace[1] if trace else None,
        parent_span_id=trace[2] if trace else None,
    )


@lru_cache(maxsize=64)
def _key_hash(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _attempt(retries: str) -> int:
    """Starts at 1. The SDKs count retries from 0; who sends no count is on the first attempt."""
    digits = retries.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
        return 1
    return min(int(digits), _ATTEMPTS_MOST) + 1
