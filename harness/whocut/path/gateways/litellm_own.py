"""A user's own config.yaml of LiteLLM, made to run here: what it asks, by which key, where it writes; no more.

Changed are the models' addresses and keys, and the keys that callers need. So is all that speaks to other machines:
databases, caches, key managers, guardrails, loggers. On a scaled clock the timers are changed too. The model of the
route takes every name. A file that it includes is changed in the same way.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from whocut.path.gateways.own import Own, read_own
from whocut.path.gateways.own_trees import OwnTree, each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.path.gateways.driver import Site

FILE: Final = "config.yaml"
KEY: Final = "sk-of-the-gateway"
OPEN: Final = {"dangerously_permit_weak_or_unset_master_key": True}
HOOK: Final = "whocut_trace.passes"
HOOK_FILE: Final = {
    "whocut_trace.py": '''\
"""Passes the caller's `traceparent` on to the model."""

from litellm.integrations.custom_logger import CustomLogger


class Passes(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        came = data.get("proxy_server_request", {}).get("headers", {}).get("traceparent")
        if came:
            data["headers"] = {**(data.get("headers") or {}), "traceparent": came}
        return data


passes = Passes()
'''
}
_DEFAULT_S: Final = 6000.0
_TIMER: Final = re.compile(r"(?:^|_)timeout(?:_by_service_tier)?$|^(?:retry_after|cooldown_time)$")
_VARIABLE: Final = re.compile(r"(?:TIMEOUT|DURATION_SECONDS)$")
_KEYS: Final = re.compile(
    r"_(?:key|token|secret|credentials?|password)(?:_id)?$|^(?:aws|vertex|azure|tenant|client|watsonx)_"
    r"|^(?:organization|litellm_credential_name|headers)$"
)
# What speaks to other machines or asks its callers for a key, by section.
_DROPPED: Final = {
    "": re.compile(
        r"^(?:credential_list|guardrails|mcp_servers|vector_store_registry|search_tools|files_settings"
        r"|finetune_settings|assistant_settings)$"
    ),
    "general_settings": re.compile(
        r"^(?:master_key|otel|coordination_redis|background_health_checks|control_plane_url|custom_\w+)$"
        r"|^(?:database|use|key_management|alert|store|enable_(?:jwt|oauth2)|litellm_jwt)\w*"
    ),
    "litellm_settings": re.compile(
        r"^(?:success|failure|service|audit_log)_callbacks?$|^(?:cache|cache_params)$|redis|_callback_params$"
    ),
    "router_settings": re.compile(r"redis|^cache_"),
}


def own_litellm(config: Path, layer: Layer, site: Site) -> Own:
    """The user's configuration as LiteLLM gets it here, with the files that it includes.

    Raises:
        BadFile: a file cannot be read.
    """
    own = Own(texts=dict(HOOK_FILE))
    trees: list[tuple[Path, OwnTree]] = []
    text = read_own(config)
    tree = OwnTree.of(config, text)
    if tree is None:
        own.add(config, text, text, FILE)
        return own
    trees.append((config, tree))
    included = tree.data.get("include")
    for name in included if isinstance(included, list) else ():
        path = config.parent / str(name)
        more = OwnTree.of(path, read_own(path))
        if more is not None:
            trees.append((path, more))
    if isinstance(included, list):
        tree.data["include"] = [f"included-{number}.yaml" for number in range(1, len(trees))]
    for path, one in trees:
        _dial(one, site)
        _drop(one.data)
        _scale(one.data, site.clock)
        _take_every_name(one, path, layer)
    _ours(tree.data, site.clock, [one.data for _, one in trees])
    for number, (path, one) in enumerate(trees):
        own.add(path, *one.texts(), f"included-{number}.yaml" if number else FILE)
        own.fields |= {name: (path, line) for name, line in one.fields().items() if name not in own.fields}
    for path, one in trees:
        own.fields |= {name: (path, line) for name, line in _absent(one)}
    return own


def _absent(tree: OwnTree) -> Iterator[tuple[str, int]]:
    """What a model needs and has not, with the line below which it belongs: LiteLLM names the field alone."""
    for number, model in enumerate(tree.before.get("model_list") or ()):
        asked = model.get("litellm_params") if isinstance(model, dict) else None
        place = ("model_list", number)
        if not isinstance(asked, dict):
            yield "litellm_params", tree.lines.get(place, 1)
        elif "model" not in asked:
            yield "model", tree.lines.get((*place, "litellm_params"), 1)


def _models(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in data.get("model_list") or () if isinstance(one, dict)]


def _dial(tree: OwnTree, site: Site) -> None:
    """Each model at the upstream, by a key of no worth."""
    for model in _models(tree.data):
        asked = model.get("litellm_params")
        if not isinstance(asked, dict):
            continue
        written = str(asked.pop("base_url", None) or asked.get("api_base") or "")
        for name in [name for name in asked if _KEYS.search(str(name))]:
            asked.pop(name)
        vendor = str(asked.get("model") or "").partition("/")[0]
        path = urlsplit(written).path.rstrip("/") if "://" in written else "" if vendor == "azure" else "/v1"
        asked |= {"api_base": f"http://{site.next}{path}", "api_key": KEY}
    general = tree.data.get("general_settings")
    passing = general.get("pass_through_endpoints") if isinstance(general, dict) else None
    for one in passing if isinstance(passing, list) else ():
        if isinstance(one, dict):
            one["target"] = f"http://{site.next}{urlsplit(str(one.get('target') or '')).path}"
            one.pop("headers", None)


def _drop(data: dict[str, Any]) -> None:
    for section, dropped in _DROPPED.items():
        of = data.get(section) if section else data
        if isinstance(of, dict):
            for name in [name for name in of if dropped.search(str(name))]:
                of.pop(name)
    variables = data.get("environment_variables")
    if isinstance(variables, dict):
        kept = {name: value for name, value in variables.items() if _VARIABLE.search(str(name))}
        data["environment_variables"] = kept


def _scale(data: dict[str, Any], clock: Clock) -> None:
    """Each time on the run's clock, as the plain numbers that they are here."""
    if clock.scale == 1:
        return
    for place, mapping in each(data):
        in_variables = place[:1] == ("environment_variables",)
        for name, value in mapping.items():
            if (_VARIABLE if in_variables else _TIMER).search(name):
                timed = _scaled(value, clock)
                mapping[name] = str(timed) if in_variables else timed


def _scaled(value: Any, clock: Clock) -> Any:
    if isinstance(value, dict):
        return {name: _scaled(one, clock) for name, one in value.items()}
    try:
        limit_s = float(value)
    except (TypeError, ValueError):
        return value
    return clock.real_s(limit_s) if limit_s else value


def _take_every_name(tree: OwnTree, path: Path, layer: Layer) -> None:
    """The models of the route under every other name too: a caller here may ask for another one."""
    meant = tree.at_line(layer.line) if str(path) == layer.file else ()
    if meant[:1] != ("model_list",) or len(meant) < 2:
        return
    models = tree.data["model_list"]
    name = models[meant[1]].get("model_name")
    if not any(one.get("model_name") == "*" for one in _models(tree.data)):
        models += [
            {**deepcopy(one), "model_name": "*"}
            for one in _models(tree.data)
            if one.get("model_name") == name
        ]


def _ours(data: dict[str, Any], clock: Clock, everywhere: list[dict[str, Any]]) -> None:
    """What passes the trace on, no key for callers; on a scaled clock LiteLLM's own limit where none is written."""
    general, settings = (
        data[name] if isinstance(data.get(name), dict) else {}
        for name in ("general_settings", "litellm_settings")
    )
    data["general_settings"], data["litellm_settings"] = general, settings
    general |= {"forward_client_headers_to_llm_api": True, **OPEN}
    written = settings.get("callbacks")
    hooks = written if isinstance(written, list) else [written]
    # A name with a dot is the user's own module; the others are vendors of loggers.
    settings["callbacks"] = [*(one for one in hooks if isinstance(one, str) and "." in one), HOOK]
    routers = [one["router_settings"] for one in everywhere if isinstance(one.get("router_settings"), dict)]
    said = any("request_timeout" in (one.get("litellm_settings") or {}) for one in everywhere)
    if clock.scale != 1 and not said and not any("timeout" in router for router in routers):
        settings["request_timeout"] = clock.real_s(_DEFAULT_S)
