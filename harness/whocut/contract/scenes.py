"""The pieces of which the checks make their scenes. Figures are the client's seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut.chain.catalogue import preset
from whocut.chain.layers import Answer, Layer, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.contract.trial import Ask, Scene
from whocut.stage.plants import Canned, Plants
from whocut_mock import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.stage.plants import Plant

WORK_S: Final = 200.0
_CUT_S: Final = 60.0
ASKED_S: Final = 5.0
STREAM: Final = Ask(stream=True)
UNKNOWN: Final = "the generation behind it may still be running: a second attempt is a second bill"


def world(
    *sequence: Plant,
    forever: bool = False,
    by_body: bool = False,
    hops: tuple[Layer, ...] = (),
    ask: Ask | None = None,
    work_s: float = WORK_S,
    bound_s: float = 4_000.0,
    runs_of_a_program: int = 0,
) -> Callable[[], Scene]:
    """A scene, made anew for each trial: plants in the way of attempts, hops before the mock, what is asked."""

    def scene() -> Scene:
        return Scene(
            topology=Topology(name="check", client=preset("openai-python"), hops=hops),
            settings=Settings.model_validate(
                {"latency": {"constant_s": work_s, "first_partial_s": [80.0, 81.0]}, "seed": 7}
            ),
            plants=Plants(sequence, forever=forever, by_body=by_body),
            ask=ask or Ask(),
            bound_s=bound_s,
            runs_of_a_program=runs_of_a_program,
        )

    return scene


def gateway(status: int, reason: str, sign: str = "") -> tuple[Layer, ...]:
    """A gateway that gives up waiting after a minute, and says so in this way; `sign` ends its page."""
    timer = Timer(kind=TimerKind.FIRST_BYTE, limit_s=_CUT_S, directive="read timeout")
    head = f"<html><head><title>{status} {reason}</title></head>"
    page = f"{head}<body><h1>{status} {reason}</h1>{sign}</body></html>"
    answer = Answer(status=status, reason=reason, headers=(("Content-Type", "text/html"),), body=page)
    return (
        Layer(
            name="gateway",
            title="a gateway",
            timers={TimerKind.FIRST_BYTE: timer},
            answers={"expiry": answer},
        ),
    )


def error(
    status: int, code: str | None, kind: str, message: str, *headers: tuple[str, str], **more: Any
) -> Canned:
    """A refusal in the API's own envelope."""
    envelope = {"message": message, "type": kind, "param": None, "code": code}
    return Canned(status=status, error=envelope, headers=headers, **more)


def limited(*headers: tuple[str, str], **more: Any) -> Canned:
    """A 429 of the rate limit, in the API's own words."""
    message = (
        "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-mock on input-images per "
        "min: Limit 5, Used 5, Requested 1."
    )
    return error(429, "rate_limit_exceeded", "input-images", message, *headers, **more)


def overloaded(*headers: tuple[str, str]) -> Canned:
    """A 503 of an overloaded model, in the API's own words."""
    message = "The model is temporarily overloaded. Please retry your request after a brief delay."
    return error(503, "server_is_overloaded", "service_unavailable_error", message, *headers)


BLOCKED: Final = "Your request was rejected by the safety system. safety_violations=[violence]."
BLOCKED_EVENT: Final = (
    'event: error\ndata: {"type":"error","error":{"type":"image_generation_user_error","code":"moderation_blocked",'
    f'"message":"{BLOCKED}","param":null}},"sequence_number":0}}\n\n'
)
