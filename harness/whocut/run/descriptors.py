"""Open files: every connection is one, and the usual soft limit of 1,024 is 300 callers in a chain of three layers.

The soft limit protects programs that use `select()`, which no process of ours does. It is raised once, at the start
of the command; children inherit it.
"""

from __future__ import annotations

import resource
from typing import Final

# A hard limit may be "none", or a billion; more than this is no use, and some programs walk through all of them.
_ENOUGH: Final = 1 << 20


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as it may go; returns the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _ENOUGH if soft == resource.RLIM_INFINITY else soft
    for limit in (wanted, 10_240):  # macOS refuses more than its OPEN_MAX although the hard limit is "none"
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError):
            continue
        return limit
    return soft
