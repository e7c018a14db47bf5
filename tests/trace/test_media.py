"""What kind of body a request says that it has, whatever else its Content-Type says."""

from __future__ import annotations

from pathlib import Path

import pytest

from whocut.trace.media import media_type

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("field", "is_of"),
    [
        ("application/json", "application/json"),
        ("Application/JSON ; charset=utf-8", "application/json"),
        ("", ""),
        ("application/json; a=" + "(" * 10_000, "application/json"),
    ],
)
def test_the_type_is_read_without_its_parameters(field: str, is_of: str) -> None:
    """In lower case; ten thousand comments in each other are a parameter like any other."""
    assert media_type({"Content-Type": field} if field else {}) == is_of


@pytest.mark.parametrize("folder", ["harness", "mock_upstream"])
def test_no_server_leaves_it_to_a_reader_that_recurses(folder: str) -> None:
    """Aiohttp's `content_type`, `charset`, `json()`, `text()` and `post()` end in Python's mail parser."""
    forms = [
        f"request.{name}" for name in ("content_type", "charset", "json()", "text()", "post()", "multipart()")
    ]

    found = [
        f"{file.relative_to(ROOT)}: {form}"
        for file in (ROOT / folder).rglob("*.py")
        for form in forms
        if form in file.read_text(encoding="utf-8")
    ]

    assert found == []
