"""What a test says in its marker, checked: every mistake is an error that names the nearest right spelling."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from whocut.chain.catalogue import preset
from whocut.chain.layers import Topology
from whocut.config.sources import read_chain
from whocut.errors import BadInput, nearest
from whocut_mock import Settings
from whocut_mock.settings import explained

if TYPE_CHECKING:
    import pytest

TIERS: Final = ("virtual", "scaled", "respx")
_ARGUMENTS: Final = ("chain", "host", "path", "upstream", "tier", "scale")
_SCALE: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The stage a test asks for."""

    topology: Topology
    settings: Settings
    tier: str
    scale: float = _SCALE


def wanted(node: pytest.Item, chain: object = None) -> Wanted:
    """What the test's markers say, the nearest one first; `chain` is a fixture's own argument.

    Raises:
        BadInput: an argument, a chain, a setting or a tier is unknown.
    """
    said: dict[str, Any] = {}
    for mark in node.iter_markers("whocut"):
        if mark.args:
            raise BadInput(
                f"whocut takes named arguments only: write @pytest.mark.whocut(chain={mark.args[0]!r})"
            )
        for name, value in mark.kwargs.items():
            if name not in _ARGUMENTS:
                raise BadInput(
                    f"@pytest.mark.whocut has no argument '{name}'{nearest(name, _ARGUMENTS)}; "
                    f"it takes {', '.join(_ARGUMENTS)}"
                )
            said.setdefault(name, value)
    if chain is not None:
        said["chain"] = chain
    return Wanted(
        topology=topology_of(
            said.get("chain"), Path(node.path).parent, host=said.get("host"), path=said.get("path")
        ),
        settings=settings_of(said.get("upstream")),
        tier=_tier(said.get("tier"), node),
        scale=scale_of(said.get("scale", _SCALE)),
    )


def topology_of(chain: object, beside: Path, *, host: str | None = None, path: str | None = None) -> Topology:
    """A chain as a test or a program names it: by name, by one source or several; files may lie `beside` it.

    Raises:
        BadInput: neither a name, nor a path, nor sources in their order, nor a topology.
    """
    if chain is None:
        return Topology(name="direct", client=preset("openai-python"), hops=())
    if isinstance(chain, Topology):
        return chain
    sources = [chain] if isinstance(chain, str | Path) else chain
    if not isinstance(sources, list | tuple) or not all(isinstance(one, str | Path) for one in sources):
        raise BadInput(
            f"chain={chain!r}: write a chain's name, a path to its file, a list of layers, or a Topology"
        )
    near = [_beside(str(source), beside) for source in sources]
    return read_chain(near, host=host, path=path)


def _beside(source: str, folder: Path) -> str:
    """A source whose file lies in the folder, with its path; any other as it is written."""
    said, equals, path = source.rpartition("=")
    return f"{said}{equals}{folder / path}" if (folder / path).is_file() else source


def settings_of(upstream: object) -> Settings:
    """The mock's settings by name, as one fault, or as they are.

    Raises:
        BadInput: a setting is unknown or its value is invalid.
    """
    if upstream is None:
        return Settings()
    if isinstance(upstream, Settings):
        return upstream
    if isinstance(upstream, str):
        upstream = {"faults": [{"fault": upstream}]}
    if not isinstance(upstream, Mapping):
        raise BadInput(f"upstream={upstream!r}: write settings by name, or one fault like 'rate_limited=12'")
    try:
        return Settings.model_validate(upstream)
    except ValidationError as error:
        raise BadInput(f"upstream: {explained(error)}") from None


def _tier(said: object, node: pytest.Item) -> str:
    """The tier by command line, by marker, or the one that fits the test: only `scaled` serves who blocks."""
    function = getattr(node, "obj", None)
    owned = issubclass(getattr(node, "cls", None) or object, unittest.IsolatedAsyncioTestCase)
    is_async = inspect.iscoroutinefunction(inspect.unwrap(function or len))
    fits = "virtual" if is_async and not owned else "scaled"
    tier = said or node.config.getoption("whocut_tier") or fits
    if tier not in TIERS:
        raise BadInput(f"there is no tier '{tier}'{nearest(str(tier), TIERS)}; there are {', '.join(TIERS)}")
    if tier != "scaled" and owned:
        raise BadInput(f"{node.name} runs on a loop of unittest's, where time is real: use tier='scaled'")
    if tier != "scaled" and fits == "scaled":
        raise BadInput(
            f"{node.name} is a plain function, and in the {tier} tier a client that blocks stops time: "
            "make it 'async def', or use tier='scaled'"
        )
    return str(tier)


def scale_of(scale: object) -> float:
    """A positive number of model seconds in one real second.

    Raises:
        BadInput: it is not a positive number.
    """
    if isinstance(scale, int | float) and scale > 0:
        return float(scale)
    raise BadInput(f"scale={scale!r}: write a number above zero; 100 lets 100 model seconds pass in one")
