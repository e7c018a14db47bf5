"""The project's own tables of data, in YAML, and `LOADER`, by which all YAML here is read.

libyaml reads in a tenth of the time of PyYAML's own parser. Where PyYAML came without it, it is PyYAML's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from pathlib import Path

LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def table(path: Path) -> Any:
    """What the file holds, as plain data.

    Raises:
        yaml.YAMLError: the file is not YAML.
    """
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506  # a safe loader
