from __future__ import annotations

import subprocess
import sys

import pytest

from tests.plugin.kept import LOADED

pytest_plugins = "pytester"

THREE_LINES = """
import contextlib, openai, pytest

@pytest.mark.whocut(chain="edge-60")
async def test_bills_once(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test"{more})
    with contextlib.suppress(openai.APIError):
        await client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
    whocut_chain.assert_billed_once()
"""


assert LOADED


def outcome(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    """Run one test file of a user's, with nothing but the plugin."""
    pytester.makepyfile(text)
    return pytester.runpytest("-p", "no:locust", "-p", "no:anyio", "-p", "no:hypothesispytest", *options)


def seen(result: pytest.RunResult, *lines: str) -> None:
    """Each line stands somewhere in the output."""
    result.stdout.fnmatch_lines_random([f"*{line}*" for line in lines])


def test_default_sdk_fails_with_drawing(pytester: pytest.Pytester) -> None:
    """The default SDK pays three times for no image, and the failure says so and draws it."""
    result = outcome(pytester, THREE_LINES.replace("{more}", ""))

    result.assert_outcomes(failed=1)
    seen(
        result,
        "request-1 is billed three times ($0.63), and no image was delivered",
        "edge cut by total after 60 s, while waiting · proven · the generation ran on for",
        "░░ at work, orphaned",
    )


def test_own_frames_are_hidden(pytester: pytest.Pytester) -> None:
    """A failing assertion shows the test's line and none of ours."""
    result = outcome(pytester, THREE_LINES.replace("{more}", ""))

    seen(result, "whocut_chain.assert_billed_once()")
    result.stdout.no_fnmatch_line("*def _fail*")
    result.stdout.no_fnmatch_line("*harness/whocut/plugin/*")


def test_without_retries_is_billed_once(pytester: pytest.Pytester) -> None:
    """The same client without retries passes the same test."""
    outcome(pytester, THREE_LINES.replace("{more}", ", max_retries=0")).assert_outcomes(passed=1)


def test_any_other_failure_is_drawn_too(pytester: pytest.Pytester) -> None:
    """An exception of the client's own is followed by what the layers saw."""
    text = """
import openai, pytest

@pytest.mark.whocut(chain="edge-60")
async def test_raises(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", max_retries=0)
    await client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
"""

    result = outcome(pytester, text)

    result.assert_outcomes(failed=1)
    seen(result, "InternalServerError", "whocut: what the layers saw", "cut: maxDuration 60 s")


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ("chain='edge-6'", "there is no preset and no chain 'edge-6' (did you mean 'edge-60'?)"),
        ("chian='edge-60'", "has no argument 'chian' (did you mean 'chain'?)"),
        ("'edge-60'", "takes named arguments only: write @pytest.mark.whocut(chain='edge-60')"),
        ("upstream={'latncy': 1}", "latncy: there is no such setting; did you mean 'latency'?"),
        ("upstream='hnag'", "there is no fault 'hnag'"),
        ("tier='vitual'", "there is no tier 'vitual' (did you mean 'virtual'?)"),
        ("scale=0", "write a number above zero"),
        ("chain=3", "write a chain's name, a path to its file, a list of layers, or a Topology"),
    ],
)
def test_a_mistake_is_named(pytester: pytest.Pytester, marker: str, complaint: str) -> None:
    """A mistake in a marker is an error at once, with the nearest right spelling."""
    text = f"""
import pytest

@pytest.mark.whocut({marker})
async def test_wrong(whocut_chain):
    raise AssertionError("not to be reached")
"""

    result = outcome(pytester, text)

    result.assert_outcomes(errors=1)
    assert complaint in result.stdout.str()


def test_outside_cannot_be_reached(pytester: pytest.Pytester) -> None:
    """A client with the real base URL fails before its first byte, and no retry of its own hides that."""
    text = """
import openai

async def test_outside(whocut_chain):
    await openai.AsyncOpenAI(api_key="sk-test").images.generate(model="gpt-image-2", prompt="a cat")
"""

    result = outcome(pytester, text)

    result.assert_outcomes(failed=1)
    seen(result, "this test dialled api.openai.com:443", "base_url=whocut_chain.base_url")


def test_swallowed_attempts_to_reach_the_outside_are_told(pytester: pytest.Pytester) -> None:
    """Who catches even that failure meets it again when the test is over."""
    text = """
import socket

async def test_outside(whocut_chain):
    try:
        socket.create_connection(("198.51.100.7", 443))
    except BaseException:
        pass
"""

    outcome(pytester, text).assert_outcomes(passed=1, errors=1)


