"""The door to a backend: requests to one address, answers bounded in bytes and time, and no redirect followed.

What comes back is foreign: a bound that is reached, a redirect, a refusal, bytes of another form are one sentence.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import orjson

from whocut.errors import BadInput, CouldNotRun, RemoteFailure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from whocut.trace.fetching.asked import Asked

_Opened = TypeVar("_Opened")

_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MIB: Final = 1024 * 1024
_ASK_LESS: Final = "Ask for less: a shorter time, a --service, a smaller --limit."
_SHOWN: Final = 200  # bytes of a refusal


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a backend may send and take, in bytes and real seconds, each answer and all of them."""

    answer_bytes: int = 32 * _MIB
    all_bytes: int = 512 * _MIB
    answer_real_s: float = 60.0
    requests: int = 5_000


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a backend is: its URL without a slash at the end, and its host for sentences."""

    url: str
    host: str

    @classmethod
    def parse(cls, written: str, *, secret: bool = False) -> Self:
        """Read a URL; `secret`: a token goes there.

        Raises:
            BadInput: it is no URL, it may carry a secret, or a token would go over the network in the clear.
        """
        try:
            url = urlsplit(written)
            port = url.port
        except ValueError:
            raise BadInput(
                "the address is no URL. Write it like http://127.0.0.1:16686.", field="from"
            ) from None
        if url.username or url.password or url.query or url.fragment:
            raise BadInput(
                "an address with a user, a query or a fragment is refused: it may hold a secret. Name a variable "
                "with --token-env.",
                field="from",
            )
        if url.scheme not in _PORTS or not url.hostname:
            raise BadInput(
                f"'{written}' is no URL. Write it whole, like http://127.0.0.1:16686.", field="from"
            )
        name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        host = f"{name}:{port or _PORTS[url.scheme]}"
        if secret and url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise BadInput(
                f"the token would go to {host} in the clear. Use https, or a tunnel to 127.0.0.1.",
                field="from",
            )
        return cls(f"{url.scheme}://{host}{url.path.rstrip('/')}", host)


def authorization(token: str) -> str:
    """The header of a token: `USER:PASSWORD` is basic, a value with a scheme stays, any other is a bearer's."""
    if " " in token:
        return token
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    return f"Bearer {token}"


class Door:
    """Asks one backend. `name` is what it is called in sentences."""

    def __init__(self, name: str, address: Address, session: aiohttp.ClientSession, bounds: Bounds) -> None:
        self.name = name
        self._address = address
        self._session = session
        self._bounds = bounds
        self._bytes_left = bounds.all_bytes
        self._requests_left = bounds.requests

    async def json(self, path: str, query: Iterable[tuple[str, str]] = (), *, body: Any = None) -> Any:
        """The answer as plain data; None where the backend does not have it (404).

        Raises:
            CouldNotRun: it could not be reached.
            RemoteFailure: it refused, went beyond a bound, or answered something that is no JSON.
        """
        sent = None if body is None else orjson.dumps(body)
        answer = await self.raw(path, query, body=sent, of="application/json")
        return None if answer is None else self.parsed(answer)

    def parsed(self, text: bytes) -> Any:
        """Bytes as plain data.

        Raises:
            RemoteFailure: they are no JSON.
        """
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise self.strange("its answer is no JSON") from None

    async def raw(
        self,
        path: str,
        query: Iterable[tuple[str, str]] = (),
        *,
        body: bytes | None = None,
        of: str = "text/plain; charset=utf-8",
    ) -> bytes | None:
        """The answer as it came; with a body it is a POST."""
        import aiohttp  # noqa: PLC0415  # attribution of files needs no client

        if self._requests_left <= 0:
            raise self._failed(f"wants more than {self._bounds.requests:,} requests. {_ASK_LESS}")
        self._requests_left -= 1
        try:
            async with (
                asyncio.timeout(self._bounds.answer_real_s),
                self._session.request(
                    "GET" if body is None else "POST",
                    f"{self._address.url}{path}",
                    params=list(query),
                    data=body,
                    headers={} if body is None else {"Content-Type": of},
                    allow_redirects=False,
                ) as answer,
            ):
                return await self._read(answer)
        except TimeoutError:
            raise self._failed(
                f"did not answer whole within {self._bounds.answer_real_s:g} s. {_ASK_LESS}"
            ) from None
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or str(error.os_error)
            raise CouldNotRun(
                f"{self.name} at {self._address.host} cannot be reached: {why}. Start it, or correct --from."
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(f"broke off its answer: {type(error).__name__}. Try again.") from None

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes | None:
        if 300 <= answer.status < 400:
            try:
                to = urlsplit(answer.headers.get("Location", "")).hostname
            except ValueError:
                to = None
            raise self._failed(
                f"sends its callers on to {to or 'another path'}. Give that address to --from."
            )
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self._failed("answers packed, which was not asked for. Ask it without a proxy between.")
        whole = bytearray()
        most = min(self._bounds.answer_bytes, self._bytes_left)
        async for part in answer.content.iter_any():
            whole += part
            if len(whole) > most:
                raise self._failed(f"sends more than {most / _MIB:,.0f} MiB. {_ASK_LESS}")
            if answer.status >= 400 and len(whole) > _SHOWN:
                break
        self._bytes_left -= len(whole)
        if answer.status == 404:
            return None
        if answer.status in {401, 403}:
            raise self._failed(
                f"refuses: HTTP {answer.status}. Name a variable that holds its token: --token-env NAME."
            )
        if answer.status >= 400:
            said = " ".join(whole[:_SHOWN].decode("utf-8", "replace").split())
            raise self._failed(f"answers HTTP {answer.status}: {said or 'without a word'}. {_ASK_LESS}")
        return bytes(whole)

    def strange(self, why: str) -> RemoteFailure:
        """The sentence for an answer of another form."""
        return self._failed(f"answers in another form: {why}. Is it a {self.name}?")

    def _failed(self, what: str) -> RemoteFailure:
        return RemoteFailure(f"{self.name} at {self._address.host} {what}")


def over_http(
    name: str, reader: Callable[[Door, Asked], _Opened], bounds: Bounds = DEFAULT_BOUNDS
) -> Callable[[str, Asked], AbstractAsyncContextManager[_Opened]]:
    """What opens a backend that is spoken to over HTTP."""

    @asynccontextmanager
    async def opened(address: str, asked: Asked) -> AsyncIterator[_Opened]:
        import aiohttp  # noqa: PLC0415  # as above

        where = Address.parse(address, secret=asked.token is not None)
        headers = {"Accept-Encoding": "identity", "Accept": "application/json"}
        if asked.token is not None:
            headers["Authorization"] = authorization(asked.token)
        async with aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            yield reader(Door(name, where, session, bounds), asked)

    return opened
