"""What somebody pasted: an exception, a traceback, ``curl -v``, a HAR, a JSON body, a status with headers.

Out comes the same plain view for all of them: what the caller saw of the response, the API's own error if there
is one, and the text. Nothing here decides anything.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import orjson

from whocut.verdict.inference import Seen

_HEADER: Final = re.compile(r"^([A-Za-z][\w-]*):[ \t]*(.*)$")
_STATUS_LINE: Final = re.compile(r"^HTTP/[\d.]+[ \t]+(\d{3})\b")
_STATUSES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"Error code: (\d{3})\b",
        r"HTTP/[\d.]+\"? (\d{3})\b",
        r"(?i)\bstatus(?:[ _-]?code)?[\"']?\s*[:= ]\s*(\d{3})\b",
        r"(?i)\bHTTP(?: error)? (\d{3})\b",
        r"<title>(\d{3}) ",
        r"(?i)\berror code: (\d{3})\b",
        r"(?m)^\s*(?:\w*Error: )?(\d{3})\b(?!\.\d)",
        r"(?i)\b(\d{3})[: ]+(?:gateway[ _]time|bad gateway|too many|service unav|request time|internal s)",
    )
)
_SECONDS: Final = {"ms": 0.001, "milliseconds": 0.001, "m": 60.0, "min": 60.0, "minutes": 60.0}
_ELAPSED: Final = re.compile(
    r"(?i)(?P<ago>try again |retry )?\b(?:after|elapsed|took|in|at|duration|hangs?)\b[^\w\n]{0,4}(?:~|about )?"
    r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|milliseconds|seconds|secs?|s|minutes|min|m)\b"
)
_TRIED: Final = 50  # braces at which an error body may begin
_LONG: Final = 20_000  # characters of one
_INSPECTED: Final = re.compile(
    r"[\"']?\b(code|type|param|message)[\"']?: (?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """The plain view. `read_as` says what it was taken for."""

    read_as: str
    seen: Seen
    text: str
    error: dict[str, Any] = field(default_factory=dict)


def read_paste(text: str) -> Pasted:
    """Take it for the first thing it can be; whatever it is, it comes back as something."""
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        value = _loaded(stripped)
        if isinstance(value, dict) and isinstance(value.get("log"), dict):
            return _har(value["log"], text)
        if value is not None:
            return _json(value, stripped)
    lines = text.splitlines()
    if any(_STATUS_LINE.match(line.removeprefix("< ")) for line in lines):
        return _http(lines, text)
    if re.match(r"\d{3}\b", stripped) and sum(bool(_HEADER.match(line)) for line in lines) and len(lines) > 1:
        return _http([f"HTTP/1.1 {stripped.splitlines()[0]}", *stripped.splitlines()[1:]], text)
    return _plain(text)


# --- the kinds ----------------------------------------------------------------------------------------


def _har(log: dict[str, Any], text: str) -> Pasted:
    """The entry that went wrong: the last failed one, or else the slowest."""
    entries = [entry for entry in _list(log.get("entries")) if isinstance(entry, dict)]
    failed = [entry for entry in entries if not 0 < _status_of(entry) < 400]
    entry = failed[-1] if failed else max(entries, key=_time_of, default={})
    response = _dict(entry.get("response"))
    headers = {
        str(pair.get("name", "")).lower(): str(pair.get("value", ""))
        for pair in _list(response.get("headers"))
        if isinstance(pair, dict)
    }
    body = _har_body(_dict(response.get("content")))
    problems = [
        str(holder[key])
        for holder, key in ((entry, "_error"), (response, "_error"), (entry, "comment"))
        if holder.get(key)
    ]
    time_s = _time_of(entry) / 1000
    seen = Seen(
        status=_status_of(entry) or None,
        headers=headers,
        body=body,
        whole=True,
        elapsed_s=round(time_s, 3) if time_s > 0 else None,
    )
    del text
    return Pasted(
        read_as=f"a HAR of {len(entries)} requests",
        seen=seen,
        text="\n".join([*problems, body or ""]),
        error=_envelope(_loaded(body or "")) or {},
    )


def _har_body(content: dict[str, Any]) -> str | None:
    body = content.get("text")
    if not isinstance(body, str):
        return None
    if content.get("encoding") == "base64":
        try:
            return base64.b64decode(body).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return None
    return body


def _json(value: object, text: str) -> Pasted:
    error = _envelope(value)
    status = _dict(value).get("status") or _dict(value).get("status_code")
    return Pasted(
        read_as="a JSON body",
        seen=Seen(status=status if isinstance(status, int) else None, body=text, whole=True),
        text=text,
        error=error or {},
    )


def _http(lines: list[str], text: str) -> Pasted:
    """A response's head and body, bare or as ``curl -v`` draws it (``<`` before each line of the head)."""
    drawn = any(line.startswith("< HTTP/") for line in lines)
    heads: list[tuple[int, dict[str, str]]] = []
    body: list[str] = []
    notes: list[str] = []
    in_head = False
    for line in lines:
        bare = line.removeprefix("< ") if drawn else line
        if match := _STATUS_LINE.match(bare):
            heads.append((int(match[1]), {}))
            body, in_head = [], True
        elif drawn and (line.startswith(("* ", "> ", "{ [", "} [")) or line in {">", "*"}):
            notes.append(line)
        elif in_head and (header := _HEADER.match(bare.strip())):
            heads[-1][1][header[1].lower()] = header[2]
        elif in_head and not bare.strip("< \r"):
            in_head = False
        elif heads:
            body.append(line)
    status, headers = heads[-1]
    whole = "\n".join(body)
    curl = [line for line in (*notes, *body) if "curl:" in line or line.startswith("* ")]
    page = "\n".join(line for line in body if "curl: (" not in line)
    return Pasted(
        read_as="curl -v" if drawn else "a response",
        seen=Seen(
            status=status,
            headers=headers,
            body=page if page.strip() or headers.get("content-length") == "0" else None,
            whole=True,
            elapsed_s=_elapsed("\n".join(curl)) if drawn else _elapsed(text),
        ),
        text="\n".join([whole, *curl]),
        error=_envelope(_loaded(page)) or _quoted(whole) or {},
    )


