"""Reference images and masks: which are taken, which are refused, and what each weighs in tokens.

Reference "OpenAI Images API", sections 1 and 4: sixteen images of 50 MB, PNG, JPEG or WebP, a mask with
an alpha channel and of the first image's size.
"""

import base64
import binascii
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from whocut_mock import errors
from whocut_mock.form import Part
from whocut_mock.models import SQUARE

IMAGES_MOST = 16
IMAGE_BYTES = 50 * 1024 * 1024
URL_CHARS = 20_971_520

MIMETYPES = ("image/jpeg", "image/png", "image/webp")
FindFile = Callable[[str], bytes | None]

_FORMATS = ("JPEG", "PNG", "WEBP")
_MODES = ("RGB", "RGBA", "L", "LA", "P", "1")  # no CMYK, no 16 bits a channel

# The official SDK's tests send these twelve bytes in place of an image. They are taken for one, the only
# exception to strictness: so its suite measures the parameters and not its own fixture.
FIXTURE = b"Example data"


@dataclass(frozen=True, slots=True)
class Reference:
    """One accepted input image."""

    width: int
    height: int
    alpha: bool


def read_uploads(parts: Sequence[Part], *, lenient: bool) -> tuple[Reference, ...]:
    """The images of a form: one part `image`, or repeated parts `image[]`."""
    images = [part for part in parts if part.name in ("image", "image[]")]
    if not images:
        raise errors.missing_parameter("image")
    if len(images) > IMAGES_MOST:
        raise errors.array_too_long("image", len(images), IMAGES_MOST)
    references = tuple(
        _read_part(part, part.name.replace("[]", f"[{index}]"), index, lenient=lenient)
        for index, part in enumerate(images)
    )
    for name in ("mask", "markup"):
        _check_overlays([part for part in parts if part.name == name], references[0], lenient=lenient)
    return references


def _read_part(part: Part, name: str, index: int, *, lenient: bool) -> Reference:
    if lenient or part.content == FIXTURE:
        return _opened(part.content) or Reference(*SQUARE, alpha=True)
    if part.content_type not in MIMETYPES:
        raise errors.bad_mimetype(name, part.content_type or "application/octet-stream", MIMETYPES)
    if len(part.content) > IMAGE_BYTES:
        raise errors.file_too_large(name, len(part.content), IMAGE_BYTES)
    return _opened(part.content) or _undecodable(index, name)


def _undecodable(index: int, name: str) -> Reference:
    raise errors.bad_image(index + 1, name)


def _check_overlays(masks: Sequence[Part], first: Reference, *, lenient: bool) -> None:
    if len(masks) > 1:
        raise errors.array_too_long(masks[0].name, len(masks), 1)
    for mask in masks:
        overlay = _read_part(mask, mask.name, 0, lenient=lenient)
        if lenient or mask.content == FIXTURE:
            return
        if not overlay.alpha:
            raise errors.bad_mask(mask.name, "it must be a PNG with an alpha channel")
        if (overlay.width, overlay.height) != (first.width, first.height):
            raise errors.bad_mask(mask.name, "its size does not match the size of the first image")


def _opened(content: bytes) -> Reference | None:
    """Size and transparency of a picture that decodes; `None` for one that does not."""
    try:
        with warnings.catch_warnings():  # no await in here, so no other request sees the filter
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                mode, (width, height), bands = image.mode, image.size, image.getbands()
                alpha = "A" in bands or "transparency" in image.info
                image.verify()
    except (OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError):
        return None
    return Reference(width, height, alpha) if mode in _MODES else None


def _read_file(file_id: str, name: str, index: int, find: FindFile, *, lenient: bool) -> Reference:
    content = find(file_id)
    if content is None:
        if lenient:
            return Reference(*SQUARE, alpha=True)
        raise errors.file_not_found(name, file_id)
    return _opened(content) or _undecodable(index, name)


def read_links(fields: dict[str, Any], find: FindFile, *, lenient: bool) -> tuple[Reference, ...]:
    """The images of a JSON body: `images`, and `mask` or `markup`, each one URL or one file id."""
    images = fields.get("images")
    if images is None:
        raise errors.missing_parameter("images")
    if not isinstance(images, list):
        raise errors.wrong_type("images", "an array", errors.kind_of(images))
    if not images:
        raise errors.array_too_short("images", 0, 1)
    if len(images) > IMAGES_MOST:
        raise errors.array_too_long("images", len(images), IMAGES_MOST)
    references = tuple(
        read_link(link, f"images[{index}]", index, find, lenient=lenient) for index, link in enumerate(images)
    )
    for name in ("mask", "markup"):
        if fields.get(name) is not None:
            read_link(fields[name], name, 0, find, lenient=lenient)
    return references


def read_link(link: Any, name: str, index: int, find: FindFile, *, lenient: bool) -> Reference:
    """A data URL and an uploaded file are opened; any other address counts as a square image, nothing is fetched.

    `find` gives the content of a file id; None: the id is unknown.
    """
    if not isinstance(link, dict):
        raise errors.wrong_type(name, "an object", errors.kind_of(link))
    for key, value in link.items():
        if key not in ("image_url", "file_id"):
            raise errors.unknown_parameter(f"{name}.{key}")
        if not isinstance(value, str):
            raise errors.wrong_type(f"{name}.{key}", "a string", errors.kind_of(value))
    if len(link) != 1:
        raise errors.one_of(name, "image_url", "file_id")
    if "file_id" in link:
        return _read_file(link["file_id"], f"{name}.file_id", index, find, lenient=lenient)
    url = link.get("image_url", "")
    if len(url) > URL_CHARS:
        raise errors.string_too_long(f"{name}.image_url", len(url), URL_CHARS)
    if not url.startswith("data:"):
        return Reference(*SQUARE, alpha=True)
    head, _, text = url.partition(",")
    mimetype = head.removeprefix("data:").partition(";")[0]
    if mimetype not in MIMETYPES and not lenient:
        raise errors.bad_mimetype(name, mimetype, MIMETYPES)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    return _opened(content) or _undecodable(index, name)
