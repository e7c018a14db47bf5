"""What all tests share: hypothesis measures no time, because these machines have neighbours.

On a CI machine its examples are the same in every run: a change is judged there, and not the luck of the draw.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")
