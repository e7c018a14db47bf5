"""pytester unloads what a run of its own has imported. What cannot be loaded twice is loaded here, before it."""

import anyio._backends._asyncio
import httpcore
import httpcore2
import httpx
import httpx2
import openai
import respx

import whocut.client.reference_client
import whocut.plugin.chain
import whocut.plugin.serving

# Two copies of a library do not know each other's exceptions.
LOADED = (
    anyio._backends._asyncio,
    httpcore,
    httpcore2,
    httpx,
    httpx2,
    openai,
    respx,
    whocut.client.reference_client,
    whocut.plugin.chain,
    whocut.plugin.serving,
)
