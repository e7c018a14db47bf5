"""A pasted text, fit to be shown to strangers: without keys, prompts, hosts, addresses and names of people.

The same host has the same number everywhere, so that what the text says of its layers stays readable. Hosts
are found where nothing else can be: in a URL, behind `host:`, or by an ending that no module has. Elsewhere a
name with dots may be a module or a file.
"""

from __future__ import annotations

import re
from typing import Final

from whocut.redact import redact, visible

# Hosts of vendors and of documentation: they tell whose API it is, and belong to no user of ours.
_PUBLIC: Final = re.compile(
    r"(?:^|\.)(?:openai\.com|azure\.com|googleapis\.com|google\.com|aka\.ms|microsoft\.com|github\.com|curl\.haxx\.se|curl\.se"
    r"|cloudflare\.com|vercel\.com|netlify\.com|heroku\.com|herokucdn\.com|w3\.org|anthropic\.com|openrouter\.ai|fal\.ai"
    r"|replicate\.com|apache\.org|nginx\.org|python\.org|nodejs\.org|example\.(?:com|org|net)|localhost)$"
)
_HOST: Final = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.){1,6}[A-Za-z][A-Za-z0-9-]{1,23}"
_WHERE: Final = (
    re.compile(rf"(?i)(?<=://)(?:[^\s/@\"']{{0,80}}@)?(?P<host>{_HOST})"),
    re.compile(
        rf"(?i)\b(?:host|server|server_name|hostname|authority|lookup|url|peer|addr|address"
        rf"|ENOTFOUND|EAI_AGAIN)[\"']?[ \t]{{0,2}}[:= ][ \t]{{0,2}}[\"']?(?P<host>{_HOST})"
    ),
    re.compile(rf"(?i)<title>(?P<host>{_HOST}) \|"),
    # in prose: an ending that no module has, or one that modules have, too, behind two names
    re.compile(
        r"(?<![\w.@/\\-])(?P<host>(?:[a-z0-9][a-z0-9-]{0,62}\.){1,4}"
        r"(?:com|net|org|de|fr|jp|cn|uk|eu|nl|ch|at|ru|br|corp|internal|intranet|lan|cloud|xyz|info))(?![\w-]|\.\w)"
    ),
    re.compile(
        r"(?<![\w.@/\\-])(?P<host>[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){1,3}"
        r"\.(?:io|dev|app|ai|co|me))(?![\w(-]|\.\w)"
    ),
)
_NOT_HOSTS: Final = re.compile(
    r"(?i)\.(?:py|js|mjs|cjs|ts|go|rs|rb|php|java|kt|cs|c|h|html?|json|ya?ml|txt|log|png|jpe?g|webp|[A-Z]\w+(?:Error|Exception|Timeout))$"
)
_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]?\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])")
_MAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_HOME: Final = re.compile(r"(?P<keep>(?:/home|/Users|C:\\\\?Users)[/\\]{1,2})[^/\\\s\"':]{1,64}")
_PROMPT: Final = re.compile(
    r"(?i)(?P<keep>\\?[\"']?\b(?:revised_)?prompt\\?[\"']?[ \t]{0,2}[:=][ \t]{0,2})"
    r"(?P<quote>\\?[\"'])(?!\[)(?:(?!(?P=quote))[^\n]){1,4000}(?P=quote)"
)
_ORGANISATION: Final = re.compile(r"\b(?P<kind>org|proj|user|req|asst|resp)[-_][A-Za-z0-9]{8,64}\b")


def masked(text: str) -> str:
    """The text with secrets, prompts, hosts, addresses, mail addresses and home directories replaced."""
    text = visible(redact(text))
    text = _PROMPT.sub(r"\g<keep>\g<quote>[prompt]\g<quote>", text)
    text = _numbered(_MAIL, "mail", text)
    hosts: dict[str, str] = {}
    found = (match for pattern in _WHERE for match in pattern.finditer(text))
    for match in sorted(found, key=lambda match: match.start("host")):
        host = match["host"]
        if not _PUBLIC.search(host.lower()) and not _NOT_HOSTS.search(host):
            hosts.setdefault(host.lower(), f"host-{len(hosts) + 1}.example")
    for host, name in sorted(hosts.items(), key=lambda pair: -len(pair[0])):
        text = re.sub(rf"(?i)(?<![\w.-]){re.escape(host)}(?![\w-])", name, text)
    text = _numbered(_IPV4, "ip", text)
    text = _numbered(_IPV6, "ip6", text)
    text = _HOME.sub(r"\g<keep>user", text)
    return _ORGANISATION.sub(r"\g<kind>-[id]", text)


def _numbered(pattern: re.Pattern[str], kind: str, text: str) -> str:
    """Each different match by a number of its own; loopback and the unspecified address stay."""
    seen: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        if match[0] in {"127.0.0.1", "0.0.0.0"}:  # noqa: S104  # a text, not an address to listen on
            return match[0]
        return seen.setdefault(match[0].lower(), f"{kind}-{len(seen) + 1}")

    return pattern.sub(name, text)
