from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from whocut.cli import app
from whocut.contract.client import _module
from whocut.errors import BadInput, CouldNotRun, NotInstalled

SDK = "tests.contract.cards.clients.callables:sdk"
FEW = ("--check", "unknown-504", "--check", "rate-seconds", "--check", "stream-incomplete-told")
RUNNER = CliRunner()


def policy(*arguments: str) -> Any:
    """Run the command in this process."""
    return RUNNER.invoke(app, ["policy", *arguments])


def test_a_broken_check_ends_with_one_and_names_the_price() -> None:
    """The default SDK breaks the 504 check: what it did, what it cost, why that matters."""
    result = policy(SDK, *FEW)

    assert result.exit_code == 1
    assert "it asked again twice" in result.output
    assert "together they cost $0.63" in result.output
    assert "attempt 3 at" in result.output
    assert f"{SDK}: 1 kept, 1 broken, 1 missing" in result.output


def test_json_is_as_the_contract_says() -> None:
    """Each check with id, sentence, obligatory, result, why, watched_s and evidence; the sums beside them."""
    card = orjson.loads(policy(SDK, *FEW, "--json").stdout)

    assert (len(card["kept"]), len(card["broken"]), card["failing"]) == (1, 2, ["unknown-504"])
    assert card["not_tried"] == []
    for check in card["checks"]:
        assert {"id", "sentence", "obligatory", "result", "why", "watched_s", "evidence"} <= set(check)
        assert check["reason"]
        assert check["source"]


def test_a_file_here_does_not_take_a_package_s_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the working directory is found, and one that is called like an installed package is not run."""
    (tmp_path / "colorsys.py").write_text("raise SystemExit('the file of the working directory has run')\n")
    (tmp_path / "mine.py").write_text("import colorsys\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)

    target = _module("mine", "mine:client")

    assert Path(target.colorsys.__file__).parent != tmp_path


def test_an_allowed_check_does_not_break_the_build() -> None:
    """With a reason, and the reason stands on the card."""
    result = policy(SDK, *FEW, "--allow", "unknown-504=the gateway deduplicates")

    assert result.exit_code == 0
    assert "allowed: the gateway deduplicates" in result.output


def test_markdown_and_junit_are_written(tmp_path: Path) -> None:
    """A page with a row a check, and a file in which a CI server finds one failure."""
    page, junit = tmp_path / "card.md", tmp_path / "card.xml"

    policy(SDK, *FEW, "--markdown", str(page), "--junit", str(junit))

    assert (
        "| `unknown-504` A gateway's 504 is not followed by another attempt | **broken** |"
        in page.read_text()
    )
    suite = ET.fromstring(junit.read_bytes())
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = suite.find("testcase[@name='unknown-504']/failure")
    assert failure is not None
    assert "attempt 1 at 0 s" in (failure.text or "")


@pytest.mark.sockets
def test_a_program_is_put_to_the_checks_it_can_be(tmp_path: Path) -> None:
    """A script that asks by hand and retries everything is caught; what it cannot be asked for is not tried."""
    script = tmp_path / "client.py"
    script.write_text(
        """
import os, urllib.error, urllib.request
url = os.environ["OPENAI_BASE_URL"] + "/images/generations"
for _ in range(2):
    request = urllib.request.Request(url, b'{"prompt": "a cat", "model": "gpt-image-2"}', headers={
        "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request).read()
        break
    except urllib.error.HTTPError as error:
        print(error)
"""
    )

    result = policy(
        "--command", f"{sys.executable} {script}", "--check", "never-401", "--check", "crowd-n", "--json"
    )

    card = orjson.loads(result.stdout)
    assert result.exit_code == 1
    assert [check["result"] for check in card["checks"]] == ["broken", "not_tried"]
    assert "it asked again once" in card["checks"][0]["why"]


PATIENT = """
import os, time, urllib.error, urllib.request
url = os.environ["OPENAI_BASE_URL"] + "/images/generations"
while True:
    request = urllib.request.Request(url, b'{"prompt": "a cat", "model": "gpt-image-2"}', headers={
        "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request).read()
        break
    except urllib.error.HTTPError as error:
        time.sleep(2)
"""


@pytest.mark.sockets
def test_the_watch_is_the_user_s_to_set(tmp_path: Path) -> None:
    """Too short a watch acquits of nothing and exits with 0; a longer one convicts, with a floor for its count."""
    script = tmp_path / "client.py"
    script.write_text(PATIENT)
    few = ("--command", f"{sys.executable} {script}", "--check", "never-401", "--real-waits", "--json")

    short, longer = policy(*few, "--watch", "1s"), policy(*few, "--watch", "3s")

    (seen,), (found,) = orjson.loads(short.stdout)["checks"], orjson.loads(longer.stdout)["checks"]
    assert (short.exit_code, seen["result"], "at_least" in seen) == (0, "not_tried", False)
    assert (longer.exit_code, found["result"], found["at_least"]) == (1, "broken", 2)
    assert 1 < seen["watched_s"] < found["watched_s"]
    assert orjson.loads(short.stdout)["sentence"].endswith(": 1 not tried")


@pytest.mark.sockets
def test_a_client_of_which_nothing_was_seen_could_not_be_judged(tmp_path: Path) -> None:
    """A program that asks somewhere else is no client without a fault: exit 3, with the reason."""
    script = tmp_path / "client.py"
    script.write_text("print('an image of my own')")

    result = policy("--command", f"{sys.executable} {script}", "--check", "never-401")

    assert isinstance(result.exception, CouldNotRun)
    assert "no check could be tried" in str(result.exception)
    assert "OPENAI_BASE_URL" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name one client"),
        ((SDK, "--command", "true"), "name one client"),
        (("whocut.client",), "write MODULE:CALLABLE"),
        (("whocut.clint:reference",), "there is no module 'whocut.clint'"),
        (("whocut.client:refrence",), "has no 'refrence' (did you mean 'reference'?)"),
        (("whocut.client:__name__",), "it is a str and cannot be called"),
        (("builtins:dict",), "it made a dict, which has no images.generate"),
        (("builtins:len",), "it must take base_url and api_key"),
        ((SDK, "--check", "unknown-505"), "there is no check 'unknown-505' (did you mean 'unknown-504'?)"),
        ((SDK, "--allow", "unknown-504"), "say why"),
        (("--command", ""), "command: it is empty"),
        ((SDK, "--watch", "60"), "60 has no unit; write 60s"),
        ((SDK, "--watch", "none"), "a watch ends"),
    ],
)
def test_a_mistake_is_named(arguments: tuple[str, ...], complaint: str) -> None:
    """Bad input, with the nearest right spelling."""
    result = policy(*arguments)

    assert isinstance(result.exception, BadInput)
    assert complaint in str(result.exception)


def test_a_missing_program_could_not_run() -> None:
    """It is not the user's spelling, it is the machine."""
    assert isinstance(policy("--command", "no-such-program-here").exception, NotInstalled)
