"""A file is one idea: a long one says in its first lines why it is not two."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PRODUCT: Final = ("harness", "mock_upstream", "reports", "scenarios")
MOST_LINES: Final = 450
FILES: Final = sorted(
    str(path.relative_to(ROOT)) for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("file", FILES)
def test_a_long_file_says_why_it_is_one(file: str) -> None:
    """Above 450 lines its docstring gives the reason."""
    text = (ROOT / file).read_text(encoding="utf-8")

    said = ast.get_docstring(ast.parse(text)) or ""

    assert text.count("\n") <= MOST_LINES or "One file, because" in said, file
