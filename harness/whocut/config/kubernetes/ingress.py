"""Ingress objects, by the controller that serves them: each reads its own annotations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from whocut.chain.layers import Buffering, LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.kubernetes.objects import NOTHING, Objects, Thing
from whocut.config.matching import any_host, path_rank
from whocut.config.reading import Later, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank
    from whocut.config.trees import Tree

_NGINX: Final = "nginx.ingress.kubernetes.io/"
_INC: Final = "nginx.org/"
_ALB: Final = "alb.ingress.kubernetes.io/"
_HAPROXY: Final = ("haproxy.org/", "haproxy-ingress.github.io/", "ingress.kubernetes.io/")
_KONG: Final = "konghq.com/"
_TRAEFIK: Final = "traefik.ingress.kubernetes.io/"
_OF_HAPROXY: Final = "HAProxy's"
_SNIPPETS: Final = ("backend-config-snippet", "config-backend")
# Each timer with its name in a section of HAProxy's, and the default that is said of it where none is written.
_HAPROXY_TIMERS: Final = (
    (TimerKind.CONNECT, "timeout-connect", ("connect", "5 s by its version")),
    (TimerKind.FIRST_BYTE, "timeout-server", ("server", "50 s or none by its version")),
    (TimerKind.KEEPALIVE, "timeout-keep-alive", ("http-keep-alive", "")),
)
_CONTROLLERS_OWN: Final = "the controller's"
_KINDS: Final = {"Exact": "exact", "Prefix": "segments"}


@dataclass(frozen=True, slots=True)
class _Controller:
    """A controller: the classes that mean it, the prefix of its annotations, and its reader."""

    classes: tuple[str, ...]
    prefixes: tuple[str, ...]
    read: Callable[[Objects, Thing], Layer]


def ingress_routes(objects: Objects) -> Iterator[Route]:
    """A route for each host and path of each Ingress."""
    for ingress in objects.all("Ingress"):
        controller = _controller(objects, ingress)
        if controller is None:
            objects.note(ingress.tree, f"Ingress {ingress.name}: which controller serves it is not said")
            continue
        canary = ingress.annotation(f"{_NGINX}canary")
        sure = canary is None or canary.text() != "true"
        if not sure:
            objects.note(ingress.tree, f"Ingress {ingress.name}: a share or a header decides at run time")
        layers = Later(partial(_layers, controller, objects, ingress))
        for rule in (ingress.spec.get("rules") or NOTHING).each():
            host = rule.text("host")
            for path in (rule.get("http", "paths") or NOTHING).each():
                kind = _KINDS.get(path.text("pathType"), "prefix")
                yield _route(host, path.text("path") or "/", path, kind, layers, sure=sure)
        default = ingress.spec.get("defaultBackend") or ingress.spec.get("backend")
        if default is not None:
            yield _route("", "/", default, "prefix", layers, sure=sure)


def _layers(controller: _Controller, objects: Objects, ingress: Thing) -> tuple[Layer, ...]:
    return (controller.read(objects, ingress),)


def _route(
    host: str, path: str, where: Tree, kind: str, layers: Sequence[Layer], *, sure: bool = True
) -> Route:
    """A route; of a canary it is taken where no other one is."""

    def takes(asked: str) -> Rank | None:
        # ingress-nginx takes a path with a group as a regular expression.
        pattern = re.search(r"[(*$\\]", path)
        rank = path_rank("regex", f"{path}.*", asked) if pattern else path_rank(kind, path, asked)
        return None if rank is None else (int(sure), *rank)

    return Route(
        host=host,
        path=path,
        file=where.file,
        line=where.line,
        layers=layers,
        takes_host=any_host([host] if host else ["*"]),
        takes_path=takes,
    )


def _controller(objects: Objects, ingress: Thing) -> _Controller | None:
    """The controller that the class names; where the class says none, the one whose annotations are written."""
    said = ingress.spec.text("ingressClassName") or (
        found.text() if (found := ingress.annotation("kubernetes.io/ingress.class")) else ""
    )
    of_class = objects.named("IngressClass", said)
    said = f"{said} {of_class.spec.text('controller')}" if of_class else said
    by_class = _of_class(said)
    # F5's controller and ingress-nginx share their class's name.
    if by_class is not None and by_class.read is not _ingress_nginx:
        return by_class
    notes = [name for name, _ in (ingress.tree.get("metadata", "annotations") or NOTHING).items()]
    places = [place for name in notes if (place := _of_annotation(name)) is not None]
    by_notes = _CONTROLLERS[min(places)] if places else None
    return by_notes if by_class is None or by_notes is _CONTROLLERS[0] else by_class


# Ten thousand objects say one class, and annotations of a few names.
@lru_cache(maxsize=1_000)
def _of_class(said: str) -> _Controller | None:
    """The first controller that a class means."""
    said = said.lower()
    return next((one for one in _CONTROLLERS if any(name in said for name in one.classes)), None)


@lru_cache(maxsize=1_000)
def _of_annotation(name: str) -> int | None:
    """The place among the controllers of the first that reads an annotation."""
    return next((at for at, one in enumerate(_CONTROLLERS) if name.startswith(one.prefixes)), None)


# --- controllers ----------------------------------------------------------------------------------


def _ingress_nginx(objects: Objects, ingress: Thing) -> Layer:
    """ingress-nginx: annotations of the Ingress before the controller's ConfigMap."""
    maps = objects.by("ConfigMap", _whose, _CONTROLLERS_OWN)
    shared = maps[0].tree.get("data") if maps else None
    limits: dict[TimerKind, Limit] = {}
    for kind, name in (
        (TimerKind.CONNECT, "proxy-connect-timeout"),
        (TimerKind.FIRST_BYTE, "proxy-read-timeout"),
        (TimerKind.KEEPALIVE, "keep-alive"),
    ):
        own, outer = ingress.annotation(_NGINX + name), shared.get(name) if shared else None
        if own is not None and not re.fullmatch(r"\d+", own.text().strip()):
            objects.note(
                own, f"{name}: '{own.text()}' is no whole number of seconds; the controller takes its default"
            )
            own = None
        put(
            limits,
            kind,
            limit_at(
                own or outer,
                units.nginx,
                objects.not_read,
                inherited=own is None,
                zero_fires=kind is not TimerKind.KEEPALIVE,
            ),
        )
    for name in ("configuration-snippet", "server-snippet"):
        snippet = ingress.annotation(_NGINX + name)
        if snippet is not None and "_timeout" in snippet.text():
            objects.note(snippet, f"{name}: it sets timeouts of its own, which are not read")
    return layer_of(
        "ingress-nginx",
        limits,
        buffering=Buffering.CONTENT_LENGTH
        if _on(objects, ingress, shared, "proxy-buffering")
        else Buffering.NONE,
        retries=_nginx_retries(ingress, shared),
    )


