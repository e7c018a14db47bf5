"""What was asked for is in no record of its answer, in whichever form an endpoint repeats it."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

import pytest

from tests.client.test_attempts import ask
from tests.servers import whole
from whocut.client.prompts import GONE, prompts_in, without_prompts

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPT: Final = 'Aunt "Ilse" & <her> heron,\nin the fog at 5 %'
WAYS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "json": lambda text: json.dumps({"said": text}),
    "html": html.escape,
    "html text": lambda text: html.escape(text, quote=False),
    "percent": lambda text: quote(text, safe=""),
    "form": quote_plus,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_leaves_a_text_in_every_form(way: str) -> None:
    """The words around it stay."""
    clean = without_prompts(f"no: {WAYS[way](PROMPT)} is bad", [PROMPT])

    assert GONE in clean
    assert "Ilse" not in clean
    assert clean.startswith("no: ")
    assert clean.endswith(" is bad")


BODIES: Final = {
    "images": json.dumps({"model": "gpt-image-2", "prompt": PROMPT, "size": "1024x1024"}),
    "responses": json.dumps({"input": PROMPT, "tools": [{"type": "image_generation"}]}),
    "messages": json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]}),
    "form": f'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n{PROMPT}\r\n--x--\r\n',
    "typed form": '--x\r\nContent-Disposition: form-data; name="prompt"\r\nContent-Type: text/plain\r\n\r\n'
    f"{PROMPT}\r\n--x--\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_request_s_prompt_is_found(body: str) -> None:
    """In the fields of each API, and in a form; models, sizes and roles are none."""
    assert prompts_in(body.encode()) == [PROMPT]


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[" * 5000, b"null", b"x" * 2**21])
def test_a_body_of_another_kind_has_no_prompt(body: bytes) -> None:
    """Whatever it is, it is no error."""
    assert prompts_in(body) == []


@pytest.mark.parametrize("status", ["400 Bad Request", "429 Too Many", "502 Bad Gateway", "500 Oh"])
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_no_record_repeats_what_an_endpoint_repeats(status: str, kind: str) -> None:
    """Code, page and headers: the attempt and its span, with the prompt that the real SDK has sent."""
    said = json.dumps({"error": {"code": f"no {PROMPT}", "message": PROMPT, "type": PROMPT}})
    page = said if kind == "application/json" else f"{'x' * 300}{html.escape(PROMPT)}{'y' * 400}"

    account = ask(lambda: [whole(page.encode(), status, kind)], prompt=PROMPT)

    assert account.attempts[0].status == int(status[:3])
    assert "Ilse" not in repr(account.lines) + repr(account.spans)
