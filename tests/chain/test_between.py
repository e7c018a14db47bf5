"""What is between two taps, in a chain file and with ``--between``: one meaning, and what of it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.chain.between import parse_between, with_between
from whocut.chain.catalogue import preset
from whocut.chain.chainfile import read_topology
from whocut.chain.layers import Topology
from whocut.chain.plain import topology_from_plain, topology_to_plain
from whocut.chain.timers import TimerKind
from whocut.config.sources import file_reader, read_chain
from whocut.errors import BadFile, BadInput

if TYPE_CHECKING:
    from pathlib import Path

NGINX = "http { server { listen 80; location / { proxy_pass http://there; proxy_read_timeout 45s; } } }"


def chain(tmp_path: Path, *layers: str) -> Path:
    """A chain file of these layers."""
    path = tmp_path / "mine.yaml"
    path.write_text("layers:\n" + "".join(f"  - {layer}\n" for layer in layers), encoding="utf-8")
    return path


def test_what_is_between_taps_is_not_started(tmp_path: Path) -> None:
    """It runs elsewhere, as the taps do; all others are the run's to start."""
    read = read_topology(chain(tmp_path, "cloudflare", "tap: outer", "nginx", "tap: inner", "caddy"))

    assert read.taps == ("outer", "inner")
    assert [hop.name for hop in read.standing] == ["cloudflare", "caddy"]
    assert [hop.name for hop in read.before_taps] == ["cloudflare"]
    assert [hop.name for hop in read.behind_taps] == ["caddy"]
    assert topology_from_plain(topology_to_plain(read)) == read


def test_without_taps_every_layer_is_started(tmp_path: Path) -> None:
    """As ever."""
    read = read_topology(chain(tmp_path, "cloudflare", "nginx"))

    assert read.standing == read.hops == read.before_taps
    assert read.behind_taps == ()


@pytest.mark.parametrize("said", ["./site.conf", "nginx=./site.conf"])
def test_a_user_s_own_file_says_what_is_between(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the limit that is written in it, and its line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.conf").write_text(NGINX)

    (one,) = parse_between([f"a,b={said}"], file_reader())

    assert (one.outer, one.inner, one.layer.preset) == ("a", "b", "nginx")
    assert one.layer.limit_s(TimerKind.IDLE) == 45
    assert one.layer.timers[TimerKind.IDLE].file.endswith("site.conf")


def test_what_is_said_of_a_place_is_kept_with_the_chain() -> None:
    """In the manifest too, so that a run is judged alike anywhere."""
    topology = with_between(read_chain("edge-100"), ["a,b=nginx:idle=45s", "b,c=house:total=2m"])

    again = topology_from_plain(topology_to_plain(topology))

    assert again == topology
    named = [(one.outer, one.inner, one.layer.name) for one in again.between]
    assert named == [("a", "b", "nginx"), ("b", "c", "house")]


REFUSED = {
    "twice": (["a,b=nginx", "a,b=caddy"], "is said twice"),
    "the chain's own": (["outer,inner=nginx"], "has the taps outer and inner itself"),
    "a file's limits": (["a,b=./site.conf:idle=60s"], "are those in the file"),
    "two layers": (["a,b=./two.yaml"], "holds 2 layers"),
    "no file": (["a,b=./missing.conf"], "missing.conf"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_between_is_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started or read."""
    written, says = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.conf").write_text(NGINX)
    topology = read_topology(chain(tmp_path, "tap: outer", "nginx", "tap: inner"))

    def reader(named: str, *where: object) -> list[object]:
        del where
        return [preset("nginx"), preset("caddy")] if named == "./two.yaml" else real(named)

    def real(named: str) -> list[object]:
        return [*file_reader()(named, tmp_path, None, None)]

    with pytest.raises((BadInput, BadFile), match=says):
        with_between(topology, written, reader)  # type: ignore[arg-type]  # a fake of the reader


BAD_TAPS = {
    "more than a name": ("{tap: outer, timers: {idle: 60s}}", "a tap only watches"),
    "a name twice": ("tap: inner", "two layers are named 'inner', and one of them is a tap"),
    "a layer's name": ("tap: nginx", "two layers are named 'nginx', and one of them is a tap"),
    "no name": ('tap: ""', "tap"),
}


@pytest.mark.parametrize("case", BAD_TAPS)
def test_a_tap_that_could_not_be_found_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    """A tap is found by its name alone."""
    written, says = BAD_TAPS[case]

    with pytest.raises(BadFile, match=says) as told:
        read_topology(chain(tmp_path, written, "nginx", "tap: inner"))

    assert told.value.line in {2, 4}


def test_a_place_that_nothing_is_said_of_needs_no_chain() -> None:
    """The empty case."""
    topology = Topology(name="t", client=preset("openai-python"), hops=())

    assert with_between(topology, []) == topology