def _whose(config: Thing) -> str:
    of_controller = config.tree.get("data", "proxy-read-timeout") or "nginx" in config.name
    return _CONTROLLERS_OWN if of_controller else ""


def _on(objects: Objects, ingress: Thing, shared: Tree | None, name: str) -> bool:
    del objects
    own = ingress.annotation(_NGINX + name) or (shared.get(name) if shared else None)
    return own is not None and own.text() in {"on", "true"}


def _nginx_retries(ingress: Thing, shared: Tree | None) -> LayerRetries:
    found = ingress.annotation(f"{_NGINX}proxy-next-upstream") or (
        shared.get("proxy-next-upstream") if shared else None
    )
    count = ingress.annotation(f"{_NGINX}proxy-next-upstream-tries") or (
        shared.get("proxy-next-upstream-tries") if shared else None
    )
    on = (found.text() if found else "error timeout").split()
    written = count.text() if count else "3"
    return LayerRetries(
        tries=1 if "off" in on else max(1, int(written)) if written.isdecimal() else 3,
        post="non_idempotent" in on,
        on_timeout="timeout" in on,
        file=found.file if found else "",
        line=found.line if found else None,
    )


def _nginx_inc(objects: Objects, ingress: Thing) -> Layer:
    """The controller of F5 NGINX: its annotations are nginx's own directives."""
    limits: dict[TimerKind, Limit] = {}
    for kind, name in (
        (TimerKind.CONNECT, "proxy-connect-timeout"),
        (TimerKind.FIRST_BYTE, "proxy-read-timeout"),
        (TimerKind.KEEPALIVE, "keepalive-timeout"),
    ):
        put(
            limits,
            kind,
            limit_at(ingress.annotation(_INC + name), units.nginx, objects.not_read, zero_fires=True),
        )
    buffering = ingress.annotation(f"{_INC}proxy-buffering")
    off = buffering is not None and buffering.text().lower() in {"false", "off"}
    return layer_of("nginx", limits, buffering=Buffering.NONE if off else None)


def _alb(objects: Objects, ingress: Thing) -> Layer:
    """AWS Load Balancer Controller: the balancer's attributes are one text of pairs."""
    limits: dict[TimerKind, Limit] = {}
    found = ingress.annotation(f"{_ALB}load-balancer-attributes")
    idle = re.search(r"idle_timeout\.timeout_seconds=(\w+)", found.text() if found else "")
    if idle:
        put(limits, TimerKind.FIRST_BYTE, limit_at(found, units.seconds, objects.not_read, text=idle[1]))
    return layer_of("aws-alb", limits)


