"""What the client's record says of each way in which an attempt can end: the real SDK, in virtual time."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.servers import Step, chunk, head, scripted, whole
from whocut.chain.catalogue import preset
from whocut.chain.layers import Topology
from whocut.client.asking import Asking, asking_for
from whocut.client.attempt_span import attempt_span
from whocut.client.openai_client import async_openai_client
from whocut.client.watch import Sinks
from whocut.clock import VirtualLoop, run_virtual
from whocut.trace.records import Attempt, DownstreamEnd, Outcome, UpstreamEnd, parse_traceparent
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.retry_audit import audit_retries
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

IMAGE = b'{"created": 1, "data": [{"b64_json": "aGVsbG8="}]}'
PARTIAL = b'event: image_generation.partial_image\ndata: {"type": "x"}\n\n'
COMPLETED = b'event: image_generation.completed\ndata: {"b64_json": "aGVsbG8="}\n\n'
EVENTS = "text/event-stream"


class Account:
    """What one request left behind."""

    def __init__(self) -> None:
        self.lines: list[Attempt] = []
        self.spans: list[Any] = []
        self.error: BaseException | None = None
        self.requests: list[bytes] = []

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts, each in its last state."""
        return list({(attempt.request, attempt.number): attempt for attempt in self.lines}.values())


def ask(
    script: Callable[[], Iterable[Step]],
    *,
    stream: bool = False,
    max_retries: int | None = 0,
    patience_s: float = 1e6,
    api_key: str = "sk-test-secret",
    epoch_unix_s: float = 0.0,
    prompt: str = "a cat",
) -> Account:
    """Ask a scripted upstream for one image through the real SDK, in virtual time."""
    account = Account()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with scripted(script) as server:
            client = async_openai_client(
                base_url=server.base_url,
                api_key=api_key,
                clock=loop.clock(epoch_unix_s),
                layer=preset("openai-python"),
                sinks=Sinks(account.lines.append, account.spans.append),
                max_retries=max_retries,
            )
            wanted: dict[str, Any] = {"model": "gpt-image-2", "prompt": prompt}
            async with client:
                with asking_for(Asking(request="request-1", mode="stream" if stream else "plain")):
                    try:
                        async with asyncio.timeout(patience_s):
                            answer: Any = await client.images.generate(**wanted, stream=stream)
                            if stream:
                                async for _event in answer:
                                    pass
                    except (openai.OpenAIError, TimeoutError, ValueError) as error:
                        account.error = error
            account.requests = server.requests

    run_virtual(main())
    return account


def test_whole_json_is_delivered() -> None:
    """A complete JSON object is an image received."""
    account = ask(lambda: [80.0, whole(IMAGE)])

    (attempt,) = account.attempts
    assert attempt.outcome is Outcome.DELIVERED
    assert attempt.first_byte_s == pytest.approx(80, abs=0.001)


def test_json_that_just_ends_is_truncated() -> None:
    """A connection that ends in mid-body leaves a truncated attempt, not an image."""
    account = ask(lambda: [80.0, head(length=len(IMAGE)) + IMAGE[:20], "fin"])

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.phase) == (Outcome.TRUNCATED, "stream")


def test_json_that_looks_complete_on_the_wire_is_still_truncated() -> None:
    """A layer that sends the terminating chunk when it cuts fools the framing; the end marker tells."""
    account = ask(lambda: [head() + chunk(IMAGE[:20]) + chunk(b"")])

    (attempt,) = account.attempts
    assert attempt.outcome is Outcome.TRUNCATED


def test_stream_with_its_last_event_is_delivered() -> None:
    """The completed event is the end marker of a stream, and each event's arrival is on record."""
    account = ask(
        lambda: [10.0, head(kind=EVENTS) + chunk(PARTIAL), 50.0, chunk(COMPLETED) + chunk(b"")], stream=True
    )

    (attempt,) = account.attempts
    assert attempt.outcome is Outcome.DELIVERED
    assert attempt.arrivals_s == pytest.approx([10, 60], abs=0.001)
    assert attempt.largest_gap_s == pytest.approx(50, abs=0.001)


