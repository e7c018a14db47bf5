"""Refuses YAML that is nested too deep before a loader recurses into it: libyaml's ends the process with it.

Depth takes either a line that opens many sequences, or many brackets. Most texts have neither, and cost a look. The
others are counted on the parser's events, which keep no more than the depth of them.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from whocut.tables import LOADER

_MANY: Final = (
    500  # at twenty thousand levels libyaml's loader still came back, at a hundred thousand it did not
)
_IN_A_LINE: Final = re.compile(r"(?:[-?][ \t]+){200}")


def refuse_deep(text: str, most: int) -> None:
    """Say nothing of a text that is at most so deep, or that cannot be deep enough to do harm.

    Raises:
        yaml.MarkedYAMLError: it is nested deeper, with its place; or it is not YAML up to there.
    """
    if text.count("[") + text.count("{") < _MANY and not _IN_A_LINE.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > most:
                mark: Any = event.start_mark
                raise yaml.MarkedYAMLError(problem="it is nested too deep", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
