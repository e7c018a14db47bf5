"""What was asked for on the command line, and what a run directory's manifest says of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from whocut.chain.plain import topology_to_plain
from whocut.errors import BadInput
from whocut.trace.records import new_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from whocut.chain.layers import Topology
    from whocut.chain.load import LoadStage, Spending
    from whocut.chain.want import Want
    from whocut.clock import Clock, ClockSpec
    from whocut.path.target import Target
    from whocut.run.several import Listening
    from whocut.trace.rundir import RunDir

_PACKAGES = ("whocut", "openai", "locust", "aiohttp", "opentelemetry-sdk")


def no_more(run_dir: RunDir) -> tuple[LoadStage, ...]:
    """What else to ask: nothing."""
    del run_dir
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line.

    `then` says what else to ask, seeing what the stages so far have come to: nothing, when it is enough. `sweep`
    is the share of 429s that a sweep tolerates; None: the run is no sweep. `steps` describes the modes of a
    ladder, each of which keeps what the one before it changed; empty: the modes are independent.
    """

    scenario: Path
    topology: Topology
    clock: ClockSpec
    users: int
    stages: tuple[LoadStage, ...]
    seed: int
    out: Path
    replace: bool = False
    port: int = 0
    partial_images: int = 2
    processes: int = 1
    listening: Listening | None = None
    otlp_port: int | None = None
    live: bool = False
    upstream: Mapping[str, Any] = field(default_factory=dict)
    upstream_in: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    raised_in: Mapping[str, float] = field(default_factory=dict)
    to: Target | None = None
    spending: Spending | None = None
    wants: tuple[Want, ...] = ()
    command: tuple[str, ...] = ()
    then: Callable[[RunDir], tuple[LoadStage, ...]] = no_more
    sweep: float | None = None
    steps: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """Requests of all stages that are known from the beginning."""
        return sum(stage.requests for stage in self.stages)


def refuse_taps_elsewhere(plan: Plan) -> None:
    """Refuse taps that no request of this run can pass: they are before the endpoint that `to` names, or nowhere.

    Raises:
        BadInput: there is no such endpoint, or a layer is behind the taps, where none is started.
    """
    topology = plan.topology
    if plan.to is None and (topology.taps or topology.between):
        raise BadInput(
            "the taps of a run are before a real endpoint, and this one goes to the mock. Name the endpoint with "
            "--to URL, or keep a chain serving with `whocut up`."
        )
    if topology.behind_taps:
        raise BadInput(
            f"{topology.behind_taps[0].name} is behind the innermost tap of {topology.name}, and is not started "
            "there. Put a tap behind it, or write it before the taps."
        )


def manifest_of(plan: Plan, clock: Clock) -> dict[str, Any]:
    """Everything that is needed to judge the run anywhere, and to run it again."""
    return {
        "whocut": metadata.version("whocut"),
        "run": new_trace_id(),
        "scenario": plan.scenario.stem,
        "chain": plan.topology.name,
        "topology": topology_to_plain(plan.topology),
        "clock": {"written": str(plan.clock), "scale": clock.scale, "origin": clock.origin},
        "epoch_unix_s": clock.epoch_unix_s,
        "seed": plan.seed,
        "upstream": dict(plan.upstream),
        "raised_in": dict(plan.raised_in),
        "to": plan.to.url if plan.to else None,
        "want": [str(want) for want in plan.wants],
        "sweep": None if plan.sweep is None else {"tolerate": plan.sweep},
        "steps": dict(plan.steps),
        "command": list(plan.command),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
