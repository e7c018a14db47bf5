"""whocut: which layer cut the request?

What is named in `__all__` is public: it is documented in docs/api.md, typed, and changes with a word in the
changelog. Everything else is private, whatever its name. Each name is imported when it is first used, so that
``import whocut`` costs nothing.

The way of a request is the way through these rooms: `client` asks, `path` carries, `trace` writes down, `verdict`
reads. `chain` is the vocabulary they share and `clock` the one door through which time comes in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whocut.chain.catalogue import preset
    from whocut.chain.layers import Layer, Topology
    from whocut.chain.timers import Timer
    from whocut.client.policy_transport import retrying_transport
    from whocut.client.reference_client import around, async_reference, reference
    from whocut.config.sources import read_chain
    from whocut.errors import BadInput, CouldNotRun, WhocutError
    from whocut.foreign.files import attribute_material as attribute
    from whocut.plugin.embedded import Chain, MockUpstream
    from whocut.proof.check import check_chain as check
    from whocut.trace.rundir import open_run
    from whocut.verdict.triage import triage
    from whocut.verdict.verdict import Grade, Verdict

__all__ = [
    "BadInput",
    "Chain",
    "CouldNotRun",
    "Grade",
    "Layer",
    "MockUpstream",
    "Timer",
    "Topology",
    "Verdict",
    "WhocutError",
    "around",
    "async_reference",
    "attribute",
    "check",
    "open_run",
    "preset",
    "read_chain",
    "reference",
    "retrying_transport",
    "triage",
]

_FOUND_IN = {
    "BadInput": "errors",
    "Chain": "plugin.embedded",
    "CouldNotRun": "errors",
    "Grade": "verdict.verdict",
    "Layer": "chain.layers",
    "MockUpstream": "plugin.embedded",
    "Timer": "chain.timers",
    "Topology": "chain.layers",
    "Verdict": "verdict.verdict",
    "WhocutError": "errors",
    "around": "client.reference_client",
    "async_reference": "client.reference_client",
    "attribute": "foreign.files:attribute_material",
    "check": "proof.check:check_chain",
    "open_run": "trace.rundir",
    "preset": "chain.catalogue",
    "read_chain": "config.sources",
    "reference": "client.reference_client",
    "retrying_transport": "client.policy_transport",
    "triage": "verdict.triage",
}


def __getattr__(name: str) -> Any:
    if name in _FOUND_IN:
        module, _, inside = _FOUND_IN[name].partition(":")
        return getattr(import_module(f"whocut.{module}"), inside or name)
    raise AttributeError(f"module 'whocut' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
