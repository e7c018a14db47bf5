"""Keys, tokens and cookies do not leave the place where they were found.

What may be kept of a response is told by name (`KEPT_HEADERS`); what is kept of a text goes through `redact`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Headers that tell layers apart. None of them carries a secret; cookies and everything unknown stay behind.
KEPT_HEADERS: Final = frozenset(
    [
        "server",
        "via",
        "age",
        "content-type",
        "content-length",
        "cache-control",
        "connection",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "x-request-id",
        "x-cache",
        "x-served-by",
        "x-varnish",
        "x-amz-cf-id",
        "x-amz-cf-pop",
        "x-amzn-requestid",
        "x-amz-apigw-id",
        "apigw-requestid",
        "lambda-web-error-type",
        "cf-ray",
        "cf-error-type",
        "cf-error-origin",
        "x-azure-ref",
        "x-vercel-id",
        "x-vercel-error",
        "x-railway-fallback",
        "x-railway-request-id",
        "rndr-id",
        "x-render-routing",
        "fly-request-id",
        "x-kong-request-id",
        "sb-request-id",
        "x-envoy-upstream-service-time",
        "x-powered-by",
    ]
)
KEPT_BODY: Final = 512  # bytes of an error page
_KEPT_VALUE: Final = 200  # characters of a header
GONE: Final = "[redacted]"
_SECRETS: Final = (
    re.compile(
        r"(?i)(?P<keep>\b(?:proxy-)?authorization\b[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',}]+"
    ),
    re.compile(r"(?i)(?P<keep>\b(?:set-)?cookie\b[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+"),
    re.compile(r"(?i)(?P<keep>\bbearer\s+)[\w.~+/=-]{6,}"),
    re.compile(r"(?i)(?P<keep>\b(?:x-)?api[-_]?key\b[\"']?\s*[:=]\s*[\"']?)[^\s\"',}&]+"),
    re.compile(r"(?P<keep>)\b(?:sk|pk|rk|sess)-[\w*.…-]{4,}"),
    re.compile(r"(?P<keep>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"(?P<keep>)\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # a JSON Web Token
)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers that may be written down, by lower-case name."""
    return {
        name.lower(): redact(value[:_KEPT_VALUE])
        for name, value in headers.items()
        if name.lower() in KEPT_HEADERS
    }


def redact(text: str) -> str:
    """The same text without secrets, as far as they can be told by their look."""
    for secret in _SECRETS:
        text = secret.sub(rf"\g<keep>{GONE}", text)
    return text
