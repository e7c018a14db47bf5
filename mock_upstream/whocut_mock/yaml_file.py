"""YAML as people write settings: within a size and a depth, and without aliases.

A few hundred bytes of aliases become gigabytes, and depth ends a process: both are counted on the parser's events,
before a value is built from them.
"""

from pathlib import Path
from typing import Any

import yaml

SIZE_MOST_BYTES = 500_000
DEPTH_MOST = 32


def read(path: Path) -> Any:
    """The value of this file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not YAML, or too much of it; the text says which, without the file's name.
    """
    with path.open("rb") as file:
        written = file.read(SIZE_MOST_BYTES + 1)
    if len(written) > SIZE_MOST_BYTES:
        raise ValueError(f"this is longer than {SIZE_MOST_BYTES} bytes")
    try:
        text = written.decode("utf-8")
        _count(text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"this is not YAML: {' '.join(str(error).split())}") from None


def _count(text: str) -> None:
    """Look at the events alone: the parser keeps no more than the depth of them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line}: aliases are not taken; write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MOST:
                raise ValueError(f"line {line}: this is nested deeper than {DEPTH_MOST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
