"""When an answer's bytes went out: one derivation for verdicts and figures alike."""

from __future__ import annotations

from typing import Any

import pytest

from whocut.trace import otlp
from whocut.trace.emissions import Emissions
from whocut.trace.generations import generation_span
from whocut.trace.records import GenerationRecord


def row(**facts: Any) -> dict[str, Any]:
    """A ledger row of one generation."""
    return {"generation": "gen-1", "state": "settled", "accepted_s": 0.0, "started_s": 0.0, **facts}


STREAMED = row(partials_s=[26.0, 32.0], finished_s=95.0)


def test_a_first_byte_before_the_first_event_ends_the_wait_and_begins_a_silence() -> None:
    """Headers that are sent early are bytes; a first byte that comes with the first event is none of its own."""
    early = Emissions.of_row({**STREAMED, "first_byte_s": 1.0})
    with_it = Emissions.of_row({**STREAMED, "first_byte_s": 26.1})

    assert (early.wait_s, early.bytes_s) == (1.0, (1.0, 26.0, 32.0, 95.0))
    assert (with_it.wait_s, with_it.bytes_s) == (26.0, (26.0, 32.0, 95.0))


@pytest.mark.parametrize(
    ("heartbeat_s", "at_s", "silence_s"),
    [
        (None, 40.0, 63.0),  # from the second partial image to the end
        (None, 30.0, 6.0),
        (None, 10.0, None),  # nothing had been sent
        (None, 95.0, None),  # all had been sent
        (15.0, 40.0, 15.0),  # 32 to 47: a heartbeat
        (15.0, 93.0, 3.0),  # 92 to 95: the last heartbeat, and the end
        (15.0, 10.0, 15.0),  # the stream began at once
        (15.0, 24.0, 11.0),  # 15 to 26
    ],
)
def test_the_silence_around_an_instant_knows_heartbeats(
    heartbeat_s: float | None, at_s: float, silence_s: float | None
) -> None:
    """The silence in which a layer cut lasts from the byte before to the byte after, comments among them."""
    assert Emissions.of_row({**STREAMED, "heartbeat_s": heartbeat_s}).gap_around(at_s) == silence_s


@pytest.mark.parametrize(("heartbeat_s", "longest_s"), [(None, 63.0), (15.0, 15.0), (100.0, 63.0)])
def test_the_longest_gap_is_no_longer_than_a_heartbeat(heartbeat_s: float | None, longest_s: float) -> None:
    """A heartbeat bounds each silence; one that comes more rarely than events bounds nothing."""
    assert Emissions.of_row({**STREAMED, "heartbeat_s": heartbeat_s}).longest_gap_s == longest_s


def test_a_generation_that_never_finished_has_no_end() -> None:
    """What was never due is not known."""
    sent = Emissions.of_row(row(partials_s=[], finished_s=None))

    assert (sent.wait_s, sent.longest_gap_s, sent.whole_s, sent.gap_around(1.0)) == (None, None, None, None)


def test_a_generation_s_span_keeps_what_its_row_says() -> None:
    """Through the file and back: verdicts read from spans what figures read from the ledger."""
    written = {**STREAMED, "first_byte_s": 1.0, "heartbeat_s": 15.0}
    (read,) = otlp.decode_line(otlp.encode_line([generation_span(written)], 0.0), 0.0)

    assert isinstance(read, GenerationRecord)
    assert read.sent == Emissions.of_row(written)
