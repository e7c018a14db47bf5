"""`/v1/models`.

The list holds the retired models with their dates too; being listed proves nothing about access.
"""

from typing import Any

from aiohttp import web

from whocut_mock import access, answers, errors, models
from whocut_mock.upstream import UPSTREAM, caller_of

_OWNER = "system"
_RETIRED_CREATED = 1_698_785_189  # the day dall-e-2 and dall-e-3 came to the API; ours for gpt-image-1


def _entries() -> dict[str, dict[str, Any]]:
    live = {name: _entry(name, model.created, model.shutdown_date) for name, model in models.MODELS.items()}
    retired = {name: _entry(name, _RETIRED_CREATED, date) for name, date in models.RETIRED.items()}
    return live | retired


def _entry(name: str, created: int, shutdown_date: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": _OWNER,
        "shutdown_date": shutdown_date,
    }


async def list_models(request: web.Request) -> web.Response:
    """`GET /v1/models`."""
    _check_key(request)
    return answers.plain({"object": "list", "data": list(_entries().values())}, {})


async def get_model(request: web.Request) -> web.Response:
    """`GET /v1/models/{id}`; an aggregator's prefix is part of the path."""
    _check_key(request)
    name = request.match_info["name"]
    found = _entries().get(name.rpartition("/")[2])
    if found is None:
        raise errors.model_not_found(name)
    return answers.plain(found, {})


def _check_key(request: web.Request) -> None:
    access.key_of(caller_of(request).key, request.app[UPSTREAM].settings)
