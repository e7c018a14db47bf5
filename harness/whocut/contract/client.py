"""The client under test: a callable that makes a client, or a command in any language."""

from __future__ import annotations

import importlib
import inspect
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whocut.errors import BadInput, NotInstalled, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

# A port without a listener: a client is made once only to see which kind it is.
_NOWHERE = "http://127.0.0.1:9/v1"
API_KEY = "sk-whocut-contract-4f2a9c81d7e6"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A client to be made: `make` for one in this process, `command` for a program of its own.

    `asks`: the program reads what it shall ask for. `importable` is where another process finds the callable, as
    MODULE:CALLABLE; None: nowhere.
    """

    name: str
    make: Callable[..., Any] | None = None
    blocks: bool = True
    command: tuple[str, ...] = ()
    asks: bool = False
    importable: str | None = None


def find_client(written: str) -> Candidate:
    """The callable behind ``module:callable``; the working directory is searched too.

    Raises:
        BadInput: it is not written so, there is no such module or callable, or what it makes is no client.
    """
    module_name, colon, name = written.partition(":")
    if not (module_name and colon and name):
        raise BadInput(f"TARGET '{written}': write MODULE:CALLABLE, as in whocut.client:reference")
    module = _module(module_name, written)
    if not hasattr(module, name):
        known = [
            other for other in (*dir(module), *getattr(module, "__all__", ())) if not other.startswith("_")
        ]
        raise BadInput(f"TARGET '{written}': {module_name} has no '{name}'{nearest(name, known)}")
    return client_of(getattr(module, name), written)


def client_of(make: Callable[..., Any], name: str) -> Candidate:
    """A target by the callable itself.

    Raises:
        BadInput: it does not take base_url and api_key, or what it makes has no images.generate.
    """
    if not callable(make):
        raise BadInput(f"TARGET '{name}': it is a {type(make).__name__} and cannot be called")
    try:
        client = make(base_url=_NOWHERE, api_key=API_KEY)
    except TypeError as error:
        raise BadInput(f"TARGET '{name}': it must take base_url and api_key: {error}") from None
    generate = getattr(getattr(client, "images", None), "generate", None)
    if generate is None:
        made = type(client).__name__
        raise BadInput(
            f"TARGET '{name}': it made a {made}, which has no images.generate as an OpenAI client has"
        )
    return Candidate(
        name,
        make,
        blocks=not inspect.iscoroutinefunction(inspect.unwrap(generate)),
        importable=_importable(make, name),
    )


def command_client(written: str, *, asks: bool = False) -> Candidate:
    """A program that asks for one image and ends; with `asks`, for what it reads in WHOCUT_ASKS.

    Raises:
        BadInput: an empty command, or one that cannot be read.
        NotInstalled: there is no such program.
    """
    try:
        words = shlex.split(written)
    except ValueError as error:
        raise BadInput(f"'{written}': {error}", field="command") from None
    if not words:
        raise BadInput(
            "it is empty; write a program that asks for one image, as in 'node client.mjs'", field="command"
        )
    if shutil.which(words[0]) is None:
        raise NotInstalled(f"the program '{words[0]}' of '{written}' is not on this machine")
    return Candidate(written, command=tuple(words), asks=asks)


def _importable(make: Callable[..., Any], name: str) -> str | None:
    own = f"{getattr(make, '__module__', '')}:{getattr(make, '__qualname__', '')}"
    for written in (name, own):
        module, _, path = written.partition(":")
        found: Any = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is make and module != "__main__":
            return written
    return None


def _module(name: str, written: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: a file here that is called like a package must not take its place
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadInput(f"TARGET '{written}': there is no module '{error.name}' here") from None
        raise
