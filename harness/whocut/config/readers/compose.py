"""docker-compose files: the timers that services have in their environment, their commands and their labels.

Services come in the order in which they depend on each other: what depends on another is nearer to the caller.
"""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.readers.traefik import Settings, nested, routes_of
from whocut.config.reading import NotRead, Reading, Route
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer

_NOTHING: Final = Tree("", 0, None)


class _Variable(NamedTuple):
    """A variable of the environment: the timer that it is, of which product, and what its image is called."""

    product: str
    kind: TimerKind
    image: str


_VARIABLES: Final = {
    "STREAMING_TIMEOUT": [_Variable("new-api", TimerKind.IDLE, "")],
    "RELAY_TIMEOUT": [
        _Variable("one-api", TimerKind.TOTAL, "one-api"),
        _Variable("new-api", TimerKind.TOTAL, ""),
    ],
    "AIOHTTP_CLIENT_TIMEOUT": [_Variable("open-webui", TimerKind.TOTAL, "")],
    "PLUGIN_MAX_EXECUTION_TIMEOUT": [_Variable("dify", TimerKind.TOTAL, "")],
    "LITELLM_MAX_STREAMING_DURATION_SECONDS": [_Variable("litellm", TimerKind.TOTAL, "")],
    "REQUEST_TIMEOUT": [_Variable("litellm", TimerKind.FIRST_BYTE, "litellm")],
}
_IMAGES: Final = {
    "litellm": "litellm", "new-api": "new-api", "one-api": "one-api", "open-webui": "open-webui",
    "dify-plugin-daemon": "dify", "bifrost": "bifrost", "portkey": "portkey",
}  # fmt: skip
_GATEWAYS: Final = re.compile(r"nginx|openresty|haproxy|envoy|caddy|varnish|httpd|kong|litellm|traefik")
_CONFIGURATION: Final = re.compile(r"\.(?:conf|cfg|ya?ml|json|toml|vcl|template)$|file$")
_ASYNC: Final = re.compile(r"uvicorn|gthread|gevent|eventlet|asgi|tornado", re.IGNORECASE)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    services: dict[str, Tree] = {}
    for source in sources:
        for tree in yaml_trees(source.path, source.text):
            services |= dict((tree.get("services") or _NOTHING).items())
    if not services:
        raise BadFile(sources[0].path, "there are no services in it", line=1)
    traefik, owners = _traefik(services, not_read)
    for name, service in services.items():
        _note_files(name, service, not_read)
    layers = {
        name: layer
        for name, service in services.items()
        if (layer := _layer(name, service, not_read)) is not None
    }
    if not layers:
        if traefik is not None:
            return traefik
        raise BadFile(
            sources[0].path, f"none of its services has a timer that is known: {', '.join(services)}"
        )
    if traefik is not None and owners:
        routes = list(_behind_traefik(traefik, owners, layers, services, not_read))
        found = tuple(dict.fromkeys([*not_read, *traefik.not_read]))
        return Reading(routes=tuple(routes), not_read=found, host_first=False)
    front = [route.layers[0] for route in traefik.routes[:1]] if traefik else []
    order = _ordered(layers, services)
    first = services[order[0]] if order else next(iter(services.values()))
    if order:
        whole = (*front, *(layers[name] for name in order))
        routes = [Route(host="", path="", file=first.file, line=first.line, layers=whole)]
    else:
        routes = [
            Route(
                host="",
                path=f" service {name}",
                file=services[name].file,
                line=services[name].line,
                layers=(*front, layer),
            )
            for name, layer in layers.items()
        ]
    notes = [*not_read, *(traefik.not_read if traefik else ())]
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(notes)))


