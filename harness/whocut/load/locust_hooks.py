"""Locust's own events, and what each means here: which session opens, who conducts, when the desk closes.

===================  ==========================================  =============================================
Locust runs          the run directory comes from                the stages are conducted by
===================  ==========================================  =============================================
under `whocut run`   the environment variable ``WHOCUT_RUN``     this process, or the master of `--processes`
as plain `locust`    `whocut run --stand`, started as a child    this process, or the master
as a worker          its master's word                           its master
===================  ==========================================  =============================================
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.runners import MASTER_HEARTBEAT_TIMEOUT, STATE_SPAWNING, STATE_STOPPED, MasterRunner, WorkerRunner

from whocut.chain.load import DRAIN_S
from whocut.clock.clock import calendar_s, wall_s
from whocut.errors import BadInput, CouldNotRun, WhocutError
from whocut.load import options, sealed
from whocut.load.child import RunChild
from whocut.load.conductor import CLOCK, WORD, Alone, Conductor, Master, Worker
from whocut.load.desk import DESK
from whocut.load.image_user import ImageUser
from whocut.load.scenario_file import file_of, place_of
from whocut.load.session import Session
from whocut.load.tab.page import add_tab
from whocut.load.tab.runs import ShownRun, ShownRuns, State
from whocut.trace.rundir import write_refusal

RUN_VARIABLE = "WHOCUT_RUN"
_TOO_EARLY = "the test was ended before upstream and chain were ready; no image was asked for"
_MASTER_LOST = (
    f"the master was not heard of for {MASTER_HEARTBEAT_TIMEOUT} s, and this worker ends; what it had posted "
    "is in the run directory there"
)
_STALL_EVERY_S = 0.02
_LOOK_EVERY_REAL_S = 0.25


class _Hooks:
    """What is going on in this process: one test after the other, each with its session."""

    def __init__(self) -> None:
        self.began = False
        self._session: Session | None = None
        self._child: RunChild | None = None
        self._conductor: Conductor | None = None
        self._worker: Worker | None = None
        self._watching: list[gevent.Greenlet] = []
        self._runs = ShownRuns()
        self._run: ShownRun | None = None
        self._page: Any = None  # Locust's environment, where it has a page
        self._consent: dict[str, Any] = {}
        self._chain_at_start: str | None = None
        self._stop_timeout_real_s: float | None = None  # the user's own, if any

    def options(self, parser: Any, **_: object) -> None:
        """Our group of options; not where `whocut run` has read its own already."""
        if RUN_VARIABLE not in os.environ:
            options.add_options(parser, self._scenario)

    @property
    def _scenario(self) -> type[ImageUser] | None:
        """The user class of the scenario: the last one that was made of ours."""
        classes = ImageUser.__subclasses__()
        return classes[-1] if classes else None

    def init(self, environment: Any, **_: object) -> None:
        """A worker listens to its master from the beginning; a page gets our tab."""
        self._stop_timeout_real_s = environment.stop_timeout
        self._consent = options.consent_in(environment.parsed_options)
        self._chain_at_start = getattr(environment.parsed_options, "whocut_chain", None)
        if isinstance(environment.runner, WorkerRunner):
            self._worker = Worker(DESK, environment.runner, self._open)
        if isinstance(environment.runner, MasterRunner):
            environment.runner.register_message(WORD, self._hear)  # once; there may be several tests
            environment.runner.register_message(CLOCK, self._tell_the_time)
            # Locust's master ends its workers as it quits, in a listener that it has made after ours. The one that
            # was made last is called first.
            environment.events.quitting.add_listener(self._drain)
        if environment.web_ui is not None:
            self._page = environment
            told = environment.parsed_options
            try:
                add_tab(environment.web_ui, self._runs, told.web_base_path, told.web_host)
            except BadInput as error:
                sys.stderr.write(f"whocut: {error}\n")
                raise SystemExit(2) from None  # Locust would log an Exception, and go on without the guard

    def _hear(self, *, msg: Any, **_: object) -> None:
        if isinstance(self._conductor, Master):
            self._conductor.hear(msg)

    def _tell_the_time(self, *, msg: Any, **_: object) -> None:
        if isinstance(self._conductor, Master):
            self._conductor.tell_the_time(msg)

    def test_start(self, environment: Any, **_: object) -> None:
        """Open the session and conduct the stages; a mistake in use ends Locust with its sentence and exit code."""
        self.began = True
        if isinstance(environment.runner, WorkerRunner):
            return
        DESK.open()
        run = self._run = self._runs.begin()
        if self._page is not None:
            # The harness around the load takes a second or more to start. A page that meanwhile heard of a test
            # that is only ready would go back to its start form, and stay there.
            environment.runner.update_state(STATE_SPAWNING)
        try:
            self._check(environment.user_classes)
            session = self._prepare(environment)
        except WhocutError as error:
            self._refuse(environment, error)
            return
        except gevent.GreenletExit:
            run.refuse(_TOO_EARLY)
            environment.runner.update_state(STATE_STOPPED)
            raise
        except Exception as error:  # noqa: BLE001  # Locust would log it and wait for ever
            self._refuse(
                environment, CouldNotRun(f"the load could not begin: {type(error).__name__}: {error}")
            )
            return
        run.state, run.run_dir = State.UNDER_LOAD, session.run.path
        self._open(session)
        environment.stop_timeout = self._stop_timeout_real_s or session.clock.real_s(DRAIN_S)
        runner = environment.runner
        self._conductor = (
            Master(session, runner) if isinstance(runner, MasterRunner) else Alone(session, DESK)
        )
        gevent.spawn(self._conduct, environment, self._conductor)

    def _check(self, classes: list[type]) -> None:
        """Whether this is a scenario of ours: one user class, and it says what it asks.

        Raises:
            BadInput: it is not; names the file.
        """
        ours = [found for found in classes if issubclass(found, ImageUser)]
        place = file_of((ours or classes)[0])
        names = ", ".join(found.__name__ for found in classes)
        if len(ours) != 1 or len(classes) != 1:
            raise BadInput(
                f"{place}: a scenario has one user class, made from whocut.load.ImageUser; this one has "
                f"{names}"
            )
        if ours[0].ask is ImageUser.ask:
            raise BadInput(
                f"{place}: {names} has no ask(self, client, order), which says what one order means"
            )

    def user_error(self, exception: Exception, tb: Any, **_: object) -> None:
        """An error in a user that nothing caught: a mistake in the scenario, with its place."""
        place, what = place_of(self._scenario or ImageUser, exception, tb)
        DESK.fail(f"{place}: the scenario failed before its request went out: {what}")

    def _prepare(self, environment: Any) -> Session:
        path = os.environ.get(RUN_VARIABLE)
        if path:
            return Session.here(Path(path))
        scenario = self._scenario
        assert scenario is not None
        parsed = environment.parsed_options
        options.hold_to(self._consent, parsed, self._chain_at_start)
        users = getattr(environment.runner, "target_user_count", None) or parsed.num_users
        arguments = ["--users", str(users), *options.as_arguments(parsed)]
        self._child = RunChild(file_of(scenario), arguments, live=self._page is not None)
        options.account_begun(self._consent, parsed)
        return Session.here(self._child.run_dir)

    def _open(self, session: Session) -> None:
        self._session = ImageUser.session = session
        # A full collection visits every object there is, and all users wait meanwhile (74 ms with the SDK and
        # Locust alone): what has been imported by now stays for good, and is visited no more.
        gc.collect()
        gc.freeze()
        gevent.killall(self._watching, block=False)
        self._watching = [gevent.spawn(_watch_the_hub, session), gevent.spawn(self._watch_the_house)]

    def _conduct(self, environment: Any, conductor: Conductor) -> None:
        try:
            conductor.conduct()
        except WhocutError as error:
            self._refuse(environment, error)
            return
        if conductor is not self._conductor or DESK.closed.is_set():
            return  # it was stopped
        DESK.close()
        if environment.web_ui is None:
            environment.runner.quit()
        else:
            environment.runner.stop()

    def test_stopping(self, **_: object) -> None:
        """No more orders: users that wait for one end, and what is in flight is drained."""
        DESK.close()
        if self._conductor is not None:
            self._conductor.stop()
        if self._run is not None and self._run.state is State.UNDER_LOAD:
            self._run.state = State.DRAINING

    def test_stop(self, environment: Any, **_: object) -> None:
        """Write how well the load kept up; plain Locust then has the run judged."""
        if self._worker is not None:
            self._worker.finish()
            self._worker.say()
            # A worker that has stopped sleeps that long again before it is ready, and all in flight is drained now.
            environment.stop_timeout = 0
        if self._session is None or self._conductor is None:
            return
        if not self._session.closed:
            with suppress(FileNotFoundError):  # the run directory was removed: the child will say so
                self._session.close(self._conductor.facts())
        self._conductor = None
        if self._child is not None and self._run is not None:
            child, self._child = self._child, None
            run = self._run
            run.state = State.JUDGING
            environment.process_exit_code = child.end()
            run.end(environment.process_exit_code, child.last_words)

    def quitting(self, environment: Any, **more: object) -> None:
        """The same, where the test was not stopped before: what is in flight is drained, and only then counted."""
        heard_s = getattr(environment.runner, "last_heartbeat_timestamp", None)
        if (
            heard_s is not None and calendar_s() - heard_s > MASTER_HEARTBEAT_TIMEOUT
        ):  # Locust ends for that reason
            sys.stderr.write(f"whocut: {_MASTER_LOST}\n")
            environment.process_exit_code = CouldNotRun.exit_code
        self._drain(environment)
        self.test_stop(environment, **more)
        if self._run is not None and (self._run.state is State.STARTING or self._run.sentence == _TOO_EARLY):
            sys.stderr.write(f"whocut: {_TOO_EARLY}\n")
            environment.process_exit_code = CouldNotRun.exit_code

    def _drain(self, environment: Any, **_: object) -> None:
        DESK.close()
        if self._session is not None and self._conductor is not None and not self._session.closed:
            with suppress(FileNotFoundError):
                # The process that waits for us may not have the patience for the whole drain.
                self._session.say({**self._conductor.facts(), "draining": True})
        if self._child is not None or self._conductor is not None:
            environment.runner.stop()

    def _watch_the_house(self) -> None:
        """The load ends when the harness around it has gone, for no process is left to take its records.

        A page stays: it says why, and another test can be started from it.
        """
        parent = os.getppid()
        while os.getppid() == parent and not (self._child and self._child.gone):
            gevent.sleep(_LOOK_EVERY_REAL_S)
        if self._page is not None and os.getppid() == parent:
            self._page.runner.stop()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def _refuse(self, environment: Any, error: WhocutError) -> None:
        """End the test with this mistake's sentence and exit code; with a page, the page stays and says it.

        Where there is a run directory, the harness around the load reads the sentence in it, and says it.
        """
        said = error.at_flag if isinstance(error, BadInput) else str(error)
        path = os.environ.get(RUN_VARIABLE) or (self._child and self._child.run_dir)
        if path:
            write_refusal(Path(path), said)
            if self._session is not None:
                self._session.closed = True
        else:
            sys.stderr.write(f"whocut: {said}\n")
        DESK.close()
        environment.process_exit_code = error.exit_code
        if self._run is not None:
            self._run.refuse(said)
        gevent.spawn(environment.runner.quit if self._page is None else environment.runner.stop)


def _watch_the_hub(session: Session) -> None:
    """A greenlet that only sleeps: by how much it wakes too late is by how much all others do."""
    while True:
        before = wall_s()
        gevent.sleep(_STALL_EVERY_S)
        session.stalled(wall_s() - before - _STALL_EVERY_S)


def _install() -> _Hooks:
    """Listen to Locust's events on behalf of all users of our class."""
    hooks = _Hooks()
    listeners: list[tuple[Any, Any]] = [  # Locust's hooks carry no types
        (events.init_command_line_parser, hooks.options),
        (events.init, hooks.init),
        (events.test_start, hooks.test_start),
        (events.test_stopping, hooks.test_stopping),
        (events.test_stop, hooks.test_stop),
        (events.quitting, hooks.quitting),
        (events.user_error, hooks.user_error),
    ]
    for event, listener in listeners:
        event.add_listener(listener)
    sealed.install()
    return hooks


HOOKS = _install()
"""What is going on in this process: importing this file installs it, once."""
