"""Chains in one line, for the tests of what they do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from whocut.chain.catalogue import preset
from whocut.chain.layers import Layer, LayerRetries, Topology, Upstream
from whocut.chain.timers import Timer, TimerKind


def layer(name: str = "hop", *, tries: int = 1, **facts: Any) -> Layer:
    """A layer with these limits (``idle=60``) and manners (``notices_abort=False``)."""
    kinds = {str(kind) for kind in TimerKind}
    timers = {
        TimerKind(kind): Timer(kind=TimerKind(kind), limit_s=limit_s, directive=f"{name} {kind}")
        for kind, limit_s in facts.items()
        if kind in kinds
    }
    manners = {key: value for key, value in facts.items() if key not in kinds}
    retries = LayerRetries(tries=tries, post=tries > 1, on_timeout=tries > 1)
    return Layer(name=name, title=name, timers=timers, retries=retries, **manners)


def chain(*hops: Layer, client: Layer | None = None, tries: int = 3, **upstream: Any) -> Topology:
    """The official SDK, these hops, and an upstream."""
    sdk = client or preset("openai-python")
    sdk = replace(sdk, retries=replace(sdk.retries, tries=tries))
    return Topology(name="test", client=sdk, hops=hops, upstream=Upstream(**upstream))
