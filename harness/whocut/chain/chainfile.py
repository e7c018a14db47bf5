"""A chain file: client, layers and upstream as people write them in YAML, by name or by path.

::

    client: openai-python            # 600 s per read, 5 s connect, 2 retries
    layers:                          # from the caller to the upstream
      - cloudflare                   # a preset
      - preset: nginx
        timers: {idle: 300s}         # a preset, changed: its knob, so `first_byte` too
      - preset: kong
        timers: {read_timeout: 300s} # … or by the vendor's own name of the knob
      - gateway: haproxy             # the real thing, with the preset's limits or these
        timers: {first_byte: 60s}
      - ./nginx.conf                 # a user's own file; nginx=FILE where its name does not tell the format
      - gateway: nginx               # the real thing, started from a user's own file
        config: ./nginx.conf
      - name: our-worker             # a layer of one's own: what is written is all that is known of it
        timers:
          total: {limit: 150s, directive: JOB_TIMEOUT, knob: "JOB_TIMEOUT={s}"}
        answers: {status: 504, body: timed out}
      - tap: outer                   # a `whocut tap` that reports to --otlp; `door` is that of `whocut up`
      - caddy                        # between two taps: it runs elsewhere, and is only judged
      - tap: inner
    upstream: gpt-image-2
    host: img.example.com            # of the request, where a file has several routes; and its `path`
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whocut.chain import catalogue
from whocut.chain.catalogue import Limit
from whocut.chain.entries import ChainFile
from whocut.chain.knobs import kind_of
from whocut.chain.layers import Layer, Role, Topology, Upstream
from whocut.chain.products import product
from whocut.chain.shipped import CHAINS
from whocut.chain.there import is_there
from whocut.chain.yamlfile import YamlFile
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whocut.chain.entries import LayerEntry, OwnTimer, UpstreamEntry
    from whocut.chain.products import Product
    from whocut.chain.timers import TimerKind

    # What a user's own file says of a request to this host and path, as layers from the caller inward.
    FileReader = Callable[[str, Path, str | None, str | None], Sequence[Layer]]

# What a file may say of a layer beside its timers.
_MANNERS = ("buffering", "retries", "notices_abort", "answers", "silent", "mid_body", "leaves_work")


def no_files(written: str, folder: Path, host: str | None, path: str | None) -> Sequence[Layer]:
    """Refuse a user's own file: this room knows no format.

    Raises:
        BadInput: always; says where such files are read.
    """
    del folder, host, path
    raise BadInput(
        f"'{written}' is a file of another format; it is read by whocut.read_chain and the commands"
    )


def read_topology(path: Path, read_file: FileReader = no_files) -> Topology:
    """The chain in a file; users' own files among its layers are read by `read_file`.

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
    if written.client.file is not None:
        raise file.bad("a file holds layers, and no client; write a client's preset", "client")
    client = _layer(file, written.client, written.edition, Role.CLIENT, ("client",))
    hops: list[Layer] = []
    for index, entry in enumerate(written.layers):
        place = ("layers", index)
        if entry.tap is not None:
            hops.append(_written_at(file, _tap(file, entry, entry.tap, place), place))
        elif entry.config is not None:
            hops.append(
                _from_config(file, entry, entry.config, read_file, (written.host, written.path), place)
            )
        elif entry.file is None:
            layer = _layer(file, entry, written.edition, Role.HOP, place)
            hops.append(_written_at(file, layer, place))
        else:
            hops += _in_file(file, entry.file, entry, read_file, (written.host, written.path), place)
    _refuse_taps_alike(file, hops)
    return Topology(
        name=path.stem,
        client=_written_at(file, client, ("client",)) if "client" in file.data else client,
        hops=tuple(numbered(hops)),
        upstream=_upstream(file, written.upstream),
        edition=written.edition,
    )


