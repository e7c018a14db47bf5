"""Where the shipped scenarios and chains lie.

A wheel carries them as data of this package. An editable install has no copy: there they are the repository's own
folder `scenarios/`, beside the source root that this file belongs to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGED: Final = Path(__file__).parents[1] / "scenarios"

SCENARIOS: Final = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "scenarios"
CHAINS: Final = SCENARIOS / "chains"
