"""What was asked for on the command line, and what a run directory's manifest says of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scenarios
from harness.chain.plain import topology_to_plain
from harness.errors import BadInput, nearest

if TYPE_CHECKING:
    from harness.chain.layers import Topology
    from harness.clock import Clock, ClockSpec

SCENARIOS = Path(scenarios.__file__).parent
CHAINS = SCENARIOS / "chains"
_NOT_SCENARIOS = frozenset({"__init__", "image_user", "plan", "session"})
_PACKAGES = ("whocut", "openai", "locust", "aiohttp", "opentelemetry-sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line."""

    scenario: Path
    topology: Topology
    clock: ClockSpec
    users: int
    requests: int
    modes: tuple[str, ...]
    seed: int
    out: Path
    replace: bool = False
    port: int = 0
    partial_images: int = 2
    otlp_port: int | None = None
    command: tuple[str, ...] = ()


def find_scenario(name_or_path: str) -> Path:
    """The file of a scenario given by name or by path.

    Raises:
        BadInput: neither a shipped scenario nor a file; names the nearest one.
    """
    shipped = {path.stem: path for path in sorted(SCENARIOS.glob("*.py")) if path.stem not in _NOT_SCENARIOS}
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".py" and path.is_file():
        return path
    raise BadInput(
        f"there is no scenario '{name_or_path}'{nearest(name_or_path, shipped)}; shipped are "
        f"{', '.join(shipped)}, and a path to a .py file is taken too"
    )


def manifest_of(plan: Plan, clock: Clock) -> dict[str, Any]:
    """Everything that is needed to judge the run anywhere, and to run it again."""
    return {
        "whocut": metadata.version("whocut"),
        "scenario": plan.scenario.stem,
        "chain": plan.topology.name,
        "topology": topology_to_plain(plan.topology),
        "clock": {"written": str(plan.clock), "scale": clock.scale, "origin": clock.origin},
        "epoch_unix_s": clock.epoch_unix_s,
        "seed": plan.seed,
        "command": list(plan.command),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
