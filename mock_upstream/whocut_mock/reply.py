"""The answer to a generation on its way out, and the account of it: first byte, last byte, taken or not.

A fault may spoil it: it is asked at every step and does its part through the plain methods below.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from whocut_mock import answers, delivery
from whocut_mock.answers import Facts
from whocut_mock.errors import ApiError
from whocut_mock.fault import Fault, SpoiledError, cut_with_reset
from whocut_mock.speech import DIALECT
from whocut_mock.upstream import Upstream

if TYPE_CHECKING:
    import asyncio


NO_HEADERS: Mapping[str, str] = {}
_JOINED_BYTES = 65_536  # a body up to this size goes out in one write with its head


class AnswerAccount(Protocol):
    """Who keeps the books of one answer: a generation, or one visit to a job."""

    @property
    def request_id(self) -> str:
        """The id of the request."""

    @property
    def since_s(self) -> float:
        """When it was accepted."""

    def opened(self, status: int) -> None:
        """The first byte of the answer was handed over."""

    def failed(self, code: str | None) -> None:
        """The answer says that there is no picture, and why."""

    def sent(self) -> None:
        """The last byte has left our own buffers."""

    def delivered(self, evidence: str) -> None:
        """The caller took all of it."""

    def caller_gone(self) -> None:
        """The caller left before it had everything."""

    def close_caller_side(self) -> None:
        """Nothing more can happen between us and the caller."""


class _Response(web.StreamResponse):
    """A response whose headers wait for the first of its body, so that a small answer is one write."""

    _send_headers_immediately = False


class _Written(web.StreamResponse):
    """In place of an answer that is on the wire already: aiohttp has nothing left to do or to ask."""

    @property
    def prepared(self) -> bool:
        """Its headers are out."""
        return True

    @property
    def keep_alive(self) -> bool | None:
        """Only answers on connections that stay are written so."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Done."""
        del request
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Done."""


_WRITTEN = _Written()  # it has no state, so one is enough


class Reply:
    """One answer. It begins when its first byte is due, because the headers are withheld until then.

    `attempt` is which attempt it answers; starts at 1.
    """

    def __init__(
        self,
        request: web.Request,
        upstream: Upstream,
        account: AnswerAccount,
        fault: Fault,
        attempt: int,
    ) -> None:
        self.attempt = attempt
        self.request = request
        self.upstream = upstream
        self._account = account
        self._fault = fault
        self._transport: asyncio.Transport | None = None
        self._response: _Response | None = None
        self._head = b""  # waits for the first of its body
        self._plain = False  # written by ourselves: aiohttp's response costs as much as all the rest
        self._failing: Callable[[ApiError], list[bytes]] | None = None

    @property
    def begun(self) -> bool:
        """Whether the headers are out."""
        return self._transport is not None

    @property
    def failing(self) -> Callable[[ApiError], list[bytes]] | None:
        """How this stream says that the work has failed; `None` for a plain answer."""
        return self._failing

    def streams(self, failing: Callable[[ApiError], list[bytes]]) -> None:
        """Say that this answer is a stream, and by which events it would end without a picture."""
        self._failing = failing

    @property
    def response(self) -> web.StreamResponse:
        """What the handler returns."""
        if self._response is None:
            self._response = _Response()
        return self._response

    @property
    def request_id(self) -> str:
        """The id of its request."""
        return self._account.request_id

    async def work_begun(self) -> None:
        """While the work runs and nothing is written yet, a fault may already strike."""
        await self._fault.before_work_ends(self)

    async def begin(
        self,
        content_type: str,
        *,
        length_bytes: int | None = None,
        status: int = 200,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send the headers of the answer; without a length the body is chunked."""
        await self._fault.before_headers(self)
        await self.open(
            self._fault.content_type or content_type,
            length_bytes=length_bytes if self._fault.keeps_length() else None,
            status=status,
            more=headers,
        )

    async def whole(
        self,
        buffers: Sequence[bytes],
        *,
        content_type: str = "application/json",
        status: int = 200,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> web.StreamResponse:
        """One body of a known length, from its headers to its end."""
        length_bytes = sum(map(len, buffers))
        await self.begin(content_type, length_bytes=length_bytes, status=status, headers=headers)
        await self.last(buffers)
        return await self.end()

    async def write(self, buffers: Iterable[bytes]) -> None:
        """Hand over part of the body that is not its last."""
        await self.pass_on(buffers)

    async def last(self, buffers: Sequence[bytes]) -> None:
        """Hand over the JSON body, or a stream's last event."""
        await self._fault.last(self, buffers)

    async def refuse(self, error: ApiError) -> web.StreamResponse:
        """Answer with an error although the work was done."""
        await self._fault.before_headers(self)
        await self.open_refusal(error)
        return await self.end_without_picture(error.code)

    async def open_refusal(self, error: ApiError) -> None:
        """Answer with an error in place of the picture."""
        said = self.request[DIALECT].refusal(error, NO_HEADERS)
        body = said.body
        assert isinstance(body, bytes)
        await self.open(said.content_type, length_bytes=len(body), status=said.status, more=error.headers)
        await self.pass_on([body])
        self._account.failed(error.code)

    async def end(self) -> web.StreamResponse:
        """End the body and wait until the caller has taken it."""
        if not self._fault.delivers:
            return await self.end_without_picture(None)
        evidence = await self._ended()
        self._account.delivered(evidence)
        return _WRITTEN if self._plain else self.response

    async def end_without_picture(self, code: str | None) -> web.StreamResponse:
        """End a body that is not what the caller asked for: nothing is delivered by it."""
        self._account.failed(code)
        await self._ended()
        return _WRITTEN if self._plain else self.response

    async def _ended(self) -> str:
        assert self._transport is not None
        if self._plain:
            await self.request.writer.drain()
        else:
            await self.response.write_eof()
        self._account.sent()
        evidence = await delivery.taken(self._transport)
        if self.upstream.relay is not None:
            await self.upstream.relay.taken(self._transport)
        return evidence

    async def sleep_s(self, duration_s: float) -> None:
        """Wait, in model time."""
        await self.upstream.clock.sleep_s(duration_s)

    async def pass_on(self, buffers: Iterable[bytes]) -> None:
        """Write for real."""
        if not self._plain:
            await answers.write_pieces(self.response, buffers)
            return
        if self._head:
            first, *rest = buffers
            buffers = (
                (self._head + first, *rest) if len(first) <= _JOINED_BYTES else (self._head, first, *rest)
            )
            self._head = b""
        await answers.write_pieces(self.request.writer, buffers)

    async def open(
        self,
        content_type: str,
        *,
        length_bytes: int | None = None,
        status: int = 200,
        ours: bool = True,
        more: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send the headers; `ours` are those of the API, and not of a stranger in front of it."""
        clock, account = self.upstream.clock, self._account
        now_s = clock.now_s()
        self._transport = answers.writes_through(self.request)
        facts = Facts(
            account.request_id,
            self.upstream.settings.organization,
            now_s - account.since_s,
            clock.epoch_unix_s + now_s,
        )
        dialect = self.request[DIALECT]
        headers = dialect.headers(facts) if ours else answers.cdn_headers(facts)
        if dialect.cors and "Origin" in self.request.headers:
            headers |= answers.CORS
        headers |= more
        headers["Content-Type"] = content_type
        account.opened(status)
        request = self.request
        if length_bytes is not None and request.version == HttpVersion11 and request.keep_alive:
            headers["Content-Length"] = str(length_bytes)
            self._head = answers.head(status, headers)
            self._plain = True
            return
        response = self.response
        response.set_status(status)
        response.headers.update(headers)
        response.content_length = length_bytes
        await response.prepare(request)

    def close(self) -> None:
        """End the connection with a FIN after what was written."""
        transport = answers.writes_through(self.request)
        self._account.close_caller_side()
        transport.close()
        raise SpoiledError

    def reset(self) -> None:
        """End the connection with a RST."""
        transport = answers.writes_through(self.request)
        self._account.close_caller_side()
        cut_with_reset(transport.get_extra_info("socket"))
        transport.abort()
        raise SpoiledError
