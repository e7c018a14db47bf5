"""Ordinary test suites, each a file as a project has it, with what comes of them.

`CASES` is run with what is installed here by `test_suites`, and each in an environment of its own by
``make plugin-matrix``. Every one of them ends in seconds: it passes, or it fails with a sentence that names the
tier to use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ASK: Final = """
import contextlib, openai, pytest

def sync_client(chain):
    return openai.OpenAI(base_url=chain.base_url, api_key="sk-test", max_retries=0)

def async_client(chain):
    return openai.AsyncOpenAI(base_url=chain.base_url, api_key="sk-test", max_retries=0)

CAT = {"model": "gpt-image-2", "prompt": "a cat", "quality": "high"}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One suite. `packages` are what it needs beside openai, by the names of their modules; `says`: it fails so."""

    text: str
    packages: dict[str, str] = field(default_factory=dict)  # the package by the module's name
    options: tuple[str, ...] = ()
    says: str | None = None
    tests: int = 1

    @property
    def modules(self) -> tuple[str, ...]:
        """What must be importable."""
        return tuple(self.packages)

    @property
    def whole(self) -> str:
        """The file."""
        return ASK + self.text


def complaint(case: Case, code: int, output: str) -> str | None:
    """What is not as the case says."""
    if case.says is None:
        return None if code == 0 and f"{case.tests} passed" in output else output
    return None if code == 1 and case.says in " ".join(output.split()) else output


README: Final = """
@pytest.mark.whocut(chain="edge-60")
async def test_bills_once(whocut_chain):
    with contextlib.suppress(openai.APIError):
        await async_client(whocut_chain).images.generate(**CAT)
    whocut_chain.assert_billed_once()
    assert whocut_chain.now_s() >= 60
"""

CASES: Final = {
    "the README's test": Case(text=README),
    "asyncio.to_thread with a sync client": Case(
        text="""
import asyncio

@pytest.mark.whocut(chain="edge-60")
async def test_bills_once(whocut_chain):
    with contextlib.suppress(openai.APIError):
        await asyncio.to_thread(sync_client(whocut_chain).images.generate, **CAT)
    whocut_chain.assert_billed_once()
    assert 60 <= whocut_chain.attempts[0].ended_s <= 61
"""
    ),
    "run_in_executor beside an async client": Case(
        text="""
import asyncio

@pytest.mark.whocut
async def test_two_clients(whocut_chain):
    loop = asyncio.get_running_loop()
    in_a_thread = loop.run_in_executor(None, lambda: sync_client(whocut_chain).images.generate(**CAT))
    beside = async_client(whocut_chain).images.generate(**CAT | {"prompt": "a dog"})
    for made in await asyncio.gather(in_a_thread, beside):
        assert made.data[0].b64_json
    assert len(whocut_chain.attempts) == 2
"""
    ),
    "a client in a thread that nothing answers": Case(
        text="""
import asyncio

@pytest.mark.whocut(upstream="hang")
async def test_never_ends(whocut_chain):
    await asyncio.to_thread(sync_client(whocut_chain).images.generate, **CAT)
""",
        says="a client in a thread waits for an answer, and in virtual time none is due",
    ),
    "IsolatedAsyncioTestCase": Case(
        text="""
import unittest

