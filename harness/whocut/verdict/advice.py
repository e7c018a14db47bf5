"""What an error of the Images API means, what to do about it, and what not to do. A table, read from the top.

The wording and the codes are the API's own as seen in the field; the sections are those of the article this project
was born from ("30-second triage").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """Why a generation failed: the article's five, the upstream itself, and not known."""

    TIMEOUT_CHAIN = "timeout_chain"
    MODERATION = "moderation"
    PARAMETER = "parameter"
    RATE_LIMIT = "rate_limit"
    VERIFICATION = "verification"
    UPSTREAM = "upstream"
    UNKNOWN = "unknown"


SECTIONS: Final = {
    Cause.TIMEOUT_CHAIN: "1. Timeouts",
    Cause.MODERATION: "2. moderation_blocked",
    Cause.PARAMETER: "3. Parameter mismatches",
    Cause.RATE_LIMIT: "4. Rate limiting",
    Cause.VERIFICATION: "5. Organization verification",
}


@dataclass(frozen=True, slots=True)
class Known:
    """One kind of refusal. `codes` are the API's; `says` is looked for in its message, or in any text.

    A group named `field` in `says` is the parameter meant; `field` is it where the message does not name it.
    """

    cause: Cause
    name: str
    codes: tuple[str, ...]
    says: re.Pattern[str]
    do: str
    do_not: str
    field: str | None = None


def _known(
    cause: Cause, name: str, codes: str, says: str, do: str, do_not: str, field: str | None = None
) -> Known:
    return Known(cause, name, tuple(codes.split()), re.compile(says, re.IGNORECASE), do, do_not, field)


_NEVER = "(?!)"
_SAME_AGAIN = "Do not retry: the same request is refused the same way each time."
_OTHER_FIELD = "Change or strip it; the minimal call is model, prompt and size."

KNOWN: Final = (
    _known(
        Cause.VERIFICATION,
        "the organisation is not verified",
        "",
        "organization must be verified",
        "Verify the organisation at platform.openai.com/settings/organization/general; then wait up to 15 minutes "
        "(reports speak of up to 24 hours) for access.",
        "Do not retry, and do not change parameters: nothing in the request is wrong.",
    ),
    _known(
        Cause.MODERATION,
        "the safety system refused it",
        "moderation_blocked content_policy_violation",
        r"rejected (?:by the|as a result of our) safety system|generated image was filtered|safety_violations=",
        "Change the prompt or the reference images; check prompts before they are sent.",
        "Do not retry the same prompt: the filter blocks it the same way again.",
    ),
    _known(
        Cause.RATE_LIMIT,
        "no money left",
        "insufficient_quota credit_balance_exhausted organization_spend_limit_exceeded "
        "project_spend_limit_exceeded organization_usage_limit_exceeded billing_hard_limit_reached",
        "exceeded your current quota|billing hard limit",
        "Add credit, or raise the spend limit of the organisation or the project.",
        "Do not retry: waiting does not help, although SDKs retry it as any 429.",
    ),
    _known(
        Cause.RATE_LIMIT,
        "the request rate grew too quickly",
        "slow_down",
        "request rate increased too quickly",
        "Send fewer at a time, and raise the rate gradually.",
        "Do not retry at once.",
    ),
    _known(
        Cause.RATE_LIMIT,
        "a rate limit was reached",
        "rate_limit_exceeded",
        r"rate limit (?:reached|exceeded)|exceeded the rate limit|too many requests|\bRateLimitError\b",
        "Wait as long as it says, then send fewer at a time: a semaphore of 3 at the call site.",
        "Do not retry sooner than it says, nor all at once.",
    ),
    _known(
        Cause.PARAMETER,
        "the key is wrong",
        "invalid_api_key",
        "incorrect api key|invalid api key|missing bearer",
        "Use a key of this API; check which variable the program reads it from.",
        _SAME_AGAIN,
        "Authorization",
    ),
    _known(
        Cause.PARAMETER,
        "the model is not to be had",
        "model_not_found",
        r"the model '[^']*' does not exist|does not have access to model",
        "Use a model that exists today, with a project that may use it.",
        _SAME_AGAIN,
        "model",
    ),
    _known(
        Cause.PARAMETER,
        "an unknown parameter",
        "unknown_parameter unsupported_parameter",
        r"(?:unknown|unsupported) parameter: '(?P<field>[^']+)'",
        "Strip it; a wrapper client sends fields of another API. The minimal call is model, prompt and size.",
        _SAME_AGAIN,
    ),
    _known(
        Cause.PARAMETER,
        "a parameter is missing",
        "missing_required_parameter",
        r"missing required parameter: '(?P<field>[^']+)'",
        "Send it.",
        _SAME_AGAIN,
    ),
    _known(
        Cause.PARAMETER,
        "a parameter this model does not take",
        "invalid_input_fidelity_model",
        r"does not support the '(?P<field>[^']+)' parameter",
        "Strip it for this model.",
        _SAME_AGAIN,
    ),
    _known(
        Cause.PARAMETER,
        "a size that does not exist",
        "",
        r"invalid (?P<field>size) '|width and height must|longest edge must|minimum pixel budget",
        "Use 1024x1024, 1024x1536, 1536x1024 or auto, or sides divisible by 16 where the model takes any.",
        _SAME_AGAIN,
        "size",
    ),
    _known(
        Cause.PARAMETER,
        "no transparent background here",
        "",
        "transparent background is not supported",
        "Ask for an opaque background, or another model.",
        _SAME_AGAIN,
        "background",
    ),
    _known(
        Cause.PARAMETER,
        "an image that cannot be read",
        "unsupported_file_mimetype invalid_image_file",
        r"invalid file '(?P<field>[^']+)'|invalid image file",
        "Send PNG, JPEG or WebP in RGB with its content type; convert CMYK and MPO first.",
        _SAME_AGAIN,
        "image",
    ),
    _known(
        Cause.PARAMETER,
        "a stream of several images",
        "",
        "streaming is only supported with n=1",
        "Stream with n=1, several requests if need be.",
        _SAME_AGAIN,
        "n",
    ),
    _known(
        Cause.PARAMETER,
        "a value that is not allowed",
        "invalid_value invalid_type",
        r"\binvalid value: '",
        _OTHER_FIELD,
        _SAME_AGAIN,
    ),
    _known(
        Cause.UPSTREAM,
        "the model is overloaded",
        "server_is_overloaded",
        "model is temporarily overloaded",
        "Retry after a brief, growing delay, at least as long as Retry-After says.",
        "Do not retry at once, nor with everything in flight.",
    ),
    _known(
        Cause.UPSTREAM,
        "the API failed",
        "server_error internal_error",
        "an error occurred while processing your request. you can retry|server had an error while processing",
        "Retry a few times with a growing delay; give OpenAI the request id if it stays.",
        "Do not retry without an end: whether a failed generation is billed is not documented.",
    ),
    _known(
        Cause.PARAMETER,
        "the request is refused",
        "invalid_request_error image_generation_user_error",
        _NEVER,
        _OTHER_FIELD,
        _SAME_AGAIN,
    ),
)
MODERATED_AT: Final = {
    "input": "Change the prompt or the reference images: they were refused before anything was made.",
    "output": "Change the scene, not just the wording: an image was made, and then filtered.",
}
