"""A chain file: client, layers and upstream as people write them in YAML, by name or by path.

::

    client: openai-python            # 600 s per read, 5 s connect, 2 retries
    layers:                          # from the caller to the upstream
      - cloudflare                   # a preset
      - preset: nginx
        timers: {idle: 300s}         # a preset, changed: its knob, so `first_byte` too
      - gateway: haproxy             # the real thing, with the preset's limits or these
        timers: {first_byte: 60s}
    upstream: gpt-image-2
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from whocut.chain import catalogue
from whocut.chain.catalogue import TODAY, Duration, Limit
from whocut.chain.layers import Buffering, Layer, Role, Topology, Upstream
from whocut.chain.products import product
from whocut.chain.shipped import CHAINS
from whocut.chain.timers import TimerKind
from whocut.chain.yamlfile import YamlFile
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.products import Product


def _timer_kind(written: object) -> object:
    kinds = [str(kind) for kind in TimerKind]
    if isinstance(written, str) and written not in kinds:
        raise ValueError(
            f"there is no timer '{written}'{nearest(written, kinds)}; there are {', '.join(kinds)}"
        )
    return written


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetriesEntry(_Strict):
    """How often a layer tries by itself; `tries` counts the first. What is not said stays as in the preset."""

    tries: int | None = Field(default=None, ge=1)
    post: bool | None = None
    on_timeout: bool | None = None


class LayerEntry(_Strict):
    """One layer of the file: a preset's name, or a preset with changes, or a real gateway."""

    preset: str | None = None
    gateway: str | None = None
    config: str | None = None
    name: str | None = None
    timers: dict[Annotated[TimerKind, BeforeValidator(_timer_kind)], Duration] = {}
    buffering: Buffering | None = None
    retries: RetriesEntry | None = None
    notices_abort: bool | None = None


class UpstreamEntry(_Strict):
    """The model at the end, and what it is asked for; `heartbeat` is as in `Upstream`."""

    model: str = "gpt-image-2"
    size: str = "1024x1024"
    quality: str = "high"
    heartbeat: Duration = None


def _named(key: str) -> Callable[[Any], Any]:
    return lambda written: {key: written} if isinstance(written, str) else written


class ChainFile(_Strict):
    """The whole file."""

    edition: str = TODAY
    client: Annotated[LayerEntry, BeforeValidator(_named("preset"))] = LayerEntry(preset="openai-python")
    layers: list[Annotated[LayerEntry, BeforeValidator(_named("preset"))]] = []
    upstream: Annotated[UpstreamEntry, BeforeValidator(_named("model"))] = Field(default=UpstreamEntry())


def read_topology(path: Path) -> Topology:
    """The chain in a file.

    Raises:
        BadFile: the first mistake, with its line, field and the nearest right spelling.
    """
    file = YamlFile.read(path)
    if not isinstance(file.data, dict):
        raise BadFile(
            path, "a chain file names client, layers and upstream; this one holds no fields", line=1
        )
    written = file.validate(ChainFile)
    if written.edition not in catalogue.editions():
        known = catalogue.editions()
        raise file.bad(
            f"there is no edition '{written.edition}'{nearest(written.edition, known)}; there are "
            f"{', '.join(known)}",
            "edition",
        )
    client = _layer(file, written.client, written.edition, Role.CLIENT, ("client",))
    hops = [
        _layer(file, entry, written.edition, Role.HOP, ("layers", index))
        for index, entry in enumerate(written.layers)
    ]
    return Topology(
        name=path.stem,
        client=client,
        hops=tuple(_numbered(hops)),
        upstream=_upstream(file, written.upstream),
        edition=written.edition,
    )


