"""Transports of the HTTP library of the SDK, whose answers say that they are not to be tried again."""

import httpx2 as wire

NOT_AGAIN = {"x-should-retry": "false"}  # the SDK's own word for it
FAILED = 599


class Once(wire.HTTPTransport):
    """For threads."""

    def handle_request(self, request: wire.Request) -> wire.Response:
        """An answer in any case, and read to its end: what breaks off is one too."""
        try:
            answer = super().handle_request(request)
            answer.read()
        except wire.TransportError as error:
            return wire.Response(FAILED, text=str(error), headers=NOT_AGAIN)
        answer.headers.update(NOT_AGAIN)
        return answer


class AsyncOnce(wire.AsyncHTTPTransport):
    """For asyncio."""

    async def handle_async_request(self, request: wire.Request) -> wire.Response:
        """The same."""
        try:
            answer = await super().handle_async_request(request)
            await answer.aread()
        except wire.TransportError as error:
            return wire.Response(FAILED, text=str(error), headers=NOT_AGAIN)
        answer.headers.update(NOT_AGAIN)
        return answer
