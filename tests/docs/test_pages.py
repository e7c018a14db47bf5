"""Every command of the site's pages runs as printed, in an empty directory, and prints what its page says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT, Command, File, blocks_of, missing, run

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
QUESTIONS = ("who-cut", "right-chain", "how-many", "client-behaves", "where-job")
# Pages whose blocks a test of their own runs, and why the others have none: they are made from measurements.
ELSEWHERE = {"own-files": "tests/docs/test_own_files.py", "retry-policy": "tests/docs/test_retry_policy.py"}
pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("readme")]


@pytest.mark.parametrize("page", QUESTIONS)
def test_commands_of_a_page_print_what_it_says(page: str, tmp_path: Path) -> None:
    """From top to bottom; later blocks find what earlier ones left."""
    (tmp_path / "home").mkdir()
    file = DOCS / f"{page}.md"
    commands = 0
    for block in blocks_of(file):
        if isinstance(block, File):
            (tmp_path / block.name).write_text(block.text, encoding="utf-8")
            continue
        commands += 1

        printed = run(block.command, tmp_path, {})

        assert "Traceback" not in printed, printed
        line = missing(block.says, printed)
        assert line is None, f"{file.name}:{block.line_number}: not printed: {line!r}\n{printed}"
    assert commands


def test_no_page_has_a_command_that_is_not_run() -> None:
    """A console block is in a page of questions, or has a test of its own."""
    with_commands = {
        file.stem
        for file in DOCS.glob("*.md")
        if any(isinstance(block, Command) for block in blocks_of(file))
    }

    assert with_commands <= {*QUESTIONS, *ELSEWHERE}
