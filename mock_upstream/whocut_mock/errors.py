"""What the API says when it says no: one envelope, one function for each refusal.

Wordings, types and codes are those of the real API where they are published
(reference "OpenAI Images API", section 4); one that follows only the house template is marked `template`.
One file, because a wording is found by looking at its neighbours.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

USER_ERROR = "image_generation_user_error"
INVALID_REQUEST = "invalid_request_error"


_JSON_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
    (type(None), "null"),
)
JSON_NAMES = dict(_JSON_KINDS)


def kind_of(value: Any) -> str:
    """The JSON type of a value, with its article."""
    return next((named for kind, named in _JSON_KINDS if isinstance(value, kind)), "something else")


class ApiError(Exception):
    """A refusal: its status, the four keys of the envelope, and what else goes with it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID_REQUEST,  # noqa: A002 - the envelope's own name
        code: str | None = None,
        param: str | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = _as_text(message)
        self.type = type
        self.code = code
        self.param = None if param is None else _as_text(param)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def envelope(self) -> dict[str, Any]:
        """The body: always these four keys, then whatever this refusal adds."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error | self.extra}


def _as_text(text: str) -> str:
    """What a caller sent may not be text at all; an answer always is."""
    return text.encode("utf-8", "replace").decode()


def error_event(error: ApiError) -> bytes:
    """The refusal inside a stream whose 200 is already out."""
    facts = {"type": "error", **error.envelope(), "sequence_number": 0}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(facts)


def retry_headers(wait_s: float) -> dict[str, str]:
    """Whole seconds rounded up, and the exact milliseconds, as a published 429 carries them."""
    wait_ms = max(1, math.ceil(wait_s * 1000))
    return {"retry-after": str(max(1, math.ceil(wait_s))), "retry-after-ms": str(wait_ms)}


def no_key() -> ApiError:
    """401: no Authorization header. The exact text for images is unverified; this is the platform's."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using"
        " Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from"
        " https://platform.openai.com/account/api-keys.",
    )


def wrong_key(key: str) -> ApiError:
    """401: an unknown key, shown with its middle masked."""
    shown = f"{key[:3]}…****{key[-4:]}" if len(key) > 12 else "…****"
    return ApiError(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at"
        " https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def unknown_parameter(name: str) -> ApiError:
    """A key that this endpoint does not know, `response_format` among them."""
    return ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)


def missing_parameter(name: str) -> ApiError:
    """A required key that is not there (template)."""
    return ApiError(
        400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name
    )


def wrong_type(name: str, expected: str, got: str) -> ApiError:
    """A value of another JSON type (template)."""
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return ApiError(400, message, code="invalid_type", param=name)


def bad_choice(name: str, value: str, choices: tuple[str, ...]) -> ApiError:
    """A value outside an enumeration."""
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {_listed(choices)}.",
        code="invalid_value",
        param=name,
    )


