"""The window: a client is acquitted of what was watched, and of nothing that would have come later."""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.contract.faulty import FAULTS, AsksAgain
from whocut.client import reference
from whocut.contract.checks import BY_ID
from whocut.contract.client import client_of, command_client
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.stage.memory import MemoryLoop

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.contract.card import Result

holding: Any = importlib.import_module("whocut.contract.hold")
AGAIN = sorted(
    fault for fault in FAULTS if fault.startswith(("unknown-", "never-", "stream-", "overload-told"))
)
SECOND_ATTEMPT_AFTER_S = (13.0, 60.0, 600.0)


@pytest.mark.parametrize("after_s", SECOND_ATTEMPT_AFTER_S)
@pytest.mark.parametrize("fault", [fault for fault in AGAIN if fault != "stream-incomplete-told"])
def test_a_second_attempt_is_found_however_late_it_comes(
    fault: str, after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An async client is watched for an hour of virtual time: ten minutes' patience acquits of nothing."""
    monkeypatch.setattr(AsksAgain, "pause_s", after_s)

    (result,) = hold(client_of(FAULTS[fault], fault), checks=[BY_ID[fault]], loop_factory=MemoryLoop).results

    assert result.ruling is Ruling.BROKEN, result.why


@pytest.mark.parametrize("check", ["cancel-waiting", "cancel-between"])
def test_what_comes_long_after_its_caller_has_gone_is_found(check: str) -> None:
    """A task left behind that asks again after ten minutes."""

    class LeavesATask:
        def __init__(self, base_url: str, api_key: str) -> None:
            self.sdk = openai.AsyncOpenAI(base_url=base_url, api_key=api_key)
            self.left: list[asyncio.Task[Any]] = []
            self.images = self

        async def generate(self, **wanted: Any) -> Any:
            try:
                return await self.sdk.images.generate(**wanted)
            except asyncio.CancelledError:
                self.left.append(asyncio.ensure_future(self.again(wanted)))
                raise

        async def again(self, wanted: dict[str, Any]) -> Any:
            await asyncio.sleep(600)
            return await self.sdk.images.generate(**wanted)

        async def close(self) -> None:
            await self.sdk.close()

    (result,) = hold(client_of(LeavesATask, "x"), checks=[BY_ID[check]], loop_factory=MemoryLoop).results

    assert result.ruling is Ruling.BROKEN
    assert "it asked again once" in result.why


class Patient:
    """The sync SDK without retries, in a loop by hand: after any error it waits, and asks again."""

    pause_s = 3.0

    def __init__(self, base_url: str, api_key: str) -> None:
        self.sdk = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        self.images = self

    def generate(self, **wanted: Any) -> Any:
        """An image, in the end."""
        for _ in range(3):
            try:
                return self.sdk.images.generate(**wanted)
            except openai.APIError:
                time.sleep(self.pause_s)  # noqa: TID251  # the client is a stranger, and lives in real time
        raise RuntimeError("no image")

    def close(self) -> None:
        """Close the connections."""
        self.sdk.close()


def one(target: Any, check: str, watch_real_s: float) -> Result:
    """One check on one client, whose waits are real."""
    (result,) = hold(target, checks=[BY_ID[check]], watch_real_s=watch_real_s, shorten=False).results
    return result


@pytest.mark.sockets
@pytest.mark.parametrize("check", ["unknown-504", "unknown-reset", "never-401", "never-quota"])
def test_a_client_that_was_still_waiting_is_not_acquitted(check: str) -> None:
    """The watch was over before its second attempt: not tried, with how long it was watched."""
    result = one(client_of(Patient, "x"), check, 1.0)

    assert result.ruling is Ruling.NOT_TRIED
    assert "the client had neither ended nor asked again" in result.why
    assert result.at_least is None
    assert result.watched_s is not None


@pytest.mark.sockets
def test_a_longer_watch_convicts_and_its_count_is_a_floor() -> None:
    """Two attempts were seen and the client had not ended: it asked again at least once."""
    result = one(client_of(Patient, "x"), "unknown-504", 4.5)

    assert (result.ruling, result.at_least) == (Ruling.BROKEN, 2)
    assert "it asked again at least once, 3" in result.why
    assert "they cost at least $0.42" in result.why


@pytest.mark.sockets
def test_a_wait_that_was_not_watched_to_its_end_is_not_kept() -> None:
    """Told to wait 121 s and watched for one: whether it waits as long is not known."""
    assert one(client_of(reference, "x"), "rate-121", 1.0).ruling is Ruling.NOT_TRIED


PROGRAM = """
import os, sys, time, urllib.error, urllib.request
time.sleep({start_s})
url = os.environ["OPENAI_BASE_URL"] + "/images/generations"
for attempt in range({attempts}):
    request = urllib.request.Request(url, b'{{"prompt": "a cat", "model": "gpt-image-2"}}', headers={{
        "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}})
    try:
        urllib.request.urlopen(request).read()
        sys.exit(0)
    except urllib.error.HTTPError as error:
        print(error)
        time.sleep({pause_s})
sys.exit(1)
"""


def program(folder: Path, *, start_s: float = 0.0, attempts: int = 1, pause_s: float = 0.0) -> Any:
    """A script that asks for one image by hand."""
    script = folder / "client.py"
    script.write_text(PROGRAM.format(start_s=start_s, attempts=attempts, pause_s=pause_s))
    return command_client(f"{sys.executable} {script}")


@pytest.mark.sockets
def test_a_program_s_start_does_not_count_against_it(tmp_path: Path) -> None:
    """Two seconds to load what it needs, and a watch of one: the watch begins with its first attempt."""
    result = one(program(tmp_path, start_s=2.0), "never-401", 1.0)

    assert (result.ruling, result.why) == (Ruling.KEPT, "one attempt")


@pytest.mark.sockets
def test_a_program_that_whocut_killed_is_not_broken(tmp_path: Path) -> None:
    """It slept after its answer when the watch was over: that it was ended then is our doing."""
    result = one(program(tmp_path, pause_s=60.0), "told-refused", 1.0)

    assert result.ruling is Ruling.NOT_TRIED
    assert "exit" not in result.why


@pytest.mark.sockets
def test_a_program_that_asks_somewhere_else_is_told_where_to_ask(tmp_path: Path) -> None:
    """Nothing came of it, so that nothing can be said of it."""
    script = tmp_path / "client.py"
    script.write_text("print('an image of my own')")

    result = one(command_client(f"{sys.executable} {script}"), "never-401", 1.0)

    assert result.ruling is Ruling.NOT_TRIED
    assert result.why.endswith("a program must ask the address in OPENAI_BASE_URL")


@pytest.mark.sockets
def test_a_program_that_never_begins_is_waited_for_so_long(tmp_path: Path) -> None:
    """The patience for a start has an end too, and the reason is said."""
    target, checks = program(tmp_path, start_s=60.0), [BY_ID["never-401"]]

    (result,) = hold(target, checks=checks, watch_real_s=1.0, shorten=False, start_real_s=0.5).results

    assert result.ruling is Ruling.NOT_TRIED
    assert result.why == "no request for an image reached the upstream within 500 ms of its start"


@pytest.mark.sockets
def test_a_scene_that_was_played_late_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine is too busy the image may be there before the gateway gives up: it is played again."""
    plays: list[str] = []
    played = holding.try_out

    def counted(target: Any, check: Any, *scene: Any) -> Any:
        plays.append(check.id)
        return played(target, check, *scene)

    monkeypatch.setattr(holding, "LATE_REAL_S", -1.0)
    monkeypatch.setattr(holding, "try_out", counted)

    result = one(client_of(reference, "x"), "never-401", 5.0)

    assert result.ruling is Ruling.NOT_TRIED
    assert result.why.startswith("this machine was busy, and the scene ")
    assert plays == ["never-401"] * holding.MOST_PLAYS


@pytest.mark.sockets
def test_a_scene_that_was_late_once_is_judged_in_the_next_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad moment of the machine costs a play, and no verdict."""
    lateness_s = iter([1.0, 0.0])
    played = holding.try_out

    def late_at_first(*asked: Any) -> Any:
        return replace(played(*asked), late_real_s=next(lateness_s))

    monkeypatch.setattr(holding, "try_out", late_at_first)

    assert one(client_of(reference, "x"), "never-401", 5.0).ruling is Ruling.KEPT
