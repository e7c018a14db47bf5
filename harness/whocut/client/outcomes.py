"""What a response that ended in good order means: delivered, rejected by the API, or somebody's page on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.client.body import JsonBody
from whocut.redact import redact
from whocut.trace.records import NO_IMAGE, Outcome

if TYPE_CHECKING:
    from whocut.client.body import EventBody

# The API never answers so; a layer that writes the API's envelope (LiteLLM) does.
_NEVER_THE_APIS = frozenset({408, 499, 502, 504, *range(520, 531)})
_KEPT_CODE = 200  # characters


def outcome_of(
    body: JsonBody | EventBody, status: int, *, readable: bool = True, images: bool = False
) -> tuple[Outcome, str | None]:
    """The outcome and, where it is none to be glad of, its code.

    `readable` is False for a packed body; `images`: images were asked for, so that an answer without any is none.
    A redirect is whole without an end marker: nobody cut it, and its work was not begun there.
    """
    if 300 <= status < 400:
        return Outcome.REJECTED, f"redirect {status}"
    if not readable:
        return (Outcome.DELIVERED if status < 400 else Outcome.GATEWAY_ERROR), None
    if body.error is not None and status not in _NEVER_THE_APIS:
        code = str(body.error.get("code") or f"{status} {body.error.get('type')}")
        return Outcome.REJECTED, redact(code)[:_KEPT_CODE]
    if status >= 400:
        return Outcome.GATEWAY_ERROR, str(status)
    if images and isinstance(body, JsonBody) and body.whole and not body.has_image:
        return Outcome.REJECTED, NO_IMAGE
    return (Outcome.DELIVERED, None) if body.whole else (Outcome.TRUNCATED, "no end marker")
