"""YAML that is nested too deep is refused with its line, before a loader ends the process with it."""

from __future__ import annotations

import pytest

from whocut.chain.yamlfile import YamlFile
from whocut.clock.clock import cpu_s
from whocut.config.trees import yaml_trees
from whocut.errors import BadFile

DEEP = {"brackets": "[", "braces": "{a: ", "dashes": "- ", "keys": "? "}


@pytest.mark.parametrize("levels", [1_000, 20_000, 200_000])
@pytest.mark.parametrize("piece", DEEP.values(), ids=DEEP)
def test_depth_is_refused_at_any_size(piece: str, levels: int) -> None:
    """As a chain file and as a configuration; libyaml's loader ends the process at a hundred thousand brackets."""
    text = "chain:\n  " + piece * levels

    with pytest.raises(BadFile) as chain:
        YamlFile("chain.yaml", text)
    with pytest.raises(BadFile) as configuration:
        yaml_trees("config.yaml", text[:800_000])

    assert chain.value.line == configuration.value.line == 2


def test_what_is_wide_and_not_deep_is_read() -> None:
    """Many brackets and many dashes, none in another."""
    text = "a:\n" + "  - [1, 2]\n" * 5_000

    assert len(YamlFile("chain.yaml", text).data["a"]) == 5_000


@pytest.mark.real_time
def test_refusing_takes_no_longer_for_more_of_it() -> None:
    """What comes behind the depth that is allowed is not looked at."""

    def refused_s(levels: int) -> float:
        before_s = cpu_s()
        with pytest.raises(BadFile):
            YamlFile("chain.yaml", "[" * levels)
        return cpu_s() - before_s

    refused_s(1_000)

    assert refused_s(800_000) < 20 * max(refused_s(10_000), 0.005)
