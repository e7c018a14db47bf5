"""The smallest change that is enough, and never one that its vendor does not allow."""

from __future__ import annotations

import pytest

from tests.chain.fixtures import chain, layer
from whocut.chain.catalogue import preset
from whocut.chain.layers import Buffering, Topology
from whocut.chain.modes import MODES
from whocut.chain.profiles import ARTICLE, Profile
from whocut.chain.remedy import Remedy, Situation, remedy
from whocut.chain.want import parse_wants


def mended(
    topology: Topology, *wants: str, mode: str = "plain", profile: Profile = ARTICLE["1024-high"]
) -> Remedy | None:
    """The remedy for these wishes."""
    return remedy(
        Situation(topology=topology, profile=profile, mode=MODES[mode]),
        parse_wants(wants or ["delivered>=0.999"]),
    )


def lines(found: Remedy | None) -> list[tuple[str, str]]:
    """Layer and line of each change."""
    assert found is not None
    return [(change.layer, change.line) for change in found.changes]


def test_one_limit_is_raised_where_one_is_too_low() -> None:
    """Nginx alone: one line."""
    assert lines(mended(chain(preset("nginx")))) == [("nginx", "proxy_read_timeout 390s;")]


def test_one_change_is_smaller_than_two() -> None:
    """Two limits would have to rise; heartbeats pass both."""
    (change,) = lines(mended(chain(layer("edge", idle=100), layer("gateway", idle=60))))

    assert change[0] == "your server"


def test_a_total_limit_is_raised_or_gone_round() -> None:
    """No heartbeat passes a total limit: Cloud Run's may rise, Envoy's too."""
    assert lines(mended(chain(preset("envoy")))) == [("envoy", "timeout: 390s   # RouteAction; 0s is none")]


def test_where_no_limit_may_rise_a_job_is_the_way() -> None:
    """Vercel's Hobby plan stops at 300 s, and slow images take longer."""
    slow = Profile(name="slow", median_s=280, p95_s=400)

    (change,) = lines(mended(chain(preset("vercel-hobby")), profile=slow))

    assert change[1].startswith("POST /jobs")


def test_what_holds_already_needs_nothing() -> None:
    """No change for a chain that keeps the wish."""
    assert lines(mended(chain())) == []


def test_a_wish_that_cannot_be_kept_has_no_remedy() -> None:
    """No chain makes the model quicker than itself."""
    assert mended(chain(), "p50_s<10") is None


def test_several_wishes_are_kept_together() -> None:
    """Delivered, and no generation paid twice."""
    found = mended(
        chain(preset("nginx")), "delivered>=0.99", "generations_per_request<=1.001", mode="stream-3"
    )

    assert found is not None
    assert found.figures.delivered >= 0.99
    assert found.figures.generations_per_request <= 1.001


@pytest.mark.parametrize("mode", ["stream-0", "stream-2"])
def test_a_stream_is_kept_a_stream(mode: str) -> None:
    """Behind a layer that holds responses, letting them pass and heartbeats go together, or a limit rises."""
    holding = layer("gateway", buffering=Buffering.ALL, knobs={"buffering": "stream on;"})
    found = mended(chain(layer("edge", idle=60), holding), mode=mode)

    assert found is not None
    assert found.figures.delivered >= 0.999