def _plain(text: str) -> Pasted:
    error = _quoted(text) or {}
    read_as = (
        "a traceback" if "Traceback (most recent" in text or re.search(r"\n\s+at .+[:(]", text) else "text"
    )
    return Pasted(
        read_as=read_as,
        seen=Seen(status=_status(text), body=text, whole=False, elapsed_s=_elapsed(text)),
        text=text,
        error=error,
    )


# --- the parts ----------------------------------------------------------------------------------------


def _status(text: str) -> int | None:
    for pattern in _STATUSES:
        for match in pattern.finditer(text):
            if 400 <= int(match[1]) <= 599:
                return int(match[1])
    return None


def _elapsed(text: str) -> float | None:
    """A duration the text speaks of as having passed; a wait it asks for is none."""
    for match in _ELAPSED.finditer(text):
        if not match["ago"]:
            return round(float(match["number"]) * _SECONDS.get(match["unit"].lower(), 1.0), 3)
    return None


def _quoted(text: str) -> dict[str, Any] | None:
    """An error body quoted in a text: as JSON, as a Python dict, or as Node shows an object."""
    for match in islice(re.finditer(r"\{", text), _TRIED):
        if (error := _envelope(_loaded_from(text, match.start()))) is not None:
            return error
    found = {match[1]: match[2] or match[3] for match in _INSPECTED.finditer(text)}
    return found if {"code", "type", "param"} & set(found) else None


def _loaded_from(text: str, start: int) -> object:
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        pass
    end = _closing(text, start)
    if end is None:
        return None
    try:
        return ast.literal_eval(text[start:end])
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _closing(text: str, start: int) -> int | None:
    depth = 0
    for index in range(start, min(len(text), start + _LONG)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index + 1
    return None


def _loaded(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _envelope(value: object) -> dict[str, Any] | None:
    """The API's error: in its envelope, in a list, in a stream's event, or bare as the SDK hands it on."""
    if isinstance(value, list) and value:
        return _envelope(value[0])
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, dict) and "message" in inner:
        return inner
    return value if "message" in value and {"type", "code", "param"} & set(value) else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _status_of(entry: dict[str, Any]) -> int:
    status = _dict(entry.get("response")).get("status")
    return status if isinstance(status, int) else 0


def _time_of(entry: dict[str, Any]) -> float:
    time_ms = entry.get("time")
    return float(time_ms) if isinstance(time_ms, int | float) else 0.0
