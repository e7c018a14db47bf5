"""Who asks, and when: the load, on Locust. The only importer of Locust, in a process of its own.

A scenario file writes ``from whocut.load import ImageUser, wanted``, and `Gate`, `Order`, `jobs` where needed.
Importing `ImageUser` imports Locust, and installs the hooks that make a run of a test.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from whocut.client import jobs
    from whocut.load.gate import Gate
    from whocut.load.image_user import ImageUser, wanted
    from whocut.load.orders import Order

__all__ = ["Gate", "ImageUser", "Order", "jobs", "wanted"]

_ROOMS: Final = {"Gate": "gate", "ImageUser": "image_user", "Order": "orders", "wanted": "image_user"}


def __getattr__(name: str) -> Any:
    if name == "jobs":
        jobs = import_module("whocut.client.jobs")
        jobs.prime()
        return jobs
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _ROOMS[name] == "image_user":
        import_module("whocut.load.locust_hooks")
    return getattr(import_module(f"whocut.load.{_ROOMS[name]}"), name)
