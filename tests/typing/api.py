"""Every public name in use, as a program would write it; only type-checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import httpx
import httpx2
import openai

import whocut


def a_chain_is_data() -> whocut.Topology:
    """Presets, layers and timers make a topology; a name or a file is read as one."""
    edge: whocut.Layer = whocut.preset("nginx")
    timers: list[whocut.Timer] = list(edge.timers.values())
    limits_s: list[float | None] = [timer.limit_s for timer in timers]
    topology = whocut.read_chain("article")
    assert_type(topology, whocut.Topology)
    assert_type(whocut.read_chain(Path("mine.yaml")), whocut.Topology)
    print(limits_s)
    return whocut.Topology(name="mine", client=whocut.preset("openai-python"), hops=(edge,))


def questions() -> None:
    """The three questions that need no load, and a run that was written before."""
    report = whocut.check("article", modes=["plain"], wants=["delivered>=0.999"], requests=100)
    print(report.ok, [case.seen.delivered for case in report.cases])
    found = whocut.triage("504 Gateway Time-out", elapsed_s=60.0)
    print(found.cause, found.layer, found.do)
    attributed = whocut.attribute(logs=["nginx=access.log"], chain=a_chain_is_data())
    verdicts: tuple[whocut.Verdict, ...] = tuple(attributed.verdicts)
    proven = [verdict.phrase for verdict in verdicts if verdict.grade is whocut.Grade.PROVEN]
    rows: list[dict[str, Any]] = whocut.open_run("runs/demo").ledger()
    print(proven, rows)


async def served() -> None:
    """A chain, the mock alone, and the client that does it right."""
    async with whocut.Chain("edge-60", upstream={"seed": 1}, scale=100) as chain:
        client: openai.AsyncOpenAI = openai.AsyncOpenAI(base_url=chain.base_url, api_key="sk-test")
        await client.images.generate(model="gpt-image-2", prompt="a cat")
        assert_type(chain.verdict(), whocut.Verdict)
        chain.assert_billed_once()
    async with whocut.MockUpstream("rate_limited=12") as mock:
        await whocut.async_reference(base_url=mock.base_url, api_key="sk-test").images.generate(
            model="gpt-image-2", prompt="a cat"
        )
        print(mock.ledger)


def one_tree_of_errors() -> int:
    """A mistake and a missing part are different types under one root."""
    try:
        questions()
    except whocut.BadInput as error:
        return error.exit_code
    except (whocut.CouldNotRun, whocut.WhocutError):
        return 3
    print(whocut.reference(base_url="http://127.0.0.1:9/v1", api_key="sk-test"))
    return 0


def retries_alone() -> None:
    """The policy as a transport has the type of the transport that it is put around."""
    sync = whocut.retrying_transport(httpx2.HTTPTransport())
    assert_type(sync, httpx2.HTTPTransport)
    older = whocut.retrying_transport(httpx.AsyncHTTPTransport())
    assert_type(older, httpx.AsyncHTTPTransport)
    print(httpx2.Client(transport=sync), httpx.AsyncClient(transport=older))
