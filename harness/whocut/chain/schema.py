"""The JSON Schema of a chain file, for editors: made from the models that read the file and from the catalogue."""

from __future__ import annotations

from typing import Any

from whocut.chain.catalogue import catalogue, editions
from whocut.chain.chainfile import ChainFile
from whocut.chain.layers import Role
from whocut.chain.products import products
from whocut.chain.timers import TimerKind

ID = "whocut-chain.schema.json"
_DURATION = {
    "description": "a duration like 60s, 2m30s or 600ms; none for no timer",
    "anyOf": [
        {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d)\s*)+$"},
        {"enum": ["none", "off", "never", "infinite", None]},
    ],
}


def chain_schema() -> dict[str, Any]:
    """The schema, with every preset's name in it."""
    schema = ChainFile.model_json_schema()
    kinds = schema["$defs"]
    hops, clients = _entry(kinds, Role.HOP), _entry(kinds, Role.CLIENT)
    kinds["UpstreamEntry"]["properties"]["heartbeat"] = _DURATION
    properties = schema["properties"]
    properties["edition"] = {"enum": editions(), "default": "today"}
    properties["client"] = _short_or_long(clients, "the first layer: an SDK or an HTTP client")
    properties["layers"] = {
        "type": "array",
        "description": "from the caller to the upstream",
        "items": _short_or_long(
            hops, "a layer that forwards: a preset, or a preset with changes", _gateway(hops)
        ),
    }
    properties["upstream"] = {
        "description": "the model at the end, and how it is asked",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/UpstreamEntry"}],
    }
    del kinds["LayerEntry"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "A chain of timeouts",
    }


def _entry(kinds: dict[str, Any], role: Role) -> dict[str, Any]:
    """One layer's long form: only presets that can stand there, only timers that there are."""
    entry = dict(kinds["LayerEntry"])
    entry["properties"] = {
        **entry["properties"],
        "preset": {"enum": _names(role), "description": "a name of `whocut presets`"},
        "timers": {
            "type": "object",
            "description": "limits of your own; none takes a timer away",
            "properties": {str(kind): _DURATION for kind in TimerKind},
            "additionalProperties": False,
        },
    }
    for only_real in ("gateway", "config"):
        del entry["properties"][only_real]
    return {**entry, "required": ["preset"]}


def _gateway(hop: dict[str, Any]) -> dict[str, Any]:
    """A layer that is the real thing: its limits are its own to change, its manners are not."""
    known = hop["properties"]
    return {
        **hop,
        "title": "GatewayEntry",
        "description": "A real gateway, started by `whocut run` and `whocut up`; emulated everywhere else.",
        "properties": {
            "gateway": {
                "enum": list(products()),
                "description": "a product that is installed on this machine",
            },
            "name": known["name"],
            "timers": known["timers"],
        },
        "required": ["gateway"],
    }


def _short_or_long(entry: dict[str, Any], says: str, *others: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "anyOf": [entry["properties"]["preset"], entry, *others]}


def _names(role: Role) -> list[str]:
    return [name for name, entry in catalogue().items() if entry.role is role]
