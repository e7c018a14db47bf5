"""Instants of a tap on the clock of the run that it stands beside."""

from __future__ import annotations

from dataclasses import replace

from tests.trace.made import layer_record
from whocut.trace import otlp
from whocut.trace.records import TapSide


def test_a_tap_s_own_seconds_become_the_run_s() -> None:
    """Its instants count from a beginning of its own, and its seconds are real ones: at 1:100 a third is 30 s."""
    tap = replace(
        layer_record("tap"),
        tap=TapSide.ALONE,
        cut=None,
        events=[],
        start_s=10.0,
        end_s=10.3,
        request_sent_s=500.0,
        first_byte_s=500.1,
        upstream_s=500.3,
        downstream_s=500.3,
    )

    otlp.onto_one_clock([tap], scale=100.0)

    assert round(tap.end_s - tap.start_s, 6) == 30.0
    assert round(tap.first_byte_s - tap.start_s, 6) == 10.0  # type: ignore[operator]  # it is set
    assert round(tap.upstream_s or 0.0, 6) == tap.end_s == 1030.0


def test_a_run_s_own_layers_are_on_its_clock_already() -> None:
    """They write model seconds: nothing is stretched."""
    hop = replace(layer_record("nginx"), tap=None, start_s=0.0, end_s=61.0, downstream_s=61.0)

    otlp.onto_one_clock([hop], scale=100.0)

    assert (hop.start_s, hop.end_s) == (0.0, 61.0)
