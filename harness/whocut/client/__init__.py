"""The first layer: attempts on the wire, and the policy that decides about the next one.

`reference` and `async_reference` make the client that does it right, `around` makes it of a client that one has.
They import the SDK when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whocut.client.reference_client import around, async_reference, reference

__all__ = ["around", "async_reference", "reference"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from whocut.client import reference_client as module  # noqa: PLC0415  # a caller without the SDK stays quick

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
