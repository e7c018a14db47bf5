"""A worker's word is read as a stranger's: what cannot be read ends the run with its place, and is not kept."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.trace.made import record_of
from whocut.errors import BadInput
from whocut.load.words import read_word
from whocut.trace import otlp
from whocut.trace.records import Attempt, SpanKind
from whocut.trace.rundir import ATTEMPTS, SPANS

EPOCH_UNIX_S = 1_790_000_000.0
ATTEMPT = Attempt(request="a-0001", number=1, mode="plain", trace_id="t", span_id="s", user=1, started_s=1.0)
WORD: dict[str, Any] = {
    "stage": 0,
    "answered": 1,
    "passed_over": 0,
    "not_asked": 0,
    "silent": 0,
    "raised": 0,
    "raised_first": None,
    "kept_back": None,
    "failed": None,
    "kept_up": {"worst_stall_real_s": 0.1, "cpu_s": 1, "peak_bytes": 1000},
    "lines": {
        ATTEMPTS: orjson.dumps(ATTEMPT) + b"\n",
        SPANS: b"".join(otlp.encode_line([record_of(kind)], EPOCH_UNIX_S) for kind in SpanKind),
    },
    "last": False,
}


def test_honest_word_is_read_as_it_was_said() -> None:
    """With every kind of span."""
    word = read_word("far", WORD, EPOCH_UNIX_S)

    assert word.model_dump(exclude_unset=True) == WORD


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answered": -1}, "answered: "),
        ({"answered": "1"}, "answered: "),
        ({"answered": 10**30}, "answered: "),
        ({"failed": "x" * 5000}, "failed: "),
        ({"kept_up": {"cpu_s": float("nan")}}, r"kept_up\."),
        ({"more": 1}, "more: "),
        ({"lines": {"../manifest.json": b"{}\n"}}, "lines for '../manifest.json'"),
        ({"lines": {ATTEMPTS: b'{"request": "a"}'}}, "a line for attempts.jsonl without its end"),
        ({"lines": {ATTEMPTS: b'{"request": "a"}\n'}}, "a line for attempts.jsonl: "),
        ({"lines": {ATTEMPTS: b"[]\n"}}, "a line for attempts.jsonl: it is no object"),
        ({"lines": {ATTEMPTS: b"\xff\n"}}, "a line for attempts.jsonl: "),
        ({"lines": {SPANS: b'{"resourceSpans": 1}\n'}}, "a line for spans.jsonl: "),
        ({"lines": {SPANS: b"[" * 100_000 + b"\n"}}, "a line for spans.jsonl: "),
        ({"lines": "attempts"}, "lines: "),
    ],
)
def test_word_that_cannot_be_read_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    """And with the worker that sent it."""
    with pytest.raises(BadInput, match=f"worker far sent what cannot be read: {said}"):
        read_word("far", {**WORD, **changes}, EPOCH_UNIX_S)


@pytest.mark.parametrize("word", [None, [], b"", 1, {}, {b"stage": 0}])
def test_what_is_no_word_at_all_is_refused(word: object) -> None:
    """Whatever msgpack made of it."""
    with pytest.raises(BadInput, match="worker far sent what cannot be read"):
        read_word("far", word, EPOCH_UNIX_S)
