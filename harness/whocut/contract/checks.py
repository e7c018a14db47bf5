"""The retry contract as data: some thirty checks, each a sentence, a reason, a source, and a small scene.

A check is obligatory where breaking it costs money, gets a key blocked or gives it away; the others are what a good
client does for its caller. Figures are the client's seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.catalogue import preset
from whocut.chain.layers import Answer, Layer, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.contract import judges
from whocut.contract.trial import Ask, Scene, Trial
from whocut.stage.plants import Canned, MockFault, Plant, Plants
from whocut_mock import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

# Where a rule comes from.
ARTICLE_1 = "the article §1: 'don't retry on timeout'"
ARTICLE_2 = "the article §2: 'retrying the same prompt does nothing'"
ARTICLE_3 = "the article §3: 'strip it'"
ARTICLE_4 = "the article §4: '3 concurrent + 2s gap: stable'; 'backoff that honors Retry-After'"
API_ERRORS = "OpenAI's error guide: never retry image_generation_user_error; 429 and 5xx with backoff"
API_SPEC = "OpenAI's published schema: Retry-After is the 'minimum number of seconds to wait'"
RFC_9110 = "RFC 9110 §10.2.3: Retry-After is a number of seconds or a date"
RFC_RETRY = (
    "RFC 9110 §9.2.2: a POST is not repeated automatically unless it is known not to have been applied"
)
SSE_SCHEMA = "OpenAI's published schema: an image stream ends with 'completed' or 'error'"
SDK_READ = "openai-python: stream consumption is never retried; an end without 'completed' raises nothing"
OURS = "whocut"

WORK_S: Final = 200.0
_CUT_S: Final = 60.0
_ASKED_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `virtual_only`: it takes minutes, and is tried in virtual time alone."""

    id: str
    sentence: str
    reason: str
    source: str
    scene: Callable[[], Scene]
    judge: Callable[[Trial], str | None]
    obligatory: bool = True
    virtual_only: bool = False


# --- pieces of scenes -----------------------------------------------------------------------------


def _world(
    *sequence: Plant,
    forever: bool = False,
    by_body: bool = False,
    hops: tuple[Layer, ...] = (),
    ask: Ask | None = None,
    work_s: float = WORK_S,
    bound_s: float = 4_000.0,
) -> Callable[[], Scene]:
    def scene() -> Scene:
        return Scene(
            topology=Topology(name="check", client=preset("openai-python"), hops=hops),
            settings=Settings.model_validate(
                {"latency": {"constant_s": work_s, "first_partial_s": [80.0, 81.0]}, "seed": 7}
            ),
            plants=Plants(sequence, forever=forever, by_body=by_body),
            ask=ask or Ask(),
            bound_s=bound_s,
        )

    return scene


def _gateway(status: int, reason: str) -> tuple[Layer, ...]:
    """A gateway that gives up waiting after a minute, and says so in this way."""
    timer = Timer(kind=TimerKind.FIRST_BYTE, limit_s=_CUT_S, directive="read timeout")
    page = (
        f"<html><head><title>{status} {reason}</title></head><body><h1>{status} {reason}</h1></body></html>"
    )
    answer = Answer(status=status, reason=reason, headers=(("Content-Type", "text/html"),), body=page)
    return (
        Layer(
            name="gateway",
            title="a gateway",
            timers={TimerKind.FIRST_BYTE: timer},
            answers={"expiry": answer},
        ),
    )


def _error(
    status: int, code: str | None, kind: str, message: str, *headers: tuple[str, str], **more: Any
) -> Canned:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Canned(status=status, error=error, headers=headers, **more)


def _limited(*headers: tuple[str, str], **more: Any) -> Canned:
    message = (
        "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-mock on input-images per "
        "min: Limit 5, Used 5, Requested 1."
    )
    return _error(429, "rate_limit_exceeded", "input-images", message, *headers, **more)


