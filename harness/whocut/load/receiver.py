"""A receiver of callbacks in the load process: it verifies each by the SDK's own helper, and answers at once.

It listens on the loopback, and tells users whose jobs are over; a callback that comes twice counts once.
"""

from __future__ import annotations

import json
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import gevent
import gevent.event
import openai
from gevent.pywsgi import WSGIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

EVENT_TYPES: Final = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"]


class CallbackReceiver:
    """Callbacks of one process; `answer` is the status that each valid one gets, after `late_real_s`."""

    def __init__(self, base_url: str, api_key: str, answer: int = 200, late_real_s: float = 0.0) -> None:
        self.answer = answer
        self.late_real_s = late_real_s
        self.refused = 0  # callbacks whose signature does not hold
        self._told: dict[str, gevent.event.Event] = {}
        self._endpoints = f"{base_url}/webhook_endpoints"
        self._key = api_key
        self._sdk = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        self._server = WSGIServer(("127.0.0.1", 0), self._take, log=None, error_log=None)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/callbacks"
        made = self._ask("POST", "", {"name": "whocut", "url": self.url, "event_types": EVENT_TYPES})
        self._id, self._secret = str(made["id"]), str(made["signing_secret"])

    def over(self, job_id: str, at_most_real_s: float) -> bool:
        """Wait until a callback says that this job is over; whether one did."""
        return bool(self._event(job_id).wait(timeout=at_most_real_s))

    def leave(self) -> None:
        """Hear of no further job; what is sent again still gets its answer."""
        self._ask("DELETE", f"/{self._id}")

    def _event(self, job_id: str) -> gevent.event.Event:
        return self._told.setdefault(job_id, gevent.event.Event())

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Tell the API where to call back: past the watched client, for it is no order's attempt."""
        request = urllib.request.Request(  # noqa: S310  # the run's own base URL
            self._endpoints + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
            return json.loads(answer.read())

    def _take(self, environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        try:
            self._sdk.webhooks.verify_signature(body, headers, secret=self._secret)
            job_id = json.loads(body)["data"]["id"]
        except (openai.OpenAIError, ValueError, KeyError):
            self.refused += 1
            start("400 Bad Request", [("Content-Length", "0")])
            return [b""]
        if 200 <= self.answer < 300:
            self._event(job_id).set()
        gevent.sleep(self.late_real_s)
        elsewhere = [("Location", f"{self.url}/moved")] if 300 <= self.answer < 400 else []
        start(f"{self.answer} {HTTPStatus(self.answer).phrase}", [("Content-Length", "0"), *elsewhere])
        return [b""]
