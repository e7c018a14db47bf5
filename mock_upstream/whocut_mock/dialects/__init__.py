"""The vendors' ways of speaking about generations: one file each, over one generation, clock, quota and ledger.

A file of this folder registers its dialect by calling `register`; another dialect is another file.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache

from whocut_mock.speech import Dialect

OPENAI = "openai"

_DIALECTS: dict[str, Dialect] = {}


def register(dialect: Dialect) -> None:
    """Let the mock speak it."""
    _DIALECTS[dialect.name] = dialect


@cache
def known() -> Mapping[str, Dialect]:
    """Every dialect of this folder, by its name; OpenAI's first."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(_DIALECTS.items(), key=lambda one: (one[0] != OPENAI, one[0])))


def spoken(names: Sequence[str]) -> list[Dialect]:
    """The dialects of these names; all of them where none is named.

    Raises:
        ValueError: there is no such dialect.
    """
    for name in names:
        if name not in known():
            raise ValueError(f"dialects: there is no dialect '{name}'; there are {', '.join(known())}")
    return [dialect for name, dialect in known().items() if not names or name in names]
