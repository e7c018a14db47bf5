"""What an answer asks its client to wait, in each of the forms that HTTP and the API write."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from whocut.chain.retry_after import asked_to_wait_s

NOON_UNIX_S = 1_790_000_000.0
NOON = formatdate(NOON_UNIX_S, usegmt=True)
NINE_LATER = formatdate(NOON_UNIX_S + 9, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "now_unix_s", "asked_s"),
    [
        ({}, NOON_UNIX_S, None),
        ({"retry-after": "7"}, None, 7.0),
        ({"retry-after": "7.5"}, None, 7.5),
        ({"retry-after": "7", "retry-after-ms": "6640"}, None, 6.64),  # the exact one beside the rounded one
        ({"retry-after": "7", "retry-after-ms": "soon"}, None, 7.0),
        ({"retry-after": "-3"}, None, 0.0),
        ({"retry-after": "soon"}, NOON_UNIX_S, None),
        ({"retry-after": "nan"}, NOON_UNIX_S, None),
        ({"retry-after": "inf"}, NOON_UNIX_S, None),
        ({"retry-after": NINE_LATER}, None, None),  # no calendar to hold it against
        ({"retry-after": NINE_LATER}, NOON_UNIX_S, 9.0),
        ({"retry-after": NINE_LATER}, NOON_UNIX_S + 20, 0.0),
        ({"retry-after": NINE_LATER, "date": NOON}, None, 9.0),
        # A clock that agrees to the second reads the fraction too; one that is an hour off reads the `Date`.
        ({"retry-after": NINE_LATER, "date": NOON}, NOON_UNIX_S + 0.75, 8.25),
        ({"retry-after": NINE_LATER, "date": NOON}, NOON_UNIX_S + 3600, 9.0),
        ({"retry-after": NINE_LATER, "date": NOON}, NOON_UNIX_S - 3600, 9.0),
        ({"retry-after": NINE_LATER, "date": "yesterday"}, NOON_UNIX_S, 9.0),
    ],
)
def test_a_wait_is_read_in_every_form(
    headers: dict[str, str], now_unix_s: float | None, asked_s: float | None
) -> None:
    """Milliseconds before seconds before a date; what cannot be read asks for nothing."""
    assert asked_to_wait_s(headers, now_unix_s) == asked_s
