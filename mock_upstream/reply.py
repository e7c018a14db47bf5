"""The answer to a generation on its way out, and the account of it: first byte, last byte, taken or not."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiohttp import web

from mock_upstream import answers, delivery
from mock_upstream.generation import Generation
from mock_upstream.upstream import Upstream

if TYPE_CHECKING:
    import asyncio


class Reply:
    """One answer. It begins when its first byte is due, because the headers are withheld until then."""

    def __init__(self, request: web.Request, upstream: Upstream, generation: Generation) -> None:
        self._request = request
        self._upstream = upstream
        self._generation = generation
        self._transport: asyncio.Transport | None = None
        self.response = web.StreamResponse()

    @property
    def begun(self) -> bool:
        """Whether the headers are out."""
        return self._transport is not None

    async def begin(self, content_type: str, *, length_bytes: int | None = None, status: int = 200) -> None:
        """Send the headers; without a length the body is chunked."""
        clock, row = self._upstream.clock, self._generation.row
        now_s = clock.now_s()
        self._transport = answers.writes_through(self._request)
        self.response.set_status(status)
        self.response.headers.update(
            answers.standard_headers(
                row.request_id,
                organization=self._upstream.settings.organization,
                processing_s=now_s - (row.accepted_s or 0.0),
                unix_s=clock.epoch_unix_s + now_s,
            )
        )
        self.response.headers["Content-Type"] = content_type
        self.response.content_length = length_bytes
        row.status = status
        self._generation.first_byte()
        await self.response.prepare(self._request)

    async def write(self, buffers: Iterable[bytes]) -> None:
        """Hand over part of the body."""
        await answers.write_pieces(self.response, buffers)

    async def end(self) -> web.StreamResponse:
        """End the body and wait until the caller has taken it."""
        assert self._transport is not None
        await self.response.write_eof()
        self._generation.sent()
        self._generation.delivered(await delivery.taken(self._transport))
        return self.response
