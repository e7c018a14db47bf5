"""The retry policy as a transport: in both libraries, sync and async, and held to the retry contract."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import httpx2
import openai
import pytest

from whocut.client import retrying_transport
from whocut.client.policy import Policy
from whocut.clock import Clock, run_virtual
from whocut.contract.client import client_of
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.stage.memory import MemoryLoop

LIBRARIES: Final[dict[str, Any]] = {"httpx": httpx, "httpx2": httpx2}
URL: Final = "https://api.example/v1/images/generations"
LIMITED: Final[Any] = (
    429,
    {"retry-after": "7"},
    {"error": {"code": "rate_limit_exceeded", "type": "requests"}},
)
IMAGE: Final[Any] = (200, {}, {"data": [{"b64_json": "aGVsbG8="}]})
PAGE: Final[Any] = (504, {"server": "nginx"}, "<h1>504 Gateway Time-out</h1>")
# What no transport can do for a client: count its images, look into its streams and its parameters.
THE_CLIENTS_OWN: Final = frozenset(
    {"stream-incomplete-told", "crowd-n", "strip-response-format", "strip-style"}
)


class Upstream:
    """Answers in turn, and remembers what it was sent and when."""

    def __init__(self, library: Any, *turns: Any) -> None:
        self.library = library
        self.turns = list(turns)
        self.sent: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.limits_s: list[dict[str, float]] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: Any) -> Any:
        """One attempt."""
        self.headers.append(dict(request.headers))
        self.limits_s.append(dict(request.extensions["timeout"]))
        self.bodies.append(request.content)
        turn = self.turns.pop(0)
        if isinstance(turn, str):
            raise getattr(self.library, turn)("it broke", request=request)
        status, headers, body = turn
        told = {"json": body} if isinstance(body, dict) else {"text": body}
        return self.library.Response(status, headers=headers, **told)


class Slept(Clock):
    """A clock that moves as far as it is slept on."""

    __slots__ = ("_at_s",)

    def __init__(self) -> None:
        self._at_s = 0.0
        super().__init__(reader=lambda: self._at_s)

    def sleep(self, model_s: float) -> None:
        """Nothing waits."""
        self._at_s += model_s


def ask(library: Any, face: str, *turns: Any, **more: Any) -> tuple[Any, Upstream, float]:
    """One POST through the transport: what came or was raised, what the upstream saw, how long it took."""
    upstream = Upstream(library, *turns)
    asked = {"json": {"prompt": "a cat"}, "timeout": more.pop("timeout", 600.0)} | more.pop("asked", {})
    method = more.pop("method", "POST")

    async def asynchronously() -> tuple[Any, float]:
        inner = library.MockTransport(upstream)
        async with library.AsyncClient(transport=retrying_transport(inner, **more)) as client:
            began_s = asyncio.get_running_loop().time()
            try:
                came = await client.request(method, URL, **asked)
            except library.HTTPError as error:
                came = error
            return came, asyncio.get_running_loop().time() - began_s

    def synchronously() -> tuple[Any, float]:
        inner, clock = library.MockTransport(upstream), Slept()
        with library.Client(transport=retrying_transport(inner, clock=clock, **more)) as client:
            try:
                came = client.request(method, URL, **asked)
            except library.HTTPError as error:
                came = error
            return came, clock.now_s()

    came, took_s = run_virtual(asynchronously()) if face == "async" else synchronously()
    return came, upstream, took_s


FACES = pytest.mark.parametrize("face", ["sync", "async"])
BOTH = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


@BOTH
@FACES
def test_a_rate_limit_is_waited_out(library: Any, face: str) -> None:
    """At least as long as it asks, with the same body and the same key."""
    came, upstream, took_s = ask(library, face, LIMITED, IMAGE)

    assert (came.status_code, came.json()) == (200, IMAGE[2])
    assert took_s >= 7
    assert upstream.bodies == [upstream.bodies[0]] * 2
    first, second = (headers["idempotency-key"] for headers in upstream.headers)
    assert first == second


@BOTH
@FACES
@pytest.mark.parametrize("turn", [PAGE, "ReadTimeout", "ReadError", "RemoteProtocolError"], ids=str)
def test_what_may_have_begun_work_is_not_tried_again(library: Any, face: str, turn: Any) -> None:
    """The answer goes to the caller as it came; an error has a note that says why."""
    came, upstream, took_s = ask(library, face, turn, IMAGE)

    assert len(upstream.headers) == 1
    assert took_s == 0
    if isinstance(turn, str):
        assert type(came).__name__ == turn
        assert any("it may still be running, and is billed" in note for note in came.__notes__)
    else:
        assert (came.status_code, came.text) == (504, PAGE[2])


@BOTH
@FACES
def test_a_connection_that_was_not_made_is_tried_again(library: Any, face: str) -> None:
    """Nothing was sent, so nothing is billed."""
    came, upstream, took_s = ask(library, face, "ConnectError", "ConnectTimeout", IMAGE)

    assert came.status_code == 200
    assert len(upstream.headers) == 3
    assert took_s > 0


@BOTH
@FACES
def test_the_last_answer_is_the_callers(library: Any, face: str) -> None:
    """Two attempts are enough: what the caller sees is the second 429, whole."""
    came, upstream, _ = ask(library, face, LIMITED, LIMITED, IMAGE, policy=Policy(attempts=2))

    assert (came.status_code, came.json()) == (429, LIMITED[2])
    assert len(upstream.headers) == 2


@BOTH
@FACES
def test_the_read_timer_is_all_of_a_requests_time(library: Any, face: str) -> None:
    """With 10 s, one wait of 7 s and more leaves an attempt at most 3 s; a second wait is not begun."""
    came, upstream, took_s = ask(library, face, LIMITED, LIMITED, IMAGE, timeout=10.0)

    assert came.status_code == 429
    assert took_s < 10
    assert len(upstream.limits_s) == 2
    assert upstream.limits_s[0]["read"] == pytest.approx(10.0)
    assert max(upstream.limits_s[1].values()) <= 3.0


@BOTH
@FACES
def test_no_timer_of_the_clients_own_leaves_the_policys_time(library: Any, face: str) -> None:
    """`timeout=None` waits for ever no longer."""
    _, upstream, _ = ask(library, face, IMAGE, timeout=None)

    assert upstream.limits_s[0]["read"] == pytest.approx(900.0)


@BOTH
@FACES
def test_a_read_is_none_of_its_business(library: Any, face: str) -> None:
    """GET goes through as it is: no key, no timer, no second attempt."""
    came, upstream, _ = ask(library, face, LIMITED, IMAGE, method="GET", asked={"json": None})

    assert came.status_code == 429
    assert "idempotency-key" not in upstream.headers[0]
    assert upstream.limits_s[0]["read"] == 600.0


@BOTH
@FACES
def test_a_body_that_can_be_read_once_is_sent_twice(library: Any, face: str) -> None:
    """A form with a file, for an edit."""
    asked = {"json": None, "data": {"prompt": "a cat"}, "files": {"image": ("cat.png", b"PNG" * 1000)}}

    _, upstream, _ = ask(library, face, LIMITED, IMAGE, asked=asked)

    assert b"PNG" * 1000 in upstream.bodies[0]
    assert upstream.bodies[0] == upstream.bodies[1]


@BOTH
@FACES
def test_a_callers_own_key_is_kept_and_an_sdk_counts_on(library: Any, face: str) -> None:
    """The header that an SDK sends for its own retries tells of these."""
    asked = {"headers": {"Idempotency-Key": "mine", "x-stainless-retry-count": "0"}}

    _, upstream, _ = ask(library, face, LIMITED, IMAGE, asked=asked)

    assert [sent["idempotency-key"] for sent in upstream.headers] == ["mine", "mine"]
    assert [sent["x-stainless-retry-count"] for sent in upstream.headers] == ["0", "1"]


def test_the_sdk_on_it_keeps_the_retry_contract() -> None:
    """All but what is the client's own: no wait, count, bill or key is wrong."""

    def make(base_url: str, api_key: str) -> openai.AsyncOpenAI:
        inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=3))
        wires = httpx2.AsyncClient(transport=retrying_transport(inner))
        return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=wires)

    card = hold(client_of(make, "the SDK"), loop_factory=MemoryLoop)

    broken = {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT}
    assert {check: why for check, why in broken.items() if check not in THE_CLIENTS_OWN} == {}