def _behind_traefik(
    traefik: Reading,
    owners: list[str],
    layers: dict[str, Layer],
    services: dict[str, Tree],
    not_read: list[NotRead],
) -> Iterator[Route]:
    """Each of Traefik's routes with the service that it leads to, and with those behind that one."""
    for route, owner in zip(traefik.routes, owners, strict=True):
        inside = {name: layers[name] for name in (owner, *_reached(owner, services)) if name in layers}
        order = _ordered(inside, services) if inside else []
        if inside and not order:
            what = f"which of {', '.join(inside)} is behind which is not read"
            not_read.append(NotRead(file=route.file, line=route.line, what=what))
            order = [owner] if owner in inside else []
        yield replace(route, layers=(*route.layers, *(layers[name] for name in order)))


def _ordered(layers: dict[str, Layer], services: dict[str, Tree]) -> list[str]:
    """The services with timers, from the caller inward; empty where their dependencies do not say it."""
    if len(layers) == 1:
        return list(layers)
    needs = {name: _reached(name, services) & set(layers) for name in layers}
    order = sorted(layers, key=lambda name: -len(needs[name]))
    sure = all(inner in needs[outer] for outer, inner in itertools.pairwise(order))
    return order if sure else []


def _reached(name: str, services: dict[str, Tree]) -> set[str]:
    """All that a service depends on, directly or not."""
    seen: set[str] = set()
    pending = [name]
    while pending:
        service = services.get(pending.pop())
        needs = (service.get("depends_on") if service else None) or _NOTHING
        for inner in [key for key, _ in needs.items()] or [one.text() for one in needs.each()]:
            if inner not in seen:
                seen.add(inner)
                pending.append(inner)
    return seen


# --- one service ----------------------------------------------------------------------------------


def _environment(service: Tree) -> Iterator[tuple[str, Tree]]:
    environment = service.get("environment") or _NOTHING
    yield from environment.items()
    if not environment.is_mapping:
        for entry in environment.each():
            name, equals, value = entry.text().partition("=")
            if equals:
                yield name, Tree(entry.file, entry.line, value)


def _words(service: Tree, *names: str) -> list[Tree]:
    """The words of a command, whether it is a text or a list; those of a shell's command are among them."""
    words: list[Tree] = []
    for name in names:
        found = service.get(name)
        if found is None:
            continue
        for part in found.each() if isinstance(found.value, list) else _split(found):
            words += _split(part) if " " in part.text() else [part]
    return words


def _split(command: Tree) -> list[Tree]:
    try:
        parts = shlex.split(command.text(), comments=False)
    except ValueError:
        parts = command.text().split()
    return [Tree(command.file, command.line, part) for part in parts]


def _note_files(name: str, service: Tree, not_read: list[NotRead]) -> None:
    """Name the configuration of a gateway that a service has from a file beside this one."""
    image = service.text("image").lower()
    if not _GATEWAYS.search(image):
        return
    for volume in (service.get("volumes") or _NOTHING).each():
        source = volume.text("source") or volume.text().partition(":")[0]
        if source.startswith((".", "/")) and _CONFIGURATION.search(source):
            what = f"service {name}: its configuration is {source}; give that file too"
            not_read.append(NotRead(file=volume.file, line=volume.line, what=what))


def _layer(name: str, service: Tree, not_read: list[NotRead]) -> Layer | None:
    image = service.text("image").lower()
    limits: dict[str, dict[TimerKind, Limit]] = {}
    for variable, value in _environment(service):
        for known in _VARIABLES.get(variable, ()):
            if known.image in image:
                one = _value(value, not_read)
                if one is not None:
                    limits.setdefault(known.product, {})[known.kind] = one
                break
    words = _words(service, "entrypoint", "command")
    for variable, value in _environment(service):
        if variable == "GUNICORN_CMD_ARGS":
            words = [
                Tree(value.file, value.line, "gunicorn"),
                *(Tree(value.file, value.line, word) for word in value.text().split()),
            ]
    gunicorn = _gunicorn(words, not_read)
    if gunicorn is not None and not any(part in image for part in _IMAGES):
        return layer_of(*gunicorn, name=name)
    product = next(iter(limits), None) or next(
        (product for part, product in _IMAGES.items() if part in image), None
    )
    if product is None:
        return None
    return layer_of(product, limits.get(product, {}), name=name)


