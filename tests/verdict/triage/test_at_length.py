"""The long proofs of triage: tens of thousands of drawn texts, real files, and each pattern on one endless line."""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import whocut.verdict.triage as room
from tests.verdict.triage.test_claims import KNOWN, PREFIXES, WRAPPINGS, breaches
from whocut.verdict.triage import Cause, triage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real_time

DRAWN: Final = 20_000
SEEDS: Final = (11, 12, 13)
UNITS: Final = (
    "a",
    " ",
    "0",
    "504 ",
    "60 s ",
    '"',
    "\\",
    "{",
    "a=",
    "a:",
    "error ",
    "a.",
    "a_",
    "/",
    "\u4e2d",
    "\n",
    "x\n",
)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_wrapping_of_many_gives_another_layers_name(seed: int) -> None:
    """Of twenty thousand quoted, prefixed and cut texts none gives another's name or a retry that pays again."""
    draw = random.Random(seed)
    claimed = []
    for _ in range(DRAWN):
        known = draw.choice(KNOWN)
        text = known.text
        for wrapping in draw.choices(WRAPPINGS, k=draw.randint(0, 3)):
            text = wrapping(text)
        prefix = draw.choice(PREFIXES)
        text = "\n".join(prefix + line for line in text.split("\n"))
        start = int(len(text) * draw.uniform(0, 0.6)) if draw.random() < 0.5 else 0
        end = len(text) if start else max(1, int(len(text) * draw.uniform(0.4, 1)))
        claimed += [
            (known.name, breach, text[start:end]) for breach in breaches(known, triage(text[start:end]))
        ]

    assert claimed == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_nearly_no_piece_of_a_real_file_is_a_request() -> None:
    """Of twenty thousand pieces of installed files fewer than one in a thousand is told as a failed request."""
    draw = random.Random(2026)
    files = sorted(_readable(Path(sysconfig.get_path("purelib"))))
    claimed = []
    for _ in range(DRAWN):
        path = draw.choice(files)
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        start = draw.randrange(len(lines))
        piece = "\n".join(lines[start : start + draw.randint(1, 60)])
        found = triage(piece)
        if found.cause is not Cause.UNKNOWN or found.layer:
            claimed.append((path.name, found.why, piece[:400]))

    assert len(claimed) < DRAWN / 1000, claimed


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_each_pattern_is_linear() -> None:
    """Four times the line takes four times as long, with room for noise, whatever the line is made of."""
    slow = []
    for name, pattern in _patterns():
        for unit in UNITS:
            short_s, long_s = (_took_s(pattern, unit * (size // len(unit))) for size in (16_000, 64_000))
            if long_s > 0.2 and long_s > 9 * short_s:
                slow.append((name, unit, short_s, long_s))

    assert slow == []


def _readable(root: Path) -> Iterator[Path]:
    kinds = {
        ".py",
        ".md",
        ".txt",
        ".json",
        ".js",
        ".css",
        ".html",
        ".pyi",
        ".toml",
        ".cfg",
        ".rst",
        ".yaml",
        ".csv",
    }
    for path in root.rglob("*"):
        # whocut's own words and the clients' own errors are what it is to know
        if path.suffix in kinds and path.is_file() and 200 < path.stat().st_size < 1_000_000:
            yield path


def _patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            yield from ((f"{module.name}.{name}", pattern) for pattern in _within(value))


def _within(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _within(one)


def _took_s(pattern: re.Pattern[str], line: str) -> float:
    begun_s = time.process_time()
    for _ in pattern.finditer(line):
        pass
    return time.process_time() - begun_s