def _listed(choices: tuple[str, ...]) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`: two have no comma, as the published messages show."""
    *first, last = [f"'{choice}'" for choice in choices]
    if len(first) < 2:
        return " and ".join([*first, last])
    return f"{', '.join(first)}, and {last}"


def integer_outside(name: str, value: int, low: int, high: int) -> ApiError:
    """An integer below its minimum or above its maximum (template)."""
    if value < low:
        wrong, bound, code = "below minimum", f">= {low}", "integer_below_min_value"
    else:
        wrong, bound, code = "above maximum", f"<= {high}", "integer_above_max_value"
    message = f"Invalid '{name}': integer {wrong} value. Expected a value {bound}, but got {value} instead."
    return ApiError(400, message, code=code, param=name)


def string_too_long(name: str, length: int, longest: int) -> ApiError:
    """A string above its maximum length (template)."""
    message = (
        f"Invalid '{name}': string too long. Expected a string with maximum length {longest},"
        f" but got a string with length {length} instead."
    )
    return ApiError(400, message, code="string_above_max_length", param=name)


def empty_string(name: str) -> ApiError:
    """A string that must say something (template)."""
    message = (
        f"Invalid '{name}': empty string."
        " Expected a string with minimum length 1, but got an empty string instead."
    )
    return ApiError(400, message, code="empty_string", param=name)


def array_too_long(name: str, length: int, longest: int) -> ApiError:
    """An array above its maximum length (template)."""
    message = (
        f"Invalid '{name}': array too long. Expected an array with maximum length {longest},"
        f" but got an array with length {length} instead."
    )
    return ApiError(400, message, code="array_above_max_length", param=name)


def array_too_short(name: str, length: int, shortest: int) -> ApiError:
    """An array below its minimum length (template)."""
    message = (
        f"Invalid '{name}': array too short. Expected an array with minimum length {shortest},"
        f" but got an array with length {length} instead."
    )
    return ApiError(400, message, code="array_below_min_length", param=name)


def one_of(name: str, *keys: str) -> ApiError:
    """An object that must have exactly one of these keys (ours: no published wording)."""
    message = f"Invalid '{name}': expected exactly one of {' and '.join(repr(key) for key in keys)}."
    return ApiError(400, message, code="invalid_value", param=name)


def bad_mimetype(name: str, got: str, supported: tuple[str, ...]) -> ApiError:
    """A file of another type, `application/octet-stream` above all."""
    message = (
        f"Invalid file '{name}': unsupported mimetype ('{got}')."
        f" Supported file formats are {_listed(supported)}."
    )
    return ApiError(400, message, code="unsupported_file_mimetype", param=name)


def bad_image(number: int, name: str) -> ApiError:
    """A file that is no picture, or one in a mode that is not supported (MPO, CMYK)."""
    message = f"Invalid image file or mode for image {number}, please check your image file."
    return ApiError(400, message, type=USER_ERROR, code="invalid_image_file", param=name)


def file_too_large(name: str, size_bytes: int, limit_bytes: int) -> ApiError:
    """A file above 50 MB (ours: the limit is published, its wording is not)."""
    message = (
        f"Invalid file '{name}': file too large."
        f" Expected at most {limit_bytes} bytes, but got {size_bytes} instead."
    )
    return ApiError(400, message, code="file_above_max_size", param=name)


def bad_mask(name: str, reason: str) -> ApiError:
    """A mask that does not fit its image (ours: no published wording for the GPT image models)."""
    message = f"Invalid file '{name}': {reason}."
    return ApiError(400, message, type=USER_ERROR, code="invalid_image_file", param=name)


def mask_or_markup() -> ApiError:
    """Both overlays at once (ours: the rule is published, its wording is not)."""
    return ApiError(400, "'mask' and 'markup' cannot be used together.", code="invalid_value", param="markup")


def variations_retired(model: str) -> ApiError:
    """The variations of a model that never had any (template)."""
    return ApiError(
        400,
        f"Invalid value: '{model}'. Value must be 'dall-e-2'.",
        code="invalid_value",
        param="model",
    )


def not_a_chat_model() -> ApiError:
    """404: an image model asked to chat."""
    return ApiError(
        404,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did"
        " you mean to use v1/completions?",
        param="model",
    )


def model_not_found(name: str) -> ApiError:
    """404: the models endpoint's own no."""
    return ApiError(404, f"The model '{name}' does not exist", code="model_not_found", param="model")


def bad_size(value: str, reason: str, *, fixed: bool, param: str = "size") -> ApiError:
    """A size the model does not make; fixed-size models use another type for it."""
    kind = USER_ERROR if fixed else INVALID_REQUEST
    return ApiError(400, f"Invalid size '{value}'. {reason}", type=kind, code="invalid_value", param=param)


def no_transparency(output_format: str | None = None) -> ApiError:
    """A transparent background that this model, or the named format, cannot have."""
    of_what = f"{output_format.upper()} output format" if output_format else "this model"
    message = f"Transparent background is not supported for {of_what}."
    return ApiError(400, message, type=USER_ERROR, code="invalid_value", param="background")


def no_input_fidelity(model: str) -> ApiError:
    """`input_fidelity` towards a model that decides it by itself."""
    message = f"The model '{model}' does not support the 'input_fidelity' parameter."
    return ApiError(
        400, message, type=USER_ERROR, code="invalid_input_fidelity_model", param="input_fidelity"
    )


def no_such_model(name: str) -> ApiError:
    """A model that was retired or never was."""
    message = f"The model '{name}' does not exist."
    return ApiError(400, message, type=USER_ERROR, code="invalid_value", param="model")


def stream_needs_one() -> ApiError:
    """`stream` together with `n` above one."""
    return ApiError(400, "Streaming is only supported with n=1.")


def not_json() -> ApiError:
    """A body that is no JSON object (the platform's text)."""
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your"
        " HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid"
        " JSON. If you have trouble figuring out how to fix this, please contact us through our help center"
        " at help.openai.com.)",
    )


def not_a_form(reason: str) -> ApiError:
    """A multipart body that is invalid (ours: no published wording)."""
    return ApiError(400, f"Could not parse multipart form: {reason}.")


def body_too_large(limit_bytes: int, read_bytes: int) -> ApiError:
    """413: more bytes than the server takes (the platform's text, as its audio endpoint sends it)."""
    return ApiError(413, f"Maximum content size limit ({limit_bytes}) exceeded ({read_bytes} bytes read)")


def several_processes() -> ApiError:
    """501 of the mock itself: what one of several processes keeps, the next one does not know."""
    return ApiError(
        501,
        "Jobs and files are kept in one process. Start the mock without --processes.",
        type="mock_error",
        code="several_processes",
    )


def too_much_at_once(most_bytes: int) -> ApiError:
    """503 of the mock itself: the bodies that it holds at once are too many."""
    return ApiError(
        503,
        f"The bodies of the requests under way are more than {most_bytes} bytes. Send fewer at once.",
        type="mock_error",
        code="too_many_bytes",
        headers=retry_headers(1),
    )


def body_never_came() -> ApiError:
    """408: a body that stopped coming (ours: no published wording)."""
    return ApiError(408, "The request's body did not come in time.", code="request_timeout")


def no_such_url(method: str, path: str) -> ApiError:
    """404: no such endpoint (the platform's text)."""
    return ApiError(404, f"Invalid URL ({method} {path})")


def no_such_response(response_id: str) -> ApiError:
    """404: a response that was never in the background, or is kept no more (the platform's text)."""
    return ApiError(404, f"Response with id '{response_id[:100]}' not found.", param="id")


def no_such_file(file_id: str) -> ApiError:
    """404: a file that this key has not (the platform's text)."""
    return ApiError(404, f"No such File object: {file_id[:100]}", param="id")


def file_not_found(name: str, file_id: str) -> ApiError:
    """A file id in a request that this key has not (ours: no published wording)."""
    return ApiError(
        400, f"Invalid '{name}': the file '{file_id[:100]}' was not found.", code="file_not_found", param=name
    )


def no_room_for_files(most_bytes: int) -> ApiError:
    """400 of the mock itself: it keeps files in memory, within a bound."""
    return ApiError(
        400,
        f"The files that this mock keeps are more than {most_bytes} bytes. Delete some.",
        type="mock_error",
        code="files_full",
    )


def no_such_job(job_id: str) -> ApiError:
    """404: an id that is unknown, or known no more (template)."""
    return ApiError(404, f"No job found with id '{job_id[:100]}'.", code="not_found")


def wrong_method(method: str, path: str) -> ApiError:
    """405: the endpoint exists, the method does not (the platform's text)."""
    return ApiError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
        code="method_not_supported",
    )


def server_error(request_id: str) -> ApiError:
    """500: the platform's own text."""
    return ApiError(
        500,
        "An error occurred while processing your request. You can retry your request, or contact us through"
        " our help center at help.openai.com if the error persists. Please include the request ID"
        f" {request_id} in your message.",
        type="server_error",
        code="server_error",
    )


def generation_failed() -> ApiError:
    """500, or the error event of a stream: the work itself has failed (captured from the images stream)."""
    return ApiError(
        500,
        "Image generation failed",
        type="image_generation_server_error",
        code="image_generation_failed",
    )


def moderation_blocked(request_id: str, stage: str, categories: Sequence[str]) -> ApiError:
    """A prompt or a picture that a filter has caught; the stage is in the details alone."""
    return ApiError(
        400,
        "Your request was rejected by the safety system. If you believe this is an error, contact us at"
        f" help.openai.com and include the request ID {request_id}."
        f" safety_violations=[{', '.join(categories)}].",
        type=USER_ERROR,
        code="moderation_blocked",
        extra={"moderation_details": {"moderation_stage": stage, "categories": list(categories)}},
    )


def not_verified(model: str) -> ApiError:
    """403: the organisation wall."""
    return ApiError(
        403,
        f"Your organization must be verified to use the model `{model}`. Please go to:"
        " https://platform.openai.com/settings/organization/general and click on Verify"
        " Organization. If you just verified, it can take up to 15 minutes for access to propagate.",
    )


def no_model_access(model: str) -> ApiError:
    """403: a project that may not use this model (the published text has its project's id)."""
    return ApiError(
        403,
        f"Project `proj_mock` does not have access to model `{model}`",
        code="model_not_found",
    )


# The published types: `input-images` for images, `tokens` for tokens.
_LIMIT_TYPES = {
    "images": ("input-images", "input-images per min"),
    "tokens": ("tokens", "tokens per min (TPM)"),
}


def rate_limited(
    kind: str,
    *,
    model: str,
    limit_name: str,
    organization: str,
    limit: int,
    used: int,
    requested: int,
    again: str,
    headers: Mapping[str, str],
) -> ApiError:
    """429: a bucket without enough in it."""
    type_name, unit = _LIMIT_TYPES[kind]
    named = f" (for limit {limit_name})" if kind == "images" else ""
    more = "" if kind == "images" else " Visit https://platform.openai.com/account/rate-limits to learn more."
    return ApiError(
        429,
        f"Rate limit reached for {model}{named} in organization {organization} on {unit}:"
        f" Limit {limit}, Used {used}, Requested {requested}. Please try again in {again}.{more}",
        type=type_name,
        code="rate_limit_exceeded",
        headers=headers,
    )


def never_fits(
    kind: str, *, model: str, limit_name: str, organization: str, limit: int, requested: int
) -> ApiError:
    """429: more than the whole bucket holds. No wait helps, so it names none.

    The tokens' text is the platform's; the images' follows it (template).
    """
    type_name, unit = _LIMIT_TYPES[kind]
    named = f" (for limit {limit_name})" if kind == "images" else ""
    reduced = "The number of images" if kind == "images" else "The input or output tokens"
    return ApiError(
        429,
        f"Request too large for {model}{named} in organization {organization} on {unit}:"
        f" Limit {limit}, Requested {requested}. {reduced} must be reduced in order to run successfully."
        " Visit https://platform.openai.com/account/rate-limits to learn more.",
        type=type_name,
        code="rate_limit_exceeded",
    )


def too_many_at_once(model: str, organization: str, *, used: int, headers: Mapping[str, str]) -> ApiError:
    """429: too many generations at once (ours: the article gives the effect, no source a wording)."""
    return ApiError(
        429,
        f"Rate limit reached for {model} in organization {organization} on concurrent requests:"
        f" Used {used}, Requested 1. Please try again in {headers['retry-after']}s.",
        type="requests",
        code="rate_limit_exceeded",
        headers=headers,
    )


def slow_down(headers: Mapping[str, str]) -> ApiError:
    """429: requests that come ever quicker."""
    return ApiError(
        429,
        "Your request rate increased too quickly. Please reduce the request rate and gradually"
        " increase it again.",
        type="rate_limit_error",
        code="slow_down",
        headers=headers,
    )


def insufficient_quota(code: str) -> ApiError:
    """429: no money. It asks for a person, so it carries no Retry-After."""
    return ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more"
        " information on this"
        " error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        type="insufficient_quota",
        code=code,
    )


def overloaded(headers: Mapping[str, str]) -> ApiError:
    """503: more work than the servers have room for."""
    return ApiError(
        503,
        "The model is temporarily overloaded. Please retry your request after a brief delay.",
        type="service_unavailable_error",
        code="server_is_overloaded",
        headers=headers,
    )


def store_gone(reason: str) -> ApiError:
    """503 of the mock itself: a shared quota that cannot be reached lets no request in."""
    return ApiError(503, reason, type="mock_error", code="shared_quota_unreachable")


def bad_fault(header: str, reason: str) -> ApiError:
    """400 of the mock itself: a request for a fault that there is not."""
    return ApiError(400, f"{header}: {reason}", type="mock_error", code="unknown_fault", param=header)


def wrong_content_type(got: str, accepted: str) -> ApiError:
    """A body of another kind than the endpoint reads (the platform's text); without the type's parameters."""
    return ApiError(
        400,
        f"Unsupported content type: '{got}'. This API method only accepts '{accepted}' requests,"
        " but you specified"
        f" the header 'Content-Type: {got}'. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


def moved_to_input() -> ApiError:
    """`messages` sent to the Responses API."""
    return ApiError(
        400,
        "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to"
        " 'input'. Try again with the new parameter. See the API documentation for more information:"
        " https://platform.openai.com/docs/api-reference/responses/create.",
        code="unsupported_parameter",
        param="messages",
    )


def window_needs_background(window: str) -> ApiError:
    """A long completion window without `background`, or with a stream (ours: the rule is the SDK's)."""
    return ApiError(
        400,
        f"The completion window '{window}' is only supported with background=true and without stream.",
        code="invalid_value",
        param="background_options.completion_window",
    )


def no_image_tool() -> ApiError:
    """400 of the mock itself: it writes no text."""
    return ApiError(
        400,
        "This mock answers on /v1/responses only with the tool {'type': 'image_generation'}.",
        type="mock_error",
        code="no_image_tool",
        param="tools",
    )


def headers_too_large() -> ApiError:
    """431: a header, or the request line, above the limit (ours: no published wording)."""
    return ApiError(431, "Request header fields are too large.")


def not_http(reason: str) -> ApiError:
    """400: bytes that are no HTTP request (ours: no published wording)."""
    first = reason.partition("\n")[0].strip().rstrip(":")
    return ApiError(400, f"This is not a valid HTTP request{f': {first}' if first else ''}.")


def no_stream_in_batch() -> ApiError:
    """`stream` in a line of a batch (ours: no published wording)."""
    return ApiError(400, "Streaming is not supported in a batch.", code="invalid_value", param="stream")


def no_stream_of(output_format: str) -> ApiError:
    """`stream` for a preview format (ours: the rule is published, its wording is not)."""
    message = f"Streaming is not supported with output_format '{output_format}'."
    return ApiError(400, message, code="invalid_value", param="stream")
