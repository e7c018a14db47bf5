"""Open files: the limit is raised at the start, and running out of them is said once."""

from __future__ import annotations

import asyncio
import errno
import resource
import subprocess
import sys

import pytest

from whocut.errors import NoRoom
from whocut.run.complaints import tell_once

pytestmark = pytest.mark.sockets

LIMITS = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"


def limited(soft: int, hard: int, *command: str) -> str:
    """What a child says that starts with these limits."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return subprocess.run(
        [sys.executable, *command], preexec_fn=limit, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("hard", [256, 1500])
def test_the_soft_limit_is_raised_to_the_hard_one(hard: int) -> None:
    """In one place, before anything else, and children have it too."""
    script = (
        "import subprocess, sys; from whocut.run.descriptors import raise_open_files\n"
        f"assert raise_open_files() == {hard}\nsys.stdout.flush()\n"
        f"subprocess.run([sys.executable, '-c', {LIMITS!r}], check=True)"
    )

    assert limited(200, hard, "-c", script) == f"{hard}\n"


def test_every_command_starts_with_the_limit_raised() -> None:
    """Also one that needs only a few."""
    script = (
        "import sys; from whocut.cli import main; sys.argv = ['whocut', '--version']\n"
        f"try: main()\nexcept SystemExit: {LIMITS}"
    )

    assert limited(200, 1500, "-c", script).splitlines()[-1] == "1500"


@pytest.mark.parametrize(("hard", "said"), [(1024, "160"), (16_384, "")], ids=["it does not", "it does"])
def test_a_load_that_does_not_fit_is_refused_with_the_number_that_fits(hard: int, said: str) -> None:
    """Before it starts: 1,500 users through three layers, where the soft limit is the usual one."""
    script = (
        "from whocut.chain.catalogue import preset; from whocut.chain.layers import Topology\n"
        "from whocut.errors import BadInput\n"
        "from whocut.run.descriptors import raise_open_files, refuse_too_many\n"
        "hop = preset('nginx'); chain = Topology(name='x', client=preset('openai-python'), hops=(hop,) * 3)\n"
        "raise_open_files()\n"
        "try: refuse_too_many(1500, chain)\nexcept BadInput as error: print(error.at_flag)"
    )

    refused = limited(1024, hard, "-c", script)

    assert (f"enough for {said} users" in refused) if said else refused == ""


def test_running_out_of_them_is_said_once_and_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Asyncio would log a traceback for every connection, thousands of them in a second."""
    loop = asyncio.new_event_loop()
    tell_once(loop)
    for _ in range(3):
        error = OSError(errno.EMFILE, "Too many open files")
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": error})
    loop.call_exception_handler({"message": "a callback", "exception": NoRoom("file", "the disk is full")})
    loop.close()

    assert capsys.readouterr().err == (
        "warning: this machine had no room for one more connection (Too many open files); raise its limits "
        "(ulimit -n). Callers that find no room wait, or are closed.\n"
    )


def test_other_errors_are_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is not kept quiet."""
    loop = asyncio.new_event_loop()
    tell_once(loop)
    loop.call_exception_handler({"message": "a fault in a callback", "exception": ValueError("x")})
    loop.close()

    assert "a fault in a callback" in caplog.text