class TestImages(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def chain(self, whocut_chain):
        self.chain = whocut_chain

    async def test_bills_once(self):
        async with async_client(self.chain) as client:
            with contextlib.suppress(openai.APIError):
                await client.images.generate(**CAT)
        self.chain.assert_billed_once()

TestImages = pytest.mark.whocut(chain="edge-60")(TestImages)
"""
    ),
    "IsolatedAsyncioTestCase in virtual time": Case(
        text="""
import unittest

@pytest.mark.whocut(tier="virtual")
class TestImages(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def chain(self, whocut_chain):
        self.chain = whocut_chain

    async def test_bills_once(self):
        await async_client(self.chain).images.generate(**CAT)
""",
        says="use tier='scaled'",
    ),
    "unittest.TestCase": Case(
        text="""
import unittest

@pytest.mark.whocut(chain="edge-60")
class TestImages(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def chain(self, whocut_chain):
        self.chain = whocut_chain

    def test_bills_once(self):
        with contextlib.suppress(openai.APIError):
            sync_client(self.chain).images.generate(**CAT)
        self.chain.assert_billed_once()
"""
    ),
    "a fixture that talks on a loop of its own": Case(
        text="""
import asyncio

@pytest.fixture
def warmed(whocut_chain):
    async def talk():
        await async_client(whocut_chain).models.list()

    asyncio.run(talk())

@pytest.mark.whocut
async def test_never_begins(warmed, whocut_chain):
    raise AssertionError
""",
        says="virtual time does not move there. Ask in the test itself, or use tier='scaled'",
    ),
    "pytest-asyncio, strict": Case(text=README, packages={"pytest_asyncio": "pytest-asyncio"}),
    "pytest-asyncio, auto": Case(
        text=README, packages={"pytest_asyncio": "pytest-asyncio"}, options=("-o", "asyncio_mode=auto")
    ),
    "an async fixture of pytest-asyncio that talks": Case(
        text="""
import pytest_asyncio

@pytest_asyncio.fixture
async def warmed(whocut_chain):
    await async_client(whocut_chain).models.list()

@pytest.mark.whocut
async def test_never_begins(warmed, whocut_chain):
    raise AssertionError
""",
        packages={"pytest_asyncio": "pytest-asyncio"},
        says="virtual time does not move there",
    ),
    "an async fixture of pytest-asyncio that talks, scaled": Case(
        text="""
import pytest_asyncio

@pytest_asyncio.fixture
async def warmed(whocut_chain):
    await async_client(whocut_chain).models.list()

@pytest.mark.whocut(tier="scaled")
async def test_begins(warmed, whocut_chain):
    await async_client(whocut_chain).images.generate(**CAT)
    whocut_chain.assert_billed_once()
""",
        packages={"pytest_asyncio": "pytest-asyncio"},
    ),
    "anyio's mark": Case(
        text="""
@pytest.mark.anyio
async def test_bills_once(whocut_chain):
    raise AssertionError
""",
        packages={"anyio": "anyio"},
        says="only one of them can run it",
    ),
    "anyio.to_thread with a sync client": Case(
        text="""
import functools, anyio.to_thread

@pytest.mark.whocut(chain="edge-60")
async def test_bills_once(whocut_chain):
    ask = functools.partial(sync_client(whocut_chain).images.generate, **CAT)
    with contextlib.suppress(openai.APIError):
        await anyio.to_thread.run_sync(ask)
    whocut_chain.assert_billed_once()
""",
        packages={"anyio": "anyio"},
    ),
    "trio, scaled": Case(
        text="""
import trio

@pytest.mark.whocut(chain="edge-60")
def test_bills_once(whocut_chain):
    async def main():
        with contextlib.suppress(openai.APIError):
            await async_client(whocut_chain).images.generate(**CAT)

    trio.run(main)
    whocut_chain.assert_billed_once()
""",
        packages={"trio": "trio"},
    ),
    "freezegun": Case(
        text="from freezegun import freeze_time\n"
        + README.replace("@pytest", '@freeze_time("2026-01-01")\n@pytest'),
        packages={"freezegun": "freezegun"},
    ),
    "freezegun, scaled": Case(
        text="""
from freezegun import freeze_time

@freeze_time("2026-01-01")
@pytest.mark.whocut(chain="edge-60")
def test_bills_once(whocut_chain):
    with contextlib.suppress(openai.APIError):
        sync_client(whocut_chain).images.generate(**CAT)
    whocut_chain.assert_billed_once()
""",
        packages={"freezegun": "freezegun"},
    ),
    "time-machine": Case(
        text="import time_machine\n"
        + README.replace("@pytest", '@time_machine.travel("2026-01-01", tick=False)\n@pytest'),
        packages={"time_machine": "time-machine"},
    ),
    "the respx tier beside pytest-httpx": Case(
        text="""
import httpx

REAL = httpx.AsyncHTTPTransport.handle_async_request

@pytest.mark.whocut(tier="respx")
async def test_with_both(monkeypatch, whocut_chain, httpx_mock):
    assert httpx.AsyncHTTPTransport.handle_async_request is not REAL

def test_nothing_stays():
    assert httpx.AsyncHTTPTransport.handle_async_request is REAL
""",
        packages={"respx": "respx", "pytest_httpx": "pytest-httpx"},
        tests=2,
    ),
    "the respx tier beside a patch of the test's own": Case(
        text="""
import httpx

REAL = httpx.AsyncHTTPTransport.handle_async_request

@pytest.fixture
def other(monkeypatch):
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", lambda *_: None)

@pytest.mark.whocut(tier="respx")
async def test_with_both(monkeypatch, whocut_chain, other):
    pass

def test_nothing_stays():
    assert httpx.AsyncHTTPTransport.handle_async_request is REAL
""",
        packages={"respx": "respx"},
        tests=2,
    ),
    "pytest-xdist": Case(text=README, packages={"xdist": "pytest-xdist"}, options=("-n", "2")),
    "pytest-randomly": Case(text=README, packages={"pytest_randomly": "pytest-randomly"}),
    "pytest-timeout": Case(
        text=README, packages={"pytest_timeout": "pytest-timeout"}, options=("--timeout", "30")
    ),
    "FastAPI's TestClient": Case(
        text="""
import fastapi, fastapi.testclient

@pytest.mark.whocut(chain="edge-60")
def test_a_door_of_ours(whocut_chain):
    app = fastapi.FastAPI()

    @app.get("/cat")
    async def cat():
        with contextlib.suppress(openai.APIError):
            await async_client(whocut_chain).images.generate(**CAT)

    with fastapi.testclient.TestClient(app) as client:
        assert client.get("/cat").status_code == 200
    whocut_chain.assert_billed_once()
""",
        packages={"fastapi": "fastapi", "httpx": "httpx"},
    ),
    "Django's AsyncClient on a sync view": Case(
        text="""
import django.test
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

BASE = {}

def view(request):
    client = openai.OpenAI(base_url=BASE["url"], api_key="sk-test", max_retries=0)
    try:
        client.images.generate(**CAT)
    except openai.APIError as error:
        return HttpResponse(str(error.status_code))
    return HttpResponse("an image")

urlpatterns = [path("cat", view)]

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of-a-test")
    django.setup()

@pytest.mark.whocut(chain="edge-60")
async def test_a_view(whocut_chain):
    BASE["url"] = whocut_chain.base_url
    answer = await django.test.AsyncClient().get("/cat")
    assert answer.content == b"504"
    whocut_chain.assert_billed_once()
""",
        packages={"django": "django"},
    ),
}
