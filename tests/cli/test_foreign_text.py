"""What was read is shown, and not obeyed: no command lets a control character of foreign material through."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from tests.reports.made_run import MadeRun, article, nginx_cut
from whocut.cli import app
from whocut.cli.printing import say
from whocut.errors import WhocutError
from whocut.trace.rundir import SPANS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# A window's title, a cleared screen, a C1 introducer, and text that runs backwards.
EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil"
CHAIN = """
edition: 1
client: openai-python
layers: [{name: "%s", timers: {first_byte: 60s}}]
upstream: {model: gpt-image-2}
"""


def hostile_run(folder: Path) -> Path:
    """A run directory whose layer, errors and requests are called like this."""
    edge, *hops = article().hops
    made = MadeRun(topology=replace(article(), hops=(replace(edge, name=EVIL, title=EVIL), *hops)))
    made.request("plain", nginx_cut())
    made.request(EVIL, nginx_cut())
    return made.write(folder / "run").path


def material(folder: Path) -> list[list[str]]:
    """One call of each command that reads what was made elsewhere."""
    run = hostile_run(folder)
    chain, log, paste = folder / "chain.yaml", folder / "access.log", folder / "paste"
    chain.write_text(CHAIN % EVIL.encode("unicode_escape").decode().replace("\\u202e", "\\u202E"))
    log.write_text(f'{EVIL} - - [01/Jan/2026:00:00:00 +0000] "GET /{EVIL} HTTP/1.1" 504 0 "-" "{EVIL}"\n')
    paste.write_text(
        f'{{"error": {{"message": "{EVIL}", "code": "{EVIL}", "param": "{EVIL}"}}}}\n504 {EVIL}\n'
    )
    return [
        ["why", str(run)],
        ["why", str(run), EVIL],
        ["attribute", "--spans", str(run / SPANS)],
        ["attribute", "--logs", f"nginx-combined={log}"],
        ["attribute", "--logs", f"{EVIL}:haproxy={log}"],
        ["triage", str(paste)],
        ["triage", "--redacted", str(paste)],
        ["check", str(chain)],
        ["read", str(chain)],
        ["check", EVIL],
    ]


def obeyed(text: str) -> list[str]:
    """What a terminal would do something for."""
    return [sign for sign in text if unicodedata.category(sign) in {"Cc", "Cf"} and sign not in "\n\t\u00ad"]


def test_no_command_lets_a_control_character_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of layers, requests, files and errors, on the output and in the sentence that refuses them."""
    for arguments in material(tmp_path):
        for machines in ([], ["--json"]):
            result = CliRunner().invoke(app, [*arguments, *machines], color=True)
            if isinstance(result.exception, WhocutError):
                say(str(result.exception), to_stderr=True)  # as the command line's door does
            elif isinstance(result.exception, Exception):
                raise result.exception

            said = result.output + capsys.readouterr().err
            assert obeyed(said) == [], (arguments, said)