def _tap(file: YamlFile, entry: LayerEntry, name: str, place: tuple[str | int, ...]) -> Layer:
    said = sorted(entry.model_fields_set - {"tap"})
    if said:
        raise file.bad("a tap only watches, and has nothing but its name. Leave it out", *place, said[0])
    return Layer(name=name, title=f"the tap {name}", tap=True, silent=True)


def _refuse_taps_alike(file: YamlFile, hops: Sequence[Layer]) -> None:
    """A tap is found by the name that it has in its records, and no other layer may have it."""
    names = Counter(hop.name for hop in hops)
    for index, hop in enumerate(hops):
        if hop.tap and names[hop.name] > 1:
            raise file.bad(
                f"two layers are named '{hop.name}', and one of them is a tap. Give each its own name: a tap has "
                "that of `whocut tap --name`",
                *(("layers", index, "tap") if len(hops) == len(file.data["layers"]) else ("layers",)),
            )


def _layer(
    file: YamlFile, entry: LayerEntry, edition: str, role: Role, place: tuple[str | int, ...]
) -> Layer:
    called = entry.gateway or entry.preset
    if entry.gateway and entry.preset:
        raise file.bad("a layer is named by `preset`, or by `gateway`: write one of them", *place)
    if called is None:
        return _own(file, entry, role, place)
    try:
        real = product(called) if entry.gateway else None
        layer = catalogue.preset(called, edition)
    except BadInput as error:
        raise file.bad(str(error), *place) from None
    if layer.role is not role:
        raise file.bad(f"'{called}' is a {layer.role} and cannot be a {role} here", *place)
    if entry.name and entry.name != called:
        layer = replace(layer, name=entry.name, title=f"{entry.name} ({layer.title})")
    layer = _limited(file, layer, entry, place)
    layer = catalogue.settled(replace(layer, **_manners(file, layer, entry, place)))
    return _in_person(file, real, layer, entry, place) if real else layer


def _written_at(file: YamlFile, layer: Layer, place: tuple[str | int, ...]) -> Layer:
    """The layer with its place in the chain file."""
    return replace(layer, file=file.path, line=file.line(place))


def _in_file(
    file: YamlFile,
    named: str,
    entry: LayerEntry,
    read_file: FileReader,
    request: tuple[str | None, str | None],
    place: tuple[str | int, ...],
) -> Sequence[Layer]:
    """The layers of a user's own file; the file alone says what they do."""
    said = [name for name in entry.model_fields_set if name not in {"file", "name", "gateway", "config"}]
    if said:
        raise file.bad("what the layer does is written in its file. Change it there", *place, min(said))
    try:
        layers = read_file(named, Path(file.path).parent, *request)
    except BadFile:
        raise
    except BadInput as error:
        raise file.bad(error.problem, *place) from None
    if entry.name is None:
        return layers
    if len(layers) != 1:
        raise file.bad(f"the file holds {len(layers)} layers, and one name is not enough", *place, "name")
    return [replace(layers[0], name=entry.name, title=f"{entry.name} ({layers[0].title})")]


def _from_config(
    file: YamlFile,
    entry: LayerEntry,
    config: str,
    read_file: FileReader,
    request: tuple[str | None, str | None],
    place: tuple[str | int, ...],
) -> Layer:
    """A real gateway that is started from the user's own configuration, with the limits that it has."""
    if entry.gateway is None:
        raise file.bad(
            "a configuration starts a real gateway: write `gateway`, or `file`",
            *place,
            "config",
        )
    try:
        real = product(entry.gateway)
    except BadInput as error:
        raise file.bad(str(error), *place) from None
    if real.is_program:
        raise file.bad(
            f"{real.title} is configured by a program, and a program's limits cannot be read. Leave `config` out "
            "and write them as `timers`; or start your program yourself, between two `whocut tap`s",
            *place,
            "config",
        )
    layers = _in_file(file, f"{real.name}={config}", entry, read_file, request, place)
    if len(layers) != 1:
        raise file.bad(
            f"the configuration holds {len(layers)} layers, and a gateway is one", *place, "config"
        )
    path = str(Path(file.path).parent / config)
    return replace(layers[0], name=entry.name or layers[0].name, gateway=real.name, config=path)


