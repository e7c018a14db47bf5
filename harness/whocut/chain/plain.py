"""A topology as plain data and back: what the manifest of a run holds, so that it can be judged anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from whocut.chain.layers import Topology
from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def topology_of(manifest: Mapping[str, Any]) -> Topology:
    """The topology of a run that was written before, perhaps elsewhere.

    Raises:
        BadInput: the manifest holds no topology, or one that cannot be read.
    """
    try:
        return topology_from_plain(manifest["topology"])
    except KeyError:
        raise BadInput("the run's manifest is incomplete: it has no topology. Run it again.") from None
    except (ValidationError, BadInput, RecursionError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise BadInput(
            f"the topology in the run's manifest cannot be read: {why}. Use the version that wrote it."
        ) from None
