"""What the API says when it says no: one envelope, one function for each refusal.

Wordings, types and codes are those of the real API where somebody has published them
(reference "OpenAI Images API", section 4); one that follows only the house template is marked `template`.
"""

from collections.abc import Mapping
from typing import Any

USER_ERROR = "image_generation_user_error"
INVALID_REQUEST = "invalid_request_error"


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
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def envelope(self) -> dict[str, Any]:
        """The body: always these four keys, then whatever this refusal adds."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error | self.extra}


def no_key() -> ApiError:
    """401: no Authorization header. The exact text for images is unverified; this is the platform's."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using"
        " Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from"
        " https://platform.openai.com/account/api-keys.",
    )


def wrong_key(key: str) -> ApiError:
    """401: a key that nobody issued, shown with its middle masked."""
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
    quoted = [f"'{choice}'" for choice in choices]
    listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {listed}.",
        code="invalid_value",
        param=name,
    )


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


def bad_size(value: str, reason: str, *, fixed: bool, param: str = "size") -> ApiError:
    """A size the model does not make; fixed-size models use another type for it."""
    kind = USER_ERROR if fixed else INVALID_REQUEST
    return ApiError(400, f"Invalid size '{value}'. {reason}", type=kind, code="invalid_value", param=param)


def no_transparency() -> ApiError:
    """A transparent background that this model or format cannot have."""
    message = "Transparent background is not supported for this model."
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


def body_too_large(limit_bytes: int, read_bytes: int) -> ApiError:
    """413: more bytes than the server takes (the platform's text, as its audio endpoint sends it)."""
    return ApiError(413, f"Maximum content size limit ({limit_bytes}) exceeded ({read_bytes} bytes read)")


def no_such_url(method: str, path: str) -> ApiError:
    """404: no such endpoint (the platform's text)."""
    return ApiError(404, f"Invalid URL ({method} {path})")


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
        f" our help center at help.openai.com if the error persists. Please include the request ID {request_id}"
        " in your message.",
        type="server_error",
        code="server_error",
    )
