"""Callbacks of jobs: signed by Standard Webhooks, sent again by a schedule that is in the store.

A letter is committed together with the end of its job, so a kill between the two loses none. Its id is the same at
each try; a receiver may get it twice, and knows it by that.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson

from whocut.errors import NoRoom
from whocut.jobs.records import JobState, Letter

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.jobs.records import Job
    from whocut.jobs.store import Store

log = logging.getLogger(__name__)

USER_AGENT: Final = "whocut-jobs"
TIMEOUT_S: Final = 15.0
FIRST_S, FACTOR, TRIES = 5.0, 3.0, 12
_MOST_S: Final = 6 * 3_600.0
_THROTTLED: Final = frozenset({429, 502, 503, 504})
_AT_ONCE: Final = 10
_LOOK_S: Final = 30.0


def letter_of(job: Job, state: JobState, now_s: float) -> Letter | None:
    """The callback of a job that comes to this end; None where no URL was given."""
    if job.webhook is None:
        return None
    body = {
        "type": f"job.{state}",
        "timestamp": datetime.fromtimestamp(now_s, UTC).isoformat(),
        "data": {"id": job.id, "status": str(state)},
    }
    return Letter(f"msg_{job.id}", job.id, job.webhook, orjson.dumps(body), 0, now_s)


def signed(secret: str, letter: Letter, at_s: float) -> dict[str, str]:
    """The headers of a callback."""
    text = b"%b.%d.%b" % (letter.id.encode(), int(at_s), letter.body)
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), text, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": letter.id,
        "webhook-timestamp": str(int(at_s)),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


class Letters:
    """Sends what is due, until it is stopped."""

    def __init__(self, store: Store, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s
        self._secret = store.secret
        self._news = asyncio.Event()

    def look(self) -> None:
        """A letter has come into the store."""
        self._news.set()

    async def run(self) -> None:
        """Send for ever."""
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, force_close=True)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        ) as session:
            while True:
                self._news.clear()
                due = self._store.letters_due(self._now_s(), _AT_ONCE)
                went = await asyncio.gather(
                    *(self._send(session, letter) for letter in due), return_exceptions=True
                )
                failed = [error for error in went if isinstance(error, BaseException)]
                if failed and all(isinstance(error, NoRoom) for error in failed):
                    # How they were answered is not written down, so they go again.
                    log.error("callbacks wait for room: %s", failed[0])
                    await asyncio.sleep(_LOOK_S)
                elif failed:
                    raise failed[0]
                elif not due:
                    await self._rest()

    async def _rest(self) -> None:
        next_s = self._store.next_letter_s()
        pause_s = _LOOK_S if next_s is None else max(0.0, min(_LOOK_S, next_s - self._now_s()))
        try:
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _send(self, session: aiohttp.ClientSession, letter: Letter) -> None:
        said, status, asked_s = "unreachable", None, 0.0
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                session.post(
                    letter.url,
                    data=letter.body,
                    headers=signed(self._secret, letter, self._now_s()),
                    allow_redirects=False,
                ) as answer,
            ):
                status = answer.status
                said = f"HTTP {status}"
                asked_s = _seconds(answer.headers.get("Retry-After", "")) if status in _THROTTLED else 0.0
        except TimeoutError:
            said = "unanswered"
        except (aiohttp.ClientError, OSError):
            pass
        state, due_s = self._verdict(letter, status, asked_s)
        if state == "given_up":
            log.warning("the callback of %s is given up: %s", letter.job, said)
        self._store.letter_tried(letter.id, state, said, due_s)

    def _verdict(self, letter: Letter, status: int | None, asked_s: float) -> tuple[str, float]:
        """Any 2xx accepts; 410 ends it; a redirect is not followed and accepts nothing."""
        if status is not None and 200 <= status < 300:
            return "accepted", 0.0
        tries = letter.tries + 1
        if status == 410 or tries >= TRIES:
            return "given_up", 0.0
        wait_s = min(FIRST_S * FACTOR ** (tries - 1), _MOST_S)
        return "open", self._now_s() + max(wait_s, asked_s)


def _seconds(text: str) -> float:
    digits = text.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0.0
