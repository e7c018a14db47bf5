"""Finds what registers itself: the files of a package that define a certain name.

A gateway driver, a family of contract checks: the file is there, and so it is known. No table elsewhere names it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any


def found_in(package: str, attribute: str) -> dict[str, Any]:
    """What the files of a package define under this name, by the names of the files, in their order.

    Files that define no such name are passed over; so are files that are being imported at this moment, for it is
    one of the package's own that asks.
    """
    found = {}
    for module in pkgutil.iter_modules(import_module(package).__path__):
        value = getattr(import_module(f"{package}.{module.name}"), attribute, None)
        if value is not None:
            found[module.name] = value
    return dict(sorted(found.items()))