def test_stream_that_ends_in_good_order_without_its_last_event_is_truncated() -> None:
    """The SDK reports no error for it; the record does."""
    account = ask(lambda: [head(kind=EVENTS) + chunk(PARTIAL) + chunk(b"")], stream=True)

    (attempt,) = account.attempts
    assert account.error is None
    assert attempt.outcome is Outcome.TRUNCATED


def test_error_inside_a_stream_is_a_rejection_with_its_code() -> None:
    """HTTP 200 has been said already; the refusal comes as an event."""
    refusal = b'event: error\ndata: {"error": {"code": "moderation_blocked", "message": "no"}}\n\n'

    account = ask(lambda: [head(kind=EVENTS) + chunk(refusal) + chunk(b"")], stream=True)

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.error) == (Outcome.REJECTED, "moderation_blocked")


def test_error_envelope_is_a_rejection_by_the_api() -> None:
    """The API's own refusals are told from a gateway's pages by their envelope."""
    envelope = b'{"error": {"message": "no", "type": "t", "param": null, "code": "rate_limit_exceeded"}}'

    account = ask(lambda: [whole(envelope, "429 Too Many Requests")])

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.error) == (Outcome.REJECTED, "rate_limit_exceeded")


@pytest.mark.parametrize("stream", [False, True])
def test_html_504_is_a_gateway_error_and_the_sdk_makes_it_three_attempts(*, stream: bool) -> None:
    """The default SDK posts three times on a 504; each attempt has its record, streamed or not."""
    account = ask(
        lambda: [60.0, whole(b"<html>504</html>", "504 Gateway Time-out", "text/html")],
        stream=stream,
        max_retries=None,
    )

    assert [attempt.outcome for attempt in account.attempts] == [Outcome.GATEWAY_ERROR] * 3
    assert [attempt.number for attempt in account.attempts] == [1, 2, 3]
    assert 181.1 < (account.attempts[-1].ended_s or 0) < 181.6


@pytest.mark.parametrize("answer", [b'{"data": []}', b'{"data": [{}]}', b'{"created": 1}'])
def test_an_answer_without_an_image_is_not_delivered(answer: bytes) -> None:
    """It is whole and says 200, and nobody cut it; what became of the work is not known."""
    account = ask(lambda: [whole(answer)])

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.error) == (Outcome.REJECTED, "no image in the answer")
    assert account.spans[0].upstream == UpstreamEnd.COMPLETE


def test_a_redirect_is_no_cut_and_what_follows_it_is_delivered() -> None:
    """A 307 is whole without an end marker."""
    away = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/images/generations\r\nContent-Length: 0\r\n"
    scripts: Iterator[list[Step]] = iter([[away + b"Connection: close\r\n\r\n", "fin"], [whole(IMAGE)]])

    account = ask(lambda: next(scripts))

    first, second = account.attempts
    assert (first.outcome, first.error, first.redirected) == (Outcome.REJECTED, "redirect 307", True)
    assert (second.outcome, second.redirected) == (Outcome.DELIVERED, False)
    assert account.spans[0].upstream == UpstreamEnd.COMPLETE


def test_what_the_library_would_not_send_is_nobodys_cut() -> None:
    """A header that is none: nothing went on the wire, and nobody's caller went away."""
    account = ask(lambda: [whole(IMAGE)], api_key="sk-a\r\nX-Other: 1")

    (attempt,) = account.attempts
    (span,) = account.spans
    assert account.requests == []
    assert (attempt.outcome, attempt.error) == (Outcome.REFUSED, "LocalProtocolError")
    assert span.upstream == UpstreamEnd.NONE
    topology = Topology(name="direct", client=preset("openai-python"), hops=())
    verdict = attribute(gather([span])[0], topology)
    assert verdict.kind is Kind.UNATTRIBUTED


