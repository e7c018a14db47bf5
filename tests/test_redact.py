"""Secrets leave a text in every form in which they come back, and control characters are shown, not obeyed."""

from __future__ import annotations

import base64
import json
import timeit
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut import redact as module
from whocut.clock.clock import cpu_s
from whocut.redact import (
    exact,
    exact_bytes,
    kept_headers,
    kept_url,
    protect,
    protect_environment,
    redact,
    visible,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEY: Final = "Zq8vN3kL0pXw7RtB2yHd"  # looks like nothing: what stands around it must tell

FORMS: Final = {
    "authorization bearer": "Authorization: Bearer {}",
    "authorization basic": "authorization: Basic {}",
    "authorization token": "Authorization: Token {}",
    "authorization apikey": "Authorization: ApiKey {}",
    "authorization digest": 'Authorization: Digest username="u", response="{}"',
    "authorization aws": "Authorization: AWS4-HMAC-SHA256 Credential=A/20261126/r, Signature={}",
    "authorization json": '{{"authorization": "Bearer {}"}}',
    "authorization escaped json": '{{\\"authorization\\": \\"Bearer {}\\"}}',
    "authorization tuple": "('Authorization', 'Token {}')",
    "authorization bytes tuple": "(b'authorization', b'{}')",
    "proxy authorization": "Proxy-Authorization: Negotiate {}",
    "cookie": "Cookie: session={}; other=1",
    "set-cookie": "Set-Cookie: sid={}; HttpOnly",
    "bearer alone": "sent Bearer {} upstream",
    "api key header": "api-key: {}",
    "x api key header": "X-API-Key: {}",
    "goog api key": "x-goog-api-key: {}",
    "azure subscription key": "Ocp-Apim-Subscription-Key: {}",
    "api_key query": "POST /v1/images/generations?api_key={}&n=1",
    "key in a form": "apikey={}",
    "access_token": "access_token={}",
    "refresh_token": '{{"refresh_token":"{}"}}',
    "token": "token={}",
    "token json": '{{"token": "{}"}}',
    "client_secret": "client_secret={}",
    "password": "password: {}",
    "passwd": "passwd={}",
    "signature": "https://blob.example/i.png?sig={}",
    "amazon signature": "X-Amz-Signature={}",
    "amazon security token": "X-Amz-Security-Token: {}",
    "url user": "http://user:{}@gateway.example/v1",
    "url user alone": "https://{}@gateway.example/v1",
    "openai key": "sk-{}",
    "openai project key": "sk-proj-{}",
    "key behind a word": "bad_sk-{}",
    "stripe key": "sk_live_{}",
    "google key": "AIza{}AbCdEfGhIjKl",
    "github token": "ghp_{}",
    "hugging face token": "hf_{}",
    "groq key": "gsk_{}",
    "slack token": "xoxb-12-{}",
    "private key": "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "web token": "eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_told_by_what_stands_around_it(form: str) -> None:
    """Each form in which vendors and gateways write a credential loses it, and keeps the words around it."""
    clean = redact(f"before it {form.format(KEY)}\nafter it")

    assert KEY not in clean
    assert clean.startswith("before it ")
    assert clean.endswith("after it") or "-----BEGIN" in clean


@pytest.fixture
def protected(monkeypatch: pytest.MonkeyPatch) -> str:
    """A value that this process registered, with characters that every encoding changes."""
    monkeypatch.setattr(module, "_PROTECTED", module._Protected())
    value = 'k€y/with+"all" kinds&of=signs'
    protect(value, "", None, "short")
    return value


WAYS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": lambda value: value,
    "percent": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "json": lambda value: json.dumps({"error": value}),
    "json, not ascii": lambda value: json.dumps({"error": value}, ensure_ascii=False),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 behind a user": lambda value: base64.b64encode(b"user:" + value.encode()).decode(),
    "base64 behind another": lambda value: base64.b64encode(b"user2:" + value.encode() + b"!").decode(),
    "base64 for urls": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_registered_value_is_replaced_in_every_encoding(protected: str, way: str) -> None:
    """The process knows its key: no look decides, in texts and in bytes."""
    written = f"page says: {WAYS[way](protected)}."

    clean = exact(written)

    assert clean.startswith("page says: ")
    assert module.GONE in clean
    assert WAYS[way](protected)[4:-4] not in clean
    assert exact_bytes(written.encode()).decode() == clean


def test_the_environments_secrets_are_registered_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, tokens, passwords, and the values of header lists; other variables are not secret."""
    monkeypatch.setattr(module, "_PROTECTED", module._Protected())
    protect_environment(
        {
            "OPENAI_API_KEY": "one-one-one",
            "GH_TOKEN": "two-two-two",
            "PGPASSWORD": "three-three",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-honeycomb-team=four-four-four,x-other=five%20five",
            "HOME": "/home/somewhere",
        }
    )

    clean = exact("one-one-one two-two-two three-three four-four-four five five five%20five /home/somewhere")

    assert clean == " ".join([module.GONE] * 6) + " /home/somewhere"


def test_short_values_are_not_registered(protected: str) -> None:
    """A key of five letters would garble ordinary words."""
    del protected
    assert exact("a short way") == "a short way"


BIDI: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ORDINARY: Final = (
    "upstream timed out (110: Operation timed out) while reading response header from upstream",
    "Rate limit reached for gpt-image-2 on tokens per min: Limit 250000. Please try again in 1.2s.",
    "the task-12 was sent to pk-west and risk-free; tokens: 4160",
    '{"error": {"message": "Your request was rejected", "type": "user_error", "code": "moderation_blocked"}}',
    "GET /v1/images/generations HTTP/1.1 504 160 60.004",
    "basic facts, digest of it, a bearer of news",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    """What an error says is not garbled."""
    assert redact(text) == text


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing(text: str) -> None:
    """What was taken out is not taken for a secret again."""
    assert redact(redact(text)) == redact(text)


@given(st.text(max_size=300))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """After `visible`, tab and newline are the only control characters."""
    shown = visible(text)

    kinds = {unicodedata.category(char) for char in shown if char not in "\t\n"}
    assert not kinds & {"Cc", "Zl", "Zp", "Cs"}
    assert not any(unicodedata.bidirectional(char)[:3] in BIDI for char in shown)


def test_a_url_keeps_what_tells_the_endpoint() -> None:
    """User, query, parameters and long segments go; the API's own path stays."""
    kept = kept_url(
        f"https://me:{KEY}@gw.example:8443/{KEY}{KEY}/openai/v1/images/generations;key={KEY}?api_key={KEY}#x"
    )

    assert kept == "https://gw.example:8443/[redacted]/openai/v1/images/[redacted]"


def test_headers_that_repeat_a_registered_key_lose_it(protected: str) -> None:
    """`Via` and `X-Request-Id` are kept by name, and may hold what the caller sent."""
    assert kept_headers({"Via": f"1.1 {protected}", "X-Secret": "x"}) == {"via": f"1.1 {module.GONE}"}


HOSTILE: Final = {
    "json web tokens begun": "eyJaaaaaaaa-",
    "keys begun": "hf_",
    "names begun": "token ",
    "blanks": "password \t",
    "urls begun": "a://b",
    "colons": "a://b:",
    "private keys begun": "-----BEGIN PRIVATE KEY",
    "bearers": "bearer aaaaaaaaaaaaaaaa ",
    "quotes": 'authorization\\"',
    "letters": "a",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_the_work_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    """A text eight times as long takes some eight times as long; a square would be sixty-four."""

    def taken_s(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        return min(timeit.repeat(lambda: redact(text), timer=cpu_s, number=1, repeat=3))

    assert taken_s(160_000) < 24 * max(taken_s(20_000), 0.001)


def test_a_program_that_needs_no_secret_gets_none() -> None:
    """A mock and a gateway start with the environment without keys, tokens, passwords and lists of headers."""
    kept = {
        "PATH": "/bin",
        "LANG": "C",
        "SSL_CERT_FILE": "/x",
        "TOKENIZERS_PARALLELISM": "1",
        "HOME": "/root",
    }
    secret = {
        "OPENAI_API_KEY": KEY,
        "HF_TOKEN": KEY,
        "DB_PASSWORD": KEY,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={KEY}",
    }

    assert without_secrets(kept | secret) == kept
