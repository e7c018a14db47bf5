"""The words of a response: its object at any moment, and the script of its events.

The shapes are those of recordings of api.openai.com, and of the official SDK's types. The recordings are
pydantic-ai's cassettes of the image tool and of background mode, 2025 and 2026. A script is a list of steps, each
due at an instant and numbered by its place; so a stream that broke off can be taken up again at any number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whocut_mock import pictures
from whocut_mock.errors import ApiError
from whocut_mock.generation import Generation
from whocut_mock.parameters import Order
from whocut_mock.responses_read import TOOL, action_of, echoed
from whocut_mock.upstream import Upstream

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]

_CALL = f"response.{TOOL}_call"
_FINAL = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a script: when it is due, and what it says; `pictures` are the names of those in it."""

    due_s: float
    kind: str
    facts: dict[str, Any]
    pictures: tuple[str, ...] = ()
    partial: int | None = None  # the number of the partial image that it carries


@dataclass(frozen=True, slots=True)
class Telling:
    """All that an answer is made of."""

    asked: Mapping[str, Any]
    order: Order
    generation: Generation
    failure: ApiError | None  # why there will be no picture, if there will be none
    upstream: Upstream
    background: bool = False

    @property
    def name(self) -> str:
        """The generation's own name, in every id of the answer."""
        return self.generation.row.generation.removeprefix("gen_")

    @property
    def outcome(self) -> Status:
        """How the work ends if nothing else ends it."""
        return "completed" if self.failure is None else "failed"

    def response(self, status: Status, failed_by: ApiError | None = None) -> dict[str, Any]:
        """The response object; one that has failed did so by the output filter, or by what is named."""
        asked, text_in = self.asked, self.generation.usage.text_in
        done = status in _FINAL
        row = self.generation.row
        told: dict[str, Any] = {
            "id": f"resp_{self.name}",
            "object": "response",
            "created_at": self._calendar(row.accepted_s),
            "status": status,
            "access_programs": None,
            "background": self.background,
            "completed_at": self._calendar(self._ends_s) if status == "completed" else None,
            "error": _said(failed_by or self.failure) if status == "failed" else None,
            "frequency_penalty": 0.0,
            "incomplete_details": None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "max_tool_calls": asked.get("max_tool_calls"),
            "model": asked["model"],
            "moderation": None,
            "output": [] if failed_by else self.items(status),
            "parallel_tool_calls": asked.get("parallel_tool_calls", True),
            "presence_penalty": 0.0,
            "previous_response_id": asked.get("previous_response_id"),
            "prompt_cache_key": asked.get("prompt_cache_key"),
            "prompt_cache_retention": asked.get("prompt_cache_retention"),
            "reasoning": {"effort": None, "summary": None, **_table(asked.get("reasoning"))},
            "safety_identifier": asked.get("safety_identifier"),
            "service_tier": "default" if done else "auto",
            "store": asked.get("store", True),
            "temperature": asked.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, "verbosity": "medium", **_table(asked.get("text"))},
            "tool_choice": asked.get("tool_choice", "auto"),
            "tools": echoed(asked["tools"], self.order),
            "top_logprobs": asked.get("top_logprobs", 0),
            "top_p": asked.get("top_p", 1.0),
            "truncation": asked.get("truncation", "disabled"),
            "usage": _text_usage(text_in) if done else None,
            "tool_usage": self._tool_usage() if done else None,
            "user": asked.get("user"),
            "metadata": _table(asked.get("metadata")),
        }
        if status == "completed":
            told["billing"] = {"payer": "developer"}
        return told

    def items(self, status: Status) -> list[dict[str, Any]]:
        """The output of a response in this state: after a picture the message that the model says nothing in."""
        if status == "completed":
            return [self.call("completed"), self.message("completed")]
        return [self.call("failed")] if status == "failed" else []

    def call(self, status: str) -> dict[str, Any]:
        """The tool's call; it holds its picture when it is completed."""
        item = {"id": f"ig_{self.name}", "type": f"{TOOL}_call", "status": status, "result": None}
        if status == "completed":
            said = {"action": action_of(self.asked["tools"], self.order), **pictures.described(self.order)}
            return item | said | {"result": pictures.PICTURE, "revised_prompt": self.order.prompt}
        if status == "failed" and self.failure is not None:
            return item | {"error": self.failure.envelope()["error"]}
        return item

    def message(self, status: str) -> dict[str, Any]:
        """The message after the picture. Clients wait for it: without one, some ask again and pay again."""
        content = [_EMPTY_TEXT] if status == "completed" else []
        return {
            "id": f"msg_{self.name}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def filled(self, text: bytes, names: tuple[str, ...]) -> list[bytes]:
        """The text with pictures of these names in their places."""
        return pictures.filled(text, self.order, self.upstream.press, names)

    def script(self, *, queued: bool = False) -> list[Step]:
        """Every event of this response from its first to its last; with `queued` it waits before it begins."""
        row = self.generation.row
        accepted_s, started_s, ends_s = row.accepted_s or 0.0, row.started_s or 0.0, self._ends_s
        steps = list(self._opening(accepted_s, started_s, queued=queued))
        for index, planned_s in enumerate(row.partials_s):
            facts = {
                **self._place(),
                "partial_image_index": index,
                "partial_image_b64": pictures.PICTURE,
                **pictures.described(self.order),
            }
            name = f"{self.name}/partial/{index}"
            steps.append(Step(planned_s, f"{_CALL}.partial_image", facts, (name,), index))
        return steps + self.ending(ends_s)

    def ending(self, at_s: float) -> list[Step]:
        """What comes when the work is done: all of it at once."""
        return list(self._picture(at_s)) if self.failure is None else self.failing(self.failure, at_s)

    def failing(self, error: ApiError, at_s: float) -> list[Step]:
        """How a stream ends that has no picture: the error as an event, then the failed response."""
        return [
            Step(at_s, "error", error.envelope()),
            Step(at_s, "response.failed", {"response": self.response("failed", error)}),
        ]

    def _opening(self, accepted_s: float, started_s: float, *, queued: bool) -> Iterator[Step]:
        first: Status = "queued" if queued else "in_progress"
        yield Step(accepted_s, "response.created", {"response": self.response(first)})
        if queued:
            yield Step(accepted_s, "response.queued", {"response": self.response("queued")})
        yield Step(started_s, "response.in_progress", {"response": self.response("in_progress")})
        item = self.call("in_progress")
        yield Step(started_s, "response.output_item.added", {"output_index": 0, "item": item})
        yield Step(started_s, f"{_CALL}.in_progress", self._place())
        yield Step(started_s, f"{_CALL}.generating", self._place())

    def _picture(self, at_s: float) -> Iterator[Step]:
        picture = (f"{self.name}/0",)
        part = {"item_id": f"msg_{self.name}", "output_index": 1, "content_index": 0}
        yield Step(at_s, f"{_CALL}.completed", self._place())
        yield Step(
            at_s, "response.output_item.done", {"output_index": 0, "item": self.call("completed")}, picture
        )
        added = {"output_index": 1, "item": self.message("in_progress")}
        yield Step(at_s, "response.output_item.added", added)
        yield Step(at_s, "response.content_part.added", {**part, "part": _EMPTY_TEXT})
        yield Step(at_s, "response.output_text.done", {**part, "text": "", "logprobs": []})
        yield Step(at_s, "response.content_part.done", {**part, "part": _EMPTY_TEXT})
        done = {"output_index": 1, "item": self.message("completed")}
        yield Step(at_s, "response.output_item.done", done)
        yield Step(at_s, "response.completed", {"response": self.response("completed")}, picture)

    def events(self, steps: Sequence[Step], number: int) -> list[bytes]:
        """These steps as they go over the wire, the first of them with this number."""
        buffers: list[bytes] = []
        for sequence_number, step in enumerate(steps, number):
            facts = {"type": step.kind, "sequence_number": sequence_number, **step.facts}
            text = pictures.event(step.kind, facts)
            buffers += self.filled(text, step.pictures) if step.pictures else [text]
        return buffers

    def _place(self) -> dict[str, Any]:
        return {"output_index": 0, "item_id": f"ig_{self.name}"}

    @property
    def _ends_s(self) -> float:
        row = self.generation.row
        return (row.started_s or 0.0) + (row.duration_s or 0.0) if row.finished_s is None else row.finished_s

    def _calendar(self, at_s: float | None) -> int:
        return int(self.upstream.clock.epoch_unix_s + (at_s or 0))

    def _tool_usage(self) -> dict[str, Any]:
        return {"image_gen": self.generation.usage.json, "web_search": {"num_requests": 0}}


_EMPTY_TEXT = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}


def _said(error: ApiError | None) -> dict[str, Any] | None:
    return None if error is None else {"code": error.code or error.type, "message": error.message}


def _table(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {}


def _text_usage(text_in: int) -> dict[str, Any]:
    """What the model around the tool used: it read the input and wrote nothing."""
    return {
        "input_tokens": text_in,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": text_in,
    }
