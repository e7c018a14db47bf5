"""What a card tells is what a recorder without any code of ours has seen, and what the client's own clock says."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.contract import planted
from tests.contract.recorder import Recorder
from whocut.client.transports import wire
from whocut.contract.checks import BY_ID
from whocut.contract.children import Children
from whocut.contract.client import Candidate, client_of, command_client
from whocut.contract.play import Means, try_out
from whocut.stage.pace import library
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from whocut.contract.trial import Trial

pytestmark = pytest.mark.sockets
SCRIPT = Path(planted.__file__)
# What a request needs on its way through two processes of a busy machine.
ON_ITS_WAY_S = 0.5
CHECKS = (
    "unknown-504",
    "unknown-reset",
    "unknown-closed",
    "never-401",
    "rate-seconds",
    "overload-polite",
    "rate-121",
)


def program(fault: str) -> Candidate:
    """The planted client as a program."""
    return command_client(f"{sys.executable} -I {SCRIPT} {fault}")


def sync(fault: str) -> Candidate:
    """The same in this process, or in a child."""
    name = fault.replace("-", "_")
    return client_of(planted.by_fault(fault), f"tests.contract.planted:{name}")


KINDS = {"program": program, "sync": sync}


def played(target: Candidate, check: str, **means: Any) -> Trial:
    """One check, played on it."""
    return try_out(target, BY_ID[check], BY_ID[check].scene(), Means(**means))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", CHECKS[:-1])
@pytest.mark.parametrize("fault", ["planted", "none"])
def test_counts_waits_and_bytes_are_those_of_the_recorder(
    kind: str, check: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real waits: as many attempts, each as long after the former one's end, and each answer to the byte."""
    made: list[Recorder] = []

    def address(stage: Stage) -> str:
        if not made:
            made.append(Recorder(stage.tap.port))
        return made[0].address

    monkeypatch.setattr(Stage, "base_url", property(address))

    trial = played(KINDS[kind](check if fault == "planted" else fault), check)

    (recorder,) = made
    recorder.close()
    assert len(trial.attempts) == len(recorder.posts)
    assert trial.waits_s == pytest.approx(recorder.waits_s, abs=ON_ITS_WAY_S)
    assert [attempt.bytes for attempt in trial.attempts] == [post.body_bytes for post in recorder.posts]


@pytest.mark.skipif(library() is None, reason="no waits can be shortened on this machine")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", CHECKS)
def test_shortened_waits_are_those_of_the_client_s_own_clock(
    kind: str, check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client writes down when it asked and when that had ended, by its own clock, which passed quickly."""
    diary = tmp_path / "diary"
    monkeypatch.setenv("PLANTED_DIARY", str(diary))
    monkeypatch.setenv("PLANTED_PAUSE_S", "60")

    target, made = KINDS[kind]("none" if check == "rate-121" else check), library()
    assert made is not None
    with contextlib.ExitStack() as stack:
        children = None
        if target.importable is not None:
            children = stack.enter_context(Children(target.importable, made))
        trial = played(target, check, library=made, children=children)

    lines = [tuple(map(float, line.split())) for line in diary.read_text().splitlines()]
    waits_s = [new[0] - old[1] for old, new in pairwise(lines)]
    assert len(lines) == len(trial.attempts)
    assert trial.waits_s == pytest.approx(waits_s, abs=ON_ITS_WAY_S)
    assert sum(waits_s) > 50 or check in {"rate-seconds", "overload-polite"}


class Diary(wire.AsyncBaseTransport):
    """What an async client writes down by its own loop's clock: begin and end of each request, and its bytes."""

    def __init__(self) -> None:
        self.inner = wire.AsyncHTTPTransport()
        self.lines: list[tuple[float, float, int]] = []

    async def handle_async_request(self, request: wire.Request) -> wire.Response:
        """Hand it on."""
        loop = asyncio.get_running_loop()
        began_s, size_bytes = loop.time(), 0
        try:
            answer = await self.inner.handle_async_request(request)
            size_bytes = len(await answer.aread())
        finally:
            self.lines.append((began_s, loop.time(), size_bytes))
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("check", CHECKS)
def test_counts_waits_and_bytes_of_an_async_client_are_its_own(check: str, retries: int) -> None:
    """In virtual time: what the SDK's own connections saw, to the byte and the thousandth of a second."""
    diaries: list[Diary] = []

    def make(base_url: str, api_key: str) -> openai.AsyncOpenAI:
        diaries.append(Diary())
        pool = wire.AsyncClient(transport=diaries[-1])
        return openai.AsyncOpenAI(
            base_url=base_url, api_key=api_key, max_retries=retries, http_client=pool, timeout=600
        )

    trial = played(client_of(make, "x"), check)

    lines = diaries[-1].lines
    assert len(lines) == len(trial.attempts)
    assert trial.waits_s == pytest.approx([new[0] - old[1] for old, new in pairwise(lines)], abs=0.001)
    assert [attempt.bytes for attempt in trial.attempts] == [line[2] for line in lines]
