"""The layer between two taps, as ``--between OUTER,INNER=LAYER[:LIMITS]`` says it: its one reader.

The layer is a preset, a name of one's own, or the one layer of a user's own file. A chain file says the same with
``- tap: NAME`` before and behind the layer.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import catalogue, overridden, preset, settled
from whocut.chain.chainfile import no_files
from whocut.chain.durations import parse_duration
from whocut.chain.entries import names_file
from whocut.chain.layers import Between, Layer, Role, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.chainfile import FileReader

FLAG: Final = "--between"
_FORM: Final = "OUTER,INNER=LAYER, or OUTER,INNER=LAYER:first_byte=60s,idle=none"


def parse_between(written: Sequence[str], read_file: FileReader = no_files) -> tuple[Between, ...]:
    """Each ``--between``: two taps, a layer, and limits where they are not the preset's.

    Raises:
        BadInput: it is not of that form, a timer or a limit is unknown, or a place is said twice.
        BadFile: the layer's own file cannot be used.
    """
    found = tuple(_parsed(one, read_file) for one in written)
    said: set[tuple[str, str]] = set()
    for one in found:
        if (one.outer, one.inner) in said:
            raise _bad(f"what is between {one.outer} and {one.inner} is said twice. Write it once.")
        said.add((one.outer, one.inner))
    return found


def with_between(topology: Topology, written: Sequence[str], read_file: FileReader = no_files) -> Topology:
    """The chain, and what is said of the places between its taps.

    Raises:
        BadInput: as `parse_between`; or the chain names the layer of that place itself.
        BadFile: as `parse_between`.
    """
    between = parse_between(written, read_file)
    for one in between:
        if {one.outer, one.inner} <= {*topology.taps}:
            raise _bad(
                f"the chain {topology.name} has the taps {one.outer} and {one.inner} itself. "
                "Write the layer between them there."
            )
    return replace(topology, between=between)


def _parsed(written: str, read_file: FileReader) -> Between:
    taps, equals, said = written.partition("=")
    outer, comma, inner = (part.strip() for part in taps.partition(","))
    name, _, limits = (part.strip() for part in said.partition(":"))
    if not (equals and comma and outer and inner and name) or outer == inner:
        raise _bad(f"'{written}' does not name two taps and a layer. Write {_FORM}.")
    if names_file(name):
        return Between(outer, inner, _in_file(name, limits, read_file))
    known = catalogue().get(name)
    if known is not None and known.role is not Role.HOP:
        raise _bad(f"'{name}' is a client and cannot be between two taps. Name another layer.")
    layer = preset(name) if known is not None else Layer(name=name, title=name)
    return Between(outer, inner, _limited(layer, limits) if limits else layer)


def _in_file(name: str, limits: str, read_file: FileReader) -> Layer:
    if limits:
        raise _bad(f"the limits of '{name}' are those in the file. Leave ':{limits}' out.")
    layers = read_file(name, Path(), None, None)
    if len(layers) != 1:
        raise _bad(
            f"'{name}' holds {len(layers)} layers, and between two taps is one. Put a tap between them."
        )
    return layers[0]


def _limited(layer: Layer, written: str) -> Layer:
    limits = dict(_limit(layer, one) for one in written.split(","))
    if layer.preset:
        return settled(overridden(layer, limits, FLAG))
    timers = {
        kind: Timer(kind=kind, limit_s=limit_s, directive=str(kind), source=FLAG)
        for kind, limit_s in limits.items()
        if limit_s is not None
    }
    return replace(layer, timers=timers)


def _limit(layer: Layer, written: str) -> tuple[TimerKind, float | None]:
    name, equals, limit = (part.strip() for part in written.partition("="))
    kinds = {str(kind): kind for kind in TimerKind}
    if not equals or name not in kinds:
        raise _bad(
            f"{layer.name} has no timer '{name}'{nearest(name, kinds)}; there are {', '.join(kinds)}. "
            "Write a limit as idle=60s."
        )
    try:
        return kinds[name], parse_duration(limit)
    except ValueError as error:
        raise _bad(f"{name} of {layer.name}: {error}") from None


def _bad(sentence: str) -> BadInput:
    return BadInput(sentence, field=FLAG)
