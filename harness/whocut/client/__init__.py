"""The first layer: attempts on the wire, and the policy that decides about the next one.

`reference` and `async_reference` make the client that does it right, `around` makes it of a client that one has;
`retrying_transport` is the policy alone, for a client on httpx or httpx2. What they need is imported when they are
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whocut.client.policy_transport import retrying_transport
    from whocut.client.reference_client import around, async_reference, reference

__all__ = ["around", "async_reference", "reference", "retrying_transport"]

_FOUND_IN = {"retrying_transport": "policy_transport"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        # A caller without the SDK stays quick.
        return getattr(import_module(f"whocut.client.{_FOUND_IN.get(name, 'reference_client')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
