"""The logs that a run's gateways have kept: where they lie, and what they say on the run's clock.

nginx's error log stays beside them for people. It counts whole seconds, which at 1:100 are a hundred of the run's,
and so cannot say which request of a connection it means.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.trace.logs.formats import formats
from whocut.trace.logs.reading import Read, read_file, told_together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.chain.layers import Topology
    from whocut.trace.logs.records import Account

LOGS: Final = "logs"
ACCESS: Final = "access.log"
ERROR: Final = "error.log"
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.-]")


def folder_of(logs: Path, position: int, layer: str) -> Path:
    """Where the gateway at a position keeps its logs."""
    return logs / f"{position}-{_STRANGE.sub('_', layer)}"


def accounts_of(run: Path, topology: Topology, *, epoch_unix_s: float, scale: float) -> Iterator[Account]:
    """What the access logs of a run's gateways say, in model seconds since the run began."""
    for position, layer in enumerate(topology.standing, start=1):
        path = folder_of(run / LOGS, position, layer.name) / ACCESS
        if not layer.gateway or not path.is_file():
            continue
        read = Read()
        read_file(path, formats()[layer.gateway], layer.name, read)
        for account in told_together(read.accounts):
            end_s, took_s = account.end_s, account.duration_s
            yield replace(
                account,
                end_s=None if end_s is None else (end_s - epoch_unix_s) * scale,
                duration_s=None if took_s is None else took_s * scale,
                coarse_s=account.coarse_s * scale,
                place=account.place.removeprefix(f"{run}/"),
            )
