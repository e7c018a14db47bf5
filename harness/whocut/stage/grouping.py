"""Which attempts are one request, as far as can be seen from outside the client.

A client that counts its retries in a header is believed. Otherwise the same body again, after an attempt with that
body had ended without an image, is the same request tried again: from outside, a retry by hand and a person who
presses the button twice look alike, and cost alike. Where the client names its traces, they decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.trace.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.stage.sighting import Sighting

# An end and the next beginning may be read in either order within one turn of the loop.
_SAME_INSTANT_S = 0.001


def attempts_of(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Those that asked for a generation."""
    return [one for one in sightings if one.generates]


def requests_of(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    """The attempts, request by request, in the order of their beginnings."""
    requests: list[list[Sighting]] = []
    for sighting in sorted(sightings, key=lambda one: one.started_s):
        earlier = next((tries for tries in requests if _goes_on(tries[-1], len(tries), sighting)), None)
        if earlier is None:
            requests.append([sighting])
        else:
            earlier.append(sighting)
    return requests


def name_requests(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    """Group, and write request and number into each attempt's record."""
    requests = requests_of(sightings)
    for index, tries in enumerate(requests, start=1):
        for number, sighting in enumerate(tries, start=1):
            sighting.record.request = f"request-{index}"
            sighting.record.number = number
    return requests


def _goes_on(last: Sighting, tries: int, new: Sighting) -> bool:
    if new.digest != last.digest or last.record.outcome is Outcome.DELIVERED:
        return False
    if new.came_in is not None or last.came_in is not None:
        return new.came_in is not None and last.came_in is not None and new.came_in[0] == last.came_in[0]
    if new.retry_count:
        return new.retry_count == tries or last.retry_count == new.retry_count - 1
    return last.record.ended_s is not None and last.record.ended_s <= new.started_s + _SAME_INSTANT_S