def _own(file: YamlFile, entry: LayerEntry, role: Role, place: tuple[str | int, ...]) -> Layer:
    """A layer that no preset describes: what the file says of it is all that is known."""
    if entry.name is None:
        raise file.bad(
            "the layer has no name; write `preset`, or `gateway`, or the `name` and `timers` of your own",
            *place,
        )
    if entry.timers is None:
        known = catalogue.catalogue()
        hint = f", or `preset: {entry.name}`" if entry.name in known else nearest(entry.name, known)
        raise file.bad(
            f"'{entry.name}' says neither `preset` nor `timers`; write its timers, {{}} for none{hint}",
            *place,
        )
    if role is Role.CLIENT and entry.answers:
        raise file.bad("a client sends no answers; leave it out", *place, "answers")
    layer = Layer(name=entry.name, title=entry.name, role=role)
    layer = _limited(file, layer, entry, place)
    return replace(layer, **_manners(file, layer, entry, place))


def _limited(file: YamlFile, layer: Layer, entry: LayerEntry, place: tuple[str | int, ...]) -> Layer:
    """The layer with the limits of the file; a knob is named by its timer, or as its vendor names it."""
    limits: dict[TimerKind, Limit] = {}
    for written, timer in (entry.timers or {}).items():
        where = (*place, "timers", written)
        try:
            kind = kind_of(layer, written)
            limit = _limit(file, timer, where)
            catalogue.refuse_beyond(layer, {kind: limit})
        except BadInput as error:
            raise file.bad(error.problem, *where) from None
        if kind in limits:
            raise file.bad(f"it is `{kind}`, which is written already; write it once", *where)
        limits[kind] = limit
    return catalogue.with_limits(layer, limits)


def _in_person(
    file: YamlFile, real: Product, layer: Layer, entry: LayerEntry, place: tuple[str | int, ...]
) -> Layer:
    """The layer as the real product: with limits the product can have, and with its own manners."""
    for said in _MANNERS:
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


def _limit(file: YamlFile, timer: OwnTimer, place: tuple[str | int, ...]) -> Limit:
    """A limit with its place in the file."""
    line = file.line(place)
    return Limit(
        limit_s=timer.limit,
        source=f"{file.path}:{line}",
        file=file.path,
        line=line,
        unknown=timer.unknown,
        directive=timer.directive,
        knob=timer.knob,
        most_s=timer.most,
    )


def _manners(file: YamlFile, layer: Layer, entry: LayerEntry, place: tuple[str | int, ...]) -> dict[str, Any]:
    """What the file says of a layer beside its timers."""
    said: dict[str, Any] = {name: getattr(entry, name) for name in _MANNERS}
    if entry.retries:
        said["retries"] = replace(
            layer.retries,
            **entry.retries.model_dump(exclude_none=True),
            file=file.path,
            line=file.line((*place, "retries")),
        )
    if entry.answers:
        said["answers"] = {
            **layer.answers,
            **{event: answer.answer for event, answer in entry.answers.items()},
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


def numbered(layers: Sequence[Layer]) -> list[Layer]:
    """Two layers of one name become ``nginx-1`` and ``nginx-2``: a verdict must name one layer."""
    counts = Counter(layer.name for layer in layers)
    seen: Counter[str] = Counter()
    named = []
    for layer in layers:
        seen[layer.name] += 1
        again = counts[layer.name] > 1
        named.append(replace(layer, name=f"{layer.name}-{seen[layer.name]}") if again else layer)
    return named


def shipped_chains(folder: Path = CHAINS) -> dict[str, Path]:
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
    if path.suffix in {".yaml", ".yml"} or is_there(path):
        return path
    raise BadInput(
        f"there is no chain '{name_or_path}'{nearest(name_or_path, shipped)}; shipped are "
        f"{', '.join(shipped)}, and a path to a .yaml file is taken too"
    )