def _layer(
    file: YamlFile, entry: LayerEntry, edition: str, role: Role, place: tuple[str | int, ...]
) -> Layer:
    called = entry.gateway or entry.preset
    if called is None or (entry.gateway and entry.preset):
        raise file.bad("a layer is named by `preset`, or by `gateway`: write one of them", *place)
    try:
        real = product(called) if entry.gateway else None
        layer = catalogue.preset(called, edition)
    except BadInput as error:
        raise file.bad(str(error), *place) from None
    if layer.role is not role:
        raise file.bad(f"'{called}' is a {layer.role} and cannot stand here as a {role}", *place)
    if entry.config is not None:
        raise file.bad(
            "a configuration of your own cannot be used yet; leave it out and write the limits as `timers`",
            *place,
            "config",
        )
    if entry.timers:
        limits = {
            kind: _limit(file, limit_s, (*place, "timers", str(kind)))
            for kind, limit_s in entry.timers.items()
        }
        try:
            catalogue.refuse_beyond(layer, limits)
        except BadInput as error:
            raise file.bad(error.problem, *place, "timers", error.field) from None
        layer = catalogue.with_limits(layer, limits)
    layer = catalogue.settled(
        replace(layer, name=entry.name or called, **_manners(file, layer, entry, place))
    )
    return _in_person(file, real, layer, entry, place) if real else layer


def _in_person(
    file: YamlFile, real: Product, layer: Layer, entry: LayerEntry, place: tuple[str | int, ...]
) -> Layer:
    """The layer as a product that stands there itself: with limits it can have, and with its own manners."""
    for said in ("buffering", "retries", "notices_abort"):
        if getattr(entry, said) is not None:
            raise file.bad(
                f"a real gateway does this as it does; write `preset: {real.name}` to emulate another",
                *place,
                said,
            )
    try:
        real.refuse(layer)
    except BadInput as error:
        raise file.bad(str(error), *place) from None
    return replace(layer, gateway=real.name)


def _limit(file: YamlFile, limit_s: float | None, place: tuple[str | int, ...]) -> Limit:
    """A limit with its place in the file."""
    line = file.line(place)
    return Limit(limit_s=limit_s, source=f"{file.path}:{line}", file=file.path, line=line)


def _manners(file: YamlFile, layer: Layer, entry: LayerEntry, place: tuple[str | int, ...]) -> dict[str, Any]:
    """What the file says of a layer beside its timers."""
    said: dict[str, Any] = {
        "buffering": entry.buffering,
        "notices_abort": entry.notices_abort,
        "retries": replace(
            layer.retries,
            **entry.retries.model_dump(exclude_none=True),
            file=file.path,
            line=file.line((*place, "retries")),
        )
        if entry.retries
        else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _upstream(file: YamlFile, entry: UpstreamEntry) -> Upstream:
    return Upstream(
        model=entry.model,
        size=entry.size,
        quality=entry.quality,
        heartbeat_s=entry.heartbeat,
        file=file.path,
        line=file.line(("upstream", "model")),
    )


def _numbered(layers: list[Layer]) -> list[Layer]:
    """Two layers of one name become ``nginx-1`` and ``nginx-2``: a verdict must name one layer."""
    counts = Counter(layer.name for layer in layers)
    seen: Counter[str] = Counter()
    named = []
    for layer in layers:
        seen[layer.name] += 1
        again = counts[layer.name] > 1
        named.append(replace(layer, name=f"{layer.name}-{seen[layer.name]}") if again else layer)
    return named


def shipped_chains(folder: Path) -> dict[str, Path]:
    """The chains that come with the package, by name."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_chain(name_or_path: str, folder: Path = CHAINS) -> Path:
    """The file of a chain given by name or by path.

    Raises:
        BadInput: neither a shipped chain nor a file; names the nearest one.
    """
    shipped = shipped_chains(folder)
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.exists():
        return path
    raise BadInput(
        f"there is no chain '{name_or_path}'{nearest(name_or_path, shipped)}; shipped are "
        f"{', '.join(shipped)}, and a path to a .yaml file is taken too"
    )


def read_chain(chain: str | Path | Topology) -> Topology:
    """A chain as data: by the name of a shipped one, by the path of a chain file, or as it is.

    Raises:
        BadInput: neither a shipped chain nor a file; names the nearest one.
        BadFile: the file says something that cannot be used, named with its line and field.
    """
    return chain if isinstance(chain, Topology) else read_topology(find_chain(str(chain)))
