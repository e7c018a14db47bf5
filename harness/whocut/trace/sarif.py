"""SARIF 2.1.0: findings at the lines of files, as code scanning takes them. The one writer of it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(rules: Iterable[tuple[str, str]], results: Sequence[Mapping[str, Any]]) -> str:
    """A log of one run: the rules by their codes, with what each says, and results as `result` makes them."""
    driver = {
        "name": "whocut",
        "version": version("whocut"),
        "rules": [
            {"id": code, "shortDescription": {"text": f"{says[0].upper()}{says[1:]}."}}
            for code, says in rules
        ],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def result(rule: str, level: str, text: str, file: str, line: int | None) -> dict[str, Any]:
    """One result: ``error``, ``warning`` or ``note``, at its place if it has one."""
    return {"ruleId": rule, "level": level, "message": {"text": text}, **_locations(file, line)}


def _locations(file: str, line: int | None) -> dict[str, Any]:
    if not file:
        return {}
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if line is not None:
        physical["region"] = {"startLine": line}
    return {"locations": [{"physicalLocation": physical}]}


def _uri(file: str) -> str:
    """A path as a URI: relative to the folder in which the command ran, unless it is absolute."""
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
