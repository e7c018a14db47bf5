"""The pictures: real files of the size and format that was asked for, and as many bytes as a real one has."""

from __future__ import annotations

import io
from base64 import b64decode

import pytest
from PIL import Image

from whocut_mock.images import Plate, Press, Shape

MEGAPIXEL = (1024, 1024)


def picture(shape: Shape, *, seed: int = 0, name: str = "one/0") -> bytes:
    """The file that an answer carries."""
    return b64decode(b"".join(plate(shape, seed=seed).print(name)))


def plate(shape: Shape, *, seed: int = 0) -> Plate:
    """A plate of a press of its own."""
    return Press(seed).plate(shape)


@pytest.mark.parametrize("size", [(1024, 1024), (1536, 1024), (1024, 1536), (16, 48)])
@pytest.mark.parametrize(
    ("output_format", "background", "mode"),
    [
        ("png", "opaque", "RGB"),
        ("png", "transparent", "RGBA"),
        ("jpeg", "opaque", "RGB"),
        ("webp", "opaque", "RGB"),
        ("webp", "transparent", "RGBA"),
        ("gif", "opaque", "P"),
    ],
)
def test_a_picture_is_what_was_asked_for(
    size: tuple[int, int], output_format: str, background: str, mode: str
) -> None:
    """Its format, its edges and its background; every byte of it can be decoded."""
    with Image.open(io.BytesIO(picture(Shape(*size, output_format, background)))) as opened:
        opened.load()

        assert (opened.format, opened.size, opened.mode) == (output_format.upper(), size, mode)


@pytest.mark.parametrize(
    ("shape", "least_bytes", "most_bytes"),
    [
        (Shape(*MEGAPIXEL), 1_100_000, 1_300_000),
        (Shape(*MEGAPIXEL, "jpeg"), 150_000, 220_000),
        (Shape(*MEGAPIXEL, "webp"), 200_000, 280_000),
        (Shape(*MEGAPIXEL, "jpeg", "opaque", 0), 15_000, 20_000),
    ],
)
def test_a_picture_does_not_compress_away(shape: Shape, least_bytes: int, most_bytes: int) -> None:
    """Grain in every pixel: about a megabyte of PNG, as published ones had."""
    assert least_bytes < len(picture(shape)) < most_bytes


def test_a_transparent_picture_is_clear_at_its_corners() -> None:
    """Opaque in the middle and clear around it."""
    with Image.open(io.BytesIO(picture(Shape(*MEGAPIXEL, "png", "transparent")))) as opened:
        alpha = opened.getchannel("A")

    assert (alpha.getpixel((512, 512)), alpha.getpixel((2, 2))) == (255, 0)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp", "gif", "svg"])
def test_the_seed_draws_and_the_name_stamps(output_format: str) -> None:
    """The same seed draws the same file to the byte, another seed another one; the name stands in its comment."""
    shape = Shape(64, 64, output_format)

    first, second = picture(shape), picture(shape, name="two/0")

    assert first == picture(shape)
    assert len(first) == len(second)
    assert first != second
    assert picture(shape, seed=1) != first
    assert picture(shape, seed=1).count(b"one/0") == first.count(b"one/0") == 1
