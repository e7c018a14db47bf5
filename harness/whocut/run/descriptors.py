"""Open files: every connection is one, and the usual soft limit of 1,024 is 300 callers in a chain of three layers.

The soft limit protects programs that use `select()`, which no process of ours does. It is raised once, at the start
of the command; children inherit it.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Final

from whocut.errors import BadInput

if TYPE_CHECKING:
    from whocut.chain.layers import Topology

# A hard limit may be "none", or a billion; more than this is no use, and some programs walk through all of them.
_ENOUGH: Final = 1 << 20
# Files of a run itself, its libraries and its pipes, and connections that are being closed.
_SPARE_FILES: Final = 64
_A_HOP: Final = 2  # sockets that a hop holds for one caller: one towards it, one towards the model


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


def refuse_too_many(users: int, topology: Topology) -> None:
    """Refuse, before it starts, a load for which the layers' process may not open enough files.

    Raises:
        BadInput: the users do not fit; the sentence has the number that does.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    most = max(0, limit - _SPARE_FILES) // (_A_HOP * max(1, len(topology.standing)))
    if users > most:
        raise BadInput(
            f"{users} users do not fit: a process here may open {limit} files, which is enough for {most} users of "
            f"this chain. Ask for {most} at most, or raise the hard limit (ulimit -Hn).",
            field="users",
        )
