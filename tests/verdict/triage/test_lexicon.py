"""How phrases are looked up: a plain look at the words of a text first, and the same answer as without it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from tests.verdict.triage.judged import cases_of
from whocut.verdict.triage import lexicon
from whocut.verdict.triage.lexicon import find, speakers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_SEED: Final = 5
_FILLS: Final = ("", " ", "x", "_", "1", ":", "\n", " in between ")


def _texts(phrases: list[str], draw: random.Random) -> Iterator[str]:
    """Real texts, and phrases between what may touch them."""
    yield from (case["text"].lower() for case in cases_of("reports36"))
    for _ in range(60):
        some = draw.sample(phrases, 3)
        yield "".join(f"{draw.choice(_FILLS)}{one.replace('*', draw.choice(_FILLS))}" for one in some).lower()


def test_a_phrase_is_found_where_it_is_found_without_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each phrase in each text both ways tell the same place, or that it is not there."""
    # given
    phrases = sorted({words for speaker in speakers() for row in speaker.rows for words in row.words})
    texts = list(_texts(phrases, random.Random(_SEED)))
    # act
    with_it = [[find(text, phrase) for phrase in phrases] for text in texts]
    monkeypatch.setattr(lexicon, "_whole_in", lambda _phrase: frozenset())
    without = [[find(text, phrase) for phrase in phrases] for text in texts]
    # assert
    assert with_it == without
    assert any(at > 0 for row in with_it for at in row)
