"""A sync client by hand, on nothing but the standard library, right or wrong in exactly one way.

It keeps the contract as it is. `by_fault` makes one that breaks the check of that name; its second attempt, where
the fault is to make one, comes after `PLANTED_PAUSE_S`. `by_check` breaks each check that it is put to. Run as a
program with a fault's name (or `none`, or nothing for that of the check), it asks for what WHOCUT_ASKS names.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REJECTED = ("response_format", "style")
LIMITED = ("rate_limit_exceeded", "server_is_overloaded")
READ_S = 600.0


class FailedError(Exception):
    """An image that does not come: a `status` or none, the API's `code`, and a `kind` of ending."""

    def __init__(
        self, kind: str, status: int = 0, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{kind} {status or ''} {code}")
        self.kind, self.status, self.code, self.headers = kind, status, code, headers or {}

    @property
    def asked_s(self) -> float | None:
        """How long the answer asks to wait."""
        if "retry-after-ms" in self.headers:
            return float(self.headers["retry-after-ms"]) / 1000
        written = self.headers.get("retry-after")
        if written is None:
            return None
        if written.isdigit():
            return float(written)
        return max(0.0, email.utils.parsedate_to_datetime(written).timestamp() - time.time())  # noqa: TID251


def _page(status: int) -> Callable[[FailedError, bool], bool]:
    return lambda error, _stream: (error.kind, error.status) == ("page", status)


# Which ending each fault takes for a reason to ask again.
AGAIN: dict[str, Callable[[FailedError, bool], bool]] = {
    **{f"unknown-{status}": _page(status) for status in (504, 524, 502, 499)},
    "unknown-reset": lambda error, _stream: error.kind == "reset",
    "unknown-closed": lambda error, _stream: error.kind == "closed",
    "unknown-truncated": lambda error, _stream: error.kind == "truncated",
    "unknown-half-json": lambda error, _stream: error.kind == "half",
    "unknown-timeout": lambda error, stream: error.kind == "timeout" and not stream,
    "stream-error": lambda error, stream: stream and error.code == "image_generation_failed",
    "stream-incomplete": lambda error, stream: stream and error.kind == "incomplete",
    "stream-stall": lambda error, stream: stream and error.kind == "timeout",
    "never-quota": lambda error, _stream: error.code == "insufficient_quota",
    "never-moderation-input": lambda error, stream: error.code == "moderation_blocked" and not stream,
    "never-moderation-stream": lambda error, stream: error.code == "moderation_blocked" and stream,
    "never-400": lambda error, _stream: error.code == "invalid_value",
    "never-401": lambda error, _stream: error.status == 401,
    "never-403": lambda error, _stream: error.status == 403,
    "overload-told-not-to": lambda error, _stream: error.headers.get("x-should-retry") == "false",
}
HURRIED = {"rate-seconds": 5.0, "rate-milliseconds": 3.5, "rate-date": 9.0, "rate-121": 121.0}
OTHER = (
    "stream-incomplete-told", "rate-growing", "rate-spread", "rate-bounded", "rate-recovers", "overload-polite",
    "overload-recovers", "crowd-three", "crowd-n", "total-bounded", "strip-response-format", "strip-style",
    "key-kept", "told-refused", "told-unknown", "rate-storm", "deadline-kept", "idempotency-kept",
    "idempotency-sent",
)  # fmt: skip
FAULTS = (*AGAIN, *HURRIED, *OTHER)


class Client:
    """An OpenAI-like client with `images.generate`, and at most one fault."""

    def __init__(self, base_url: str, api_key: str, fault: str = "") -> None:
        self._base, self._key, self._fault = urllib.parse.urlsplit(base_url), api_key, fault
        self._pause_s = float(os.environ.get("PLANTED_PAUSE_S", "1"))
        self._places = threading.Semaphore(5 if fault == "crowd-three" else 3)
        self._turn = threading.Lock()
        self.images = self
        if fault == "key-kept":
            print(f"a client with {api_key}", file=sys.stderr)  # noqa: T201  # that is the fault

    def generate(self, **wanted: Any) -> Any:
        """An image, or its events."""
        for name in REJECTED:
            if self._fault != f"strip-{name.replace('_', '-')}":
                wanted.pop(name, None)
        images = 1 if self._fault == "crowd-n" else int(wanted.get("n", 1))
        with self._turn:  # all places of one request together
            for _ in range(images):
                self._places.acquire()
        try:
            return self._with_patience(wanted)
        finally:
            for _ in range(images):
                self._places.release()

    def _with_patience(self, wanted: dict[str, Any]) -> Any:
        given_s = wanted.pop("timeout", None)
        began_s, total_s = time.monotonic(), READ_S if given_s is None else float(given_s)  # noqa: TID251  # its own
        if self._fault == "deadline-kept":
            total_s = READ_S
        key = uuid.uuid4().hex
        most = {"rate-bounded": 1000, "total-bounded": 3}.get(self._fault, 4)
        for attempt in range(1, most + 1):
            try:
                left_s = total_s if given_s is None else began_s + total_s - time.monotonic()  # noqa: TID251  # as above
                if self._fault == "idempotency-kept":
                    key = uuid.uuid4().hex
                with _diary():
                    return self._ask(wanted, key, max(0.001, left_s))
            except FailedError as error:
                swallowed = {"told-refused": "invalid_value", "told-unknown": "page"}.get(self._fault)
                if swallowed in {error.code, error.kind}:
                    return None
                wait_s = self._wait_s(error, attempt, stream=bool(wanted.get("stream")))
                if wait_s is None or attempt == most:
                    raise
            time.sleep(wait_s)  # noqa: TID251  # a stranger, with a clock of its own
        raise AssertionError

    def _wait_s(  # noqa: PLR0911  # a fault a line
        self, error: FailedError, attempt: int, *, stream: bool
    ) -> float | None:
        fault, asked_s = self._fault, error.asked_s
        again = AGAIN.get(fault)
        if fault == "total-bounded" and error.kind == "timeout":
            return 1.0
        if again is not None and again(error, stream):
            return self._pause_s if attempt == 1 else None
        if error.code not in LIMITED or error.headers.get("x-should-retry") == "false":
            return None
        if fault == ("rate-recovers" if error.status == 429 else "overload-recovers"):
            return None
        low_s = HURRIED.get(fault, 5.0 if fault == "overload-polite" else None)
        if low_s is not None and asked_s is not None and abs(asked_s - low_s) < 1.5:
            return 0.5
        if asked_s is not None:
            return asked_s if fault == "rate-storm" else asked_s * (1 + random.random() / 2)
        if fault == "rate-growing":
            return 2.0 + random.random() / 10
        if fault == "rate-bounded":
            return min(60.0, 2.0**attempt)
        return 2.0**attempt * (1.0 if fault == "rate-spread" else 1 - random.random() / 4)

    def _ask(self, wanted: dict[str, Any], key: str, left_s: float) -> Any:
        assert self._base.hostname is not None
        wire = http.client.HTTPConnection(self._base.hostname, self._base.port, timeout=left_s)
        try:
            wire.request(
                "POST",
                f"{self._base.path}/images/generations",
                json.dumps(wanted),
                {
                    "Authorization": f"Bearer {self._key}",
                    "Content-Type": "application/json",
                    **({} if self._fault == "idempotency-sent" else {"Idempotency-Key": key}),
                },
            )
            answer = wire.getresponse()
            streamed = (answer.headers.get("content-type") or "").startswith("text/event-stream")
            return self._events(answer) if streamed and answer.status == 200 else self._whole(answer)
        except TimeoutError:
            raise FailedError("timeout") from None
        except ConnectionResetError as error:
            kind = "closed" if isinstance(error, http.client.RemoteDisconnected) else "reset"
            raise FailedError(kind) from None
        except http.client.IncompleteRead:
            raise FailedError("truncated") from None
        finally:
            wire.close()

    def _whole(self, answer: http.client.HTTPResponse) -> Any:
        body, headers = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        try:
            told = json.loads(body)
        except ValueError:
            raise FailedError("half" if answer.status == 200 else "page", answer.status) from None
        if answer.status == 200:
            return told
        raise FailedError("refused", answer.status, told["error"]["code"] or "", headers)

    def _events(self, answer: http.client.HTTPResponse) -> list[Any]:
        events = []
        for line in answer:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            if event["type"] == "error":
                raise FailedError("event", 200, event["error"]["code"])
            events.append(event)
        if self._fault != "stream-incomplete-told" and not events[-1]["type"].endswith(".completed"):
            raise FailedError("incomplete", 200)
        return events

    def close(self) -> None:
        """Nothing is kept open."""


@contextlib.contextmanager
def _diary() -> Iterator[None]:
    """Write down when an attempt began and ended, by this process's own clock, where it is asked for."""
    began_s = time.monotonic()  # noqa: TID251  # a stranger's own
    try:
        yield
    finally:
        if "PLANTED_DIARY" in os.environ:
            with open(os.environ["PLANTED_DIARY"], "a") as diary:  # noqa: PTH123  # quick to load
                diary.write(f"{began_s} {time.monotonic()}\n")  # noqa: TID251  # as above


@functools.cache
def by_fault(name: str) -> Callable[..., Client]:
    """What makes a client with this fault; `none` has none."""
    return functools.partial(Client, fault=name)


def by_check(base_url: str, api_key: str) -> Client:
    """A client with the fault that the check which is tried is about."""
    return Client(base_url, api_key, os.environ.get("WHOCUT_CHECK", ""))


def __getattr__(name: str) -> Callable[..., Client]:
    """Each maker under its name, so that another process can import it: ``unknown_504``."""
    fault = name.replace("_", "-")
    if fault not in FAULTS and fault != "none":
        raise AttributeError(name)
    return by_fault(fault)


if __name__ == "__main__":
    wrong = sys.argv[1] if len(sys.argv) > 1 else os.environ["WHOCUT_CHECK"]
    with_fault = Client(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"], wrong)
    with ThreadPoolExecutor(16) as pool:
        made = [
            pool.submit(with_fault.generate, **wanted) for wanted in json.loads(os.environ["WHOCUT_ASKS"])
        ]
    errors = [str(one.exception()) for one in made if one.exception() is not None]
    sys.exit("; ".join(errors) or 0)
