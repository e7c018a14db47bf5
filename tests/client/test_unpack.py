"""Packed bodies: read as their bytes come, in bounded memory, and delivered only where they can be read."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.client.test_watch import IMAGE, JSON, Hand, inside, outside
from whocut.client import unpack
from whocut.client.unpack import Unpacked
from whocut.trace.records import Outcome, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.client.watch import Watch

EVENTS = {"content-type": "text/event-stream"}
PARTIAL = b'event: image_generation.partial_image\ndata: {"b64_json": "aGVsbG8="}\n\n'
LAST = b'event: image_generation.completed\ndata: {"b64_json": "aGVsbG8="}\n\n'
REFUSAL = b'{"error": {"message": "no", "type": "invalid_request_error", "code": "bad_size"}}'


def raw_deflate(body: bytes) -> bytes:
    """Deflate without zlib's head, as some servers send it."""
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(body) + packing.flush()


def brotlied(body: bytes) -> bytes:
    """br, where this Python has the module."""
    packed: bytes = pytest.importorskip("brotli").compress(body)
    return packed


def zstandarded(body: bytes) -> bytes:
    """zstd, where this Python has the module."""
    packed: bytes = pytest.importorskip("compression.zstd").compress(body)
    return packed


PACKINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "an older name of gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without its head": ("deflate", raw_deflate),
    "br": ("br", brotlied),
    "zstd": ("zstd", zstandarded),
    "twice": ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    "not at all": ("identity", lambda body: body),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_body_comes_out_as_it_went_in(packing: str, step: int) -> None:
    """In pieces of any size."""
    encoding, pack = PACKINGS[packing]
    body = IMAGE * 50
    packed, unpacked = pack(body), Unpacked(encoding)

    came = b"".join(
        piece for at in range(0, len(packed), step) for piece in unpacked.feed(packed[at : at + step])
    )

    assert (came, unpacked.readable) == (body, True)


@pytest.mark.parametrize(
    ("encoding", "body", "why"),
    [
        ("gzip", IMAGE, "its packing is invalid"),
        ("snappy", IMAGE, "its content-encoding 'snappy' is unknown here"),
    ],
)
def test_what_cannot_be_read_says_why_and_gives_nothing(encoding: str, body: bytes, why: str) -> None:
    """Bytes that are not what their header says, and a packing that is unknown."""
    unpacked = Unpacked(encoding)

    assert list(unpacked.feed(body)) == []
    assert (unpacked.readable, why in unpacked.why) == (False, True)


def test_a_body_that_unpacks_to_a_flood_is_given_up_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A megabyte of zeros in a kilobyte, a thousand times: one piece at a time, and not beyond the bound."""
    monkeypatch.setattr(unpack, "MOST_BYTES", 32 * 2**20)
    bomb = gzip.compress(bytes(64 * 2**20))
    unpacked = Unpacked("gzip")

    tracemalloc.start()
    came = sum(len(piece) for piece in unpacked.feed(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert not unpacked.readable
    assert came <= 32 * 2**20
    assert peak < 4 * 2**20


ENDINGS: dict[str, tuple[dict[str, str], int, bytes, Outcome]] = {
    "a stream without its last event": (EVENTS, 200, PARTIAL, Outcome.TRUNCATED),
    "a stream with its last event": (EVENTS, 200, PARTIAL + LAST, Outcome.DELIVERED),
    "an image": (JSON, 200, IMAGE, Outcome.DELIVERED),
    "half an image": (JSON, 200, IMAGE[:20], Outcome.TRUNCATED),
    "a refusal of the API": (JSON, 400, REFUSAL, Outcome.REJECTED),
    "a gateway's page": ({"content-type": "text/html"}, 504, b"<html>504</html>", Outcome.GATEWAY_ERROR),
}


@pytest.mark.parametrize("make", [inside, outside], ids=["from inside", "from outside"])
@pytest.mark.parametrize("packing", ["gzip", "br", "not at all"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_packed_answer_means_what_it_means_unpacked(
    ending: str, packing: str, make: Callable[[Hand], Watch]
) -> None:
    """A layer that packs bodies changes no outcome: a cut stream that was closed in good order is cut."""
    headers, status, body, outcome = ENDINGS[ending]
    encoding, pack = PACKINGS[packing]
    watch = make(Hand())

    watch.answered(status, headers | {"content-encoding": encoding})
    watch.received(pack(body))
    watch.finished()

    assert watch.record.outcome is outcome


@pytest.mark.parametrize("packing", ["gzip", "br"])
def test_images_are_events_as_they_come_in_a_packed_stream(packing: str) -> None:
    """Each event is counted at the instant at which its bytes could be read."""
    encoding, pack = PACKINGS[packing]
    hand = Hand()
    watch = inside(hand)

    watch.answered(200, EVENTS | {"content-encoding": encoding})
    hand.now = 3.0
    watch.received(pack(PARTIAL + LAST))
    watch.finished()

    assert watch.record.arrivals_s == [3.0, 3.0]


@pytest.mark.parametrize(
    "body", [b"not gzip at all", gzip.compress(IMAGE)[:30]], ids=["other bytes", "a part"]
)
def test_a_body_that_cannot_be_read_is_not_delivered(body: bytes) -> None:
    """It was called an image because its head said 200."""
    watch = inside(Hand())

    watch.answered(200, JSON | {"content-encoding": "gzip"})
    watch.received(body)
    watch.finished()

    span = watch.span()
    assert (watch.record.outcome, span.upstream) == (Outcome.TRUNCATED, UpstreamEnd.CLOSED)
