"""The log of our HTTP servers: what a peer does wrong is an answer to it, and no traceback on our terminal."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError

SERVER_LOG: Final = logging.getLogger(__name__)
"""For `web.AppRunner`: errors of our own are reported; bytes that are not HTTP, and callers that left, are not."""


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | UnicodeError | ConnectionError)


SERVER_LOG.addFilter(_is_ours)
