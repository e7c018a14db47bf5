"""Stages, desks and workers: real greenlets, a fake of Locust's connection between master and workers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
import orjson
import pytest

from whocut.chain.load import Load, LoadStage
from whocut.chain.plain import topology_to_plain
from whocut.config.sources import read_chain
from whocut.errors import BadInput
from whocut.load.conductor import CLOCK, WORD, Alone, Master, Worker
from whocut.load.desk import Desk
from whocut.load.gate import Gate
from whocut.load.session import Session
from whocut.trace.records import Attempt
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STAGES = (
    LoadStage(name="plain", mix={"plain": 1.0}, requests=7),
    LoadStage(name="stream", mix={"stream": 1.0}, requests=5, at_once=2),
)


LONG_S = 1e6


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with gevent.Timeout(60):
        yield


class Message:
    """What Locust hands to a listener."""

    def __init__(self, data: Any, node_id: str) -> None:
        self.data = data
        self.node_id = node_id


class Node:
    """A worker as Locust's master lists it."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.state = "running"


class Wire:
    """Locust's connection: what one side sends, the other hears a moment later, as bytes would."""

    def __init__(self) -> None:
        self.master = Runner(self, "")
        self.workers: dict[str, Runner] = {}
        self.nodes: dict[str, Node] = {}

    def worker(self, name: str) -> Runner:
        """One more worker."""
        self.workers[name] = Runner(self, name)
        self.nodes[name] = Node(name)
        return self.workers[name]

    def lose(self, name: str) -> None:
        """This worker's machine has gone."""
        del self.workers[name]
        self.nodes[name].state = "missing"


class Runner:
    """Either end, as `environment.runner`."""

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name
        self._listeners: dict[str, Callable[..., None]] = {}
        self.clients = self
        self.client_id, self.master_host = name, "127.0.0.1"

    @property
    def all(self) -> list[Node]:
        """The workers, as Locust's master lists them."""
        return list(self._wire.nodes.values())

    def register_message(self, kind: str, listener: Callable[..., None]) -> None:
        """Hear messages of one kind."""
        self._listeners[kind] = listener

    def send_message(self, kind: str, data: Any, to: str | None = None) -> None:
        """Say something to the other side."""
        if self._name:
            self._wire.master.hear(kind, data, self._name)
            return
        for name, worker in self._wire.workers.items():
            if to in {None, name}:
                worker.hear(kind, data, name)

    def hear(self, kind: str, data: Any, sender: str) -> None:
        """Something has come."""
        if kind in self._listeners:
            gevent.spawn(self._listeners[kind], environment=None, msg=Message(data, sender))


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """A run's directory, whose upstream is nobody of ours."""
    load = Load(
        base_url="http://127.0.0.1:1234/v1",
        stages=STAGES,
        users=4,
        seed=7,
        partial_images=2,
        upstream_control=None,
    )
    manifest = {
        "run": "run-1",
        "epoch_unix_s": 1.8e9,
        "clock": {"scale": 100.0, "origin": 0.0},
        "topology": topology_to_plain(read_chain("direct")),
        "load": load.to_plain(),
    }
    return RunDir.create(tmp_path / "run", manifest)


def user(desk: Desk, seen: list[str], stuck: Callable[[str], bool] = lambda _: False) -> None:
    """A user who answers an order in no time; or never, where it is stuck."""
    while taken := desk.take():
        round_, order = taken
        seen.append(order.request)
        if stuck(order.request):
            gevent.sleep(LONG_S)
        gevent.sleep(0)
        round_.done()


def until(happened: Callable[[], object]) -> None:
    """Let the others go on until it is so; the test's own bound is the patience."""
    while not happened():
        gevent.sleep(0.01)


def users(desk: Desk, seen: list[str], many: int = 4, **more: Any) -> None:
    """Several of them, as greenlets."""
    for _ in range(many):
        gevent.spawn(user, desk, seen, **more)


def test_alone_every_order_is_answered_once_and_stages_do_not_overlap(run_dir: RunDir) -> None:
    """Seven plain ones, and only then five streamed ones."""
    desk, seen = Desk(), list[str]()
    conductor = Alone(Session(run_dir), desk)
    users(desk, seen)

    conductor.conduct()

    assert sorted(seen) == [
        *(f"plain-{n:04d}" for n in range(1, 8)),
        *(f"stream-{n:04d}" for n in range(1, 6)),
    ]
    assert seen[:7] == sorted(seen[:7])
    assert conductor.facts()["answered"] == 12


def test_at_once_holds_the_others_back(run_dir: RunDir) -> None:
    """Two places: with both taken by somebody who never comes back, the third user gets no order."""
    desk, seen = Desk(), list[str]()
    conductor = Alone(Session(run_dir), desk)
    users(desk, seen, many=4, stuck=lambda name: name.startswith("stream"))

    gevent.spawn(conductor.conduct)
    until(lambda: sum(name.startswith("stream") for name in seen) >= 2)
    gevent.sleep(0.05)  # in which a third would come

    assert [name for name in seen if name.startswith("stream")] == ["stream-0001", "stream-0002"]