def test_a_client_that_blocks_is_told_at_once(pytester: pytest.Pytester) -> None:
    """The sync client in a test of virtual time would wait for ever; it fails at its first dial, and says why."""
    text = """
import openai

async def test_blocks(whocut_chain):
    openai.OpenAI(base_url=whocut_chain.base_url, api_key="sk-test").images.generate(prompt="a cat")
"""

    result = outcome(pytester, text)

    result.assert_outcomes(failed=1)
    seen(result, "this test dialled with a client that blocks", "tier='scaled'")


def test_an_assertion_about_nothing_is_a_mistake(pytester: pytest.Pytester) -> None:
    """A test whose client never came to the chain does not pass by accident."""
    text = """
async def test_nothing(whocut_chain):
    whocut_chain.assert_billed_once()
"""

    result = outcome(pytester, text)

    result.assert_outcomes(failed=1)
    seen(result, "no request has reached the chain")


def test_requests_beside_the_generation_are_not_attempts(pytester: pytest.Pytester) -> None:
    """A list of models is neither a request nor billed; an assertion about it alone is a mistake."""
    text = """
import openai

async def test_lists_first(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test")
    await client.models.list()
    await client.images.generate(model="gpt-image-2", prompt="a cat", quality="low")
    await client.close()
    whocut_chain.assert_billed_once()
    assert [attempt.request for attempt in whocut_chain.attempts] == ["request-1"]

async def test_lists_only(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test")
    await client.models.list()
    await client.close()
    whocut_chain.assert_billed_once()
"""

    result = outcome(pytester, text)

    result.assert_outcomes(passed=1, failed=1)
    seen(result, "no request for a generation has reached the chain, only GET /v1/models (200)")


def test_retry_after_is_told_by_how_much_it_was_broken(pytester: pytest.Pytester) -> None:
    """A hand-made loop that waits two seconds where twelve were asked for is ten seconds early."""
    text = """
import asyncio, openai, pytest

@pytest.mark.whocut(upstream="rate_limited=12")
async def test_waits(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", max_retries=0)
    for _ in range(2):
        with pytest.raises(openai.RateLimitError):
            await client.images.generate(model="gpt-image-2", prompt="a cat")
        await asyncio.sleep(2)
    whocut_chain.assert_honoured_retry_after()
"""

    result = outcome(pytester, text)

    result.assert_outcomes(failed=1)
    seen(result, "it was asked to wait 12 s, and came 10 s early")


def test_assertions_hold_for_a_client_that_behaves(pytester: pytest.Pytester) -> None:
    """Five requests through a semaphore of three, each delivered: every assertion holds."""
    text = """
import asyncio, openai, pytest
from whocut.pytest_plugin import UNKNOWN_OUTCOME

@pytest.mark.whocut(upstream={"latency": {"constant_s": 600}})
async def test_behaves(whocut_chain, whocut_upstream):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", timeout=900)
    room = asyncio.Semaphore(3)
    async def ask(number):
        async with room:
            await client.images.generate(model="gpt-image-2", prompt=f"cat {number}")
    await asyncio.gather(*(ask(number) for number in range(5)))
    whocut_chain.assert_billed_once()
    whocut_chain.assert_not_retried_after(UNKNOWN_OUTCOME)
    whocut_chain.assert_not_retried_after(504)
    whocut_chain.assert_not_retried_after("moderation_blocked")
    whocut_chain.assert_honoured_retry_after()
    whocut_chain.assert_max_in_flight(3)
    assert whocut_chain.verdict("request-2").phrase == "nobody cut: delivered"
    assert len(whocut_upstream.ledger) == len(whocut_chain.attempts) == 5
    assert 1200 <= whocut_chain.now_s() < 1201
"""

    outcome(pytester, text).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("whocut_chain.assert_max_in_flight(3)", "5 attempts were in flight at once"),
        ("whocut_chain.assert_not_retried_after()", "which is an unknown outcome"),
        ("whocut_chain.assert_not_retried_after(504)", "after a gateway's 504, which is a 504"),
        ("whocut_chain.verdict()", "there were 5 requests: name one of request-1"),
        ("whocut_chain.verdict('request-9')", "there is no request 'request-9' (did you mean"),
    ],
)
def test_assertions_explain_themselves(pytester: pytest.Pytester, line: str, complaint: str) -> None:
    """What is broken is told in one sentence with its figures."""
    text = f"""
import asyncio, openai, pytest

@pytest.mark.whocut(chain="edge-60")
async def test_crowd(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", max_retries=1)
    asks = (client.images.generate(model="gpt-image-2", prompt=f"cat {{n}}", quality="high") for n in range(5))
    await asyncio.gather(*asks, return_exceptions=True)
    {line}
"""

    result = outcome(pytester, text)

    result.assert_outcomes(failed=1)
    assert complaint in result.stdout.str()


