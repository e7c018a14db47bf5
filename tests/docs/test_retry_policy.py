"""The page of the retry policy: its client for Node keeps what the page says, told by the page's own command."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT, Command, File, blocks_of, missing, run
from whocut.stage.pace import library

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "retry-policy.md"


@pytest.mark.sockets
@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not here: apt install nodejs")
@pytest.mark.skipif(
    library() is None, reason="no waits can be shortened on this machine: install a C compiler"
)
def test_the_client_of_the_page_keeps_the_policy_of_the_page(tmp_path: Path) -> None:
    """Fifty lines without a package: written to a file, held to the contract, and nothing of it is broken."""
    (tmp_path / "home").mkdir()
    files = [block for block in blocks_of(PAGE) if isinstance(block, File)]
    (command,) = [block for block in blocks_of(PAGE) if isinstance(block, Command)]
    for file in files:
        (tmp_path / file.name).write_text(file.text, encoding="utf-8")

    printed = run(command.command, tmp_path, {})

    assert [file.name for file in files] == ["client.mjs"]
    assert missing(command.says, printed) is None, printed
    assert "broken" not in printed
