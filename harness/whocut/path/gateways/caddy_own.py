"""A user's own Caddyfile or JSON, made to run here: where it listens, what it dials, where it writes; no more.

Caddy itself makes JSON of the file as it lies there, and says with its line what is wrong with it. Of that JSON are
changed the listening addresses and TLS towards the caller. So are the upstreams with what knocks at them, the
paths that are written to, and on a scaled clock the timers. The site of the route takes every caller.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

from whocut.errors import BadFile, ChildDied
from whocut.path.gateways.own import Own, read_own
from whocut.path.gateways.own_trees import OwnTree, each
from whocut.redact import without_secrets
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.path.gateways.driver import Site

FILE: Final = "caddy.json"
_ADAPT_REAL_S: Final = 30.0
_TIMER: Final = re.compile(r"(?:^|_)(?:timeout|duration|delay|interval)$")
# Caddy's own times of what is not written, in seconds.
_DIAL_S, _IDLE_S = 3.0, 300.0


def own_caddy(config: Path, layer: Layer, site: Site, program: str) -> Own:
    """The user's configuration as Caddy gets it here.

    Raises:
        BadFile: it cannot be read, or what it passes requests to speaks no HTTP.
        ChildDied: Caddy does not take it; says why.
    """
    text = read_own(config)
    adapted = text if config.suffix == ".json" else _adapted(config, program)
    own = Own()
    try:
        data, before = json.loads(adapted), json.loads(adapted)
    except ValueError:
        own.add(config, text, text, FILE)  # what is wrong with it is Caddy's to say
        return own
    servers = data.get("apps", {}).get("http", {}).get("servers", {})
    hosts = _hosts(config, text, layer)
    taken = next((server for server in servers.values() if _is_taken(server, hosts)), None)
    taken = taken or next(iter(servers.values()), {})
    for number, server in enumerate(servers.values()):
        is_taken = server is taken
        server["listen"] = [
            f"127.0.0.1:{site.port}" if is_taken else f"unix/{site.folder}/other-{number}.sock"
        ]
        for name in ("tls_connection_policies", "listener_wrappers", "protocols"):
            server.pop(name, None)
        server["automatic_https"] = {"disable": True}
        server["logs"] = {}
        if is_taken:
            _take_all(server, hosts)
    data["apps"] = {"http": data.get("apps", {}).get("http", {})}
    data["admin"] = {"disabled": True, "config": {"persist": False}}
    data["storage"] = {"module": "file_system", "root": str(site.folder / "caddy")}
    writer = {"output": "file", "filename": str(site.logs / ACCESS), "roll": False}
    data["logging"] = {"logs": {"default": {"writer": writer, "encoder": {"format": "json"}}}}
    for handler in _proxies(data):
        _dial(config, handler, site)
    if site.clock.scale != 1:
        _scale(data, servers, site.clock)
    own.add(config, _shown(before), _shown(data), FILE)
    return own


def _shown(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _adapted(config: Path, program: str) -> str:
    """The JSON that Caddy makes of a Caddyfile."""
    made = subprocess.run(  # noqa: S603  # the gateway itself, with the user's file
        [program, "adapt", "--adapter", "caddyfile", "--config", str(config)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_ADAPT_REAL_S,
        env=without_secrets(os.environ),
        check=False,
    )
    if made.returncode:
        raise ChildDied(f"caddy ended at once: {made.stderr.strip()}")
    return made.stdout


def _hosts(config: Path, text: str, layer: Layer) -> set[str]:
    """The hosts of the site that holds the route; empty: it has none, or cannot be found."""
    if config.suffix == ".json":
        tree = OwnTree.of(config, text)
        place = tree.at_line(layer.line) if tree else ()
        if (
            tree is None or place[:3] != ("apps", "http", "servers") or len(place) < 6
        ):  # …, name, routes, number
            return set()
        route = tree.data["apps"]["http"]["servers"][place[3]]["routes"][place[5]]
        return _matched(route) if isinstance(route, dict) else set()
    found: set[str] = set()
    depth, addresses = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        code = re.sub(r"(?:^|\s)#.*", "", line)
        if depth == 0 and code.strip():
            addresses = f"{addresses} {code}" if addresses.rstrip().endswith(",") else code
        opens = code.rstrip().endswith("{")
        depth += opens - (code.strip() == "}")
        if number == layer.line:
            words = re.split(r"[\s,{]+", addresses)
            found = {re.sub(r"^\w+://", "", word).partition("/")[0].partition(":")[0] for word in words}
    return {host for host in found if host and not host.startswith("(")}


def _matched(route: dict[str, Any]) -> set[str]:
    return {host for match in route.get("match") or () for host in match.get("host") or ()}


def _is_taken(server: dict[str, Any], hosts: set[str]) -> bool:
    """Whether the route is on this server: of two, the one that passes it on and does not redirect it."""
    routes = [route for route in server.get("routes") or () if not hosts or _matched(route) & hosts]
    return any(True for route in routes for _ in _proxies(route))


def _take_all(server: dict[str, Any], hosts: set[str]) -> None:
    """The site takes every host that no other one has: callers dial an address."""
    routes = list(server.get("routes") or ())
    meant = [route for route in routes if hosts and _matched(route) & hosts]
    for route in meant:
        kept = [{name: value for name, value in match.items() if name != "host"} for match in route["match"]]
        route["match"] = [match for match in kept if match] if all(kept) else []
        if not route["match"]:
            del route["match"]
    server["routes"] = [route for route in routes if route not in meant] + meant


def _proxies(data: Any) -> Iterator[dict[str, Any]]:
    return (mapping for _, mapping in each(data) if mapping.get("handler") == "reverse_proxy")


def _dial(config: Path, handler: dict[str, Any], site: Site) -> None:
    """The upstream over plain HTTP, whatever was dialled."""
    transport = handler.get("transport")
    if isinstance(transport, dict):
        if transport.get("protocol", "http") != "http":
            raise BadFile(
                config, "the upstream here speaks HTTP alone", field=f"transport {transport['protocol']}"
            )
        for name in ("tls", "versions", "proxy_protocol", "resolver", "network_proxy"):
            transport.pop(name, None)
    for name in ("dynamic_upstreams", "health_checks"):
        handler.pop(name, None)
    handler["upstreams"] = [{"dial": site.next}]


def _scale(data: Any, servers: dict[str, Any], clock: Clock) -> None:
    """Each time on the run's clock; Caddy's own too, where nothing is written."""
    for handler in _proxies(data):
        handler.setdefault("transport", {"protocol": "http"}).setdefault("dial_timeout", int(_DIAL_S * 1e9))
    for server in servers.values():
        server.setdefault("idle_timeout", int(_IDLE_S * 1e9))
    for _, mapping in each(data):
        for name, value in mapping.items():
            if _TIMER.search(name) and isinstance(value, int) and value > 0:
                mapping[name] = max(1_000_000, int(clock.real_s(value)))
