"""A topology as plain data and back: what the manifest of a run holds, so that it can be judged anywhere."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from whocut.chain.layers import Topology

_ADAPTER = TypeAdapter(Topology)


def topology_to_plain(topology: Topology) -> dict[str, Any]:
    """Every layer with every limit."""
    plain: dict[str, Any] = _ADAPTER.dump_python(topology, mode="json")
    return plain


def topology_from_plain(plain: dict[str, Any]) -> Topology:
    """The topology a manifest holds.

    Raises:
        pydantic.ValidationError: it is not one.
    """
    return _ADAPTER.validate_python(plain)
