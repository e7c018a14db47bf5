"""The same by Locust's own OpenAIUser, closed: each user asks again when it has its answer."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import gevent
from locust import constant, events, task
from locust.contrib.oai import OpenAIUser

SMALL: dict[str, Any] = {"model": "gpt-image-2", "output_format": "webp", "output_compression": 0}
TOOK_S: list[float] = []
LEFT = int(os.environ["BENCH_REQUESTS"])


class Asker(OpenAIUser):
    """Asks for a small picture until enough have been asked for."""

    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Wait for it; its own clock, because Locust's rounds."""
        global LEFT  # noqa: PLW0603  # one process, no threads
        if LEFT <= 0:
            if len(TOOK_S) >= int(os.environ["BENCH_REQUESTS"]):
                gevent.spawn(self.environment.runner.quit)  # it waits for this very user to end
            time.sleep(1)  # noqa: TID251  # a peer has no clock of ours
            return
        LEFT -= 1
        began_s = time.monotonic()  # noqa: TID251  # as above
        self.client.images.generate(prompt="a harbour in the morning fog", **SMALL)
        TOOK_S.append(time.monotonic() - began_s)  # noqa: TID251  # as above


BEFORE = [0.0]  # CPU seconds when the load began


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's hooks carry no types
def _begin(**_: object) -> None:
    BEFORE[0] = _cpu_s()


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # as above
def _write(**_: object) -> None:
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    facts = {"took_s": TOOK_S, "cpu_s": _cpu_s() - BEFORE[0], "peak_bytes": peak_bytes}
    Path(os.environ["BENCH_OUT"]).write_text(json.dumps(facts))
