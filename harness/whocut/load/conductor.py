"""One stage after the other: in this process, or shared out among Locust's workers by their master.

Words between master and workers, over Locust's own connection: the master tells each worker its share of a stage;
each worker tells how far it is, and posts its records if the run directory is on another machine. A worker that
falls silent has lost its share; the run continues with the others and says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import gevent
import gevent.event

from whocut.chain.load import DRAIN_S
from whocut.clock import Clock
from whocut.clock.clock import wall_s
from whocut.errors import BadInput, CouldNotRun, WhocutError
from whocut.load.gate import Gate
from whocut.load.local_chain import LocalChain
from whocut.load.machine import Elsewhere, exchange
from whocut.load.orders import Share
from whocut.load.session import Session
from whocut.load.words import KeptUp, read_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.load import LoadStage
    from whocut.load.desk import Desk

OPEN = "whocut.open"
STAGE = "whocut.stage"
WORD = "whocut.word"
CLOCK = "whocut.clock"
LAST = "whocut.last"
_MISSING = "missing"  # locust.runners.STATE_MISSING: importing Locust would patch every importer of this
_LOOK_EVERY_REAL_S = 0.2
_WORD_EVERY_REAL_S = 0.25
_LAST_WORD_REAL_S = 5.0
_PATIENCE_REAL_S = 10.0
_CHAIN_ENDS_REAL_S = 10.0


class Conductor(Protocol):
    """What takes the load through its stages."""

    def conduct(self) -> None:
        """Go through all stages; returns when the last answer has come, or the test was stopped."""

    def stop(self) -> None:
        """The test is stopped: no further stage."""

    def facts(self) -> dict[str, Any]:
        """How well the load kept up, for ``generator.json``."""


class Alone:
    """All stages in this process."""

    def __init__(self, session: Session, desk: Desk) -> None:
        self._session = session
        self._desk = desk
        self._stopped = gevent.event.Event()

    def conduct(self) -> None:
        """Go through all stages; returns when the last answer has come, or the test was stopped.

        Raises:
            BadInput: there is a mistake in the scenario.
        """
        for stage in self._session.load.stages[self._session.load.asked_before :]:
            self._session.enter(stage)
            if self._stopped.is_set():
                return
            round_ = self._desk.begin(self._session, stage, Share(), self._session.clock.now_s())
            gevent.wait((round_.over, self._stopped), count=1)
            if self._desk.failed:
                raise BadInput(self._desk.failed)

    def stop(self) -> None:
        """The test is stopped: no further stage."""
        self._stopped.set()

    def facts(self) -> dict[str, Any]:
        """How well this process kept up."""
        return {
            "answered": self._desk.answered,
            "not_asked": self._desk.not_asked,
            "silent": self._desk.silent,
            "raised": self._desk.raised,
            "raised_first": self._desk.raised_first,
            "kept_back": self._session.kept_back,
            **self._session.kept_up(),
        }


@dataclass
class _Hand:
    """One worker, as the master knows it."""

    name: str
    before: int = 0  # answered in earlier stages
    answered: int = 0  # answered in this one
    passed_over: int = 0  # not asked in this one
    not_asked: int = 0  # in all
    silent: int = 0
    raised: int = 0
    raised_first: str | None = None
    kept_back: str | None = None
    share: int = 0
    kept_up: KeptUp | None = None
    heard_s: float = 0.0
    lost: list[dict[str, Any]] = field(default_factory=list)
    said_last: bool = False

    @property
    def busy(self) -> bool:
        return self.answered + self.passed_over < self.share

    def facts(self) -> dict[str, Any]:
        return {
            "worker": self.name,
            "answered": self.before + self.answered,
            **(self.kept_up.model_dump(exclude_none=True) if self.kept_up else {}),
            "lost": self.lost,
        }


class Master:
    """All stages, shared out among the workers that are there when a stage begins."""

    def __init__(self, session: Session, runner: Any) -> None:
        self._session = session
        self._runner = runner
        self._hands: dict[str, _Hand] = {}
        self._stage = -1
        self._failed: str | None = None
        self._heard = gevent.event.Event()
        self._stopped = gevent.event.Event()
        runner.send_message(OPEN, {})  # before Locust's own word that starts the users

    def conduct(self) -> None:
        """Go through all stages, until the test is stopped; a lost worker's share is left unanswered.

        Raises:
            BadInput: the scenario has a gate, which counts the callers of one process only; or a mistake.
        """
        if Gate.made and len(self._present()) > 1:
            raise BadInput(
                "this scenario has a gate, and a gate counts the callers of one process: run it without --processes"
            )
        for number, stage in enumerate(self._session.load.stages):
            if number < self._session.load.asked_before:
                continue
            self._session.enter(stage)
            if self._stopped.is_set():
                return
            self._share_out(number, stage)
            while any(hand.busy and not hand.lost for hand in self._hands.values()):
                self._heard.wait(timeout=_LOOK_EVERY_REAL_S)
                self._heard.clear()
                if self._stopped.is_set():
                    return
                self._miss(stage)
                if self._failed:
                    raise BadInput(self._failed)
        self._runner.send_message(LAST, {})
        patience_real_s = _LAST_WORD_REAL_S
        if self._session.load.local_chain:
            patience_real_s += self._session.clock.real_s(DRAIN_S) + _CHAIN_ENDS_REAL_S
        with gevent.Timeout(patience_real_s, exception=False):
            while any(not (hand.said_last or hand.lost) for hand in self._hands.values()):
                gevent.sleep(_LOOK_EVERY_REAL_S)

    def stop(self) -> None:
        """The test is stopped, or no worker is left: a worker that has gone by now is lost, a later one is not."""
        if self._stage >= 0 and not self._stopped.is_set():
            self._miss(self._session.load.stages[self._stage])
        self._stopped.set()
        self._heard.set()

    def _share_out(self, number: int, stage: LoadStage) -> None:
        self._stage = number
        lost = {hand.name for hand in self._hands.values() if hand.lost}
        names = [name for name in self._present() if name not in lost][: stage.at_once]
        for hand in self._hands.values():
            hand.before, hand.answered, hand.passed_over, hand.share = hand.before + hand.answered, 0, 0, 0
        for index, name in enumerate(names):
            share = Share(index, len(names))
            hand = self._hands.setdefault(name, _Hand(name))
            hand.share = share.count(stage)
            hand.heard_s = self._session.clock.now_s()
            self._runner.send_message(
                STAGE,
                {
                    "run_dir": str(self._session.run.path),
                    "manifest": self._session.run.manifest,
                    "stage": number,
                    "index": index,
                    "of": len(names),
                    "began_s": self._session.clock.now_s(),
                },
                name,
            )

    def _present(self) -> list[str]:
        return sorted(node.id for node in self._runner.clients.all if node.state != _MISSING)

    def _miss(self, stage: LoadStage) -> None:
        present = set(self._present())
        for hand in self._hands.values():
            if hand.busy and not hand.lost and hand.name not in present:
                hand.lost.append(
                    {
                        "stage": stage.name,
                        "last_heard_s": round(hand.heard_s, 3),
                        "answered": hand.answered,
                        "share": hand.share,
                    }
                )

    def hear(self, msg: Any) -> None:
        """A worker's word."""
        try:
            word = read_word(msg.node_id, msg.data, self._session.run.epoch_unix_s)
        except BadInput as error:
            self._failed = self._failed or str(error)
            self._heard.set()
            return
        self._failed = self._failed or word.failed
        hand = self._hands.get(msg.node_id)
        self._session.append(word.lines)
        if hand is None:
            return
        hand.heard_s = self._session.clock.now_s()
        hand.kept_up = word.kept_up or hand.kept_up
        hand.said_last = hand.said_last or word.last
        hand.not_asked, hand.silent, hand.kept_back = word.not_asked, word.silent, word.kept_back
        hand.raised, hand.raised_first = word.raised, word.raised_first
        if word.stage == self._stage:
            hand.answered, hand.passed_over = word.answered, word.passed_over
        self._heard.set()

    def tell_the_time(self, msg: Any) -> None:
        """A worker asks how late it is; what it asked with goes back to it."""
        told = {"asked": msg.data, "now_s": self._session.clock.now_s()}
        self._runner.send_message(CLOCK, told, msg.node_id)

    def facts(self) -> dict[str, Any]:
        """How well the load kept up, worker by worker."""
        hands = list(self._hands.values())
        return {
            "answered": sum(hand.before + hand.answered for hand in hands),
            "not_asked": sum(hand.not_asked for hand in hands),
            "silent": sum(hand.silent for hand in hands),
            "raised": sum(hand.raised for hand in hands),
            "raised_first": next((hand.raised_first for hand in hands if hand.raised_first), None),
            "kept_back": next((hand.kept_back for hand in hands if hand.kept_back), None),
            "worst_stall_real_s": max(
                (hand.kept_up.worst_stall_real_s for hand in hands if hand.kept_up), default=0.0
            ),
            "cpu_s": round(sum(hand.kept_up.cpu_s for hand in hands if hand.kept_up), 2),
            "peak_bytes": sum(hand.kept_up.peak_bytes for hand in hands if hand.kept_up),
            "workers": [hand.facts() for hand in hands],
        }