def test_a_secret_in_an_error_s_code_is_not_written_down() -> None:
    """Whoever echoes the key in its envelope does not bring it into the record."""
    envelope = b'{"error": {"message": "no", "type": "t", "code": "bad key sk-test-secret"}}'

    account = ask(lambda: [whole(envelope, "401 Unauthorized")])

    assert account.attempts[0].error == "bad key [redacted]"
    assert "sk-test-secret" not in repr(account.spans) + repr(account.lines)


def test_reset_before_headers_is_a_reset_while_waiting() -> None:
    """Nothing came and the connection was reset."""
    account = ask(lambda: [30.0, "rst"])

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.phase) == (Outcome.RESET, "wait")


def test_reset_in_the_body_is_a_reset_while_streaming() -> None:
    """Some of it came and the connection was reset."""
    account = ask(lambda: [head(length=500) + IMAGE, 1.0, "rst"])

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.phase) == (Outcome.RESET, "stream")


def test_own_read_timer_cuts_wait_as_first_byte() -> None:
    """The SDK's 600 s are per read: before the headers that is a first_byte timer."""
    account = ask(lambda: [1e5, "fin"])

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.timer, attempt.phase) == (Outcome.TIMEOUT, "first_byte", "wait")
    assert attempt.directive == "timeout.read"
    assert attempt.ended_s == pytest.approx(600, abs=0.01)


def test_own_read_timer_cuts_stream_as_idle() -> None:
    """In the body the same knob is an idle timer, re-armed by every byte."""
    account = ask(
        lambda: [500.0, head(kind=EVENTS) + chunk(PARTIAL), 500.0, chunk(PARTIAL), 1e5, "fin"], stream=True
    )

    (attempt,) = account.attempts
    assert (attempt.outcome, attempt.timer, attempt.phase) == (Outcome.TIMEOUT, "idle", "stream")
    assert attempt.ended_s == pytest.approx(1600, abs=0.01)
    (span,) = account.spans
    assert span.cut.limit_s == 600


def test_cancelled_request_leaves_a_record_all_the_same() -> None:
    """A cancelled task is not an Exception; its attempt is written down as never seen to its end."""
    account = ask(lambda: [1e5, "fin"], patience_s=42.0)

    (attempt,) = account.attempts
    assert attempt.outcome is Outcome.CENSORED
    assert attempt.ended_s == pytest.approx(42, abs=0.001)
    (span,) = account.spans
    assert span.upstream == UpstreamEnd.ABANDONED


def test_attempts_of_one_request_are_children_of_one_span_and_say_so_on_the_wire() -> None:
    """Each attempt sends its own span id in `traceparent`, and all share the request's trace."""
    account = ask(lambda: [whole(b"busy", "503 Service Unavailable", "text/plain")], max_retries=None)

    sent = [
        parse_traceparent(line.split(b":", 1)[1].decode())
        for request in account.requests
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"traceparent:")
    ]
    assert sent == [(span.trace_id, span.span_id) for span in account.spans]
    assert len({span.parent_id for span in account.spans}) == 1
    assert len({span.trace_id for span in account.spans}) == 1


LIMITED = b'{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}'


def limited(*headers: str) -> bytes:
    """A 429 of the API's with these header lines."""
    lines = "".join(f"{line}\r\n" for line in headers)
    head = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n"
    return f"{head}{lines}Content-Length: {len(LIMITED)}\r\n\r\n".encode() + LIMITED


def refused_until_delivered(*headers: str) -> Callable[[], Iterable[Step]]:
    """One refusal with these headers, then the image."""
    scripts: Iterator[list[Step]] = iter([[limited(*headers), "fin"], [whole(IMAGE), "fin"]])
    return lambda: next(scripts)


