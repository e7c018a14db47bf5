"""A test names its chain as the command line does: presets and files, which may lie beside the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.chain.timers import TimerKind
from whocut.errors import BadInput
from whocut.plugin.marks import topology_of

if TYPE_CHECKING:
    from pathlib import Path

NGINX = """http { server {
  location /v1/images/ { proxy_pass http://a; proxy_read_timeout 400s; }
  location / { proxy_pass http://b; }
} }
"""


@pytest.mark.parametrize("written", ["site.conf", "nginx=site.conf"])
def test_a_file_beside_the_test_is_a_layer(tmp_path: Path, written: str) -> None:
    """With its format said or told, for the path that the marker names."""
    (tmp_path / "site.conf").write_text(NGINX)

    topology = topology_of(["cloudflare-free", written], tmp_path, path="/v1/images/generations")

    assert [layer.name for layer in topology.hops] == ["cloudflare-free", "nginx"]
    assert topology.hops[1].limit_s(TimerKind.IDLE) == 400


def test_what_is_no_chain_is_one_sentence(tmp_path: Path) -> None:
    """And says what a chain can be."""
    with pytest.raises(BadInput, match="a path to its file, a list of layers, or a Topology"):
        topology_of([1], tmp_path)
