"""The run as one load process has it: its task (the manifest), where it writes, and how well it kept up.

A process on the machine of the run directory appends to its files; one elsewhere posts its lines to the master,
which appends them. A real endpoint's key comes from ``OPENAI_API_KEY`` and goes nowhere but into the request.
"""

from __future__ import annotations

import os
import resource
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from whocut.chain.load import DRAIN_S, Load
from whocut.chain.plain import topology_from_plain
from whocut.client.door import WayIn, through
from whocut.client.openai_client import connections_of_a_user, openai_client, prime
from whocut.client.spending import Guard, Limits, SpendAccount
from whocut.client.spending.breaker import parse_breaker
from whocut.client.watch import Sinks
from whocut.clock import Clock
from whocut.clock.clock import cpu_s, pause
from whocut.errors import BadInput, WhocutError
from whocut.token import key_of, take_token
from whocut.trace.records import LayerRecord
from whocut.trace.rundir import (
    ATTEMPTS,
    GENERATOR,
    LEDGER,
    MOCK_TOKEN,
    SPANS,
    LineFile,
    RunDir,
    SpanWriter,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import openai

    from whocut.chain.layers import Topology
    from whocut.chain.load import LoadStage
    from whocut.client.transports import wire
    from whocut.load.machine import Elsewhere
    from whocut.trace.records import Attempt, Span, SpanSink

KEY_VARIABLE = "OPENAI_API_KEY"
_MOCK_KEY = "sk-whocut-mock"  # a real key has no business with a mock
_LOOK_EVERY_REAL_S = 0.05
_TOGETHER: Mapping[str, Callable[[list[Any]], Any]] = {
    "answered": sum,
    "silent": sum,
    "raised": sum,
    "raised_first": lambda values: next((value for value in values if value), None),
    "worst_stall_real_s": max,
    "cpu_s": sum,
    "peak_bytes": max,
}


class Posted:
    """Lines kept until the worker posts them: the files of a process that has no run directory."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def write(self, lines: bytes) -> None:
        """Keep bytes that end in a newline."""
        self._lines.append(lines)

    def write_json(self, row: object) -> None:
        """Keep one row."""
        self.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def take(self) -> bytes:
        """Everything kept since the last time."""
        lines, self._lines = self._lines, []
        return b"".join(lines)

    def close(self) -> None:
        """There is nothing to give back."""


class Session:
    """The run directory as the load process uses it; `posted` is where lines go on a machine that has none.

    `elsewhere` is None on the machine of the run, whose loopback the chain's is.
    """

    def __init__(
        self,
        run: RunDir,
        posted: Mapping[str, Posted] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.run = run
        self.load = Load.from_plain(run.manifest["load"])
        self.topology: Topology = topology_from_plain(run.manifest["topology"])
        self.posted = posted or {}
        self.elsewhere = elsewhere
        known = elsewhere.clock if elsewhere else None
        self.clock = known.clock if known else Clock.of_run(run.manifest, here=posted is None)
        self.far = elsewhere is not None and not elsewhere.own_chain  # from the chain
        self.worst_stall_s = 0.0
        self.closed = False
        self.kept_back: str | None = None  # why the spend guard lets nothing more out
        self._loads_before: Mapping[str, Any] | None = None
        self._guard = _guard(run, self.load, here=posted is None)
        self._behaviour: dict[str, Any] | None = None
        self._attempts = self.posted.get(ATTEMPTS) or LineFile(run.path / ATTEMPTS)
        self._spans = SpanWriter(run, self.posted.get(SPANS))
        self._way_in = _way_in(self.load, elsewhere)
        prime()
        self._cpu_before_s = cpu_s()

    @classmethod
    def here(cls, path: Path) -> Self:
        """On the machine of the run directory.

        Raises:
            BadInput: the directory is missing, or it is not a run's.
        """
        return cls(RunDir.open(path))

    @classmethod
    def told(cls, path: str, manifest: dict[str, Any], where: Elsewhere | None) -> Self:
        """As a master tells its worker: here if the directory is this very run's, posted otherwise.

        A worker elsewhere goes by the chain's door, even where it sees the run's directory: disks are shared,
        clocks are not. One that dialled the loopback, and does not see the directory, has a tunnel there.
        """
        mine = RunDir(Path(path), manifest)
        if where is not None:
            return cls(mine, {ATTEMPTS: Posted(), SPANS: Posted()}, where)
        with suppress(WhocutError):  # whatever lies there on this machine, it is not this run
            if RunDir.open(mine.path).manifest.get("run") == manifest["run"]:
                return cls(mine)
        return cls(mine, {ATTEMPTS: Posted(), SPANS: Posted()})

    @classmethod
    def beside(cls, chain: Path, where: Elsewhere | None) -> Self:
        """On a machine with a chain of its own, whose folder this is.

        Raises:
            BadInput: there is no such folder.
        """
        return cls(RunDir.open(chain), elsewhere=where)

    @property
    def spans(self) -> SpanSink:
        """Where spans go."""
        return self._write_span if self.far else self._spans

    def _write_span(self, span: Span) -> None:
        """Its instants are on this machine's clock, and no layer of the chain shares it."""
        if self.elsewhere is not None and isinstance(span, LayerRecord):
            span.clock = self.elsewhere.name
        self._spans(span)

    def connections(self) -> wire.HTTPTransport:
        """The connections of one user; from another machine they go by the door of the chain."""
        pool = connections_of_a_user()
        return pool if self._way_in is None else through(pool, self._way_in)

    def enter(self, stage: LoadStage) -> None:
        """Put the upstream into the state its scenario wants while one stage runs.

        First the generations that no caller waits for any more must have ended: they would take their places in the
        next stage's account. Then every setting is sent, so that nothing of the stage before is left. An upstream
        that has gone is no matter here: the run's watcher says so.

        Raises:
            BadInput: the upstream refuses what the scenario's `upstream_in` says.
        """
        self._prepare_upstream(stage)
        if stage.quiet_s:
            self.clock.sleep(stage.quiet_s)

    def _prepare_upstream(self, stage: LoadStage) -> None:
        if self.load.upstream_control is None:
            return
        try:
            until_s = self.clock.now_s() + DRAIN_S
            while orjson.loads(self._control("health"))["running"] and self.clock.now_s() < until_s:
                pause(_LOOK_EVERY_REAL_S)
            if not self.load.upstream_in:
                return
            if self._behaviour is None:
                self._behaviour = orjson.loads(self._control("behaviour"))
            changed = _merged(self._behaviour, self.load.upstream_in.get(stage.mode or "", {}))
            self._control("behaviour", orjson.dumps(changed))
        except urllib.error.HTTPError as refusal:
            said = orjson.loads(refusal.read())["error"]["message"]
            raise BadInput(f"SCENARIO.upstream_in.{stage.mode}.{said}") from None
        except urllib.error.URLError:
            return

    def _control(self, door: str, body: bytes | None = None) -> bytes:
        """Look at the mock, or change it; its doors are on the loopback only, and open to this run's token."""
        request = urllib.request.Request(  # noqa: S310  # the address comes from our own manifest
            f"{self.load.upstream_control}/{door}",
            data=body,
            method="PUT" if body else "GET",
            headers={"x-mock-token": (self.run.path / MOCK_TOKEN).read_text()},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310  # as above
            came: bytes = answer.read()
        return came

    @property
    def mock_key(self) -> str:
        """The key of a run on the mock; where money is spent, there is no other than the environment's."""
        return _MOCK_KEY

    def client(
        self,
        max_retries: int | None,
        api_key: str | None = None,
        mode: str = "",
        pool: wire.HTTPTransport | None = None,
    ) -> openai.OpenAI:
        """A client for one user, on that user's `pool`; `max_retries` None keeps the SDK's own default.

        A scenario's own `api_key` is for the mock: where money is spent, the key is the environment's.
        """
        if self.load.spending is not None:
            api_key = os.environ.get(KEY_VARIABLE)
        return openai_client(
            base_url=self.load.base_urls.get(mode, self.load.base_url),
            api_key=api_key or _MOCK_KEY,
            clock=self.clock,
            layer=self.topology.client,
            sinks=Sinks(self._write_attempt, self.spans),
            max_retries=max_retries,
            guard=self._guard,
            pool=pool or self.connections(),
        )

    def _write_attempt(self, attempt: Attempt) -> None:
        self._attempts.write_json(attempt)

    def append(self, lines: Mapping[str, bytes]) -> None:
        """Write down what a process elsewhere has posted, file by file."""
        for name in (ATTEMPTS, SPANS, LEDGER):
            if lines.get(name):
                with LineFile(self.run.path / name) as file:
                    file.write(lines[name])

    def stalled(self, real_s: float) -> None:
        """The generator's own loop was late by this much."""
        self.worst_stall_s = max(self.worst_stall_s, real_s)

    def kept_up(self) -> dict[str, Any]:
        """How well this process kept up; what the load cost it in real seconds, and the most memory it has had."""
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "worst_stall_real_s": round(self.worst_stall_s, 4),
            "cpu_s": round(cpu_s() - self._cpu_before_s, 2),
            "peak_bytes": most if sys.platform == "darwin" else most * 1024,  # Linux counts it in KiB
            **(self.elsewhere.clock.facts() if self.elsewhere and self.elsewhere.clock else {}),
        }

    def take_posted(self) -> dict[str, bytes]:
        """The lines for the master since the last time."""
        return {name: lines for name, posted in self.posted.items() if (lines := posted.take())}

    def say(self, facts: Mapping[str, Any]) -> None:
        """Write how well the load has kept up so far, with the loads before it."""
        if self._loads_before is None:
            self._loads_before = (self.run.generator() if self.load.asked_before else None) or {}
        write_json(self.run.path / GENERATOR, {**facts, **_together(self._loads_before, facts)})

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write it for the last time. Its files stay open: killed greenlets may still have a word."""
        self.closed = True
        self.say(facts)


def _way_in(load: Load, elsewhere: Elsewhere | None) -> WayIn | None:
    """How this process gets to the chain from another machine; None on the machine of the run.

    Raises:
        BadInput: the master takes no workers from elsewhere.
    """
    if elsewhere is None or elsewhere.own_chain:
        return None
    token = take_token()
    if token is None or not load.doors:
        raise BadInput(
            f"the chain of {elsewhere.master} takes no workers from other machines. Start the run with: --listen "
            f"{elsewhere.master}:PORT"
        )
    doors = {int(behind): door for behind, door in load.doors.items()}
    return WayIn(key_of(token, "chain"), elsewhere.master, doors)


def _guard(run: RunDir, load: Load, *, here: bool) -> Guard | None:
    """The spend guard of this process.

    Raises:
        BadInput: this process is on another machine, where the account cannot be shared.
    """
    spending = load.spending
    if spending is None:
        return None
    if not here:
        raise BadInput(
            "an account is shared by the processes of one machine: run with --to without workers elsewhere"
        )
    limits = Limits(budget_nano_usd=spending.budget_nano_usd, max_attempts=spending.max_attempts)
    account = SpendAccount(Path(spending.account), run=run.manifest["run"])
    return Guard(account, limits, parse_breaker(spending.breaker), tries_behind=spending.tries_behind)


def _together(before: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What two loads of one run have done together: counts are summed, the worst stall is the worse one."""
    both = {name: [loads[name] for loads in (before, facts) if name in loads] for name in _TOGETHER}
    return {name: _TOGETHER[name](values) for name, values in both.items() if values}


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The old tree with the branches that the changes name."""
    result = dict(old)
    for name, value in changes.items():
        inner = result.get(name)
        result[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
