"""Cases with known answers: how an expectation is written, and where an answer misses it.

A value is compared without case, a number within one in a hundred; `null` wants nothing there, a list one of its
values. ``~text`` wants the text in it, ``!~text`` not in it, ``!^text`` no such beginning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CASES = Path(__file__).parents[2] / "data" / "cases"


def cases_of(name: str) -> list[dict[str, Any]]:
    """The cases of one file: a name, a text, and what the answer must hold."""
    rows = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    return list(rows)


def misses(expect: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """Each field of an answer that does not hold what is expected, in a line."""
    found = []
    for name, want in expect.items():
        values = [answer.get("product"), answer.get("layer")] if name == "product" else [_down(answer, name)]
        wanted = want if isinstance(want, list) else [want]
        if not any(_same(one, value) for one in wanted for value in values):
            found.append(f"{name}: expected {want!r}, got {values[0]!r}")
    return found


def _same(want: Any, got: Any) -> bool:
    nothing = got in (None, "", [], {}, ())
    if want is None:
        return bool(nothing)
    if isinstance(want, str):
        text, asked = str(got if not nothing else "").casefold(), want.casefold()
        if asked.startswith("!^"):
            return not text.startswith(asked[2:])
        if asked.startswith("!~"):
            return asked[2:] not in text
        return asked[1:] in text if asked.startswith("~") else text == asked
    if nothing or isinstance(got, bool):
        return False
    return abs(float(got) - float(want)) <= 0.01 * abs(float(want))


def _down(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
