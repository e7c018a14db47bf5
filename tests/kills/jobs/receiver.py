"""A receiver of callbacks as a process: ``python -m tests.kills.jobs.receiver PORT FILE``.

A callback is on its file before it is answered, so a receiver that was killed in between has taken it, and gets it
again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import orjson
from aiohttp import web

_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


async def receive(port: int, path: str) -> None:
    """Take callbacks for ever."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def take(request: web.Request) -> web.Response:
        got: dict[str, Any] = {name: request.headers[name] for name in _HEADERS}
        got["body"] = (await request.read()).decode()
        os.write(file, orjson.dumps(got, option=orjson.OPT_APPEND_NEWLINE))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(receive(int(sys.argv[1]), sys.argv[2]))
