"""A request as a job, by the SDK's own background mode: submitted once, and asked for by its id until it is over.

The poller is polite: it waits as long as an answer asks (`openai-poll-after-ms`, Retry-After), at least `first_s`,
and longer each time up to `most_s`. It ends after `total_s`. A poll that fails is made again: the id stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import openai
import orjson

from whocut.chain.retry_after import asked_to_wait_s
from whocut.client.asking import part_of_job
from whocut.client.transports import wire
from whocut.trace.records import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from whocut.clock import Clock

TEXT_MODEL: Final = "gpt-5"
_OVER: Final = frozenset({"completed", "failed", "cancelled", "incomplete"})
_BATCH_OVER: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_IMAGES: Final = "/v1/images/generations"
_POLL_AFTER: Final = "openai-poll-after-ms"


class PollGaveUpError(openai.OpenAIError):
    """The job was not over when its poller's time was; it may still be running, and is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How a job is asked for; durations are model seconds."""

    first_s: float = 2.0
    factor: float = 1.5
    most_s: float = 15.0
    total_s: float = 1_800.0


def prime() -> None:
    """Do once what the SDK would do at the first job: importing and building its models takes most of a second."""
    image = {"type": "image_generation_call", "id": "ig_0", "status": "completed", "result": "aaaa"}
    message = {"type": "message", "id": "msg_0", "role": "assistant", "status": "completed", "content": []}
    body = {"id": "resp_0", "object": "response", "status": "completed", "output": [image, message]}
    answering = wire.MockTransport(lambda _: wire.Response(200, json=body))
    with openai.OpenAI(
        base_url="http://127.0.0.1", api_key="sk-prime", http_client=wire.Client(transport=answering)
    ) as client:
        submit(client, {"prompt": "no one hears this"})
        retrieve(client, "resp_0")


def submit(client: openai.OpenAI, images: Mapping[str, Any]) -> Any:
    """Submit what the Images API would be asked for as a background response; its first state."""
    tool = {"type": "image_generation", **{name: value for name, value in images.items() if name != "prompt"}}
    asked: Any = {"model": TEXT_MODEL, "input": images["prompt"], "tools": [tool], "background": True}
    with part_of_job(Part.SUBMIT):
        return client.responses.create(**asked)


def retrieve(client: openai.OpenAI, job_id: str) -> tuple[Any, float]:
    """The job as it is now, and the seconds that its answer asks to be left alone for."""
    with part_of_job(Part.POLL):
        answer = client.responses.with_raw_response.retrieve(job_id)
    return answer.parse(), _asked_s(answer.headers)


def cancel(client: openai.OpenAI, job_id: str) -> Any:
    """End a job; one that runs already may be billed."""
    with part_of_job(Part.CANCEL):
        return client.responses.cancel(job_id)


def wait_for(client: openai.OpenAI, job_id: str, clock: Clock, polling: Polling | None = None) -> Any:
    """Ask for a job until it is over.

    Raises:
        PollGaveUpError: it was not over in time.
        openai.APIStatusError: the API refuses the id: it is unknown, or its data is kept no more.
    """
    polling = polling or Polling()
    until_s = clock.now_s() + polling.total_s
    wait_s = asked_s = polling.first_s
    while True:
        pause_s = max(wait_s, asked_s)
        if clock.now_s() + pause_s > until_s:
            raise PollGaveUpError(f"{job_id} was not over after {polling.total_s:g} s; it may still run")
        clock.sleep(pause_s)
        wait_s = min(wait_s * polling.factor, polling.most_s)
        try:
            job, asked_s = retrieve(client, job_id)
        except openai.APIConnectionError:
            continue
        except openai.APIStatusError as error:
            if error.status_code < 500 and error.status_code not in {408, 409, 429}:
                raise
            asked_s = _asked_s(error.response.headers)
            continue
        if job.status in _OVER:
            return job


def submit_batch(client: openai.OpenAI, orders: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    """Orders, each with a name of its own, as one batch with the window of a day."""
    lines = (
        {"custom_id": name, "method": "POST", "url": _IMAGES, "body": dict(images)} for name, images in orders
    )
    text = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
    with part_of_job(Part.UPLOAD):
        file = client.files.create(file=("orders.jsonl", text), purpose="batch")
    with part_of_job(Part.SUBMIT):
        return client.batches.create(input_file_id=file.id, endpoint=_IMAGES, completion_window="24h")


def wait_for_batch(client: openai.OpenAI, batch_id: str, clock: Clock, polling: Polling) -> Any:
    """Ask for a batch until it is over, at the pace of `polling`.

    Raises:
        PollGaveUpError: it was not over in time.
    """
    until_s = clock.now_s() + polling.total_s
    while clock.now_s() + polling.first_s <= until_s:
        clock.sleep(polling.first_s)
        with part_of_job(Part.POLL):
            batch = client.batches.retrieve(batch_id)
        if batch.status in _BATCH_OVER:
            return batch
    raise PollGaveUpError(f"{batch_id} was not over after {polling.total_s:g} s; it may still run")


def answers_of(client: openai.OpenAI, batch: Any) -> list[dict[str, Any]]:
    """The answers of a batch that is over, one a line.

    Raises:
        openai.OpenAIError: it has none.
    """
    if batch.output_file_id is None:
        raise openai.OpenAIError(f"the batch ended as {batch.status}, and has no answers")
    with part_of_job(Part.POLL):
        text = client.files.content(batch.output_file_id).content
    return [orjson.loads(line) for line in text.splitlines()]


def image_of(job: Any) -> str:
    """The image of a job that is over.

    Raises:
        openai.OpenAIError: it has none; says the API's own reason.
    """
    for item in job.output or ():
        if item.type == "image_generation_call" and item.result:
            return str(item.result)
    raise openai.OpenAIError(
        f"the job ended as {job.status}: {job.error.message if job.error else 'no image'}"
    )


def _asked_s(headers: Mapping[str, str]) -> float:
    told = {name.lower(): value for name, value in headers.items()}
    after_ms = told.get(_POLL_AFTER, "")
    by_ms = float(after_ms) / 1_000 if after_ms.isascii() and after_ms.isdigit() else 0.0
    return max(by_ms, asked_to_wait_s(told, 0.0) or 0.0)