def _overloaded(*headers: tuple[str, str]) -> Canned:
    message = "The model is temporarily overloaded. Please retry your request after a brief delay."
    return _error(503, "server_is_overloaded", "service_unavailable_error", message, *headers)


_BLOCKED = "Your request was rejected by the safety system. safety_violations=[violence]."
_BLOCKED_EVENT = (
    'event: error\ndata: {"type":"error","error":{"type":"image_generation_user_error","code":"moderation_blocked",'
    f'"message":"{_BLOCKED}","param":null}},"sequence_number":0}}\n\n'
)
_STREAM = Ask(stream=True)

# --- the contract ---------------------------------------------------------------------------------

_UNKNOWN = "the generation behind it may still be running: a second attempt is a second bill"

CHECKS: Final = (
    *(
        Check(
            id=f"unknown-{status}",
            sentence=f"A gateway's {status} is not followed by another attempt",
            reason=_UNKNOWN,
            source=ARTICLE_1,
            scene=_world(hops=_gateway(status, reason)),
            judge=judges.asked_once,
        )
        for status, reason in (
            (504, "Gateway Time-out"),
            (524, "A timeout occurred"),
            (502, "Bad Gateway"),
            (499, "Client Closed Request"),
        )
    ),
    Check(
        id="unknown-reset",
        sentence="A connection reset while waiting is not followed by another attempt",
        reason=_UNKNOWN,
        source=RFC_RETRY,
        scene=_world(MockFault("reset_before_headers=40"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-closed",
        sentence="A connection closed without an answer is not followed by another attempt",
        reason="the work was done and its answer lost on the way: a second attempt is a second bill",
        source=RFC_RETRY,
        scene=_world(MockFault("answer_lost"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-truncated",
        sentence="A body that breaks off is not followed by another attempt",
        reason="the image was made and billed, and broke on the way",
        source=RFC_RETRY,
        scene=_world(MockFault("fin_mid_body=0.5"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-half-json",
        sentence="A whole message with half an image in it is not followed by another attempt",
        reason="a layer on the way ended it in good order; the image was made and billed",
        source=RFC_RETRY,
        scene=_world(MockFault("truncated_json=0.5"), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="unknown-timeout",
        sentence="A timeout of the client's own is not followed by another attempt",
        reason=_UNKNOWN,
        source=ARTICLE_1,
        scene=_world(MockFault("hang"), forever=True),
        judge=judges.asked_once,
        virtual_only=True,
    ),
    Check(
        id="stream-error",
        sentence="An error inside a stream is not followed by another attempt",
        reason="the stream had begun, so the work had too",
        source=SDK_READ,
        scene=_world(MockFault("error_in_stream"), forever=True, ask=_STREAM),
        judge=judges.asked_once,
    ),
    Check(
        id="stream-incomplete",
        sentence="A stream that ends without 'completed' is not followed by another attempt",
        reason="all of the work was done, and is billed",
        source=SSE_SCHEMA,
        scene=_world(MockFault("stream_without_completed"), forever=True, ask=_STREAM),
        judge=judges.asked_once,
    ),
    Check(
        id="stream-incomplete-told",
        sentence="A stream that ends without 'completed' is an error for the caller",
        reason="partial images alone are no image, and silence looks like success",
        source=SDK_READ,
        scene=_world(MockFault("stream_without_completed"), forever=True, ask=_STREAM),
        judge=judges.noticed,
        obligatory=False,
    ),
    Check(
        id="stream-stall",
        sentence="A stream that falls silent is not followed by another attempt",
        reason=_UNKNOWN,
        source=ARTICLE_1,
        scene=_world(MockFault("stall=3000"), forever=True, ask=_STREAM),
        judge=judges.asked_once,
        virtual_only=True,
    ),
    Check(
        id="rate-seconds",
        sentence="After a 429 with Retry-After in seconds it waits at least that long",
        reason="whoever comes early is refused again, and uses up the quota of the others",
        source=ARTICLE_4,
        scene=_world(_limited(("retry-after", "5"))),
        judge=judges.waited(_ASKED_S),
    ),
    Check(
        id="rate-milliseconds",
        sentence="After a 429 with retry-after-ms it waits at least that long",
        reason="the API sends the exact time beside the rounded one",
        source=API_SPEC,
        scene=_world(_limited(("retry-after-ms", "3500"))),
        judge=judges.waited(3.5),
    ),
    Check(
        id="rate-date",
        sentence="After a 429 with Retry-After as a date it waits until then",
        reason="HTTP allows both forms, and CDNs send the date",
        source=RFC_9110,
        scene=_world(_limited(retry_at_s=9.0)),
        judge=judges.waited(9.0, rounding_s=1.05),
    ),
    Check(
        id="rate-121",
        sentence="After a 429 with Retry-After: 121 it waits that long, or gives up",
        reason="beyond a limit of their own some clients fall back to half a second",
        source="openai-python 1.x and openai-node 7.x: above 60 s Retry-After is ignored",
        scene=_world(_limited(("retry-after", "121"))),
        judge=judges.waited(121.0),
    ),
    Check(
        id="rate-growing",
        sentence="After a 429 without Retry-After its waits grow",
        reason="equal waits keep the load where it was when it was too much",
        source=ARTICLE_4,
        scene=_world(_limited(), forever=True),
        judge=judges.grew,
        obligatory=False,
    ),
    Check(
        id="rate-spread",
        sentence="Requests that are refused together come again apart",
        reason="without chance in the waits a crowd stays a crowd",
        source=ARTICLE_4,
        scene=_world(*[_limited()] * 3, by_body=True, ask=Ask(images=3)),
        judge=judges.jittered,
        obligatory=False,
    ),
    Check(
        id="rate-bounded",
        sentence="It gives up one day, and no single wait is longer than ten minutes",
        reason="a retry loop without an end is an outage that nobody sees",
        source=OURS,
        scene=_world(_limited(), forever=True),
        judge=judges.bounded,
        virtual_only=True,
    ),
    Check(
        id="rate-recovers",
        sentence="A 429 is tried again, and the image comes",
        reason="a refusal by the rate limit did no work: to try again is right",
        source=API_ERRORS,
        scene=_world(_limited(("retry-after", "1"))),
        judge=judges.delivered,
        obligatory=False,
    ),
    Check(
        id="never-quota",
        sentence="A 429 'insufficient_quota' is never tried again",
        reason="no wait fills an account",
        source=API_ERRORS,
        scene=_world(
            _error(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
            forever=True,
        ),
        judge=judges.asked_once,
    ),
    Check(
        id="never-moderation-input",
        sentence="A prompt blocked by the input filter is never tried again",
        reason="the same input is blocked the same way every time",
        source=ARTICLE_2,
        scene=_world(
            _error(400, "moderation_blocked", "image_generation_user_error", _BLOCKED),
            forever=True,
        ),
        judge=judges.asked_once,
    ),
    Check(
        id="never-moderation-output",
        sentence="An image blocked by the output filter is never tried again",
        reason="it takes as long as an image, costs as much, and ends the same way",
        source=ARTICLE_2,
        scene=_world(
            _error(400, "moderation_blocked", "image_generation_user_error", _BLOCKED, after_s=80.0),
            forever=True,
        ),
        judge=judges.asked_once,
    ),
    Check(
        id="never-moderation-stream",
        sentence="A block that comes as an event of the stream is never tried again",
        reason="behind a 200 it is the same refusal",
        source=ARTICLE_2,
        scene=_world(Canned(status=200, stream=_BLOCKED_EVENT, after_s=80.0), forever=True, ask=_STREAM),
        judge=judges.asked_once,
    ),
    *(
        Check(
            id=f"never-{status}",
            sentence=f"A {status} is never tried again",
            reason=reason,
            source=API_ERRORS,
            scene=_world(_error(status, code, "invalid_request_error", message), forever=True),
            judge=judges.asked_once,
        )
        for status, code, message, reason in (
            (400, "invalid_value", "Invalid value: 'standard'.", "the same request is wrong the second time"),
            (401, "invalid_api_key", "Incorrect API key provided.", "a wrong key opens no door by knocking"),
            (403, None, "Your organization must be verified.", "the wall stands until somebody acts"),
        )
    ),
    Check(
        id="overload-polite",
        sentence="After a 503 with Retry-After it waits at least that long",
        reason="who hammers an overloaded model keeps it overloaded",
        source=API_SPEC,
        scene=_world(_overloaded(("retry-after", "5"))),
        judge=judges.waited(_ASKED_S),
    ),
    Check(
        id="overload-recovers",
        sentence="A 503 'server_is_overloaded' is tried again, and the image comes",
        reason="the API asks for it: 'please retry your request after a brief delay'",
        source=API_SPEC,
        scene=_world(_overloaded(("retry-after", "1"))),
        judge=judges.delivered,
        obligatory=False,
    ),
    Check(
        id="overload-told-not-to",
        sentence="A 503 with 'x-should-retry: false' is not tried again",
        reason="the answer says so",
        source="openai-python: x-should-retry",
        scene=_world(_overloaded(("x-should-retry", "false")), forever=True),
        judge=judges.asked_once,
    ),
    Check(
        id="crowd-three",
        sentence="Of eight images asked for at once no more than three are under way",
        reason="five at once meet an occasional 429, ten a nearly certain one",
        source=ARTICLE_4,
        scene=_world(ask=Ask(images=8)),
        judge=judges.at_most(3),
        obligatory=False,
    ),
    Check(
        id="crowd-n",
        sentence="n=2 counts as two images",
        reason="each unit counts separately against the rate limit",
        source="the article §3: 'each unit counts separately for rate-limit budgeting'",
        scene=_world(ask=Ask(images=4, more=(("n", 2),))),
        judge=judges.at_most(3, each=2),
        obligatory=False,
    ),
    Check(
        id="total-bounded",
        sentence="A request that nobody answers is over within twenty minutes",
        reason="three times ten minutes of silence are half an hour of a caller's time",
        source="openai-python: 3 × 600 s",
        scene=_world(MockFault("hang"), forever=True),
        judge=judges.ended_in_time,
        virtual_only=True,
    ),
    Check(
        id="cancel-waiting",
        sentence="When its caller cancels, the attempt ends",
        reason="nobody is left to take the image",
        source=OURS,
        scene=_world(ask=Ask(cancel_s=20.0)),
        judge=judges.left_with_the_caller,
    ),
    Check(
        id="cancel-between",
        sentence="When its caller cancels between two attempts, no other follows",
        reason="an image that nobody waits for is begun and billed",
        source=OURS,
        scene=_world(_limited(("retry-after", "60")), ask=Ask(cancel_s=20.0), bound_s=400.0),
        judge=judges.nothing_followed,
    ),
    *(
        Check(
            id=f"strip-{name.replace('_', '-')}",
            sentence=f"'{name}' is not sent, even when it is asked for",
            reason="GPT image models answer it with 400",
            source=ARTICLE_3,
            scene=_world(ask=Ask(more=((name, value),))),
            judge=judges.never_sent(name),
            obligatory=False,
        )
        for name, value in (("response_format", "b64_json"), ("style", "vivid"))
    ),
    Check(
        id="key-kept",
        sentence="The key stands in no log, no error and no representation of the client",
        reason="logs are read by more people than keys are meant for",
        source=OURS,
        scene=_world(_error(401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided.")),
        judge=judges.key_kept,
    ),
)

BY_ID: Final = {check.id: check for check in CHECKS}
