"""Text from outside, made fit to be written down or shown: without secrets, and with control characters visible.

Two ways, in this order. Exact: a process registers the values that it must never write (`protect`), and every
writer replaces them, in the forms in which they come back: as they are, percent-encoded, JSON-escaped, in base64.
By look: what resembles a key, a token, a cookie or a signature, for secrets that were not registered (`redact`).

What may be kept of a response is listed by name (`KEPT_HEADERS`).
"""

from __future__ import annotations

import base64
import json
import re
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
GONE: Final = "[redacted]"
_KEPT_VALUE: Final = 200  # characters of a header
_SHORTEST: Final = 6  # characters of a registered value; replacing shorter ones would garble ordinary words

# Names whose value is a secret: headers, JSON, queries, forms, tuples. Possessive quantifiers keep each linear.
_NAMES: Final = (
    r"(?:x[-_])?(?:goog[-_])?api[-_]?key|api[-_]?token|auth[-_]?token|access[-_]?token|refresh[-_]?token|id[-_]?token"
    r"|session[-_]?(?:id|token)|security[-_]?token|x[-_]amz[-_](?:signature|security[-_]token|credential)"
    r"|x[-_]auth[-_]\w++|client[-_]?secret|secret(?:[-_]?(?:access[-_]?)?key)?|password|passwd|passphrase|pwd"
    r"|signature|sig|token|private[-_]?key|subscription[-_]?key|ocp[-_]apim[-_]subscription[-_]key|credentials?"
)
_BEFORE: Final = r"(?<![A-Za-z0-9])"
# `name: value`, `"name": "value"`, `('name', 'value')`, `name=value`, `\"name\": \"value\"`.
_BETWEEN: Final = r"\\?[\"']?[ \t]*+(?:[:=]|,(?=[ \t]*+b?\\?[\"']))[ \t]*+(?:b(?=[\"']))?\\?[\"']?"
_SECRETS: Final = (
    # All of these headers' value: a scheme and what follows, a list of pairs.
    re.compile(
        rf"(?i)(?P<keep>{_BEFORE}(?:(?:proxy-)?authorization|(?:set-)?cookie){_BETWEEN})"
        # These schemes quote their parts; another value ends at the quote of the text around it.
        r"(?!\[redacted\])(?:(?:digest|hawk|oauth|aws4-[\w-]++|signature)[ \t][^\r\n]++|[^\r\n\"'\\]++)"
    ),
    re.compile(rf"(?i)(?P<keep>{_BEFORE}(?:{_NAMES}){_BETWEEN})(?!\[redacted\])[^\s\"'\\,;}}&)]++"),
    re.compile(r"(?i)(?P<keep>\b(?:bearer|basic|digest|token|apikey)[ \t]++)(?=\S{0,64}\d)[\w.~+/=-]{12,}+"),
    # Prefixes that vendors give their keys; a letter or an underscore may come before.
    re.compile(
        r"(?P<keep>)(?:(?<![A-Za-z0-9])|(?<=_))"
        r"(?:sk-[\w*.…-]{4,}+"
        r"|(?:sk|pk|rk|sess|whsec|r8|fal|hf|gsk|xai|nvapi|dop_v1|shpat|glpat|npm|pat)[-_]"
        r"(?=[\w*.…-]{0,64}[\d*…])[\w*.…-]{4,}+"
        r"|(?:ghp|gho|ghu|ghs|ghr|github_pat)_\w{16,}+|xox[abposr]-[\w-]{8,}+|AIza[\w-]{20,}+|ya29\.[\w-]{8,}+"
        r"|(?:AKIA|ASIA)[0-9A-Z]{16}\b)"
    ),
    re.compile(r"(?P<keep>)(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?"),  # a JSON Web Token
    re.compile(r"(?P<keep>[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@:\"']*+(?::[^\s/@\"']*+)?@"),  # a URL's user
    re.compile(r"(?s)(?P<keep>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(?:-----END|\Z)"),
)
_SECRET_VARIABLE: Final = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$")
# C0 but for tab and newline, DEL, C1, line and paragraph separators, and what changes the direction of text.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0001\U000e0020-\U000e007f]"
)


