"""No expression that reads a configuration takes longer than its text is long, whatever the text repeats."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Final

import pytest

import whocut.config
from whocut.clock.clock import cpu_s
from whocut.config.formats import Source, formats

pytestmark = pytest.mark.real_time

# At the square of this a look would take minutes; in a line with it, milliseconds.
LENGTH: Final = 60_000
MOST_CPU_S: Final = 2.0
REPEATED: Final = {
    "empty lines": "\n",
    "blanks": " ",
    "blank lines": "  \n",
    "letters": "a",
    "words": "location ",
    "brackets": "[",
    "braces": "{",
    "quotes": '"',
    "colons": "a: ",
    "equals": "a=",
    "comments": "# a\n",
    "slashes": "/*",
    "ends": "a;",
}


def patterns() -> dict[str, re.Pattern[str]]:
    """Every expression that a module of the room holds, by where it stands."""
    found = {}
    for module in pkgutil.walk_packages(whocut.config.__path__, "whocut.config."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                found[f"{module.name.removeprefix('whocut.config.')}:{name}"] = value
    return found


@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
def test_no_expression_takes_the_square_of_its_text(repeated: str) -> None:
    """A search through a text that repeats one thing, and through the same as a line with a value."""
    text = repeated * (LENGTH // len(repeated))
    slow = {}
    for where, pattern in patterns().items():
        began_s = cpu_s()
        pattern.match(text)
        if pattern.flags & re.MULTILINE:
            pattern.search(text)
        if cpu_s() - began_s > MOST_CPU_S:
            slow[where] = pattern.pattern

    assert slow == {}


@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
@pytest.mark.parametrize(
    "name", ["a.yaml", "a.conf", "a.toml", "a.json", "Caddyfile", "route.ts", "default.vcl"]
)
def test_no_look_for_a_format_takes_the_square_of_its_text(name: str, repeated: str) -> None:
    """Each format looks at a file that may be none of its own."""
    source = Source(name, repeated * (LENGTH // len(repeated)))

    began_s = cpu_s()
    for format_ in formats().values():
        format_.looks(source)

    assert cpu_s() - began_s < MOST_CPU_S
