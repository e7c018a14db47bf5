"""The documentation says what the code does."""

from __future__ import annotations

from pathlib import Path

from whocut.verdict.attribute import rules_as_markdown


def test_rules_in_the_documentation_are_the_rules_of_the_code() -> None:
    """The table prints itself; a rule that changes without its page fails here."""
    page = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text()

    assert rules_as_markdown() in page
