"""One load process: what it was told (the run's manifest), where it writes, and how well it kept up.

`whocut run` names the run directory in the environment variable ``WHOCUT_RUN``. The key for the endpoint comes
from ``OPENAI_API_KEY`` and goes nowhere but into the request.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.chain.plain import topology_from_plain
from harness.client.attempts import Sinks
from harness.client.openai_client import openai_client, prime
from harness.clock import Clock
from harness.errors import BadInput
from harness.trace.rundir import ATTEMPTS, GENERATOR, LineFile, RunDir, SpanWriter, attempt_row, write_json

if TYPE_CHECKING:
    import openai

    from harness.chain.layers import Topology
    from harness.trace.records import Attempt, SpanSink

RUN_VARIABLE = "WHOCUT_RUN"
KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class Load:
    """What the load process was told to do."""

    base_url: str
    modes: tuple[str, ...]
    requests: int
    users: int
    seed: int
    partial_images: int


class Session:
    """The run directory as the load process uses it."""

    def __init__(self, run: RunDir) -> None:
        load = dict(run.manifest["load"])
        load["modes"] = tuple(load["modes"])
        self.load = Load(**load)
        self.topology: Topology = topology_from_plain(run.manifest["topology"])
        clock = run.manifest["clock"]
        self.clock = Clock(clock["scale"], origin=clock["origin"], epoch_unix_s=run.epoch_unix_s)
        self.worst_stall_s = 0.0
        self._run = run
        self._attempts = LineFile(run.path / ATTEMPTS)
        self._spans = SpanWriter(run)
        prime()

    @classmethod
    def from_environment(cls) -> Self:
        """The session `whocut run` prepared.

        Raises:
            BadInput: nobody prepared one.
        """
        path = os.environ.get(RUN_VARIABLE)
        if not path:
            raise BadInput(f"{RUN_VARIABLE} names no run directory; start this scenario with `whocut run`")
        return cls(RunDir.open(Path(path)))

    @property
    def spans(self) -> SpanSink:
        """Where spans go."""
        return self._spans

    def client(self, mode: str) -> openai.OpenAI:
        """A client of its own for one user, in the way its mode asks for."""
        return openai_client(
            base_url=self.load.base_url,
            api_key=os.environ.get(KEY_VARIABLE, ""),
            clock=self.clock,
            layer=self.topology.client,
            sinks=Sinks(self._write_attempt, self._spans),
            max_retries=0 if mode == "no-retry" else None,
        )

    def _write_attempt(self, attempt: Attempt) -> None:
        self._attempts.write_json(attempt_row(attempt))

    def stalled(self, real_s: float) -> None:
        """The generator's own loop was late by this much."""
        self.worst_stall_s = max(self.worst_stall_s, real_s)

    def close(self, **facts: Any) -> None:
        """Write how well this process kept up. Its files stay open: killed greenlets may still have a word."""
        write_json(self._run.path / GENERATOR, {"worst_stall_real_s": round(self.worst_stall_s, 4), **facts})
