"""A look at the prompt before it is sent: a rule that strikes now saves the minutes after which a filter would.

It is a guess, and a cheap one: it names its rule and a way to reword. The rules are a file that a user can edit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from whocut.chain.yamlfile import YamlFile
from whocut.errors import BadInput

SHIPPED_RULES: Final = Path(__file__).with_name("prompt_rules.yaml")


class PromptRule(BaseModel):
    """One thing to look for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    words: tuple[str, ...] = ()
    pattern: str | None = None
    because: str
    instead: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _looks_for_something(self) -> Self:
        if bool(self.words) == (self.pattern is not None):
            raise ValueError("a rule has either words or a pattern")
        return self

    def find(self, prompt: str) -> str | None:
        """What of the prompt it strikes at, or None."""
        found = _compiled(self.words, self.pattern).search(prompt)
        return found[0] if found else None


class _RuleFile(BaseModel):
    """A rule file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[PromptRule, ...]


@dataclass(frozen=True, slots=True)
class PromptFinding:
    """A rule that strikes, and what it struck."""

    rule: PromptRule
    found: str

    @property
    def sentence(self) -> str:
        """Which rule, at what, why, and how to reword."""
        return f"rule '{self.rule.id}' strikes at \"{self.found}\": {self.rule.because}; {self.rule.instead}"


class PromptRefused(BadInput):
    """The prompt would probably be blocked; it was not sent."""

    def __init__(self, findings: tuple[PromptFinding, ...]) -> None:
        super().__init__("the prompt was not sent: " + "; ".join(finding.sentence for finding in findings))
        self.findings = findings


def check_prompt(prompt: str, rules: tuple[PromptRule, ...]) -> tuple[PromptFinding, ...]:
    """Every rule that strikes."""
    return tuple(PromptFinding(rule, found) for rule in rules if (found := rule.find(prompt)) is not None)


@lru_cache(maxsize=16)
def read_rules(path: str | Path | None = None) -> tuple[PromptRule, ...]:
    """The rules of a file, or the shipped ones.

    Raises:
        BadFile: the first mistake, with its line.
    """
    return YamlFile.read(Path(path) if path else SHIPPED_RULES).validate(_RuleFile).rules


@lru_cache(maxsize=256)
def _compiled(words: tuple[str, ...], pattern: str | None) -> re.Pattern[str]:
    if pattern is not None:
        return re.compile(pattern, re.IGNORECASE)
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
