"""docs/api.md, made from the docstrings of the public names: ``python tools/api_page.py > docs/api.md``."""

from __future__ import annotations

import inspect
import re
import sys
from enum import Enum, EnumType
from typing import TYPE_CHECKING, Any

import whocut

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEWLINE, _PARAGRAPH = "\n", "\n\n"
_INTRO = """# The public names

Made from the docstrings by `python tools/api_page.py > docs/api.md`; a test holds this page to them. These names
are public: `import whocut` and use them. Everything else is private, whatever its name, and may change.
"""


def page() -> str:
    """The page: a heading, the signature and the docstring for each name of ``whocut.__all__``."""
    return "\n".join(
        [_INTRO, *(line for name in whocut.__all__ for line in _entry(name, getattr(whocut, name)))]
    )


def _entry(name: str, found: Any) -> Iterator[str]:
    yield f"\n## {name}\n"
    if not isinstance(found, EnumType) and not (inspect.isclass(found) and issubclass(found, Exception)):
        yield f"```python\n{name}{_call(found)}\n```\n"
    yield _as_markdown(inspect.getdoc(found) or "")
    if isinstance(found, EnumType):
        names: list[Enum] = list(found)
        yield "\n" + ", ".join(f"`{one.value}`" for one in names)
    elif inspect.isclass(found):
        yield from _members(found)


def _members(found: type) -> Iterator[str]:
    """Public methods and properties; fields stand in a record's signature."""
    rows = [
        (name, member, inspect.getdoc(member))
        for name, member in inspect.getmembers(found)
        if not name.startswith("_") and (isinstance(member, property) or inspect.isroutine(member))
    ]
    if issubclass(found, Exception) or not any(doc for _, _, doc in rows):
        return
    yield ""
    for name, member, doc in rows:
        if doc:
            call = "" if isinstance(member, property) else _call(member, one_line=True)
            yield f"- `.{name}{call}`: {doc.split(_PARAGRAPH)[0].replace(_NEWLINE, ' ')}"


def _call(found: Any, *, one_line: bool = False) -> str:
    """The parameters as they are written, `self` left out; long ones have a line each."""
    signature = inspect.signature(found)
    parts, only_named = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not only_named:
            parts.append("*")
            only_named = True
        parts.append(_parameter(parameter))
    returns = signature.return_annotation
    end = "" if returns in {inspect.Signature.empty, "None", None} else f" -> {returns}"
    flat = f"({', '.join(parts)}){end}"
    if one_line or len(flat) < 80:
        return flat
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){end}"


def _parameter(parameter: inspect.Parameter) -> str:
    default = parameter.default
    written = f"{parameter.name}: {parameter.annotation}"
    if default is inspect.Parameter.empty:
        return written
    if isinstance(default, Enum):
        return f"{written} = {type(default).__name__}.{default.name}"
    plain = default is None or isinstance(default, str | int | float | tuple)
    return f"{written} = {default!r}" if plain else f"{written} = …"


def _as_markdown(doc: str) -> str:
    """The docstring; its `::` blocks become fenced ones, and its sections lists."""
    doc = re.sub(
        r"(?m)^::\n\n((?:    .*\n|\n)+?)(?=\S|\Z)", lambda block: _fenced(block.group(1)), doc + "\n"
    )
    doc = re.sub(r"(?m)^(Args|Raises|Returns):\n", r"**\1**\n\n", doc)
    return re.sub(
        r"(?m)^    (\w+): (.*(?:\n        .*)*)",
        lambda row: f"- `{row[1]}`: " + re.sub(r"\s*\n\s+", " ", row[2]),
        doc,
    ).strip()


def _fenced(block: str) -> str:
    return "```python\n" + re.sub(r"(?m)^    ", "", block).strip() + "\n```\n\n"


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
