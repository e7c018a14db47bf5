"""The page on users' own files: its commands print what it says, and those of its workflow annotate lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.docs.blocks import ROOT, Command, File, blocks_of, missing, run
from whocut.config.formats import formats

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "own-files.md"
BLOCKS = tuple(blocks_of(PAGE))
pytestmark = [pytest.mark.sockets]


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """The reader's folder, with the files of the page."""
    (tmp_path / "home").mkdir()
    for block in BLOCKS:
        if isinstance(block, File):
            (tmp_path / block.name).write_text(block.text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if isinstance(block, Command)], ids=lambda block: block.command[:60]
)
def test_a_command_prints_what_the_page_says(block: Command, reader: Path) -> None:
    """The lines below it, in their order."""
    printed = run(block.command, reader, {})

    assert missing(block.says, printed) is None, printed


def test_the_workflow_annotates_the_lines(reader: Path) -> None:
    """Each of its own steps runs as it is written, and prints annotations at lines that are there."""
    steps = yaml.safe_load((reader / "timeouts.yml").read_text())["jobs"]["check"]["steps"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("whocut ")]
    assert len(commands) == 2

    for command in commands:
        lines = run(command, reader, {}).splitlines()
        annotations = [line for line in lines if line.startswith("::error file=")]
        assert annotations, lines
        for annotation in annotations:
            name, line = annotation.removeprefix("::error file=").split(",")[:2]
            assert int(line.removeprefix("line=")) <= len((reader / name).read_text().splitlines())


def test_the_page_names_every_format() -> None:
    """None is forgotten, and none is promised that there is not."""
    text = PAGE.read_text(encoding="utf-8")
    named = text.partition("Formats:\n")[2].partition(".\n")[0]

    assert [name.strip("`\n ") for name in named.split(",")] == list(formats())
