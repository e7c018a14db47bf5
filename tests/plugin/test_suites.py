"""The plugin in ordinary test suites: it works, or fails at once with a sentence; it never hangs."""

from __future__ import annotations

import importlib.util

import pytest

from tests.plugin.kept import LOADED
from tests.plugin.suites import CASES, complaint

pytest_plugins = "pytester"

assert LOADED


@pytest.mark.sockets
@pytest.mark.parametrize("name", CASES)
def test_a_suite_works_or_is_told_what_to_use(name: str, pytester: pytest.Pytester) -> None:
    """Each kind of suite that can be run with what is installed; the others are in `make plugin-matrix`."""
    case = CASES[name]
    missing = [module for module in case.modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} are not here: make plugin-matrix")
    pytester.makepyfile(case.whole)

    ran = pytester.runpytest(
        "-p", "no:locust", "-p", "no:hypothesispytest", "-p", "no:unraisableexception", *case.options
    )

    assert complaint(case, ran.ret, ran.stdout.str()) is None
