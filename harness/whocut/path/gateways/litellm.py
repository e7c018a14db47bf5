"""LiteLLM's proxy as a layer, from its package for Python, best in an environment of its own.

It is no relay: it reads a request of the API's form, asks the model in its own name, and answers when it has the
whole image. It passes the caller's `traceparent` on, which it does by itself only beside OpenTelemetry. It takes
every caller's key, and has one of its own for the model. It keeps no access log that names a trace, so verdicts on
it rest on the edges alone.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.catalogue import catalogue
from whocut.chain.timers import TimerKind
from whocut.path.gateways.driver import START, Driver
from whocut.path.gateways.litellm_own import FILE, HOOK, HOOK_FILE, KEY, OPEN, own_litellm

if TYPE_CHECKING:
    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Site
    from whocut.path.gateways.own import Own

_NEVER_S: Final = 365 * 24 * 3600.0
# It loads for many seconds, and a busy machine makes minutes of them.
_LOADS_REAL_S: Final = 240.0


class Litellm(Driver):
    """How LiteLLM's proxy is configured and started."""

    program = "litellm"
    install = "pip install 'whocut[gateways]'"
    out = START
    logs_requests = False
    starts_within_real_s = _LOADS_REAL_S

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The configuration as JSON, which is YAML as well, and the hook that passes the trace on."""
        limit_s = site.real_s(layer, TimerKind.FIRST_BYTE)
        deployment = {
            "model": "openai/*",
            "api_base": f"http://{site.next}/v1",
            "api_key": KEY,
            "timeout": _NEVER_S if limit_s is None else limit_s,
        }
        again = max(0, math.ceil(layer.retries.tries / catalogue()["litellm"].retries.below) - 1)
        config: dict[str, Any] = {
            "model_list": [{"model_name": "*", "litellm_params": deployment}],
            "router_settings": {"num_retries": again, "disable_cooldowns": True},
            "litellm_settings": {"callbacks": [HOOK]},
            "general_settings": {"forward_client_headers_to_llm_api": True, **OPEN},
        }
        return {FILE: json.dumps(config, indent=2), **HOOK_FILE}

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's config.yaml with what it includes, changed where it must be."""
        return own_litellm(config, layer, site)

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:
        """In the foreground, with one worker, without the network, and with nothing of a home or an `.env`."""
        beside = (
            [str(Path(layer.config).resolve().parent)] if layer.config else []
        )  # modules that its configuration names
        total_s = site.real_s(layer, TimerKind.TOTAL)
        environment = {
            "HOME": str(site.folder),
            "PYTHONPATH": ":".join(beside),
            "NO_PROXY": "127.0.0.1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MODE": "PRODUCTION",
            "DISABLE_ADMIN_UI": "True",
            **({} if total_s is None else {"LITELLM_MAX_STREAMING_DURATION_SECONDS": f"{total_s:.3f}"}),
        }
        return [
            *("env", *(f"{name}={value}" for name, value in environment.items())),
            program,
            *("--config", str(site.folder / FILE)),
            *("--host", "127.0.0.1"),
            *("--port", str(site.port)),
            *("--telemetry", "False"),
        ]


GATEWAY = Litellm()
