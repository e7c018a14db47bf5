"""Keys, tokens and cookies do not leave the place where they were found: one function that takes them out."""

from __future__ import annotations

import re
from typing import Final

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


def redact(text: str) -> str:
    """The same text without secrets, as far as they can be told by their look."""
    for secret in _SECRETS:
        text = secret.sub(rf"\g<keep>{GONE}", text)
    return text
