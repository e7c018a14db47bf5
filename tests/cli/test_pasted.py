"""A pasted text is bounded: of what is too long both ends are read, and what has no end is left."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from whocut.cli import pasted
from whocut.cli.pasted import pasted_text

if TYPE_CHECKING:
    from pathlib import Path


class _Endless(io.BytesIO):
    """A stream that always has more."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0
        return b"x" * size


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pasted, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(pasted, "_END_BYTES", 100)
    monkeypatch.setattr(pasted, "_MOST_BYTES", 10_000)


@pytest.mark.parametrize("middle", [0, 500, 900, 1000, 1001, 5000])
def test_both_ends_are_read_of_a_file_of_any_length(middle: int, tmp_path: Path) -> None:
    """All of it up to the bound, and then its first and last bytes."""
    file = tmp_path / "error.txt"
    file.write_text(f"begin{'.' * middle}end", encoding="utf-8")

    text = pasted_text(file)

    assert text.startswith("begin")
    assert text.endswith("end")
    assert len(text) < 1000 or len(text) == 201


def test_a_stream_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program writes for ever is not waited for."""

    class Standard:
        buffer = _Endless()

    monkeypatch.setattr("sys.stdin", Standard)

    assert len(pasted_text(None)) == 201