def test_a_chain_by_argument(pytester: pytest.Pytester) -> None:
    """One body runs through several chains by indirect parametrization."""
    text = """
import pytest

@pytest.mark.parametrize("whocut_chain", ["edge-60", "article"], indirect=True)
async def test_chain(whocut_chain):
    assert whocut_chain.base_url.startswith("http://127.0.0.1:")
"""

    outcome(pytester, text).assert_outcomes(passed=2)


def test_nothing_is_forced_on_others(pytester: pytest.Pytester) -> None:
    """Tests that ask for nothing of ours run as they would without us, under strict markers too."""
    text = """
import asyncio, socket

def test_plain():
    assert socket.socket.connect.__name__ == "connect"

async def test_async_of_nobody():
    pass
"""

    result = outcome(pytester, text, "--strict-markers", "--strict-config")

    result.assert_outcomes(passed=1, failed=1)
    seen(result, "async def functions are not natively supported")


def test_a_test_claimed_by_another_plugin_is_refused(pytester: pytest.Pytester) -> None:
    """A test marked for anyio and asking for us is told that only one can run it."""
    text = """
import pytest

@pytest.mark.anyio
async def test_claimed(whocut_chain):
    pass
"""
    pytester.makepyfile(text)

    result = pytester.runpytest("-p", "no:locust")

    result.assert_outcomes(errors=1)
    seen(result, "only one of them can run it")


def test_what_runs_on_can_be_waited_for(pytester: pytest.Pytester) -> None:
    """After `settled` the generation behind a cut is over, and the bill is final; a plain test has its own way."""
    text = """
import openai, pytest

@pytest.mark.whocut(chain="edge-60")
async def test_settled(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", max_retries=0)
    with pytest.raises(openai.InternalServerError):
        await client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
    assert 60 <= whocut_chain.now_s() < 61
    before = whocut_chain.verdict().phrase
    await whocut_chain.settled()
    assert whocut_chain.now_s() > 100
    assert whocut_chain.verdict().phrase == before
    assert whocut_chain.ledger[0]["state"] == "settled"

@pytest.mark.whocut(chain="edge-60", scale=400)
def test_waited(whocut_chain):
    client = openai.OpenAI(base_url=whocut_chain.base_url, api_key="sk-test", max_retries=0)
    with pytest.raises(openai.InternalServerError):
        client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
    whocut_chain.wait_settled()
    assert whocut_chain.ledger[0]["orphaned_s"] > 20
"""

    outcome(pytester, text).assert_outcomes(passed=2)


def test_a_plugin_that_wraps_every_async_test_is_no_hindrance(pytester: pytest.Pytester) -> None:
    """Where another plugin makes plain functions of all async tests, ours still run in virtual time."""
    pytester.makeconftest(
        """
import asyncio, functools, inspect, pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    test = item.obj
    if inspect.iscoroutinefunction(test):
        @functools.wraps(test)
        def wrapped(**arguments):
            return asyncio.run(test(**arguments))
        item.obj = wrapped
"""
    )
    text = """
import asyncio

class TestOurs:
    async def test_method(self, whocut_chain):
        assert type(asyncio.get_running_loop()).__name__ == "VirtualLoop"

async def test_function(whocut_chain):
    assert type(asyncio.get_running_loop()).__name__ == "VirtualLoop"

async def test_theirs():
    assert type(asyncio.get_running_loop()).__name__ != "VirtualLoop"
"""

    outcome(pytester, text).assert_outcomes(passed=3)


@pytest.mark.parametrize("module", ["whocut.pytest_plugin"])
def test_importing_the_plugin_imports_nothing_heavy(module: str) -> None:
    """Pytest pays for our plugin with no import of ours, of the SDK's or of any server's."""
    code = (
        f"import pytest, sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) <= {"whocut", "whocut.pytest_plugin"}
