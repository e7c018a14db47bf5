"""How a vendor speaks: where a request carries its key, what its answers' heads say, and how it says no.

A plain description, so that the writer of an answer need not know the vendor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from whocut_mock import answers
from whocut_mock.answers import Facts
from whocut_mock.caller import bearer
from whocut_mock.errors import ApiError

Route = tuple[str, str, Handler]
Refusal = Callable[[ApiError, Mapping[str, str]], web.Response]


@dataclass(frozen=True)
class Dialect:
    """One vendor's way. `step` is the first of its paths, its own name where none is said."""

    name: str
    routes: Sequence[Route]
    step: str = ""
    key: Callable[[Mapping[str, str]], str | None] = bearer
    refusal: Refusal = answers.refusal
    headers: Callable[[Facts], dict[str, str]] = answers.plain_headers
    cors: bool = False  # whether a browser may call it from any page


DIALECT = web.RequestKey("dialect", Dialect)
