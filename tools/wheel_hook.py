"""Builds the wheel: ships `scenarios/` as data of the package, and only where the package is copied.

An editable install reads the repository's own folder (`whocut/chain/shipped.py`). A plain `force-include` would put
a second copy of it into site-packages there, which goes stale.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShipScenarios(BuildHookInterface[Any]):
    """Adds the folder to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build; `version` is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"]["scenarios"] = "whocut/scenarios"
