"""What collectors put before a line of a log: docker compose, Kubernetes, journald, syslog, pm2, Loki, JSON.

A line may carry several. The line as it was written is among the forms that `forms_of` gives, the barest last.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

_LONGEST: Final = 64 * 1024  # characters of a line that are looked at
_MOST: Final = 4  # prefixes of one line
_HOLDERS: Final = (
    "log",
    "message",
    "msg",
    "MESSAGE",
    "line",
    "textPayload",
)  # where JSON around a line keeps it

_COMPOSE: Final = re.compile(
    r"^(?P<container>[A-Za-z][\w.-]{0,80}) {1,40}\| (?!-?[\d.]{1,20}$)"
)  # no table of two columns
_PREFIXES: Final = (
    _COMPOSE,
    re.compile(r"^\d{1,4}\|[\w.-]{1,40} {0,20}\| "),  # pm2
    re.compile(r"^\[?(?:pod|container|pod/)/?[\w./-]{1,160}\]? "),  # kubectl logs --prefix
    re.compile(r"^[\w.-]{1,80} [\w.-]{1,80} [│|] "),  # stern
    re.compile(  # stern as it comes: a pod, a container, and the line
        r"^[A-Za-z][\w.-]{0,80} (?:[\w.-]{1,80} )?"
        r"(?=\[\d{4}-\d\d-\d\dT|\d{4}/\d\d/\d\d \d|\{\"(?:level|ts|time|msg)\")"
    ),
    re.compile(
        r"^[A-Za-z][\w.]{0,40}-[\w.-]{1,80} (?:[\w.-]{1,80} )?(?=\{\"[A-Za-z])"
    ),  # and any line of JSON
    re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:?\d\d) (?:stdout|stderr) [FP] "),  # CRI
    re.compile(
        r"^(?:<\d{1,3}>)?[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d \S{1,120} [\w./@-]{1,80}(?:\[\d{1,8}\])?: "
    ),
    re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:?\d\d) \S{1,120} [\w./@-]{1,80}\[\d{1,8}\]: "),
    re.compile(
        r"^<\d{1,3}>1 \S{1,40} \S{1,120} \S{1,80} \S{1,40} \S{1,40} (?:-|\[[^\]\n]{0,400}\]) "
    ),  # RFC 5424
    re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:?\d\d)[ \t]"),  # kubectl logs --timestamps
    re.compile(  # a program's own logger: an instant, a level and a name
        r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)? {1,4}[\[(|]?"
        r"(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|debug|info|warn|error)[\])|]?:? {1,4}"
        r"(?:[\w.-]{1,80}: )?(?=\S)"
    ),
    re.compile(  # logcli and Grafana: the labels of Loki's stream; the names of JSON are quoted
        r'^\{(?:[A-Za-z_]\w{0,80}="(?:[^"\\]|\\.){0,400}+"(?:, ?(?=[A-Za-z_])|(?=\}))){0,40}+\}[ \t]{1,8}(?=\S)'
    ),
    re.compile(r"^(?:>|&gt;) (?!(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) )"),  # a quotation in a mail
    re.compile(r"^[ \t]{1,40}(?=\S)"),
)


def prefixed(line: str) -> bool:
    """Whether a line begins as a collector makes it begin; blanks alone do not count."""
    return any(prefix.match(line) for prefix in _PREFIXES[:-1])


def container_of(line: str) -> str | None:
    """The container that docker compose says a line is of."""
    match = _COMPOSE.match(line)
    return match["container"] if match else None


def less_prefixes(line: str) -> tuple[str, ...]:
    """The line, and what is left of it after each prefix that it carries."""
    forms = [line[:_LONGEST]]
    for _ in range(_MOST):
        match = next((match for prefix in _PREFIXES if (match := prefix.match(forms[-1]))), None)
        if match is None or not forms[-1][match.end() :].strip():
            break
        forms.append(forms[-1][match.end() :])
    return tuple(forms)


def forms_of(line: str) -> tuple[str, ...]:
    """Each form in which a line may have been written: as it is, less each prefix, out of JSON."""
    forms = less_prefixes(line)
    if not forms[-1].startswith("{"):
        return forms
    try:
        row = orjson.loads(forms[-1])
    except orjson.JSONDecodeError:
        return forms
    held = [row[name] for name in _HOLDERS if isinstance(row, dict) and isinstance(row.get(name), str)]
    return (*forms, *(form for text in held for form in less_prefixes(text.rstrip("\n"))))
