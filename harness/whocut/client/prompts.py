"""The prompts of one request, and how they leave what is kept of its answer: a page may repeat what it was asked.

A process knows its key from the beginning, and so registers it once (`whocut.redact`). A prompt is known with its
request, and is taken out of that request's own record.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.redact import forms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GONE: Final = "[prompt]"
_SHORTEST: Final = 6  # characters; a shorter one is a word that pages use
_MOST_BYTES: Final = 2**20  # of a body that is read for its prompts: beyond are images
_FIELDS: Final = frozenset({"prompt", "negative_prompt", "input", "content", "text", "instructions"})
_IN_A_FORM: Final = re.compile(
    rb'name="?(?:negative_)?prompt"?[^\r]*+\r\n(?:[^\r]++\r\n)*+\r\n(.*?)\r\n--', re.DOTALL
)


def prompts_in(body: bytes) -> list[str]:
    """What a request's body, JSON or a form, asks for in words."""
    start = body[:_MOST_BYTES]
    try:
        found = list(_in_tree(orjson.loads(body))) if len(body) <= _MOST_BYTES else []
    except orjson.JSONDecodeError:
        found = [text.decode("utf-8", "replace") for text in _IN_A_FORM.findall(start)]
    return [text for text in found if len(text) >= _SHORTEST]


def without_prompts(text: str, prompts: Iterable[str]) -> str:
    """The text with each prompt replaced, as it is or encoded."""
    for prompt in sorted(prompts, key=len, reverse=True):
        for form in sorted(
            {*forms_of(prompt), html.escape(prompt), html.escape(prompt, quote=False)}, key=len
        ):
            text = text.replace(form, GONE)
    return text


def _in_tree(tree: Any) -> Iterator[str]:
    left = [tree]
    while left:
        inside = left.pop()
        if isinstance(inside, dict):
            for name, value in inside.items():
                if isinstance(value, str) and name in _FIELDS:
                    yield value
                elif isinstance(value, dict | list):
                    left.append(value)
        elif isinstance(inside, list):
            left += [value for value in inside if isinstance(value, dict | list)]