def told(run_dir: RunDir, **changes: Any) -> RunDir:
    """The same run, its load changed."""
    load = replace(Load.from_plain(run_dir.manifest["load"]), **changes)
    run_dir.manifest["load"] = load.to_plain()
    return run_dir


def refused_user(desk: Desk, seen: list[str]) -> None:
    """A user whose every request is refused, with a Retry-After of days."""
    while taken := desk.take():
        round_, order = taken
        seen.append(order.request)
        round_.done(LONG_S)


@pytest.mark.parametrize(("heeds", "asked"), [(True, 2), (False, 5)])
def test_a_refused_caller_keeps_its_place_for_its_retry_after(
    run_dir: RunDir, *, heeds: bool, asked: int
) -> None:
    """Or it would come again at once, and a sweep would count its haste; other runs leave that to the client."""
    level = LoadStage(name="2-at-once", mix={"plain": 1.0}, requests=5, at_once=2, heeds_retry_after=heeds)
    desk, seen = Desk(), list[str]()
    conductor = Alone(Session(told(run_dir, stages=(level,))), desk)
    for _ in range(4):
        gevent.spawn(refused_user, desk, seen)

    gevent.spawn(conductor.conduct)
    until(lambda: len(seen) >= asked)
    gevent.sleep(0.05)  # in which one more would come

    assert len(seen) == asked


def test_nobody_rests_beyond_the_end_of_a_stage(run_dir: RunDir) -> None:
    """The next level needs everybody at once."""
    levels = [
        LoadStage(name=name, mix={"plain": 1.0}, requests=2, at_once=2, heeds_retry_after=True)
        for name in ("a", "b")
    ]
    desk, seen = Desk(), list[str]()
    conductor = Alone(Session(told(run_dir, stages=tuple(levels))), desk)
    for _ in range(2):
        gevent.spawn(refused_user, desk, seen)

    conductor.conduct()

    assert sorted(seen) == ["a-0001", "a-0002", "b-0001", "b-0002"]


def test_a_second_load_asks_what_the_first_has_not_and_accounts_for_both(run_dir: RunDir) -> None:
    """A sweep sees its levels and then asks more: in one run, by another load."""
    first = Session(run_dir)
    first.close({"answered": 7, "worst_stall_real_s": 9.5, "cpu_s": 1000.0, "peak_bytes": 1})
    desk, seen = Desk(), list[str]()
    session = Session(told(run_dir, asked_before=1))
    conductor = Alone(session, desk)
    users(desk, seen)

    conductor.conduct()
    session.close(conductor.facts())

    assert sorted(seen) == [f"stream-{n:04d}" for n in range(1, 6)]
    both = run_dir.generator() or {}
    assert (both["answered"], both["worst_stall_real_s"]) == (12, 9.5)
    assert both["cpu_s"] >= 1000.0
    assert both["peak_bytes"] > 1


def test_closed_desk_sends_everybody_home(run_dir: RunDir) -> None:
    """Whoever waits for an order, for a place or for the next stage returns."""
    desk, seen = Desk(), list[str]()
    waiting = [gevent.spawn(user, desk, seen) for _ in range(3)]
    gevent.sleep(0)

    desk.close()

    gevent.joinall(waiting, raise_error=True)
    assert seen == []


def _from_the_fourth_on(name: str) -> bool:
    return name >= "plain-0004"


def master_of(session: Session, wire: Wire) -> Master:
    """A master that hears its workers' words."""
    master = Master(session, wire.master)
    wire.master.register_message(WORD, lambda msg, **_: master.hear(msg))
    wire.master.register_message(CLOCK, lambda msg, **_: master.tell_the_time(msg))
    return master


def heard_of(master: Master, worker: str) -> int:
    """How many answers of the stage the master knows of by a worker's word."""
    hand = master._hands.get(worker)
    return hand.answered if hand else 0


def crew(
    run_dir: RunDir, names: tuple[str, ...], **more: Any
) -> tuple[Wire, Master, dict[str, list[str]], dict[str, Session]]:
    """A master and its workers, each with a desk and three users of its own."""
    wire = Wire()
    seen: dict[str, list[str]] = {}
    sessions: dict[str, Session] = {}
    for name in names:
        desk = Desk()
        seen[name] = []
        Worker(desk, wire.worker(name), partial(sessions.__setitem__, name))
        users(desk, seen[name], many=3, **more.get(name, {}))
    return wire, master_of(Session(run_dir), wire), seen, sessions


