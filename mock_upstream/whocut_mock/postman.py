"""Callbacks: letters to URLs, signed, tried again and given up by rule.

As Standard Webhooks asks of a sender: any 2xx is acceptance and nothing else is; a redirect is not followed; 410
ends it; a Retry-After is obeyed; each try has the same id. In model time, like everything here.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from whocut_mock.clock import ModelClock
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.jobs import Job
from whocut_mock.ledger import Callback
from whocut_mock.settings import Jobs

_THROTTLED = frozenset({429, 502, 503, 504})  # whose Retry-After counts
_JITTER = 0.1
_WAIT_MOST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a letter is sent again: after `first_s`, then `factor` times as long, within both bounds."""

    first_s: float
    factor: float
    tries: int
    within_s: float


# OpenAI's is "exponential, up to 72 hours"; its first step is ours. fal's is "up to ten retries within 2 hours".
STANDARD = Schedule(5.0, 4.0, 30, 72 * 3_600.0)
TEN_IN_TWO_HOURS = Schedule(5.0, 2.0, 11, 7_200.0)


@dataclass(frozen=True, slots=True)
class Letter:
    """One callback: its URL, its body and its job; `headers` are made anew for each try."""

    url: str
    body: bytes
    headers: Callable[[], Mapping[str, str]]
    schedule: Schedule
    dice: Dice
    job: Job | None = None
    gone: Callable[[], None] = lambda: None


def check_url(url: Any, settings: Jobs, name: str) -> str:
    """The address of a callback.

    Raises:
        ApiError: it is no address, or one that the settings do not allow.
    """
    host = _host_of(url) if isinstance(url, str) and len(url) <= 2_000 else None
    if host is None:
        raise ApiError(
            400, f"Invalid '{name}': expected an http or https URL.", code="invalid_url", param=name
        )
    if settings.callbacks == "loopback" and not _is_loopback(host):
        raise ApiError(
            400,
            f"Invalid '{name}': this mock calls back to loopback addresses only. Set jobs: {{callbacks: anywhere}}"
            " at its start to allow others.",
            type="mock_error",
            code="callback_not_allowed",
            param=name,
        )
    return str(url)


def _host_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no port
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def signed(secrets: list[str], letter_id: str, at_unix_s: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks, with one signature a secret."""
    text = b"%b.%d.%b" % (letter_id.encode(), at_unix_s, body)
    macs = (hmac.new(_key(secret), text, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": letter_id,
        "webhook-timestamp": str(at_unix_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


@dataclass
class Postman:
    """Who carries the letters; each in a task of its own, until it is accepted or given up."""

    clock: ModelClock
    settings: Callable[[], Jobs]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    def send(self, letter: Letter) -> None:
        """Take a letter along."""
        task = asyncio.get_running_loop().create_task(self._carry(letter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def once(self, url: str, body: bytes, headers: Mapping[str, str]) -> Callback:
        """Try one time, and say how it went."""
        callback, _ = await self._try(url, body, headers)
        return callback

    def stop(self) -> None:
        """Drop every letter."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Drop every letter, and let go of the connections."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _carry(self, letter: Letter) -> None:
        if letter.dice.fraction("forged") < self.settings().callback_forged:
            await self._forge(letter)
        begun_s, wait_s = self.clock.now_s(), letter.schedule.first_s
        for number in range(1, letter.schedule.tries + 1):
            callback, asked_s = await self._try(letter.url, letter.body, letter.headers())
            _enter(letter.job, callback)
            if callback.said == "gone":
                letter.gone()
            if callback.said in ("accepted", "gone"):
                break
            spread = letter.dice.between(f"retry {number}", 1 - _JITTER, 1 + _JITTER)
            pause_s = max(min(wait_s, _WAIT_MOST_S) * spread, asked_s)
            if self.clock.now_s() + pause_s - begun_s > letter.schedule.within_s:
                return
            await self.clock.sleep_s(pause_s)
            wait_s *= letter.schedule.factor
        if callback.said == "accepted" and letter.dice.fraction("twice") < self.settings().callback_twice:
            again, _ = await self._try(letter.url, letter.body, letter.headers())
            _enter(letter.job, again)

    async def _forge(self, letter: Letter) -> None:
        """A stranger's letter: another id, and a signature by a secret that is not the endpoint's."""
        headers = dict(letter.headers())
        if "webhook-id" in headers:
            headers |= signed(
                ["a stranger's"],
                f"{headers['webhook-id']}_forged",
                int(headers["webhook-timestamp"]),
                letter.body,
            )
        callback, _ = await self._try(letter.url, letter.body, headers)
        _enter(letter.job, replace(callback, forged=True))

    async def _try(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[Callback, float]:
        """One try, and the seconds that the receiver asks to be left alone for."""
        at_s, status, asked_s = round(self.clock.now_s(), 6), None, 0.0
        sent = {"Content-Type": "application/json", **headers}
        try:
            async with (
                asyncio.timeout(self.settings().callback_timeout_s / self.clock.scale),
                self._open().post(url, data=body, headers=sent, allow_redirects=False) as answer,
            ):
                status = answer.status
                if status in _THROTTLED:
                    asked_s = _seconds(answer.headers.get("Retry-After", ""))
        except TimeoutError:
            return Callback(at_s, "unanswered"), asked_s
        except (aiohttp.ClientError, OSError):
            return Callback(at_s, "unreachable"), asked_s
        return Callback(at_s, _said(status), status, round(self.clock.now_s() - at_s, 6)), asked_s

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = _Loopback() if self.settings().callbacks == "loopback" else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=100, force_close=True, resolver=resolver),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            )
        return self._session


class _Loopback(AbstractResolver):
    """Knows one name; no other machine is asked for any."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != "localhost":
            raise OSError(f"{host} is not this machine")
        found = ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
        )
        del family
        return [found]

    async def close(self) -> None:
        """Nothing is held open."""


def _enter(job: Job | None, callback: Callback) -> None:
    if job is not None:
        job.called_back(callback)


def _said(status: int) -> str:
    if status == 410:
        return "gone"
    return {2: "accepted", 3: "redirected"}.get(status // 100, "refused")


def _seconds(text: str) -> float:
    """A Retry-After in seconds; a date is not obeyed, and neither is what is no number."""
    digits = text.strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 6 else 0.0
