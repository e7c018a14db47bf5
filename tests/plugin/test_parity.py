"""One test body in the three tiers: what it sees of the client, the layers and the bill is the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.excused import unless_it_stood_still
from tests.plugin.kept import LOADED

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = "pytester"
assert LOADED

# What each test of the body does: the marker's arguments, the client's options, the request's.
WORLDS: dict[str, tuple[str, str, str]] = {
    "edge_cuts": ("chain='edge-60'", "", "quality='high'"),
    "edge_cuts_once": ("chain='edge-60'", "max_retries=0", "quality='high'"),
    "delivered": ("upstream={'latency': {'constant_s': 50}}", "", "quality='low'"),
    "slow": ("upstream={'latency': {'constant_s': 600}}", "timeout=900", "quality='high'"),
    "moderated": ("upstream={'latency': {'constant_s': 50}}", "", "prompt='a naked lunch'"),
    "limited": (
        "upstream={'faults': [{'fault': 'rate_limited=40', 'when': {'attempt': 1}}]}",
        "",
        "quality='low'",
    ),
    "out_of_money": ("upstream='insufficient_quota'", "", "quality='low'"),
    "reset": ("upstream='reset_before_headers=30'", "", "quality='low'"),
    "reset_in_body": ("upstream='rst_mid_body'", "max_retries=1", "quality='low'"),
    "closed": ("upstream='answer_lost'", "max_retries=1", "quality='low'"),
    "broken_json": ("upstream='truncated_json'", "max_retries=0", "quality='low'"),
    "client_timeout": (
        "upstream='hang'",
        "max_retries=1, timeout=whocut_chain.client_s(90)",
        "quality='low'",
    ),
}

BODY = """
import json, pathlib
import openai, pytest

def told(whocut_chain, error):
    attempts, verdict = whocut_chain.attempts, whocut_chain.verdict()
    return {
        "error": error,
        "attempts": [[a.request, a.number, str(a.outcome), a.status, a.error] for a in attempts],
        "took": [round(a.ended_s - a.started_s, 2) for a in attempts],
        "billed": sum(row["billed"] for row in whocut_chain.ledger),
        "verdict": [str(verdict.kind), verdict.layer, str(verdict.timer)],
    }
"""

ASYNC = """
@pytest.mark.whocut({marker})
async def test_{name}(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", **dict({options}))
    error = None
    try:
        await client.images.generate(**dict(model="gpt-image-2", prompt="a cat") | dict({wanted}))
    except Exception as raised:
        error = type(raised).__name__
    await client.close()
    pathlib.Path("{where}").joinpath("{name}.json").write_text(json.dumps(told(whocut_chain, error)))
"""


def told(pytester: pytest.Pytester, where: Path, body: str, *options: str) -> dict[str, Any]:
    """Run the body and collect what each test wrote down."""
    where.mkdir(exist_ok=True)
    tests = [
        body.format(name=name, marker=marker, options=options_, wanted=wanted, where=where)
        for name, (marker, options_, wanted) in WORLDS.items()
    ]
    pytester.makepyfile(BODY + "".join(tests))
    result = pytester.runpytest("-p", "no:locust", "-p", "no:anyio", "-p", "no:hypothesispytest", *options)
    result.assert_outcomes(passed=len(WORLDS))
    return {name: json.loads((where / f"{name}.json").read_text()) for name in WORLDS}


@pytest.fixture
def virtual(pytester: pytest.Pytester, tmp_path: Path) -> dict[str, Any]:
    """What the virtual tier tells."""
    return told(pytester, tmp_path / "virtual", ASYNC)


def test_respx_tells_what_virtual_tells(
    virtual: dict[str, Any], pytester: pytest.Pytester, tmp_path: Path
) -> None:
    """Without a socket the same test sees the same attempts, verdicts and bills."""
    respx = told(pytester, tmp_path / "respx", ASYNC, "--whocut-tier", "respx")

    assert respx == virtual


@pytest.mark.sockets
def test_scaled_tells_what_virtual_tells(
    virtual: dict[str, Any], pytester: pytest.Pytester, tmp_path: Path
) -> None:
    """A hundred model seconds in one, with a client that blocks: the same attempts, verdicts and bills."""
    sync = ASYNC.replace("async def", "def").replace("AsyncOpenAI", "OpenAI").replace("await ", "")

    with unless_it_stood_still(0.1):  # ten model seconds, as near as a limit and an answer come to each other
        scaled = told(pytester, tmp_path / "scaled", sync)

        assert {name: _exact(one) for name, one in scaled.items()} == {
            name: _exact(one) for name, one in virtual.items()
        }


def _exact(one: dict[str, Any]) -> dict[str, Any]:
    """Without durations: a scaled clock is as exact as the machine is idle."""
    return {name: value for name, value in one.items() if name != "took"}


def test_other_addresses_need_a_route(pytester: pytest.Pytester) -> None:
    """In the respx tier a request to any other address is refused, unless the test has a route for it."""
    pytester.makepyfile(
        """
import httpx2, pytest

@pytest.mark.whocut(tier="respx")
async def test_routes(whocut_chain):
    whocut_chain.routes.get("https://api.example.com/hook").respond(202, json={"seen": True})
    async with httpx2.AsyncClient() as client:
        assert (await client.get("https://api.example.com/hook")).json() == {"seen": True}
        with pytest.raises(AssertionError, match="not mocked"):
            await client.get("https://api.example.com/other")
"""
    )

    result = pytester.runpytest("-p", "no:locust", "-p", "no:anyio", "-p", "no:hypothesispytest")

    result.assert_outcomes(passed=1)
