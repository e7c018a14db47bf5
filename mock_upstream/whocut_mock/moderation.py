"""The two filters: one reads the prompt before any work, one looks at the picture after all of it.

Both are deterministic in the seed and the prompt: "the same input will block the same way every time" (the
article, section 2). What they look for is a file that a user can edit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from whocut_mock import errors, yaml_file
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.parameters import Order

SHIPPED_RULES = Path(__file__).with_name("moderation_rules.yaml")
Stage = Literal["input", "output"]


class FilterRule(BaseModel):
    """One thing a filter looks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str
    stage: Stage
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    chance: Annotated[float, Field(ge=0, le=1)] = 1.0
    chance_low: Annotated[float, Field(ge=0, le=1)] | None = None
    reported: tuple[str, ...] = ()


_RULES = TypeAdapter(tuple[FilterRule, ...])


@dataclass(frozen=True, slots=True)
class Block:
    """What a filter found."""

    stage: Stage
    categories: tuple[str, ...]


def judge(order: Order, rules: Sequence[FilterRule], seed: int) -> Block | None:
    """What will become of this prompt: the input filter's finding, else the output filter's, else nothing."""
    if not _any_pattern(tuple(rules)).search(order.prompt):
        return None
    for stage in ("input", "output"):
        found = [rule for rule in rules if rule.stage == stage and _strikes(rule, order, seed)]
        if found:
            reported = {name: None for rule in found for name in rule.reported or (rule.category,)}
            return Block("input" if stage == "input" else "output", tuple(reported))
    return None


def found_in(text: str, rules: Sequence[FilterRule], seed: int) -> list[str]:
    """The categories that the input filter would report for this text."""
    if not _any_pattern(tuple(rules)).search(text):
        return []
    struck = [
        rule for rule in rules if rule.stage == "input" and _strikes_text(rule, text, rule.chance, seed)
    ]
    return list({name: None for rule in struck for name in rule.reported or (rule.category,)})


def _strikes(rule: FilterRule, order: Order, seed: int) -> bool:
    chance = rule.chance
    if order.moderation == "low" and rule.chance_low is not None:
        chance = rule.chance_low
    return _strikes_text(rule, order.prompt, chance, seed)


def _strikes_text(rule: FilterRule, text: str, chance: float, seed: int) -> bool:
    if not _pattern(rule.words).search(text):
        return False
    return Dice(f"moderation/{seed}".encode()).fraction(f"{rule.stage}/{rule.category}/{text}") < chance


@lru_cache(maxsize=32)
def _any_pattern(rules: tuple[FilterRule, ...]) -> re.Pattern[str]:
    """One look that clears most prompts."""
    return _pattern(tuple(word for rule in rules for word in rule.words))


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


def refusal(block: Block, request_id: str) -> ApiError:
    """The answer to a blocked prompt; the same words at both stages, the details tell them apart."""
    return errors.moderation_blocked(request_id, block.stage, block.categories)


@lru_cache(maxsize=32)
def read_rules(path: str | None) -> tuple[FilterRule, ...]:
    """The rules of this file, or the shipped ones; a mistake in it is one sentence."""
    file = SHIPPED_RULES if path is None else Path(path)
    try:
        return _RULES.validate_python(yaml_file.read(file) or ())
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{file}: rule {place}: {first['msg']}") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
