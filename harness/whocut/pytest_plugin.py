"""The pytest plugin: two fixtures and a marker, and nothing forced on a test that does not ask.

::

    @pytest.mark.whocut(chain="edge-60")
    async def test_bills_once(whocut_chain):
        client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test")
        ...
        whocut_chain.assert_billed_once()

pytest imports this file in every run on every machine where whocut is installed. So it imports nothing itself: a
test that asks for a fixture pays for what is behind it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from whocut.plugin.chain import WhocutChain, WhocutUpstream
    from whocut.stage.runners import Runner

MARKER = (
    "whocut(chain=None, upstream=None, tier=None, scale=100): the chain by name or file, the mock's settings by "
    "name or one fault, and virtual, respx or scaled time"
)
_runner = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option: the tier of every test that does not name its own."""
    group = parser.getgroup("whocut")
    group.addoption("--whocut-tier", default=None, help="virtual, scaled or respx, for tests that name none")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also under --strict-markers."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture(name="_whocut_runner")
def _whocut_runner_fixture(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """The stage a test asks for, serving; one for both fixtures."""
    from whocut.plugin.serving import runner_for  # noqa: PLC0415  # see above

    def patch() -> pytest.MonkeyPatch:
        patches: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        return patches

    with runner_for(request.node, _chain_argument(request), patch) as runner:
        request.node.stash[_runner] = runner
        yield runner


@pytest.fixture
def whocut_upstream(_whocut_runner: Runner) -> WhocutUpstream:
    """The mock upstream: `base_url`, `ledger`, `settings`."""
    from whocut.plugin.chain import WhocutUpstream  # noqa: PLC0415  # see above

    return WhocutUpstream(_whocut_runner)


@pytest.fixture
def whocut_chain(request: pytest.FixtureRequest, _whocut_runner: Runner) -> WhocutChain:
    """The chain in front of the mock: `base_url`, `attempts`, `verdict()`, and the assertions."""
    from whocut.plugin.chain import WhocutChain  # noqa: PLC0415  # see above
    from whocut.plugin.serving import ROUTER  # noqa: PLC0415  # see above

    return WhocutChain(_whocut_runner, request.node.stash.get(ROUTER, None))


def _chain_argument(request: pytest.FixtureRequest) -> object:
    """A chain given by ``@pytest.mark.parametrize("whocut_chain", […], indirect=True)``."""
    callspec = getattr(request.node, "callspec", None)
    return callspec.params.get("whocut_chain") if callspec is not None else None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that is ours; leave every other test to the plugin that claims it."""
    # Another plugin may have wrapped every async test into a plain function (asyncio_mode=auto).
    if not inspect.iscoroutinefunction(inspect.unwrap(pyfuncitem.obj)):
        return None
    runner = pyfuncitem.stash.get(_runner, None)
    ours = runner is not None or pyfuncitem.get_closest_marker("whocut") is not None
    if not ours:
        return None
    from whocut.plugin.serving import run_test  # noqa: PLC0415  # see above

    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001  # as pytest's own hook does it
    run_test(pyfuncitem, runner, {name: pyfuncitem.funcargs[name] for name in names})
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Draw what the layers saw below any failure that does not show it already."""
    report = yield
    runner = item.stash.get(_runner, None)
    if runner is not None and report.when == "call" and report.failed:
        from whocut.plugin.serving import FAILED, drawn  # noqa: PLC0415  # see above

        item.stash[FAILED] = True
        drawing = drawn(runner)
        if drawing and drawing.splitlines()[0] not in str(report.longrepr):
            report.sections.append(("whocut: what the layers saw", drawing))
    return report


def __getattr__(name: str) -> Any:
    if name == "UNKNOWN_OUTCOME":
        from whocut.plugin.endings import UNKNOWN_OUTCOME  # noqa: PLC0415  # see above

        return UNKNOWN_OUTCOME
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
