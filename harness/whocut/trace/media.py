"""What kind of body a request says that it has. The one reader of ``Content-Type``.

aiohttp's own reader hands the field to Python's parser of mail, which recurses into comments: a few hundred opening
brackets end it. Neither comments nor parameters are of interest here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def media_type(headers: Mapping[str, str]) -> str:
    """The type in lower case, like ``application/json``; empty where the request names none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()
