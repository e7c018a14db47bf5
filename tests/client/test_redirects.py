"""A redirect leads within the origin that was asked: no prompt, key or trace leaves it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.servers import Step, scripted, whole
from whocut.chain.catalogue import preset
from whocut.client import async_reference
from whocut.client.asking import Asking, asking_for
from whocut.client.openai_client import async_openai_client
from whocut.client.redirects import STAYING
from whocut.client.transports import wire
from whocut.client.watch import Sinks
from whocut.clock import VirtualLoop, run_virtual
from whocut.trace.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.trace.records import Attempt

IMAGE = b'{"created": 1, "data": [{"b64_json": "aGVsbG8="}]}'


def away(status: int, location: str) -> list[Step]:
    """An answer that sends its caller on."""
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    return [head.encode(), "fin"]


def _watched(base_url: str, lines: list[Attempt]) -> Any:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return async_openai_client(
        base_url=base_url,
        api_key="sk-test-secret",
        clock=loop.clock(),
        layer=preset("openai-python"),
        sinks=Sinks(lines.append, lambda _: None),
    )


def _reference(base_url: str, _: list[Attempt]) -> Any:
    return async_reference(base_url=base_url, api_key="sk-test-secret")


@pytest.mark.parametrize("made", [_watched, _reference], ids=["the load's client", "the reference client"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/v1/images/generations", "//127.0.0.1:{}/stop"])
def test_nothing_is_sent_to_another_origin(
    made: Callable[[str, list[Attempt]], Any], status: int, form: str
) -> None:
    """It hears of no request at all; the caller gets the status as the error that it is."""
    lines: list[Attempt] = []

    async def main() -> tuple[list[bytes], list[bytes], int]:
        async with scripted(lambda: [whole(IMAGE)]) as elsewhere:
            async with scripted(lambda: away(status, form.format(elsewhere.port))) as asked:
                client = made(asked.base_url, lines)
                with asking_for(Asking(request="request-1")), pytest.raises(openai.APIStatusError) as raised:
                    await client.images.generate(model="gpt-image-2", prompt="a heron nobody knows")
                await client.close()
            return asked.requests, elsewhere.requests, raised.value.status_code

    asked, elsewhere, said = run_virtual(main())

    assert elsewhere == []
    assert (len(asked), said) == (1, status)
    assert {line.outcome for line in lines} <= {Outcome.REJECTED}


@pytest.mark.parametrize(
    ("location", "requests"),
    [
        ("/other", 2),
        ("http://images.example/other", 2),
        ("http://images.example:80/other", 2),
        ("https://images.example/other", 1),
        ("http://images.example.evil.example/other", 1),
        ("http://images.example:81/other", 1),
        ("http://user@images.example/other", 2),
    ],
)
def test_an_origin_is_scheme_host_and_port(location: str, requests: int) -> None:
    """Written in whichever way; what is the same origin is followed."""
    seen: list[str] = []

    def answer(request: wire.Request) -> wire.Response:
        seen.append(str(request.url))
        return wire.Response(307, headers={"Location": location}) if len(seen) == 1 else wire.Response(200)

    with wire.Client(transport=wire.MockTransport(answer), **STAYING) as client:
        client.post("http://images.example/v1", content=b"a prompt")

    assert len(seen) == requests
