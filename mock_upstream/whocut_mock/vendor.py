"""What the dialects of other vendors share: an order, links to its pictures, a callback.

Another vendor's models are worked on and billed as the default model is. That is a choice of this mock and says
nothing of the vendor's prices: the question here is what becomes of a result.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import gmtime, strftime
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import access, errors, models, parameters, shelf, uploads
from whocut_mock.arrival import Arrival, OrderReader, read_arrival
from whocut_mock.errors import ApiError
from whocut_mock.jobs import Job, State
from whocut_mock.parameters import Order, Reading
from whocut_mock.postman import Letter, Schedule, check_url
from whocut_mock.settings import Settings
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of

PROMPT_CHARS = 32_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wished for, in no vendor's words; `images` are the URLs and data URLs of references."""

    prompt: Any
    model: str
    size: tuple[int, int] = models.SQUARE
    n: int = 1
    output_format: str = "png"
    images: tuple[str, ...] = ()
    stream: bool = False
    partial_images: int = 0
    video: bool = False


def order_of(wish: Wish, endpoint: str, settings: Settings) -> Order:
    """The order that a wish makes.

    Raises:
        ApiError: the prompt is missing or no text, or an image is invalid.
    """
    if wish.prompt is None or wish.prompt == "":
        raise errors.missing_parameter("prompt")
    if not isinstance(wish.prompt, str):
        raise errors.wrong_type("prompt", "a string", errors.kind_of(wish.prompt))
    if len(wish.prompt) > PROMPT_CHARS:
        raise errors.string_too_long("prompt", len(wish.prompt), PROMPT_CHARS)
    reading = Reading(endpoint=endpoint, auto_quality=settings.auto_quality)
    model = models.find(wish.model) or models.MODELS[models.DEFAULT_MODEL]
    order = replace(
        parameters.read_order({}, reading),
        model=model,
        model_name=wish.model,
        prompt=wish.prompt,
        size=wish.size if model.free_sizes or wish.size in models.FIXED_SIZES else models.SQUARE,
        n=min(max(wish.n, 1), 10),
        output_format="jpeg" if wish.video else wish.output_format,
        stream=wish.stream,
        partial_images=wish.partial_images,
        video=wish.video,
    )
    references = [
        uploads.read_link({"image_url": url}, "image", index, lambda _: None, lenient=True)
        for index, url in enumerate(wish.images)
    ]
    return parameters.with_references(order, references) if references else order


async def arrived(
    request: web.Request, endpoint: str, wish: Callable[[dict[str, Any]], Wish]
) -> tuple[Arrival, dict[str, Any]]:
    """A request in a vendor's JSON, and its fields without what is large."""
    upstream = request.app[UPSTREAM]
    upstream.check_alone()
    kept: dict[str, Any] = {}

    def reader(fields: dict[str, Any]) -> OrderReader:
        kept.update({name: value for name, value in fields.items() if not _is_large(value)})
        return lambda settings: order_of(wish(fields), endpoint, settings)

    return await read_arrival(request, upstream, endpoint, reader), kept


def _is_large(value: Any) -> bool:
    return isinstance(value, str) and len(value) > PROMPT_CHARS


def found(request: web.Request, dialect: str, job_id: str, missing: ApiError) -> Job:
    """The job that a request names.

    Raises:
        ApiError: the key is unknown, or this key has no such job.
    """
    upstream, caller = request.app[UPSTREAM], caller_of(request)
    access.key_of(caller.key, upstream.settings)
    upstream.check_alone()
    return upstream.desk.find(job_id, dialect, caller.key_hash, missing)


def links(host: str, upstream: Upstream, job: Job) -> list[str]:
    """Where the pictures of a finished job can be downloaded by who came to this host, while it is kept."""
    expires_s = job.record.expires_s or upstream.clock.now_s()
    return [
        shelf.url_at(host, upstream.shelf.put(job.order, f"{job.row.generation}/{index}", expires_s, job))
        for index in range(job.order.n)
    ]


def iso(upstream: Upstream, at_s: float | None) -> str | None:
    """An instant as vendors write it: `2026-11-26T10:00:00.000000Z`."""
    if at_s is None:
        return None
    seconds, micros = divmod(round((upstream.clock.epoch_unix_s + at_s) * 1e6), 1_000_000)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}.{micros:06d}Z"


@dataclass(frozen=True, slots=True)
class Callback:
    """A URL for a job's end, with the words and the schedule of the callback."""

    url: str
    body: Callable[[Job], Any]
    headers: Callable[[str, bytes], Mapping[str, str]]  # from the letter's id and its body
    schedule: Schedule

    def watch(self, upstream: Upstream, job: Job) -> None:
        """Tell it when this job is over."""
        job.expects_callback = True
        job.when_over.append(lambda job: self.send(upstream, job))

    def send(self, upstream: Upstream, job: Job, name: str = "over") -> None:
        """Tell it the state of this job now."""
        body, letter_id = orjson.dumps(self.body(job)), f"msg_{job.id}_{name}"
        upstream.postman.send(
            Letter(
                self.url,
                body,
                lambda: self.headers(letter_id, body),
                self.schedule,
                upstream.sightings.dice(letter_id.encode(), 1),
                job,
            )
        )


def callback_url(url: Any, upstream: Upstream, name: str) -> str | None:
    """The URL of a callback, where one is wished for.

    Raises:
        ApiError: it is no URL, or not this machine's.
    """
    return None if url is None else check_url(url, upstream.settings.jobs, name)


def number(value: Any, default: int) -> int:
    """A whole number, or the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def succeeded(job: Job) -> bool:
    """Whether there is something to fetch."""
    return job.state is State.SUCCEEDED