def test_workers_share_a_stage_out_and_leave_nothing(run_dir: RunDir) -> None:
    """Three workers answer together what one would have answered alone."""
    _, master, seen, _ = crew(run_dir, ("a", "b", "c"))

    master.conduct()

    everything = sorted(name for names in seen.values() for name in names)
    assert everything == [
        *(f"plain-{n:04d}" for n in range(1, 8)),
        *(f"stream-{n:04d}" for n in range(1, 6)),
    ]
    assert not any(name.startswith("stream") for name in seen["c"])  # two places are two workers'
    assert master.facts()["answered"] == 12


def test_lost_worker_costs_its_share_and_is_named_with_the_instant(run_dir: RunDir) -> None:
    """The others go on; what the lost one had not answered is counted, and the next stage is shared without it."""
    wire, master, seen, _ = crew(run_dir, ("a", "b"), b={"stuck": _from_the_fourth_on})
    conducting = gevent.spawn(master.conduct)
    until(lambda: heard_of(master, "b") == 1)

    wire.lose("b")
    conducting.get()

    a, b = master.facts()["workers"]
    assert (a["worker"], a["answered"], a["lost"]) == ("a", 9, [])
    (loss,) = b["lost"]
    assert (loss["stage"], loss["share"], loss["answered"]) == ("plain", 3, 1)
    assert loss["last_heard_s"] > 0
    assert sorted(name for name in seen["a"] if name.startswith("stream")) == [
        f"stream-{n:04d}" for n in range(1, 6)
    ]


def test_stop_is_no_loss_of_the_workers_that_leave_after_it(run_dir: RunDir) -> None:
    """Locust takes stopped workers off its list until they are ready again: nobody has been lost."""
    wire, master, _, _ = crew(run_dir, ("a", "b"), b={"stuck": _from_the_fourth_on})
    conducting = gevent.spawn(master.conduct)
    until(lambda: heard_of(master, "b") == 1)

    master.stop()
    wire.lose("a")
    wire.lose("b")
    conducting.get()

    assert [worker["lost"] for worker in master.facts()["workers"]] == [[], []]


def test_worker_lost_before_the_stop_is_named_all_the_same(run_dir: RunDir) -> None:
    """Where the last worker goes, Locust itself stops the test."""
    wire, master, _, _ = crew(run_dir, ("b",), b={"stuck": _from_the_fourth_on})
    conducting = gevent.spawn(master.conduct)
    until(lambda: heard_of(master, "b") == 3)

    wire.lose("b")
    master.stop()
    conducting.get()

    (worker,) = master.facts()["workers"]
    assert [loss["stage"] for loss in worker["lost"]] == ["plain"]


def test_stop_ends_a_stage_that_nobody_answers_any_more(run_dir: RunDir) -> None:
    """Alone: the users have gone home, and no further stage begins."""
    session, desk = Session(run_dir), Desk()
    alone = Alone(session, desk)
    seen: list[str] = []
    users(desk, seen, stuck=_from_the_fourth_on)
    conducting = gevent.spawn(alone.conduct)
    until(lambda: len(seen) == 7)

    alone.stop()
    conducting.get()

    assert {name.partition("-")[0] for name in seen} == {"plain"}


def test_worker_on_the_machine_of_the_run_writes_into_its_directory(run_dir: RunDir) -> None:
    """Nothing has to travel."""
    _, master, _, sessions = crew(run_dir, ("a",))

    master.conduct()

    assert sessions["a"].posted == {}
    assert sessions["a"].run.path == run_dir.path


def test_worker_elsewhere_posts_its_records_to_the_master(run_dir: RunDir) -> None:
    """The path holds another run there: its lines come by the master, and none goes into the wrong directory."""
    wire = Wire()
    desk, sessions = Desk(), list[Session]()
    runner = wire.worker("far")
    Worker(desk, runner, sessions.append)
    session = Session(run_dir)
    master = master_of(session, wire)
    other = {**run_dir.manifest, "run": "another"}
    (run_dir.path / "manifest.json").write_bytes(orjson.dumps(other))
    seen: list[str] = []
    users(desk, seen)
    conducting = gevent.spawn(master.conduct)
    until(lambda: sessions)
    (far,) = sessions
    far._write_attempt(
        Attempt(
            request="plain-0001", number=1, mode="plain", trace_id="t", span_id="s", user=1, started_s=1.0
        )
    )

    conducting.get()

    assert [attempt.request for attempt in run_dir.attempts()] == ["plain-0001"]


def test_gate_is_refused_where_several_processes_would_each_count_for_themselves(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three at once in each of two processes are six."""
    monkeypatch.setattr(Gate, "made", 0)
    Gate(3, gap_s=2.0)
    _, master, _, _ = crew(run_dir, ("a", "b"))

    with pytest.raises(BadInput, match="run it without --processes"):
        master.conduct()