class _Protected:
    """The registered values of this process, as one expression over all of their forms."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self.text: re.Pattern[str] | None = None
        self.bytes: re.Pattern[bytes] | None = None

    def add(self, values: Iterable[str]) -> None:
        new = {form for value in values if len(value) >= _SHORTEST for form in forms_of(value)}
        with self._lock:
            if new <= self._forms:
                return
            self._forms |= new
            longest_first = sorted(self._forms, key=len, reverse=True)
            self.text = re.compile("|".join(re.escape(form) for form in longest_first))
            self.bytes = re.compile(b"|".join(re.escape(form.encode()) for form in longest_first))


_PROTECTED: Final = _Protected()


def forms_of(value: str) -> Iterator[str]:
    """The forms in which a value comes back in pages, logs and JSON."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    raw = value.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # The three places at which a value can begin in base64; at its edges it shares characters with others.
        for before in range(3):
            coded = encode(b"\x00" * before + raw).decode()
            yield coded[(0, 2, 3)[before] : len(coded.rstrip("=")) - (1 if coded.endswith("=") else 0)]


def protect(*values: str | None) -> None:
    """Register values that this process must never write: keys, passwords, prompts. Short ones are ignored."""
    _PROTECTED.add(value for value in values if value)


def protect_environment(environ: Mapping[str, str]) -> None:
    """Register what the names of environment variables call a key, a token, a password, or a list of headers."""
    for name, value in environ.items():
        if _SECRET_VARIABLE.search(name):
            protect(value)
        elif name.endswith(
            "_HEADERS"
        ):  # as OTEL_EXPORTER_OTLP_HEADERS: name=value,name=value, percent-encoded
            for pair in value.split(","):
                protect(pair.partition("=")[2].strip(), unquote(pair.partition("=")[2]).strip())


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for a program that needs no secret of ours: a mock, a gateway."""
    return {
        name: value
        for name, value in environ.items()
        if not _SECRET_VARIABLE.search(name) and not name.endswith("_HEADERS")
    }


def exact(text: str) -> str:
    """The same text without the registered values; everything else stays as it is."""
    return _PROTECTED.text.sub(GONE, text) if _PROTECTED.text else text


def exact_bytes(data: bytes) -> bytes:
    """The same for bytes that are about to be written; the replacement is safe inside JSON."""
    return _PROTECTED.bytes.sub(GONE.encode(), data) if _PROTECTED.bytes else data


def redact(text: str) -> str:
    """The same text without registered values, and without what looks like a secret."""
    text = exact(text)
    for secret in _SECRETS:
        text = secret.sub(rf"\g<keep>{GONE}", text)
    return text


def visible(text: str) -> str:
    r"""The same text with control characters shown as ``\xNN`` or ``\uNNNN``; a terminal obeys none of them."""
    return _INVISIBLE.sub(_escaped, text)


def json_bytes(data: bytes) -> bytes:
    """A JSON document without registered values; what a terminal would obey is written as JSON's own escape."""
    text = exact_bytes(data).decode("utf-8", "surrogatepass")
    return _INVISIBLE.sub(lambda found: json.dumps(found.group())[1:-1], text).encode()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers that may be written down, by lower-case name."""
    return {
        name.lower(): redact(value[:_KEPT_VALUE])
        for name, value in headers.items()
        if name.lower() in KEPT_HEADERS
    }


def kept_url(url: str) -> str:
    """A URL without its user, query and fragment, and with long path segments masked: a key may be any of them."""
    parts = urlsplit(url)
    path = "/".join(
        GONE if len(segment) > 24 or ";" in segment else segment for segment in parts.path.split("/")
    )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], redact(path), "", ""))
