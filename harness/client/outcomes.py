"""What a response that ended in good order means: delivered, rejected by the API, or somebody's page on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.trace.records import Outcome

if TYPE_CHECKING:
    from harness.client.body import EventBody, JsonBody

# The API never answers so; a layer that writes the API's envelope (LiteLLM) does.
_NEVER_THE_APIS = frozenset({408, 499, 502, 504, *range(520, 531)})


def outcome_of(
    body: JsonBody | EventBody, status: int, *, readable: bool = True
) -> tuple[Outcome, str | None]:
    """The outcome and, where it is none to be glad of, its code. `readable` is False for a packed body."""
    if not readable:
        return (Outcome.DELIVERED if status < 400 else Outcome.GATEWAY_ERROR), None
    if body.error is not None and status not in _NEVER_THE_APIS:
        return Outcome.REJECTED, str(body.error.get("code") or f"{status} {body.error.get('type')}")
    if status >= 400:
        return Outcome.GATEWAY_ERROR, str(status)
    return (Outcome.DELIVERED, None) if body.whole else (Outcome.TRUNCATED, "no end marker")
