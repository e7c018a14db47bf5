from __future__ import annotations

from typing import Any

import pytest

from whocut.client.parameters import prepare

ASKED: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a cat", "quality": "low", "output_format": "jpeg"}


def test_a_request_is_streamed_unless_it_says_otherwise() -> None:
    """Partial images are asked for by default."""
    assert prepare(ASKED).sent["stream"] is True
    assert prepare(ASKED).sent["partial_images"] == 2
    assert "partial_images" not in prepare(ASKED | {"stream": False, "partial_images": 2}).sent


def test_several_images_are_not_streamed() -> None:
    """A stream carries one image; the API refuses the rest."""
    assert "stream" not in prepare(ASKED | {"n": 2}).sent
    assert "stream" not in prepare(ASKED | {"n": 2, "stream": True}).sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response_format", "b64_json"),
        ("style", "vivid"),
        ("messages", []),
        ("seed", 7),
        ("negative_prompt", "dogs"),
        ("input_fidelity", "high"),
        ("quality", "hd"),
        ("output_compression", 80),
    ],
)
def test_what_the_api_rejects_is_taken_out_and_named(name: str, value: object) -> None:
    """Neither as an argument nor in `extra_body` does it leave, and a reason is given."""
    plain = {key: one for key, one in ASKED.items() if key != "output_format"}

    for wanted in (plain | {name: value}, plain | {"extra_body": {name: value}}):
        prepared = prepare(wanted)

        assert name not in prepared.sent
        assert prepared.removed[name]


def test_what_the_api_takes_is_left_alone() -> None:
    """Fidelity goes to the model that has it, compression with JPEG, arguments of the SDK's as they are."""
    wanted = ASKED | {"image": b"", "input_fidelity": "high", "output_compression": 80, "timeout": 900}

    prepared = prepare(wanted | {"model": "gpt-image-1.5"})

    assert prepared.removed == {}
    assert {"input_fidelity", "output_compression", "timeout", "image"} <= set(prepared.sent)


def test_advice_names_what_is_slow_or_dear() -> None:
    """High quality, PNG and n are told; a modest request is not lectured."""
    told = " ".join(prepare({"prompt": "a cat", "quality": "high", "n": 3, "stream": False}).advice)

    assert "quality='medium' saves 60 to 120 s" in told
    assert "output_format='jpeg'" in told
    assert "n=3 counts as 3 images" in told
    assert "gateways give up first" in told
    assert prepare(ASKED).advice == ()