def _value(value: Tree, not_read: list[NotRead]) -> Limit | None:
    text = value.text().strip()
    default = re.fullmatch(r"\$\{\w+:?-([^}]*)\}", text)
    if default:
        not_read.append(NotRead(file=value.file, line=value.line, what=f"{text}: its default is taken"))
        text = default[1]
    if not text:
        return None
    return limit_at(value, lambda written: units.or_none(units.seconds, written), not_read, text=text)


def _gunicorn(words: list[Tree], not_read: list[NotRead]) -> tuple[str, dict[TimerKind, Limit]] | None:
    names = [word.text() for word in words]
    if not any(name.rpartition("/")[2] == "gunicorn" for name in names):
        return None
    kind = "gunicorn-async" if _ASYNC.search(" ".join(names)) else "gunicorn-sync"
    limits: dict[TimerKind, Limit] = {}
    for place, word in enumerate(words):
        if word.text() in {"-c", "--config"} and "gunicorn" in names[:place]:
            file = names[place + 1] if place + 1 < len(names) else ""
            what = f"gunicorn's own configuration {file} is not read"
            not_read.append(NotRead(file=word.file, line=word.line, what=what))
        flag, _, value = word.text().partition("=")
        short = re.fullmatch(r"-t(\d+)", word.text())
        if flag not in {"--timeout", "-t", "--keep-alive"} and not short:
            continue
        written = value or (short[1] if short else names[place + 1] if place + 1 < len(names) else "")
        where = TimerKind.KEEPALIVE if flag == "--keep-alive" else TimerKind.TOTAL
        if where is TimerKind.TOTAL and kind == "gunicorn-async":
            continue  # a heartbeat of the worker alone
        put(
            limits,
            where,
            limit_at(word, lambda text: units.or_none(units.seconds, text), not_read, text=written),
        )
    return kind, limits


def _traefik(services: dict[str, Tree], not_read: list[NotRead]) -> tuple[Reading | None, list[str]]:
    """Traefik, if a service is one: its flags, and the labels of all services, with the owner of each router."""
    flags: list[tuple[str, Tree]] = []
    labels: list[tuple[str, Tree]] = []
    owners: dict[str, str] = {}
    found = False
    for service_name, service in services.items():
        if "traefik" in service.text("image").lower():
            found = True
            for word in _words(service, "command"):
                flag, equals, value = word.text().lstrip("-").partition("=")
                if equals:
                    flags.append((flag, Tree(word.file, word.line, value)))
        written = service.get("labels") or service.get("deploy", "labels") or _NOTHING
        pairs = list(written.items()) or [
            (name, Tree(one.file, one.line, value))
            for one in written.each()
            for name, _, value in [one.text().partition("=")]
        ]
        for name, label in pairs:
            if name.startswith("traefik."):
                labels.append((name.removeprefix("traefik."), label))
            router = re.match(r"traefik\.http\.routers\.([^.]+)\.", name)
            if router:
                owners.setdefault(router[1], service_name)
    if not found:
        return None, []
    return routes_of(Settings(trees=[nested(flags), nested(labels)], not_read=not_read)), list(
        owners.values()
    )


_SERVICES: Final = re.compile(r"^services\s*:", re.MULTILINE)
_IMAGE: Final = re.compile(r"^[ \t]++image\s*:", re.MULTILINE)


def _looks(source: Source) -> int:
    name = file_name(source)
    if not name.endswith((".yaml", ".yml")) or not source.has(_SERVICES, "services"):
        return 0
    return 92 if "compose" in name or source.has(_IMAGE, "image") else 40


COMPOSE: Final = register(
    Format(name="compose", title="docker-compose.yml", looks=_looks, read=_read, also=("docker-compose",))
)
