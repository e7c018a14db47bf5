"""The models of a chain: those that the mock serves, and a sentence with its place for every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.chain.chainfile import read_topology
from whocut.chain.layers import Upstream
from whocut.chain.models import KNOWN, RETIRED, is_known, refuse_unknown
from whocut.chain.profiles import parse_profile
from whocut.errors import BadFile, BadInput
from whocut_mock import models

if TYPE_CHECKING:
    from pathlib import Path


def test_the_mock_serves_the_same_models() -> None:
    """Parity with the stranger: the same names, and the same that were shut down on the same days."""
    assert set(KNOWN) == set(models.MODELS)
    assert RETIRED == models.RETIRED


@pytest.mark.parametrize("written", ["gpt-image-2", "openai/gpt-image-2", "azure/x/gpt-image-1.5"])
def test_a_model_is_known_behind_a_route_too(written: str) -> None:
    """Aggregators put a prefix before the name."""
    assert is_known(written)
    refuse_unknown(Upstream(model=written))


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("upstream: gpt-imge-2\n", "mine.yaml:1: upstream: ", "(did you mean 'gpt-image-2'?)"),
        ("layers: []\nupstream:\n  model: dall-e-9\n", "mine.yaml:3: upstream: ", "'dall-e-9' is unknown"),
        ("upstream: gpt-image-1\n", "mine.yaml:1: upstream: ", "was shut down on 2026-10-23"),
        ("upstream: {quality: ultra}\n", "mine.yaml:1: upstream: ", "no tokens are published"),
    ],
)
def test_an_unknown_model_is_named_with_its_place(tmp_path: Path, text: str, place: str, says: str) -> None:
    """File, line, what is wrong, and the nearest right spelling; a profile is the way out."""
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    upstream = read_topology(path).upstream

    with pytest.raises(BadFile) as refused:
        parse_profile("chain", upstream)

    assert place in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_chain_without_a_file_names_the_field() -> None:
    """A chain that a program made has no line."""
    with pytest.raises(BadInput, match="upstream: the model 'x' is unknown"):
        refuse_unknown(Upstream(model="x"))
