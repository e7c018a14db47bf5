"""What can be named on the command line: scenarios with their modes, chains with their layers, ways of asking."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from whocut.chain.chainfile import find_chain, read_topology, shipped_chains
from whocut.chain.modes import MODES
from whocut.run.scenario import find_scenario, read_scenario, shipped_scenarios
from whocut.show.following import next_command
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.chain.layers import Topology


def _asks(path: Path) -> str:
    """The question of a scenario: the first line of its file."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.split("\n", 1)[0]


def scenarios_as_json(name: str | None) -> dict[str, Any]:
    """Every shipped scenario, or the one that is named: its question, its chain, its modes."""
    paths = shipped_scenarios() if name is None else {name: find_scenario(name)}
    return {"scenarios": [_scenario(known, path) for known, path in paths.items()]}


def _scenario(name: str, path: Path) -> dict[str, Any]:
    told = read_scenario(path)
    return {
        "name": name,
        "asks": _asks(path),
        "chain": str(told.chain),
        "requests": told.requests,
        "users": told.users,
        "clock": str(told.clock),
        "modes": dict(told.modes),
    }


def scenario_lines(name: str | None) -> Iterator[str]:
    """The same in words."""
    for told in scenarios_as_json(name)["scenarios"]:
        yield f"{told['name']}: {told['asks']}"
        for mode, says in told["modes"].items():
            yield f"  --mode {mode}: {says}"
    yield f"next:   {next_command('run', name or 'image_generation')}"


def chains_as_json(name: str | None) -> dict[str, Any]:
    """Every shipped chain, or the one that is named, and the ways of asking that `whocut check` takes."""
    paths = shipped_chains() if name is None else {name: find_chain(name)}
    return {
        "chains": [_chain(known, read_topology(path)) for known, path in paths.items()],
        "modes": {mode.name: mode.says for mode in MODES.values()},
    }


def _chain(name: str, topology: Topology) -> dict[str, Any]:
    return {
        "name": name,
        "layers": [
            {
                "layer": layer.name,
                "limits_s": {str(kind): timer.limit_s for kind, timer in layer.timers.items()},
            }
            for layer in topology.layers
        ],
        "model": topology.upstream.model,
        "size": topology.upstream.size,
        "quality": topology.upstream.quality,
    }


def chain_lines(name: str | None) -> Iterator[str]:
    """The same in words: each layer with the shortest limit that can end an answer."""
    told = chains_as_json(name)
    for chain in told["chains"]:
        layers = " → ".join(_layer(layer) for layer in chain["layers"])
        yield f"{chain['name']}: {layers} → {chain['model']} {chain['size']} {chain['quality']}"
    yield "ways of asking, for `whocut check --mode`:"
    for mode, says in told["modes"].items():
        yield f"  {mode}: {says}"
    yield f"next:   {next_command('check', name or 'article')}"


def _layer(layer: dict[str, Any]) -> str:
    limits = [limit_s for kind, limit_s in layer["limits_s"].items() if kind not in {"connect", "keepalive"}]
    return f"{layer['layer']} ({format_duration(min(limits))})" if limits else str(layer["layer"])
