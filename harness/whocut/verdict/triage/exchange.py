"""Answers that a text holds whole: a HAR, ``curl -v``, a response's head and body, an error object with headers.

Out comes the same plain view of each: what the caller saw (`Seen`), and the text that belongs to it.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.redact import KEPT_HEADERS
from whocut.verdict.inference import Seen
from whocut.verdict.triage.numbers import durations_in, elapsed_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.verdict.triage.unwrap import Unwrapped

_HEADER: Final = re.compile(r"^([A-Za-z][\w-]{0,60}):(?!:)[ \t]{0,8}(.*)$")
_STATUS_LINE: Final = re.compile(r"^HTTP/[\d.]{1,4}[ \t]{1,4}(\d{3})\b")
_ANYWHERE: Final = re.compile(
    r"(?i)(?<![\w-])[\"'\[(]{0,2}(?P<name>[a-z][a-z0-9-]{1,40})[\"']?[ ]{0,2}(?:[:=]|=>)[ ]{0,2}[\[]?[\"']{0,2}"
    r"(?P<value>[^\n\"']{0,200})"
)
# Headers that name a layer, beside those that may be kept.
_TELLING: Final = KEPT_HEADERS | {
    "x-amzn-errortype", "x-envoy-upstream-service-time", "x-fal-error-type", "x-fal-request-timeout-type",
    "x-litellm-version", "x-portkey-trace-id", "x-oneapi-request-id", "apisix-plugins", "x-squid-error",
    "cf-aig-log-id", "x-nf-request-id", "x-powered-by-plesk", "x-azure-fdid", "x-higress-trace-id",
}  # fmt: skip
_NOTES: Final = ("* ", "> ", "{ [", "} [")  # what curl -v says beside the response
_MOST: Final = 40  # answers of one text


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One answer. `read_as` says what it was taken for, `text` is all that was said of it."""

    read_as: str
    seen: Seen
    text: str
    notes: tuple[str, ...] = field(default=())


def har_of(text: str) -> list[Exchange] | None:
    """The failed entries of a HAR, the last of them first; the slowest where none failed. None: it is no HAR."""
    stripped = text.strip().lstrip("\ufeff")
    if not stripped.startswith("{") or '"log"' not in stripped[:2000]:
        return None
    try:
        value = orjson.loads(stripped)
    except orjson.JSONDecodeError:
        return None
    log = value.get("log") if isinstance(value, dict) else None
    if not isinstance(log, dict) or "entries" not in log:
        return None
    entries = [entry for entry in _list(log.get("entries")) if isinstance(entry, dict)]
    failed = [entry for entry in entries if not 0 < _status_of(entry) < 400]
    chosen = failed[::-1][:_MOST] or ([max(entries, key=_time_of)] if entries else [])
    return [_har_entry(entry, len(entries)) for entry in chosen] or [
        Exchange(read_as="a HAR of 0 requests", seen=Seen(), text="")
    ]


def _har_entry(entry: dict[str, Any], of: int) -> Exchange:
    response = _dict(entry.get("response"))
    headers = {
        str(pair.get("name", "")).lower(): str(pair.get("value", ""))
        for pair in _list(response.get("headers"))
        if isinstance(pair, dict)
    }
    body = _har_body(_dict(response.get("content")))
    problems = [
        str(holder[key])
        for holder, key in (
            (entry, "_error"),
            (response, "_error"),
            (response, "statusText"),
            (entry, "comment"),
        )
        if holder.get(key)
    ]
    time_s = _time_of(entry) / 1000
    return Exchange(
        read_as=f"a HAR of {of} requests",
        seen=Seen(
            status=_status_of(entry) or None,
            headers=headers,
            body=body,
            whole=True,
            elapsed_s=round(time_s, 3) if time_s > 0 else None,
        ),
        text="\n".join([*problems, body or ""]),
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


def answers_of(text: str) -> list[Exchange]:
    """Every response that a text holds with its head, bare or as ``curl -v`` draws it (``<`` in front)."""
    lines = text.split("\n")
    heads = [number for number, line in enumerate(lines) if _STATUS_LINE.match(line.removeprefix("< "))]
    if not heads:
        return _bare_status(text, lines)
    drawn = any(lines[number].startswith("< HTTP/") for number in heads)
    ends = [*heads[1:], len(lines)]
    starts = [0, *heads[1:]]
    answers = [
        _answer(lines[start:end], head - start, drawn=drawn)
        for start, head, end in zip(starts, heads, ends, strict=True)
    ]
    final = [one for one in answers if one.seen.status is None or one.seen.status >= 200]
    failed = [one for one in final if one.seen.status is not None and one.seen.status >= 400]
    return (failed or final or answers)[-_MOST:]


def _bare_status(text: str, lines: list[str]) -> list[Exchange]:
    """``504`` on a line of its own, and headers under it."""
    first = next((line.strip() for line in lines if line.strip()), "")
    if not re.match(r"[1-5]\d\d\b", first) or sum(bool(_HEADER.match(line)) for line in lines[:40]) < 1:
        return []
    body = text.lstrip().partition("\n")[2]
    return [_answer([f"HTTP/1.1 {first}", *body.split("\n")], 0, drawn=False)]


def _answer(lines: list[str], head: int, *, drawn: bool) -> Exchange:
    status = 0
    headers: dict[str, str] = {}
    body: list[str] = []
    notes: list[str] = []
    in_head = False
    for number, line in enumerate(lines):
        bare = line.removeprefix("< ") if drawn else line
        if number == head and (match := _STATUS_LINE.match(bare)):
            status, in_head = int(match[1]), True
        elif number < head or (drawn and (line.startswith(_NOTES) or line in {">", "*"})):
            notes.append(line)
        elif in_head and (header := _HEADER.match(bare.strip())):
            headers.setdefault(header[1].lower(), header[2].strip())
        elif in_head and not bare.strip("< \r"):
            in_head = False
        elif not in_head or not drawn:
            in_head = False
            body.append(line)
    page = "\n".join(line for line in body if "curl: (" not in line)
    whole = "\n".join(body)
    said = [line for line in (*notes, *body) if "curl:" in line or line.startswith("* ")] if drawn else notes
    empty = headers.get("content-length") == "0" or (not page.strip() and head + 1 < len(lines) and not drawn)
    return Exchange(
        read_as="curl -v" if drawn else "a response",
        seen=Seen(
            status=status,
            headers=headers,
            body=page if page.strip() or empty else None,
            whole=True,
            elapsed_s=elapsed_of(durations_in("\n".join(said) if drawn else "\n".join([*notes, whole]))),
        ),
        text="\n".join([*notes, *(f"{name}: {value}" for name, value in headers.items()), "", whole]),
        notes=tuple(said),
    )


def headers_in(pasted: Unwrapped) -> dict[str, str]:
    """Headers that tell layers apart, wherever and however a text holds them."""
    found: dict[str, str] = {}
    for number, match in enumerate(_ANYWHERE.finditer(pasted.text)):
        if number > 20_000:
            break
        name = match["name"].lower()
        if name in _TELLING and name not in found:
            found[name] = match["value"].strip(" ,;]})\t")
    return found


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _status_of(entry: dict[str, Any]) -> int:
    status = _dict(entry.get("response")).get("status")
    return status if isinstance(status, int) and not isinstance(status, bool) else 0


def _time_of(entry: dict[str, Any]) -> float:
    time_ms = entry.get("time")
    return float(time_ms) if isinstance(time_ms, int | float) else 0.0


def first_of(exchanges: Iterable[Exchange]) -> Exchange | None:
    """The first, if there is one."""
    return next(iter(exchanges), None)
