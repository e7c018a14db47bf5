"""The JSON Schema of a chain file, for editors: made from the models that read the file and from the catalogue."""

from __future__ import annotations

from typing import Any

from whocut.chain.catalogue import catalogue, editions
from whocut.chain.entries import ChainFile
from whocut.chain.layers import Role
from whocut.chain.products import products
from whocut.chain.timers import TimerKind

ID = "whocut-chain.schema.json"
_DURATION: dict[str, Any] = {
    "description": "a duration like 60s, 2m30s or 600ms; none for no timer",
    "anyOf": [
        {"type": "string", "pattern": r"^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d)\s*)+$"},
        {"enum": ["none", "off", "never", "infinite", None]},
    ],
}
_LIMIT = {
    "description": "a duration, none, unknown, or a limit with the name of its knob and the line that sets it",
    "anyOf": [
        *_DURATION["anyOf"],
        {"const": "unknown"},
        {
            "type": "object",
            "properties": {
                "limit": {"anyOf": [*_DURATION["anyOf"], {"const": "unknown"}]},
                "directive": {"type": "string"},
                "knob": {"type": "string"},
                "most": _DURATION,
            },
            "required": ["limit"],
            "additionalProperties": False,
        },
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
    properties["client"] = _short_or_long(clients, "the first layer: an SDK or an HTTP client", _own(clients))
    properties["layers"] = {
        "type": "array",
        "description": "from the caller to the upstream",
        "items": _short_or_long(
            hops,
            "a layer that forwards: a preset, a preset with changes, or your own",
            {
                "type": "string",
                "pattern": r"[/=]|\.[A-Za-z]+$",
                "description": "your own file, as nginx=FILE where its name does not tell the format",
            },
            _file(hops),
            _gateway(hops),
            _own(hops),
        ),
    }
    properties["upstream"] = {
        "description": "the model at the end, and how it is asked",
        "anyOf": [{"type": "string"}, {"$ref": "#/$defs/UpstreamEntry"}],
    }
    for read_otherwise in ("LayerEntry", "OwnTimer"):
        del kinds[read_otherwise]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "A chain of timeouts",
    }


def _entry(kinds: dict[str, Any], role: Role) -> dict[str, Any]:
    """One layer's long form: only presets for this place in the chain, and only timers that exist."""
    entry = dict(kinds["LayerEntry"])
    entry["properties"] = {
        **entry["properties"],
        "preset": {"enum": _names(role), "description": "a name of `whocut presets`"},
        "timers": {
            "type": "object",
            "description": "limits of your own, by timer or by the vendor's name of the knob; none takes one away",
            "properties": dict.fromkeys([*map(str, TimerKind), *_knobs()], _LIMIT),
            "additionalProperties": False,
        },
        "answers": {
            "description": "what the layer answers by itself: a status, an answer, or one for each event",
            "anyOf": [
                {"type": "integer", "minimum": 200, "maximum": 599},
                {"$ref": "#/$defs/OwnAnswer"},
                entry["properties"]["answers"],
            ],
        },
    }
    for elsewhere in ("gateway", "config", "file"):
        del entry["properties"][elsewhere]
    return {**entry, "required": ["preset"]}


def _own(entry: dict[str, Any]) -> dict[str, Any]:
    """A layer of one's own: no preset, and timers by kind alone."""
    known = {name: says for name, says in entry["properties"].items() if name != "preset"}
    known["timers"] = {**known["timers"], "properties": {str(kind): _LIMIT for kind in TimerKind}}
    return {
        **entry,
        "title": "OwnLayerEntry",
        "description": "A layer that no preset describes.",
        "properties": known,
        "required": ["name", "timers"],
    }


def _knobs() -> list[str]:
    """Every name of a knob in the catalogue."""
    entries = catalogue().values()
    return sorted({timer.directive for entry in entries for timer in entry.timers.values()})


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
            "config": {"type": "string", "description": "your own configuration, from which it is started"},
        },
        "required": ["gateway"],
    }


def _file(hop: dict[str, Any]) -> dict[str, Any]:
    """A layer that a user's own file describes, and nothing else."""
    return {
        **hop,
        "title": "FileEntry",
        "description": "A configuration of yours: its limits are those of the route that the request takes.",
        "properties": {"file": {"type": "string"}, "name": hop["properties"]["name"]},
        "required": ["file"],
    }


def _short_or_long(entry: dict[str, Any], says: str, *others: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "anyOf": [entry["properties"]["preset"], entry, *others]}


def _names(role: Role) -> list[str]:
    return [name for name, entry in catalogue().items() if entry.role is role]
