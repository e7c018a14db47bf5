"""HTTP as it comes off the wire: what is invalid, or too long, is still answered in the API's envelope."""

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from whocut_mock import answers, errors
from whocut_mock.settings import Limits
from whocut_mock.upstream import PATIENCE_LEAST_LOOP_S

log = logging.getLogger(__name__)

# aiohttp prints a traceback for what callers do wrong; what we do wrong is logged here and in the
# application.
_THEIRS = logging.getLogger(f"{__name__}.aiohttp")
_THEIRS.setLevel(logging.CRITICAL)

HEADERS_MOST = 256
_LINGERING_S = 2.0  # how long the rest of a refused body is read, so that the caller hears the refusal


class Wire(web.RequestHandler):
    """aiohttp's protocol, with our words for what it cannot parse, and an end for who never asks."""

    __slots__ = ("_silence",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait as long for the first request as aiohttp waits between two."""
        super().connection_made(transport)
        patience_s = max(PATIENCE_LEAST_LOOP_S, self.keepalive_timeout)
        self._silence: asyncio.TimerHandle | None = self._loop.call_later(patience_s, self.close)

    def data_received(self, data: bytes) -> None:
        """Bytes; once they are a request, aiohttp's own timers hold."""
        super().data_received(data)
        if self._silence is not None and (self._messages or self._current_request is not None):
            self._silence.cancel()
            self._silence = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Gone."""
        super().connection_lost(exc)
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request; the connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; another cannot follow on the same connection")
        if isinstance(exc, UnicodeError):
            refusal = errors.not_http("a header is not text")
        elif status >= 500:
            log.error("the server met an error of its own", exc_info=exc)
            refusal = errors.server_error("req_unknown")
        elif isinstance(exc, LineTooLong) or "Too many" in (message or ""):
            refusal = errors.headers_too_large()
        else:
            refusal = errors.not_http(message or "")
        response = answers.refusal(refusal, {"Server": answers.SERVER})
        response.force_close()
        return response


def wire_options(limits: Limits, scale: float) -> dict[str, Any]:
    """What aiohttp's protocol takes from the limits."""
    return {
        "keepalive_timeout": limits.keepalive_s / scale,
        "max_line_size": limits.header_bytes,
        "max_field_size": limits.header_bytes,
        "max_headers": HEADERS_MOST,
        "access_log": None,
        "logger": _THEIRS,
        "lingering_time": _LINGERING_S,
    }
