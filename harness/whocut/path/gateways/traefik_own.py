"""A user's own Traefik configuration, static and dynamic, made to run here; no more is changed than that takes.

Changed are the entry points' addresses and TLS towards the caller. The services' addresses are changed too, with
what knocks at them. So are the providers but for the file, the paths that are written to, and on a scaled clock the
timers. The router of the route takes every host, and a page of its own tells when all is ready.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from whocut.path.gateways.own import Own, read_own
from whocut.path.gateways.own_trees import OwnTree, each, scaled_time
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.path.gateways.driver import Site

FILE: Final = "traefik.yaml"
_ROUTES: Final = "routes"
_TIMER: Final = re.compile(r"Timeout$|TimeOut$|Interval$")
_HOST: Final = re.compile(r"\bHost(?:Regexp)?\([^)]*\)")
_KEPT: Final = {"Traceparent": "keep", "X-Request-Id": "keep"}
# Traefik's own times of what is not written, in seconds.
_DIAL_S, _READ_S, _IDLE_S = 30.0, 60.0, 180.0
_DROPPED: Final = (
    "certificatesResolvers",
    "api",
    "metrics",
    "tracing",
    "pilot",
    "hub",
    "experimental",
    "ocsp",
    "spiffe",
)


def own_traefik(config: Path, layer: Layer, site: Site) -> Own:
    """The user's configuration as Traefik gets it here: a static file with the dynamic ones that it names.

    Raises:
        BadFile: a file cannot be read.
    """
    own = Own()
    text = read_own(config)
    tree = OwnTree.of(config, text)
    if tree is None:
        own.add(config, text, text, f"traefik{config.suffix}" if config.suffix == ".toml" else FILE)
        return own
    is_static = bool({"entryPoints", "providers"} & set(tree.data)) or "http" not in tree.data
    static = tree if is_static else OwnTree({}, {}, {})
    dynamic: dict[Path, OwnTree] = {} if is_static else {config: tree}
    for path in _provided(config, static.data):
        more = OwnTree.of(path, read_own(path))
        if more is not None:
            dynamic[path] = more
    meant = _meant(dynamic, layer)
    _dynamic(dynamic, meant, site)
    wanted = meant[1].get("entryPoints") if meant else None
    _static(static.data, wanted if isinstance(wanted, list) else [], site)
    if "http" in static.before and is_static:  # both in one file
        static.data.pop("http", None)
    own.add(config, static.texts()[0] if is_static else "", static.texts()[1], FILE)
    for number, (path, one) in enumerate(dynamic.items()):
        own.add(path, *one.texts(), f"{_ROUTES}/{number}.yaml")
        own.fields |= {name: (path, line) for name, line in one.fields().items()}
    own.fields |= {name: (config, line) for name, line in tree.fields().items()}
    return own


def _provided(config: Path, static: dict[str, Any]) -> list[Path]:
    """The dynamic files that the static one names, where they are: as written, or beside it."""
    provider = (static.get("providers") or {}).get("file") or {}
    written = str(provider.get("filename") or provider.get("directory") or "")
    for name in (written.lstrip("/"), written.rpartition("/")[2]) if written else ():
        path = config.parent / name
        if path.is_file():
            return [path]
        if path.is_dir() and path != config.parent:
            return [one for one in sorted(path.iterdir()) if one.suffix in {".yml", ".yaml", ".toml"}]
    return []


def _meant(dynamic: dict[Path, OwnTree], layer: Layer) -> tuple[str, dict[str, Any]] | None:
    """The router of the route, by the file and the line of its rule."""
    for path, tree in dynamic.items():
        for place, line in tree.lines.items() if str(path) == layer.file else ():
            if line == layer.line and place[:2] == ("http", "routers") and place[2:]:
                name = str(place[2])
                return name, tree.data["http"]["routers"][name]
    return None


def _dynamic(dynamic: dict[Path, OwnTree], meant: tuple[str, dict[str, Any]] | None, site: Site) -> None:
    for tree in dynamic.values():
        http = tree.data.get("http") or {}
        tree.data = {"http": http}
        for router in (http.get("routers") or {}).values():
            router.pop("tls", None)
        for service in (http.get("services") or {}).values():
            balancer = service.get("loadBalancer") if isinstance(service, dict) else None
            if isinstance(balancer, dict):
                balancer["servers"] = [{"url": f"http://{site.next}"}]
                balancer.pop("healthCheck", None)
        for transport in (http.get("serversTransports") or {}).values():
            for name in ("serverName", "rootCAs", "certificates", "insecureSkipVerify", "spiffe"):
                transport.pop(name, None)
        _scale(http, site.clock)
        for transport in (http.get("serversTransports") or {}).values() if site.clock.scale != 1 else ():
            times = transport.setdefault("forwardingTimeouts", {})
            times.setdefault("dialTimeout", scaled_time(f"{_DIAL_S}s", site.clock))
    if meant:
        meant[1]["rule"] = _HOST.sub("PathPrefix(`/`)", str(meant[1].get("rule") or "PathPrefix(`/`)"))
    ready = {"entryPoints": ["whocut-ready"], "rule": "PathPrefix(`/`)", "service": "ping@internal"}
    if dynamic:
        http = next(iter(dynamic.values())).data["http"]
        http.setdefault("routers", {})["whocut-ready"] = ready


def _static(static: dict[str, Any], wanted: list[str], site: Site) -> None:
    for name in _DROPPED:
        static.pop(name, None)
    entries = {name: dict(entry or {}) for name, entry in (static.get("entryPoints") or {"web": {}}).items()}
    taken = next((name for name in wanted if name in entries), None)
    taken = taken or next((name for name, one in entries.items() if not _redirects(one)), next(iter(entries)))
    for name, entry in entries.items():
        entry["address"] = f"127.0.0.1:{site.port if name == taken else 0}"
        for field in ("http3", "proxyProtocol", "allowACMEByPass"):
            entry.pop(field, None)
        http = dict(entry.get("http") or {})
        http.pop("tls", None)
        http.pop("redirections", None)
        entry.pop("http", None)
        if http:
            entry["http"] = http
        if site.clock.scale != 1:
            times = entry.setdefault("transport", {}).setdefault("respondingTimeouts", {})
            times.setdefault("readTimeout", f"{_READ_S}s")
            times.setdefault("idleTimeout", f"{_IDLE_S}s")
    entries["whocut-ready"] = {
        "address": f"127.0.0.1:{site.spare_port}",
        "observability": {"accessLogs": False},
    }
    static["entryPoints"] = entries
    static["global"] = {"checkNewVersion": False, "sendAnonymousUsage": False}
    static["log"] = {"level": "ERROR"}
    static["ping"] = {"manualRouting": True}
    static["accessLog"] = {
        "filePath": str(site.logs / ACCESS),
        "format": "json",
        "fields": {"headers": {"defaultMode": "drop", "names": _KEPT}},
    }
    static["providers"] = {"file": {"directory": str(site.folder / _ROUTES), "watch": False}}
    transport = static.get("serversTransport")
    if isinstance(transport, dict):
        for name in ("rootCAs", "insecureSkipVerify", "serverName"):
            transport.pop(name, None)
    if site.clock.scale != 1:
        times = static.setdefault("serversTransport", {}).setdefault("forwardingTimeouts", {})
        times.setdefault("dialTimeout", f"{_DIAL_S}s")
    _scale(static, site.clock)


def _redirects(entry: dict[str, Any]) -> bool:
    return bool((entry.get("http") or {}).get("redirections"))


def _scale(data: Any, clock: Clock) -> None:
    """Each time on the run's clock; a bare number is seconds."""
    for _, mapping in each(data) if clock.scale != 1 else ():
        for name, value in mapping.items():
            if _TIMER.search(name):
                mapping[name] = scaled_time(value, clock)
