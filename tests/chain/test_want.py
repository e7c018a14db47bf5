"""One grammar for every threshold."""

from __future__ import annotations

import pytest

from whocut.chain.want import Want, parse_want, parse_wants
from whocut.errors import BadInput


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("delivered>=0.99", Want("delivered", ">=", 0.99)),
        ("delivered >= 99.9%", Want("delivered", ">=", 0.999)),
        ("orphaned==0", Want("orphaned", "==", 0)),
        ("p95_s<300", Want("p95_s", "<", 300)),
        ("usd_per_delivered<=2.5e-1", Want("usd_per_delivered", "<=", 0.25)),
    ],
)
def test_an_expression_is_a_figure_a_comparison_and_a_number(written: str, read: Want) -> None:
    """As people write it."""
    assert parse_want(written) == read


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("deliverd>=1", "did you mean 'delivered'"),
        ("delivered=>1", "is not a threshold"),
        ("delivered", "is not a threshold"),
        ("p95_s<--3", "is not a number"),
    ],
)
def test_a_mistake_names_the_way_out(written: str, says: str) -> None:
    """A misspelt figure is answered with the nearest."""
    with pytest.raises(BadInput, match=says):
        parse_want(written)


def test_a_figure_that_could_not_be_had_keeps_nothing() -> None:
    """None delivered: no percentile is below 300 s."""
    (fast, many) = parse_wants(["p95_s<300", "delivered>=0.5"])

    assert not fast.holds({"p95_s": None})
    assert many.holds({"delivered": 0.5})


def test_a_figure_that_is_not_measured_is_bad_input() -> None:
    """Nobody is told that a threshold holds which was never looked at."""
    with pytest.raises(BadInput, match="share_429 is not measured here"):
        parse_want("share_429==0").holds({"delivered": 1.0})
