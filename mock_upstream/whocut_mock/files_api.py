"""`/v1/files`: what callers upload to name it later, in an edit or a batch.

The object's shape and the purposes are the official SDK's (3.54); the wording of an unknown id is the platform's.
"""

from typing import Any

from aiohttp import web

from whocut_mock import access, answers, bodies, delivery, errors, form
from whocut_mock.cabinet import MONTH_S, Kept
from whocut_mock.form import Part
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
FILE_BYTES = 512 * 1024 * 1024
_HOUR_S, _PAGE = 3_600, 10_000


async def create(request: web.Request) -> web.Response:
    """`POST /v1/files`, a form with a file and its purpose."""
    upstream = _entered(request)
    content_type = request.headers.get("Content-Type", "")
    limit_bytes = min(FILE_BYTES, upstream.settings.limits.body_bytes)
    body = await bodies.read(request, limit_bytes, upstream.held, upstream.patience_loop_s)
    upstream.held.give(len(body))
    if not form.is_form(content_type):
        raise errors.wrong_content_type(content_type.partition(";")[0], "multipart/form-data")
    parts = {part.name: part for part in form.parse_form(content_type, body)}
    file, purpose = parts.get("file"), _text(parts, "purpose")
    if file is None:
        raise errors.missing_parameter("file")
    if purpose is None:
        raise errors.missing_parameter("purpose")
    if purpose not in PURPOSES:
        raise errors.bad_choice("purpose", purpose, PURPOSES)
    kept = upstream.cabinet.put(
        filename=file.filename or "upload",
        purpose=purpose,
        content=file.content,
        size_bytes=len(file.content),
        key_hash=caller_of(request).key_hash,
        kept_s=_kept_s(parts, purpose),
    )
    return answers.plain(_shown(kept, upstream), {})


def _kept_s(parts: dict[str, Part], purpose: str) -> float | None:
    """By default a file for a batch expires after 30 days, and any other one stays."""
    anchor, text = _text(parts, "expires_after[anchor]"), _text(parts, "expires_after[seconds]")
    if anchor is None and text is None:
        return MONTH_S if purpose == "batch" else None
    if anchor != "created_at":
        raise errors.bad_choice("expires_after[anchor]", str(anchor), ("created_at",))
    seconds = int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not _HOUR_S <= seconds <= MONTH_S:
        raise errors.integer_outside("expires_after[seconds]", seconds, _HOUR_S, int(MONTH_S))
    return float(seconds)


def _text(parts: dict[str, Part], name: str) -> str | None:
    part = parts.get(name)
    return None if part is None else part.content.decode("utf-8", "replace")


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/files`: the newest first, by pages and purpose."""
    upstream = _entered(request)
    found = upstream.cabinet.all(caller_of(request).key_hash)
    purpose, after = request.query.get("purpose"), request.query.get("after")
    found = [kept for kept in found if purpose is None or kept.purpose == purpose]
    if request.query.get("order") == "asc":
        found.reverse()
    ids = [kept.id for kept in found]
    found = found[ids.index(after) + 1 :] if after in ids else found
    text = request.query.get("limit", "")
    page = found[: int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 6 else _PAGE]
    return answers.plain(
        {
            "object": "list",
            "data": [_shown(kept, upstream) for kept in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(page) < len(found),
        },
        {},
    )


async def retrieve(request: web.Request) -> web.Response:
    """`GET /v1/files/{id}`."""
    return answers.plain(_shown(_find(request), request.app[UPSTREAM]), {})


async def content(request: web.Request) -> web.StreamResponse:
    """`GET /v1/files/{id}/content`; a complete download of a batch's answers delivers its pictures."""
    kept = _find(request)
    transport = answers.writes_through(request)
    response = web.Response(body=kept.content(), content_type="application/octet-stream")
    await response.prepare(request)
    await response.write_eof()
    kept.taken(await delivery.taken(transport))
    return response


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/files/{id}`."""
    kept = _find(request)
    request.app[UPSTREAM].cabinet.remove(kept)
    return answers.plain({"id": kept.id, "object": "file", "deleted": True}, {})


def _find(request: web.Request) -> Kept:
    upstream = _entered(request)
    name = request.match_info["id"]
    kept = upstream.cabinet.find(name, caller_of(request).key_hash)
    if kept is None:
        raise errors.no_such_file(name)
    return kept


def _entered(request: web.Request) -> Upstream:
    upstream = request.app[UPSTREAM]
    access.key_of(caller_of(request).key, upstream.settings)
    upstream.check_alone()
    return upstream


def _shown(kept: Kept, upstream: Upstream) -> dict[str, Any]:
    expires_s = kept.expires_s
    return {
        "id": kept.id,
        "object": "file",
        "bytes": kept.size_bytes,
        "created_at": kept.created,
        "expires_at": None if expires_s is None else int(upstream.clock.epoch_unix_s + expires_s),
        "filename": kept.filename,
        "purpose": kept.purpose,
        "status": "processed",
        "status_details": None,
    }


ROUTES = (
    ("POST", "/v1/files", create),
    ("GET", "/v1/files", listed),
    ("GET", "/v1/files/{id}", retrieve),
    ("GET", "/v1/files/{id}/content", content),
    ("DELETE", "/v1/files/{id}", delete),
)