class Worker:
    """A process that answers its share of each stage, and tells its master how far it is."""

    def __init__(self, desk: Desk, runner: Any, joined: Callable[[Session], None]) -> None:
        self._desk = desk
        self._runner = runner
        self._joined = joined
        self._session: Session | None = None
        self._chain: LocalChain | None = None
        self._run: str | None = None
        self._number = -1
        self._finishing = False
        self._told_the_time: gevent.event.AsyncResult = gevent.event.AsyncResult()
        self._runner.register_message(OPEN, self._open)
        self._runner.register_message(STAGE, self._hear_of_stage)
        self._runner.register_message(CLOCK, self._hear_the_time)
        self._runner.register_message(LAST, self._say_last)
        gevent.spawn(self._tell)

    def _open(self, **_: Any) -> None:
        self._desk.open()

    def _hear_of_stage(self, *, msg: Any, **_: Any) -> None:
        gevent.spawn(self._begin, msg.data)  # Locust takes no other message before this one is over

    def _hear_the_time(self, *, msg: Any, **_: Any) -> None:
        self._told_the_time.set((msg.data, wall_s()))

    def _ask_the_time(self) -> tuple[Any, float]:
        """One question, and when its answer came."""
        self._told_the_time = gevent.event.AsyncResult()
        self._runner.send_message(CLOCK, wall_s())
        try:
            told: tuple[Any, float] = self._told_the_time.get(timeout=_PATIENCE_REAL_S)
        except gevent.Timeout:
            raise CouldNotRun(
                "the master does not tell the time. Use the same version on all machines."
            ) from None
        return told

    def _begin(self, told: Any) -> None:
        try:
            self._join(told)
        except WhocutError as error:
            self._desk.fail(str(error))
            self.say()
            return
        assert self._session is not None
        self._number = told["stage"]
        stage = self._session.load.stages[self._number]
        if self._chain is not None:
            self._session.enter(stage)  # its own mock is to be as the master's
        self._desk.begin(self._session, stage, Share(told["index"], told["of"]), told["began_s"])

    def _join(self, told: Any) -> None:
        """Be ready for this run, if this is its first stage here.

        Raises:
            WhocutError: this worker cannot take part.
        """
        if self._session is not None and self._run == told["manifest"]["run"]:
            return
        self._run = told["manifest"]["run"]
        manifest, name = told["manifest"], self._runner.client_id
        where = Elsewhere.of(name, self._runner.master_host)
        if where is not None:
            where = replace(where, clock=exchange(self._ask_the_time, manifest))
        if manifest["load"]["local_chain"]:
            known = where.clock.clock if where and where.clock else Clock.of_run(manifest)
            self._chain = LocalChain.start(manifest, known, os.environ)
            where = replace(where, own_chain=True) if where else None
            self._session = Session.beside(self._chain.run_dir, where)
        else:
            self._session = Session.told(told["run_dir"], manifest, where)
        self._joined(self._session)

    def finish(self) -> None:
        """Let a chain of this worker's own finish what it works on, and send on what it wrote."""
        chain, session = self._chain, self._session
        if chain is None or session is None or self._finishing:
            return
        self._finishing = True
        chain.end(session.clock.real_s(DRAIN_S) + _CHAIN_ENDS_REAL_S)
        while chain.behind:
            self.say()
        chain.remove()

    def _tell(self) -> None:
        while True:
            if self._session is not None:
                if self._chain is not None and (why := self._chain.look()) is not None:
                    self._desk.fail(why)
                self.say()
            gevent.sleep(_WORD_EVERY_REAL_S)

    def _say_last(self, **_: Any) -> None:
        gevent.spawn(self._end)  # Locust takes no other message before this one is over

    def _end(self) -> None:
        self.finish()
        self.say(last=True)
        self._desk.close()

    def say(self, *, last: bool = False) -> None:
        """One word to the master: how far this process is, and the lines it has for it."""
        session, now = self._session, self._desk.round
        if session is None and self._desk.failed is None:
            return
        self._runner.send_message(
            WORD,
            {
                "stage": self._number,
                "answered": now.answered if now else 0,
                "passed_over": now.not_asked if now else 0,
                "not_asked": self._desk.not_asked,
                "silent": self._desk.silent,
                "raised": self._desk.raised,
                "raised_first": self._desk.raised_first,
                "kept_back": session.kept_back if session else None,
                "failed": self._desk.failed,
                "kept_up": self._kept_up(),
                "lines": self._lines(),
                "last": last,
            },
        )

    def _kept_up(self) -> dict[str, Any] | None:
        if self._session is None:
            return None
        stall_real_s = self._chain.stall_real_s if self._chain else None
        more = {} if stall_real_s is None else {"layers_stall_real_s": stall_real_s}
        return {**self._session.kept_up(), **more}

    def _lines(self) -> dict[str, bytes]:
        if self._chain is not None:
            return self._chain.take()
        return self._session.take_posted() if self._session else {}
