"""A run directory cut off at any byte yields a page that says what is missing; and what no output ever holds."""

from __future__ import annotations

import getpass
import re
import shutil
import socket
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tests.reports.made_run import MadeRun, delivered, nginx_cut
from tests.reports.test_page import A_LOAD, Reader
from tests.verdict.made import summary
from whocut.chain.plain import topology_of
from whocut.cli.app import app
from whocut.errors import BadInput
from whocut.trace.rundir import ATTEMPTS, LEDGER, MANIFEST, SPANS, SUMMARY, RunDir
from whocut.verdict.of_run import judge_run
from whocut_reports import write_report
from whocut_reports.pack import pack
from whocut_reports.whole import doubts

if TYPE_CHECKING:
    from pathlib import Path

FILES = (ATTEMPTS, SPANS, LEDGER, SUMMARY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two requests, judged."""
    made = MadeRun()
    made.request("plain", nginx_cut(195.0), nginx_cut(195.0))
    made.request("plain", delivered())
    run = made.write(tmp_path_factory.mktemp("whole") / "run", load=A_LOAD)
    run.write_summary(summary(made.judged().figures))
    return run.path


def copied(whole: Path, folder: Path, name: str, kept: int) -> RunDir:
    """A copy in which one file ends after so many bytes."""
    shutil.copytree(whole, folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:kept])
    return RunDir.open(folder)


def test_whole_directory_has_no_doubt(whole: Path) -> None:
    """Else the sentences below would say nothing."""
    assert doubts(RunDir.open(whole)) == ()


@pytest.mark.parametrize("name", FILES)
def test_file_cut_off_at_any_byte_is_judged_up_to_there_and_named(
    whole: Path, tmp_path: Path, name: str
) -> None:
    """A byte in every few: what is left is judged and packed, and the doubt has the file's name."""
    size = (whole / name).stat().st_size
    data = (whole / name).read_bytes()
    for number, kept in enumerate(range(0, size, max(1, size // 37))):
        run = copied(whole, tmp_path / str(number), name, kept)

        judged = judge_run(run, topology_of(run.manifest))
        packed = pack(judged.attribution, run.attempts())
        said = " ".join(doubts(run))

        assert packed.requests == len({attempt.request for attempt in run.attempts()})
        at_line_end = not kept or data[kept - 1 : kept] == b"\n"
        assert (name in said) is not (name != SUMMARY and at_line_end), kept


@pytest.mark.parametrize("name", FILES)
def test_page_of_a_cut_off_run_says_so_above_its_headline(whole: Path, tmp_path: Path, name: str) -> None:
    """The page is written, and its first words are what is missing."""
    run = copied(whole, tmp_path / "run", name, (whole / name).stat().st_size // 2)
    topology = topology_of(run.manifest)

    page = write_report(run, judge_run(run, topology), topology).read_text(encoding="utf-8")

    text = Reader(page).text
    assert "<title>whocut: not valid: " in page
    assert text.index(f"{name} is cut off") < text.index("The chain, from the caller to the model")


@pytest.mark.parametrize("kept", [0, 40])
def test_run_without_its_manifest_has_a_page_that_says_so(whole: Path, tmp_path: Path, kept: int) -> None:
    """`whocut report` ends with its sentence and exit code as before; the page is there besides."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[:kept])

    done = CliRunner().invoke(app, ["report", str(folder)])

    assert isinstance(done.exception, BadInput)
    text = Reader((folder / "report.html").read_text(encoding="utf-8")).text
    assert "This run cannot be judged." in text
    assert "manifest.json is missing or cut off" in text
    assert "It has attempts.jsonl, spans.jsonl, ledger.jsonl, summary.json." in text


def test_no_output_holds_a_key_a_prompt_a_machine_or_a_home(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page, its data unpacked, every export, and every form of a comparison of a run in a home."""
    key, prompt = "sk-outputs-0123456789abcdef", "a heron in the fog"
    home = tmp_path / "home" / "a-person"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("HOME", str(home))
    made = MadeRun()
    made.request("plain", nginx_cut(195.0))
    made.attempts[0].error = f"refused for {key}"
    run = made.write(home / "run", load=A_LOAD, command=["run", "--api-key", key], prompt=prompt)
    from whocut.redact import protect  # noqa: PLC0415  # beside what it protects

    protect(key)
    said = [write_report(run, made.judged(), made.topology).read_text(encoding="utf-8")]
    commands = [
        ["export", str(run.path), "--format", form] for form in ("csv", "jsonl", "openmetrics", "junit")
    ]
    commands += [["compare", *[str(run.path)] * 2, "--format", form] for form in ("text", "json", "markdown")]
    said += [CliRunner().invoke(app, command).stdout for command in commands]
    said.append("".join(_unpacked(said[0])))

    assert all(len(text) > 100 for text in said)
    for text in said:
        for private in (key, prompt, socket.gethostname(), str(home), f"/{getpass.getuser()}/"):
            assert private not in text, private


def _unpacked(page: str) -> list[str]:
    """The data in the page, as its script reads them."""
    import base64  # noqa: PLC0415  # only here
    import gzip  # noqa: PLC0415  # only here

    packed = re.findall(r'<script type="text/plain" id="[\w-]+">([\w+/=]+)</script>', page)
    assert packed
    return [gzip.decompress(base64.b64decode(one)).decode() for one in packed]
