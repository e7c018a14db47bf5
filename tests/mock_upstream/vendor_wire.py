"""How each job dialect is spoken by hand: one table of what to send and where the answer stands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.mock_upstream.stage import KEY, Answer, Stage

PROMPT = "a ramen shop at two in the morning"


@dataclass(frozen=True)
class Wire:
    """One dialect: its submit, its poll, its words."""

    name: str
    path: str
    body: Callable[[str], dict[str, Any]]
    key: dict[str, str]
    poll: Callable[[Any], str]
    """The path to ask at, from the submit's answer."""
    status: Callable[[Answer], str]
    links: Callable[[Any], list[str]]
    """The links of a finished job, from a poll's answer; fal's are one step further."""
    words: tuple[str, str, str]  # while it runs, when it is done, when it was blocked
    prompt: str = "prompt"

    async def submit(self, stage: Stage, prompt: str = PROMPT, **headers: str) -> Answer:
        """Ask for a picture."""
        return await self.send(stage, self.body(prompt), **headers)

    async def send(self, stage: Stage, body: Any, **headers: str) -> Answer:
        """Send this body to the submit's path."""
        sent = {"Content-Type": "application/json", **self.key} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with stage.session.post(stage.url(self.path), json=body, headers=sent) as response:
            return await Answer.read(response)

    async def ask(self, stage: Stage, path: str, **headers: str) -> Answer:
        """Poll."""
        sent = {**self.key} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with stage.session.get(stage.url(path), headers=sent) as response:
            return await Answer.read(response)


def local(url: str) -> str:
    """The path of a URL of this mock."""
    return "/" + url.split("/", 3)[3]


def _fal_links(answer: Any) -> list[str]:
    return [one["url"] for one in answer["images"]]


BEARER = {"Authorization": f"Bearer {KEY}"}
WIRES = {
    wire.name: wire
    for wire in (
        Wire(
            "replicate",
            "/replicate/v1/models/a/b/predictions",
            lambda prompt: {"input": {"prompt": prompt}},
            BEARER,
            lambda answer: local(answer["urls"]["get"]),
            lambda answer: str(answer.json["status"]),
            lambda answer: [answer["output"]],
            ("processing", "succeeded", "failed"),
        ),
        Wire(
            "fal",
            "/fal/queue/fal-ai/flux/dev",
            lambda prompt: {"prompt": prompt},
            {"Authorization": f"Key {KEY}"},
            lambda answer: local(answer["status_url"]),
            lambda answer: str(answer.json["status"]) + (" failed" if "error" in answer.json else ""),
            _fal_links,
            ("IN_PROGRESS", "COMPLETED", "COMPLETED failed"),
        ),
        Wire(
            "openrouter",
            "/openrouter/api/v1/videos",
            lambda prompt: {"model": "google/veo-3.1", "prompt": prompt},
            BEARER,
            lambda answer: local(answer["polling_url"]),
            lambda answer: str(answer.json["status"]),
            lambda answer: answer["urls"],
            ("in_progress", "completed", "failed"),
        ),
        Wire(
            "bfl",
            "/bfl/v1/flux-pro-1.1",
            lambda prompt: {"prompt": prompt},
            {"x-key": KEY},
            lambda answer: local(answer["polling_url"]),
            lambda answer: str(answer.json["status"]),
            lambda answer: [answer["result"]["sample"]],
            ("Pending", "Ready", "Content Moderated"),
        ),
        Wire(
            "tasks",
            "/tasks/v1/images/generations",
            lambda prompt: {"model": "gpt-image-2", "prompt": prompt},
            BEARER,
            lambda answer: f"/tasks/v1/tasks/{answer['data'][0]['task_id']}",
            lambda answer: str(answer.json["data"]["status"]),
            lambda answer: [url for one in answer["data"]["result"]["images"] for url in one["url"]],
            ("processing", "completed", "failed"),
        ),
    )
}
