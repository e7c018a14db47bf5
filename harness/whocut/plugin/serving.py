"""A stage for one test: made as its marker says, walled off from the outside, and cleared away after it."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from whocut.clock import VirtualLoop
from whocut.errors import WhocutError
from whocut.plugin.marks import Wanted, wanted
from whocut.plugin.network import loopback_only
from whocut.plugin.outsiders import Outsiders
from whocut.plugin.routes import new_router, routed
from whocut.stage.memory import MemoryLoop
from whocut.stage.runners import Runner, ScaledRunner, VirtualRunner
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FAILED = pytest.StashKey[bool]()
ROUTER = pytest.StashKey[Any]()
_DRAWN = 3  # requests drawn below a failure


@contextmanager
def runner_for(node: pytest.Item, chain: object, patch: Callable[[], pytest.MonkeyPatch]) -> Iterator[Runner]:
    """The stage that this test asks for; `patch` gives the test's own patches, which are undone in their order."""
    __tracebackhide__ = True
    _refuse_if_claimed(node)
    try:
        asked = wanted(node, chain)
        runner = _runner(asked)
    except WhocutError as error:
        pytest.fail(f"whocut: {error}", pytrace=False)
    outsiders = Outsiders(runner) if isinstance(runner, VirtualRunner) else None
    with loopback_only(outsiders) as tried, ExitStack() as stack:
        stack.callback(runner.close)
        runner.start()
        if isinstance(runner, VirtualRunner) and outsiders is not None:
            runner.loop.watch(outsiders)
        if asked.tier == "respx":
            router = _router(runner)
            stack.enter_context(routed(router, patch()))
            node.stash[ROUTER] = router
        yield runner
    if tried and not node.stash.get(FAILED, False):  # the failure was swallowed
        pytest.fail(tried[0], pytrace=False)


def _runner(asked: Wanted) -> Runner:
    if asked.tier == "scaled":
        return ScaledRunner(
            Stage(topology=asked.topology, settings=asked.settings, scale=asked.scale, divides_waits=True)
        )
    stage = Stage(topology=asked.topology, settings=asked.settings)
    return VirtualRunner(stage, MemoryLoop if asked.tier == "respx" else VirtualLoop)


def _router(runner: Runner) -> Any:
    __tracebackhide__ = True
    try:
        return new_router(runner.stage.tap.port)
    except WhocutError as error:
        pytest.fail(f"whocut: {error}", pytrace=False)


def _refuse_if_claimed(node: pytest.Item) -> None:
    """A test cannot run on two loops: on another plugin's it would wait for our stage for ever."""
    __tracebackhide__ = True
    written = {
        mark.name for holder in ("obj", "cls", "module") for mark in _marks(getattr(node, holder, None))
    }
    for name in ("asyncio", "anyio", "trio"):
        if name in written:
            pytest.fail(
                f"whocut: {node.name} is marked '{name}' and asks for a whocut fixture: only one of them can "
                "run it. Take the mark away; whocut runs async tests by itself",
                pytrace=False,
            )


def _marks(holder: object) -> list[pytest.Mark]:
    """The marks that were written on a function, a class or a module; not those a plugin gave to all tests."""
    marks: Any = getattr(holder, "pytestmark", [])
    decorators: list[Any] = marks if isinstance(marks, list) else [marks]
    return [getattr(mark, "mark", mark) for mark in decorators]


def run_test(item: pytest.Function, runner: Runner | None, arguments: Mapping[str, Any]) -> None:
    """Run an async test where its stage plays; without one, in virtual time all the same."""
    __tracebackhide__ = True
    function = item.obj
    if not inspect.iscoroutinefunction(function):
        function = inspect.unwrap(function)
        if item.cls is not None:  # the wrapper knew its instance, the function in it does not
            function = function.__get__(item.instance)
    test = function(**arguments)
    if runner is not None:
        runner.run(test)
        return
    with asyncio.Runner(loop_factory=VirtualLoop) as bare:
        bare.run(test)


def drawn(runner: Runner) -> str:
    """The first requests of a test as waterfalls."""
    observed = runner.observed()
    return "\n\n".join(observed.drawing(request) for request in list(observed.requests)[:_DRAWN])