@pytest.mark.parametrize(
    ("headers", "asked_s"),
    [
        (("retry-after-ms: 6340", "retry-after: 7"), 6.34),
        (("retry-after: 7",), 7.0),
        (("retry-after-ms: 900",), 0.9),
    ],
)
def test_an_sdk_that_waits_as_long_as_it_was_asked_is_not_accused(
    headers: tuple[str, ...], asked_s: float
) -> None:
    """The SDK heeds the milliseconds beside the rounded seconds, and so does who holds it to them."""
    account = ask(refused_until_delivered(*headers), max_retries=None)

    assert [attempt.outcome for attempt in account.attempts] == [Outcome.REJECTED, Outcome.DELIVERED]
    assert account.attempts[0].retry_after_s == asked_s
    assert audit_retries(account.attempts).sentences() == []


def test_a_date_is_counted_from_the_end_of_its_answer() -> None:
    """A date is an instant: what the answer's body took of the time until then is no longer to be waited."""
    epoch_unix_s = 1_790_000_000.0
    asked = (
        f"Date: {formatdate(epoch_unix_s + 30, usegmt=True)}",
        f"retry-after: {formatdate(epoch_unix_s + 39, usegmt=True)}",
    )
    refusal = limited(*asked)

    account = ask(lambda: [30.0, refusal[:-9], 0.5, refusal[-9:], "fin"], epoch_unix_s=epoch_unix_s)

    assert account.attempts[0].retry_after_s == pytest.approx(8.5, abs=0.001)


def test_no_record_holds_the_key() -> None:
    """Secrets never reach a record."""
    account = ask(lambda: [whole(IMAGE)])

    assert "sk-test-secret" not in repr(account.spans) + repr(account.lines)


def test_an_error_page_is_kept_with_the_headers_that_tell_layers_apart() -> None:
    """512 bytes of the page and the allowed headers: enough to say whose it is, and nothing secret."""
    page = "<html>" + "x" * 600 + ""
    told = (("Server", "nginx"), ("Set-Cookie", "session=secret"), ("X-Debug", "Bearer abcdef123456"))
    raw = "HTTP/1.1 504 Gateway Time-out\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told)
    answer = f"{raw}Content-Length: {len(page)}\r\n\r\n{page}".encode()

    account = ask(lambda: [answer])

    (attempt,) = account.attempts
    assert attempt.outcome is Outcome.GATEWAY_ERROR
    assert attempt.headers == {"server": "nginx", "content-length": str(len(page))}
    assert attempt.body_head == page[:512]
    assert account.spans[-1].headers["server"] == "nginx"


def test_a_delivered_image_keeps_no_headers() -> None:
    """Where nothing went wrong there is nothing to tell apart."""
    account = ask(lambda: [whole(IMAGE)])

    (attempt,) = account.attempts
    assert (attempt.headers, attempt.body_head) == ({}, None)


@pytest.mark.parametrize("status", [408, 504])
def test_a_layer_that_writes_the_apis_envelope_is_no_rejection(status: int) -> None:
    """LiteLLM's own timeout looks like an error of the API's but for its status."""
    body = (
        b'{"error":{"message":"litellm.Timeout: Request timed out.","type":null,"param":null,"code":"408"}}'
    )

    account = ask(lambda: [whole(body, f"{status} Whatever")])

    assert account.attempts[0].outcome is Outcome.GATEWAY_ERROR


@pytest.mark.parametrize("upstream", UpstreamEnd)
def test_every_end_of_the_client_s_side_towards_the_model_has_one_towards_its_caller(
    upstream: UpstreamEnd,
) -> None:
    """Whatever ended an attempt, its span can be written: an attempt that was given up as well."""
    record = Attempt(
        request="r1", number=1, mode="plain", trace_id="a" * 32, span_id="b" * 16, user=0, started_s=0.0
    )

    span = attempt_span(
        record,
        layer="client",
        asked=("POST", "/v1/images/generations"),
        parent_id=None,
        end_s=1.0,
        upstream=upstream,
        last_byte_s=None,
        limit_s=None,
    )

    (evidence,) = gather([span])
    assert evidence.layers[0].upstream is upstream
    assert evidence.layers[0].downstream is not DownstreamEnd.NONE
