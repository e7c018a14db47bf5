"""How a response that will not come whole ends for the caller: the whole table, each cell once."""

from __future__ import annotations

from itertools import product

import pytest

from whocut.path.ending import Standing, Way, way_out


def standing(*true: str) -> Standing:
    """Where an exchange stands, of which only these things are so."""
    return Standing(*(field in true for field in Standing._fields))


CASES = {
    "nothing has come: the layer answers": (standing("writable"), Way.ANSWER),
    "nothing has come, and the caller is slow": (standing("resets"), Way.ANSWER),
    "a silent layer closes": (standing("silent", "writable"), Way.CLOSE),
    "a silent layer that resets": (standing("silent", "writable", "resets"), Way.RESET),
    "in mid-body: FIN": (standing("begun", "writable"), Way.CLOSE),
    "in mid-body: RST": (standing("begun", "writable", "resets"), Way.RESET),
    "in mid-body: the last chunk": (standing("begun", "writable", "terminates"), Way.TERMINATE),
    "a reset goes before a last chunk": (standing("begun", "writable", "resets", "terminates"), Way.RESET),
    "a caller that takes nothing": (standing("begun", "resets", "terminates"), Way.ABORT),
    "silence is no matter in mid-body": (standing("begun", "silent", "writable"), Way.CLOSE),
}


@pytest.mark.parametrize(("at", "way"), CASES.values(), ids=CASES.keys())
def test_a_response_ends_as_its_layer_ends_it(at: Standing, way: Way) -> None:
    """From what the caller has to what it gets."""
    assert way_out(at) is way


def test_every_standing_has_a_way_out() -> None:
    """No exchange can stand where no row fits, and an own answer is given only where nothing has come."""
    for row in product((False, True), repeat=len(Standing._fields)):
        at = Standing(*row)
        assert (way_out(at) is Way.ANSWER) == (not at.begun and not at.silent)
