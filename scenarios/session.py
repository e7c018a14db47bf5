"""One load process: what it was told (the run's manifest), where it writes, and how well it kept up.

`whocut run` names the run directory in the environment variable ``WHOCUT_RUN``. The key for the endpoint comes
from ``OPENAI_API_KEY`` and goes nowhere but into the request.
"""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from harness.chain.plain import topology_from_plain
from harness.client.attempts import Sinks
from harness.client.openai_client import openai_client, prime
from harness.clock import Clock
from harness.clock.clock import pause
from harness.errors import BadInput
from harness.trace.rundir import ATTEMPTS, GENERATOR, LineFile, RunDir, SpanWriter, attempt_row, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import openai

    from harness.chain.layers import Topology
    from harness.trace.records import Attempt, SpanSink

RUN_VARIABLE = "WHOCUT_RUN"
KEY_VARIABLE = "OPENAI_API_KEY"
_PATIENCE_S = 600.0  # longer than any generation of the article's profiles
_LOOK_EVERY_REAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What the load process was told to do."""

    base_url: str
    modes: tuple[str, ...]
    requests: int
    users: int
    seed: int
    partial_images: int
    upstream_control: str
    upstream_in: Mapping[str, Mapping[str, Any]]


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
        self._behaviour: dict[str, Any] | None = None
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

    def enter(self, mode: str) -> None:
        """Put the upstream into the state its scenario wants while one mode runs.

        First the generations that nobody waits for any more must have ended: they would take their places in the
        next mode's account. Then every setting is sent, so that nothing of the mode before is left.
        """
        until_s = self.clock.now_s() + _PATIENCE_S
        while orjson.loads(self._control("health"))["running"] and self.clock.now_s() < until_s:
            pause(_LOOK_EVERY_REAL_S)
        if not self.load.upstream_in:
            return
        if self._behaviour is None:
            self._behaviour = orjson.loads(self._control("behaviour"))
        changed = _merged(self._behaviour, self.load.upstream_in.get(mode, {}))
        self._control("behaviour", orjson.dumps(changed))

    def _control(self, door: str, body: bytes | None = None) -> bytes:
        """Look at the mock, or change it; it listens on the loopback only."""
        request = urllib.request.Request(  # noqa: S310  # the address comes from our own manifest
            f"{self.load.upstream_control}/{door}", data=body, method="PUT" if body else "GET"
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310  # as above
            came: bytes = answer.read()
        return came

    def client(self, max_retries: int | None, api_key: str | None = None) -> openai.OpenAI:
        """A client of its own for one user; `max_retries` None keeps the SDK's own default."""
        return openai_client(
            base_url=self.load.base_url,
            api_key=api_key or os.environ.get(KEY_VARIABLE, ""),
            clock=self.clock,
            layer=self.topology.client,
            sinks=Sinks(self._write_attempt, self._spans),
            max_retries=max_retries,
        )

    def _write_attempt(self, attempt: Attempt) -> None:
        self._attempts.write_json(attempt_row(attempt))

    def stalled(self, real_s: float) -> None:
        """The generator's own loop was late by this much."""
        self.worst_stall_s = max(self.worst_stall_s, real_s)

    def close(self, **facts: Any) -> None:
        """Write how well this process kept up. Its files stay open: killed greenlets may still have a word."""
        write_json(self._run.path / GENERATOR, {"worst_stall_real_s": round(self.worst_stall_s, 4), **facts})


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The old tree with the branches that the changes name."""
    result = dict(old)
    for name, value in changes.items():
        inner = result.get(name)
        result[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
