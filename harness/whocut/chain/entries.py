"""What people write in a chain file, as models: a mistake in the form is found here, one in the meaning later."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from whocut.chain.durations import parse_duration
from whocut.chain.layers import Answer, Buffering, MidBody
from whocut.chain.preset_file import TODAY

if TYPE_CHECKING:
    from collections.abc import Callable


Duration = Annotated[float | None, BeforeValidator(parse_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MaybeUnknown(_Strict):
    """A limit as people write it: a duration, `none` for a timer that is off, or `unknown`."""

    limit: Duration
    unknown: bool = False

    @model_validator(mode="before")
    @classmethod
    def _unknown(cls, written: Any) -> Any:
        if isinstance(written, dict) and written.get("limit") == "unknown":
            return {**written, "limit": None, "unknown": True}
        return written


class RetriesEntry(_Strict):
    """How often a layer tries by itself; `tries` counts the first. What is not said stays as in the preset.

    `connects` is how often it waits for a connection of a request of which nothing was sent.
    """

    tries: int | None = Field(default=None, ge=1)
    connects: int | None = Field(default=None, ge=1)
    post: bool | None = None
    on_timeout: bool | None = None


class OwnTimer(MaybeUnknown):
    """A limit, alone or with the name of its knob, the line that sets it and its highest value, as in `Timer`."""

    directive: str = ""
    knob: str = ""
    most: Duration = None


class OwnAnswer(_Strict):
    """What a layer answers by itself; a status alone has its usual reason and no body."""

    status: int = Field(ge=200, le=599)
    reason: str = ""
    headers: dict[str, str] = {}
    body: str = ""

    @property
    def answer(self) -> Answer:
        """The answer as data."""
        usual = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Error"
        return Answer(
            status=self.status,
            reason=self.reason or usual,
            headers=tuple(self.headers.items()),
            body=self.body,
        )


def _timer(written: object) -> object:
    if isinstance(written, dict | OwnTimer):
        return written
    if written == "unknown":
        return OwnTimer.model_construct(limit=None, unknown=True)
    return OwnTimer.model_construct(limit=parse_duration(written))


def _answers(written: object) -> object:
    """``504``, one answer for every timer, or one for each event."""
    if isinstance(written, int) and not isinstance(written, bool):
        written = {"status": written}
    if isinstance(written, dict) and "status" in written:
        return {"expiry": written}
    return written


Event = Literal["expiry", "bad_gateway", "connect", "first_byte", "idle", "total"]


class LayerEntry(_Strict):
    """One layer: a preset, perhaps changed, a real gateway, a user's own file, a layer of one's own, or a tap."""

    preset: str | None = None
    tap: str | None = Field(default=None, min_length=1)
    file: str | None = None
    gateway: str | None = None
    config: str | None = None
    name: str | None = None
    timers: dict[str, Annotated[OwnTimer, BeforeValidator(_timer)]] | None = None
    buffering: Buffering | None = None
    retries: RetriesEntry | None = None
    notices_abort: bool | None = None
    answers: Annotated[dict[Event, OwnAnswer], BeforeValidator(_answers)] | None = None
    silent: bool | None = None
    mid_body: MidBody | None = None
    leaves_work: bool | None = None


class UpstreamEntry(_Strict):
    """The model at the end, and what it is asked for; `heartbeat` is as in `Upstream`."""

    model: str = "gpt-image-2"
    size: str = "1024x1024"
    quality: str = "high"
    heartbeat: Duration = None


def _named(key: str) -> Callable[[Any], Any]:
    return lambda written: {key: written} if isinstance(written, str) else written


def _layer(written: Any) -> Any:
    """A text is a preset's name, or a file where it is written as one: ``./nginx.conf``, ``nginx=site.conf``."""
    if not isinstance(written, str):
        return written
    return {"file" if names_file(written) else "preset": written}


def names_file(written: str) -> bool:
    """Whether a word names a user's own file: by format, folder or ending (``caddy-2.6`` is a preset)."""
    return "=" in written or "/" in written or PurePath(written).suffix[1:].isalpha()


class ChainFile(_Strict):
    """The whole file; `host` and `path` are those of the request, where a layer's own file has several routes."""

    edition: str = TODAY
    host: str | None = None
    path: str | None = None
    client: Annotated[LayerEntry, BeforeValidator(_named("preset"))] = LayerEntry(preset="openai-python")
    layers: list[Annotated[LayerEntry, BeforeValidator(_layer)]] = []
    upstream: Annotated[UpstreamEntry, BeforeValidator(_named("model"))] = Field(default=UpstreamEntry())
