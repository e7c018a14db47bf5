"""What all tests share: hypothesis measures no time, because these machines have neighbours.

On a CI machine its examples are the same in every run: a change is judged there, and not the luck of the draw.
Signals reach the programs under test: a suite that was started in the background, or by `nohup`, ignores some of
them, and what it starts would inherit that.
A test in real time runs a second time where it fails, and the summary counts it under "rerun": a machine that stood
still spoils one run, and a fault both. Virtual time has no second try.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

HANDLERS: Final[dict[signal.Signals, Any]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
}
for number, handler in HANDLERS.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

settings.register_profile(
    "any machine",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")

REAL_TIME: Final = ("sockets", "gateway", "real_time")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test in real time its second try."""
    for item in items:
        if any(item.get_closest_marker(name) for name in REAL_TIME):
            item.add_marker(pytest.mark.flaky(reruns=1))