def _haproxy(objects: Objects, ingress: Thing) -> Layer:
    """Both controllers on HAProxy: a snippet of the backend's section, the Service, the Ingress, the ConfigMap."""
    limits: dict[TimerKind, Limit] = {}
    owners = [*_services(objects, ingress), ingress]
    snippets = [found for owner in owners if (found := owner.annotation(*_names(_SNIPPETS))) is not None]
    maps = objects.by("ConfigMap", _has_timeouts, _OF_HAPROXY)
    for kind, name, default in _HAPROXY_TIMERS:
        in_snippet = next(
            (
                (snippet, found[1])
                for snippet in snippets
                for found in re.finditer(rf"^\s*timeout\s+{default[0]}\s+(\w+)", snippet.text(), re.MULTILINE)
            ),
            None,
        )
        own = next((found for one in owners if (found := one.annotation(*_names((name,)))) is not None), None)
        shared = maps[0].tree.get("data", name) if maps else None
        if in_snippet is not None:
            snippet, written = in_snippet
            put(limits, kind, limit_at(snippet, units.haproxy, objects.not_read, text=written))
            continue
        put(limits, kind, limit_at(own or shared, units.haproxy, objects.not_read, inherited=own is None))
        if own is None and shared is None and default[1]:
            what = f"{name}: the controller's own default, {default[1]}, is not in these files"
            objects.note(ingress.tree, what)
    return layer_of("haproxy", limits)


def _names(names: Sequence[str]) -> list[str]:
    """Annotations under the prefixes of both controllers."""
    return [prefix + name for name in names for prefix in _HAPROXY]


def _has_timeouts(config: Thing) -> str:
    """Whether a ConfigMap is that of a controller on HAProxy."""
    return _OF_HAPROXY if config.tree.get("data", "timeout-server") is not None else ""


def _kong(objects: Objects, ingress: Thing) -> Layer:
    """Kong: annotations of the Service behind it, in milliseconds."""
    services = _services(objects, ingress)
    named = next(
        (found for thing in [*services, ingress] if (found := thing.annotation(f"{_KONG}override"))), None
    )
    override = objects.named("KongIngress", named.text()) if named else None
    if named and override is None:
        objects.note(named, f"KongIngress {named.text()}: it is not in these files")
    limits: dict[TimerKind, Limit] = {}
    for kind, name in ((TimerKind.CONNECT, "connect-timeout"), (TimerKind.FIRST_BYTE, "read-timeout")):
        found = next((one for thing in services if (one := thing.annotation(_KONG + name)) is not None), None)
        found = found or (override.tree.get("proxy", name.replace("-", "_")) if override else None)
        put(
            limits,
            kind,
            limit_at(found or ingress.annotation(_KONG + name), units.milliseconds, objects.not_read),
        )
    if not services:
        objects.note(
            ingress.tree, "Kong's timeouts are on the Service behind it, which is not in these files"
        )
    return layer_of("kong", limits)


def _traefik(objects: Objects, ingress: Thing) -> Layer:
    """Traefik: a ServersTransport that the Service behind it names; what is static is elsewhere."""
    objects.note(ingress.tree, "Traefik's entry points have timeouts in its static configuration")
    limits: dict[TimerKind, Limit] = {}
    for service in _services(objects, ingress):
        named = service.annotation(f"{_TRAEFIK}service.serverstransport")
        if named is None:
            continue
        wanted = named.text().partition("@")[0]
        transport = next(
            (one for one in objects.all("ServersTransport") if wanted in {one.name, one.qualified}), None
        )
        if transport is None:
            objects.note(named, f"ServersTransport {named.text()}: it is not in these files")
            continue
        for kind, name in (
            (TimerKind.CONNECT, "dialTimeout"),
            (TimerKind.FIRST_BYTE, "responseHeaderTimeout"),
        ):
            found = transport.spec.get("forwardingTimeouts", name)
            put(
                limits,
                kind,
                limit_at(found, lambda text: units.or_none(units.traefik, text), objects.not_read),
            )
    return layer_of("traefik", limits)


def _services(objects: Objects, ingress: Thing) -> list[Thing]:
    """The Services behind an Ingress, as far as they are in the files."""
    names = [
        path.text("backend", "service", "name")
        for rule in (ingress.spec.get("rules") or NOTHING).each()
        for path in (rule.get("http", "paths") or NOTHING).each()
    ]
    names.append(ingress.spec.text("defaultBackend", "service", "name"))
    return [found for name in dict.fromkeys(names) if (found := objects.named("Service", name)) is not None]


def _gce(objects: Objects, ingress: Thing) -> Layer:
    """GKE: a BackendConfig that the Service behind it names."""
    del ingress
    limits: dict[TimerKind, Limit] = {}
    for config in objects.all("BackendConfig"):
        put(limits, TimerKind.TOTAL, limit_at(config.spec.get("timeoutSec"), units.seconds, objects.not_read))
    return layer_of("gcp-alb", limits)


_CONTROLLERS: Final = (
    _Controller(("nginx-inc", "f5-nginx"), (_INC,), _nginx_inc),
    _Controller(("alb",), (_ALB,), _alb),
    _Controller(("haproxy",), _HAPROXY[:2], _haproxy),
    _Controller(("kong",), (_KONG,), _kong),
    _Controller(("traefik",), (_TRAEFIK,), _traefik),
    _Controller(("gce", "gke"), ("cloud.google.com/", "networking.gke.io/"), _gce),
    _Controller(("nginx",), (_NGINX,), _ingress_nginx),
)
