"""Which requests count as attempts: those that begin paid work, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from whocut.stage.generating import asks_for_a_generation

TOOL = {"model": "gpt-5.2", "tools": [{"type": "image_generation"}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "generates"),
    [
        ("POST", "/v1/images/generations", {"prompt": "a cat"}, True),
        ("POST", "/v1/images/edits", {}, True),  # a form
        ("POST", "/v1/some-vendor/flux", {}, True),  # a door that is not known
        ("POST", "/v1/responses", TOOL, True),
        ("POST", "/v1/responses", {"model": "gpt-5.2", "input": "rewrite this prompt"}, False),
        ("POST", "/v1/chat/completions", {"model": "m", "modalities": ["image", "text"]}, True),
        ("POST", "/v1/chat/completions", {"model": "gemini-3-pro-image"}, True),
        ("POST", "/v1/chat/completions", {"model": "gpt-5.2", "tools": "none"}, False),
        ("POST", "/v1/responses/input_tokens", TOOL, False),
        ("POST", "/v1/responses/resp_1/cancel", {}, False),
        ("POST", "/v1/moderations", {"input": "a cat"}, False),
        ("POST", "/v1/files", {}, False),
        ("POST", "/gemini/v1beta/models/gemini-3-pro-image:generateContent", {}, True),
        ("POST", "/replicate/v1/models/black-forest-labs/flux-dev/predictions", {}, True),
        ("POST", "/gemini/v1beta/models/gemini-3-pro-image:countTokens", {}, False),
        ("POST", "/v1/models", {}, False),
        ("GET", "/v1/models", {}, False),
        ("GET", "/v1/models/gpt-image-2", {}, False),
        ("GET", "/v1/images/generations", {}, False),
        ("OPTIONS", "/v1/images/generations", {}, False),
    ],
)
def test_a_generation_is_told_by_its_door_and_by_what_is_asked(
    method: str, path: str, body: dict[str, Any], *, generates: bool
) -> None:
    """Doors that text goes through as well are told apart by the body."""
    assert asks_for_a_generation(method, path, body) is generates
