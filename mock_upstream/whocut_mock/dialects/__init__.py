"""The vendors' ways of speaking about generations: one file each, over one generation, clock, quota and ledger.

A file of this folder registers its dialect by calling `register`; whoever wants another one adds a file.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from aiohttp import web
from aiohttp.typedefs import Handler

from whocut_mock import answers
from whocut_mock.caller import bearer
from whocut_mock.errors import ApiError

Route = tuple[str, str, Handler]
Refusal = Callable[[ApiError, Mapping[str, str]], web.Response]

OPENAI = "openai"


@dataclass(frozen=True)
class Dialect:
    """One of them: its paths, where a request carries its key, and how a refusal is said.

    Every path of a dialect but OpenAI's begins with its name; `headers` says whether answers carry OpenAI's.
    """

    name: str
    routes: Sequence[Route]
    key: Callable[[Mapping[str, str]], str | None] = bearer
    refusal: Refusal = answers.refusal
    headers: bool = False


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


def spoken(names: Sequence[str]) -> dict[str, Dialect]:
    """The dialects of these names; all of them where none is named.

    Raises:
        ValueError: there is no such dialect.
    """
    for name in names:
        if name not in known():
            raise ValueError(f"dialects: there is no dialect '{name}'; there are {', '.join(known())}")
    return {name: dialect for name, dialect in known().items() if not names or name in names}
