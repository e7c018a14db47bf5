"""A multipart form, read strictly: whatever is not one is refused in one sentence, never by an accident.

A parser of its own, because a library's reports a malformed form by a dozen exceptions and warnings.
"""

from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from hashlib import blake2b

from whocut_mock import errors

_HEADER_BYTES = 16_384
_PARTS_MOST = 200  # sixteen images, a mask and every parameter fit a dozen times


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form; `filename` is `None` for a text field."""

    name: str
    filename: str | None
    content_type: str
    content: bytes

    @property
    def digest(self) -> list[str]:
        """What makes this part different from another."""
        content = blake2b(self.content, digest_size=16).hexdigest()
        return [self.name, self.filename or "", self.content_type, content]


def is_form(content_type: str) -> bool:
    """Whether this content type announces a form."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def parse_form(content_type: str, body: bytes) -> list[Part]:
    """The parts of the form, in their order."""
    boundary = _header_of(content_type, "content-type").get_boundary()
    if not boundary or not boundary.isascii():
        raise errors.not_a_form("no boundary in its content type")
    delimiter = b"--" + boundary.encode()
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if not body.startswith(delimiter, at):
        raise errors.not_a_form("its boundary does not occur")
    parts: list[Part] = []
    while True:
        at += len(delimiter)
        if body.startswith(b"--", at):
            return parts
        if len(parts) == _PARTS_MOST:
            raise errors.not_a_form("too many parts")
        end = body.find(b"\r\n" + delimiter, at)
        if end < 0:
            raise errors.not_a_form("it ends inside a part")
        parts.append(_parse_part(body, at, end))
        at = end + 2


def _parse_part(body: bytes, start: int, end: int) -> Part:
    line_end = body.find(b"\r\n", start, end)
    head_end = body.find(b"\r\n\r\n", start, min(end, start + _HEADER_BYTES))
    if line_end < 0 or body[start:line_end].strip(b" \t") or head_end < 0:
        raise errors.not_a_form("a part without headers")
    headers = {}
    for line in body[line_end + 2 : head_end].decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    disposition = _header_of(headers.get("content-disposition", ""), "content-disposition")
    given = disposition.get_param("name", header="content-disposition")
    if given is None:
        raise errors.not_a_form("a part without a name")
    filename = disposition.get_param("filename", header="content-disposition")
    return Part(
        name=collapse_rfc2231_value(given),
        filename=None if filename is None else collapse_rfc2231_value(filename),
        content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        content=body[head_end + 4 : end],
    )


def _header_of(value: str, name: str) -> Message:
    message = Message()
    message[name] = value.encode("utf-8", "replace").decode("utf-8").replace("\r", " ").replace("\n", " ")
    return message
