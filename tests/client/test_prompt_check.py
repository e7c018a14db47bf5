from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.client.prompt_check import PromptRefused, check_prompt, read_rules
from whocut.errors import BadFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("prompt", "rule"),
    [
        ("Taylor Swift on a bicycle", "public-figures"),
        ("a castle in the style of Disney", "brands-and-characters"),
        ("two kids at a lake", "minors"),
        ("a bloody battlefield", "injury"),
        ("a passport on a table", "documents-and-money"),
        ("the official logo of a bank", "logos"),
    ],
)
def test_a_risky_prompt_is_told_by_rule_and_reworded(prompt: str, rule: str) -> None:
    """The five categories of the article each have a rule, which says why and how to reword."""
    (finding,) = check_prompt(prompt, read_rules())

    assert finding.rule.id == rule
    assert finding.rule.instead in finding.sentence
    assert finding.found.lower() in prompt.lower()


@pytest.mark.parametrize(
    "prompt", ["a quiet ramen shop at two in the morning", "a kidney bean", "a marvellous sky"]
)
def test_words_are_whole_words(prompt: str) -> None:
    """A word inside another one is not it."""
    assert check_prompt(prompt, read_rules()) == ()


def test_the_error_names_every_rule() -> None:
    """A prompt with two risks is told of both at once."""
    error = PromptRefused(check_prompt("Messi with a banknote", read_rules()))

    assert "rule 'public-figures' strikes at \"Messi\"" in str(error)
    assert "rule 'documents-and-money' strikes at \"banknote\"" in str(error)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- {id: a, wrds: [x], because: b, instead: c}", "did you mean 'words'?"),
        ("- {id: a, because: b, instead: c}", "a rule has either words or a pattern"),
        ("- {id: a, pattern: '(', because: b, instead: c}", "this is no regular expression"),
    ],
)
def test_a_mistake_in_a_rule_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """With its file and line."""
    path = tmp_path / "rules.yaml"
    path.write_text(f"rules:\n{text}\n")

    with pytest.raises(BadFile, match=r"rules\.yaml:2") as caught:
        read_rules(path)

    assert complaint in str(caught.value)
