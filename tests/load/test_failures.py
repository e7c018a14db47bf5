"""How a failure stands on Locust's page: by its kind, so that no text of an endpoint is kept or shown."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, weakref
from locust.env import Environment
import openai
import pytest

from whocut.load.image_user import failure_in_words
from whocut.client.transports import wire
from whocut.trace.records import Attempt

pytestmark = pytest.mark.sockets

class Body(bytearray):
    pass

def failed(number):
    body = Body(1000)
    kept.append(weakref.ref(body))
    attempt = Attempt(request="r", number=1, mode="plain", trace_id="t", span_id="s", user=1, started_s=0.0)
    attempt.error = "server_error"
    answer = wire.Response(500, request=wire.Request("POST", "http://127.0.0.1/v1"))
    try:
        raise openai.InternalServerError(f"request req_{number}: no to sk-the-key", response=answer, body=None)
    except openai.APIStatusError as error:
        environment.events.request.fire(
            request_type="image", name="plain", response_time=1.0, response_length=0,
            exception=failure_in_words(error, attempt), context={},
        )

kept, environment = [], Environment()
environment.create_local_runner()
for number in range(50):
    failed(number)
gc.collect()
print(len(environment.stats.errors), sum(ref() is not None for ref in kept))
print([error.to_dict()["error"] for error in environment.stats.errors.values()])
print(failure_in_words(None, None), failure_in_words(ValueError("a prompt"), None))
"""


def test_failures_of_one_kind_are_one_row_and_keep_no_body_alive() -> None:
    """Fifty errors of fifty wordings: one row, no frame, no key. In a process of its own, for Locust patches it."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == [
        "1 0",
        "['InternalServerError: server_error']",
        "None ValueError",
    ], done.stderr
