"""Traefik as a layer, from its package for Python.

It passes the caller's `traceparent` on as it came. It listens before it has read its routes, and answers 404 until
then; so a route at a port of its own tells when it is ready.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver
from whocut.path.gateways.traefik_own import own_traefik
from whocut.trace.logs.in_run import ACCESS

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_KEPT = {"Traceparent": "keep", "X-Request-Id": "keep"}


class Traefik(Driver):
    """How Traefik is configured and started."""

    program = "traefik"
    install = "pip install 'whocut[gateways]'"
    out = START
    ready = "/"

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The static and the dynamic configuration as JSON, which is YAML as well."""
        return {
            "traefik.yaml": json.dumps(_static(layer, site), indent=2),
            "routes.yaml": json.dumps(_dynamic(layer, site), indent=2),
        }

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's static file with the dynamic ones that it names, changed where they must be."""
        return own_traefik(config, layer, site)

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the files
        """In the foreground."""
        return [program, f"--configFile={site.folder / 'traefik.yaml'}"]


def _static(layer: Layer, site: Site) -> dict[str, Any]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "ping": {"manualRouting": True},
        "entryPoints": {
            "callers": {
                "address": f"127.0.0.1:{site.port}",
                "transport": {
                    "respondingTimeouts": {
                        "readTimeout": 0,
                        "writeTimeout": site.time(layer, TimerKind.TOTAL, none="0s"),
                        "idleTimeout": site.time(layer, TimerKind.KEEPALIVE, none="0s"),
                    }
                },
            },
            "ready": {"address": f"127.0.0.1:{site.spare_port}", "observability": {"accessLogs": False}},
        },
        "accessLog": {
            "filePath": str(site.logs / ACCESS),
            "format": "json",
            "fields": {"headers": {"defaultMode": "drop", "names": _KEPT}},
        },
        "providers": {"file": {"filename": str(site.folder / "routes.yaml"), "watch": False}},
    }


def _dynamic(layer: Layer, site: Site) -> dict[str, Any]:
    timeouts = {
        "dialTimeout": site.time(layer, TimerKind.CONNECT, none="0s"),
        "responseHeaderTimeout": site.time(layer, TimerKind.FIRST_BYTE, none="0s"),
    }
    return {
        "http": {
            "routers": {
                "all": {"entryPoints": ["callers"], "rule": "PathPrefix(`/`)", "service": "next"},
                "ready": {"entryPoints": ["ready"], "rule": "PathPrefix(`/`)", "service": "ping@internal"},
            },
            "services": {
                "next": {
                    "loadBalancer": {"servers": [{"url": f"http://{site.next}"}], "serversTransport": "next"}
                }
            },
            "serversTransports": {"next": {"forwardingTimeouts": timeouts, "maxIdleConnsPerHost": 64}},
        }
    }


GATEWAY = Traefik()
