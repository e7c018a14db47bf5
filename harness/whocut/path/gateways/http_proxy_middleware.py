"""Express with http-proxy-middleware as a layer, from npm: a program of ten lines, as its README writes one.

It writes no access log, so verdicts on it rest on the edges alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site

_NEEDS = ("express", "http-proxy-middleware")
_PROGRAM = """\
const express = require("express");
const {{ createProxyMiddleware }} = require("http-proxy-middleware");

const app = express();
app.use(createProxyMiddleware({{ target: "http://{next}"{timeout} }}));
const server = app.listen({port}, "127.0.0.1", 4096);
server.requestTimeout = 0;
"""


class HttpProxyMiddleware(Driver):
    """How a program with http-proxy-middleware is written and started."""

    program = "node"
    install = "npm install --global express http-proxy-middleware"
    out = START
    logs_requests = False

    def missing(self) -> bool:
        """It needs two packages of npm."""
        return _modules() is None

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The program, with the layer's limit in it."""
        limit_ms = site.milliseconds(layer, TimerKind.IDLE)
        timeout = "" if limit_ms is None else f", proxyTimeout: {limit_ms}"
        return {"proxy.js": _PROGRAM.format(next=site.next, port=site.port, timeout=timeout)}

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:  # noqa: ARG002  # all is in the file
        """In the foreground, with the packages where they were found."""
        return ["env", f"NODE_PATH={_modules()}", program, str(site.folder / "proxy.js")]


def _modules() -> Path | None:
    """The folder that holds the packages."""
    return next((folder for folder in _folders() if all((folder / name).is_dir() for name in _NEEDS)), None)


def _folders() -> Iterator[Path]:
    yield from (Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one)
    yield Path.cwd() / "node_modules"
    node = shutil.which("node")
    if node is not None:
        yield Path(node).resolve().parents[1] / "lib" / "node_modules"
    yield Path("/usr/local/lib/node_modules")


GATEWAY = HttpProxyMiddleware()
