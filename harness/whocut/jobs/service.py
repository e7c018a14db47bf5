"""The service's paths: submit, poll, stream, cancel, gallery, credits; and the page."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from whocut.client.prompt_check import check_prompt, read_rules
from whocut.entry import same
from whocut.errors import BadInput, NoRoom
from whocut.jobs import guard
from whocut.jobs.guard import Refused
from whocut.jobs.order import read_fields, read_order
from whocut.jobs.records import JobState
from whocut.jobs.store import KeyTakenError, NoCreditError
from whocut.trace.media import media_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from whocut.jobs.events import Hub
    from whocut.jobs.guard import Door
    from whocut.jobs.letters import Letters
    from whocut.jobs.records import Job
    from whocut.jobs.store import Store
    from whocut.jobs.worker import Worker

BODY_BYTES: Final = 1_000_000
POLL_AFTER_S: Final = 2
_MOST_WAITING: Final = 10_000
_GALLERY: Final = 60
_KEY_CHARS: Final = 200
_BEAT_S: Final = 15.0
_PAGE: Final = Path(__file__).with_name("page")
# They hold no secret: a browser without a token gets them too, and the page asks for it.
_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
}
# Nothing from outside, no script but the page's own, and no frame around it.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_KIND: Final = {
    JobState.QUEUED: "waits for its turn",
    JobState.WAITING: "was refused for now, and is tried again",
    JobState.SENT: "is being made",
    JobState.DELIVERED: "is there",
    JobState.FAILED: "could not be made",
    JobState.UNKNOWN: "has an unknown outcome",
    JobState.CANCELLED: "was cancelled before it was sent",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running service."""

    store: Store
    hub: Hub
    worker: Worker
    letters: Letters
    door: Door
    budget_nano: int | None
    now_s: Callable[[], float]
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # no new order is taken


PARTS = web.AppKey("parts", Parts)


def create_app(parts: Parts) -> web.Application:
    """The service as an application."""
    app = web.Application(middlewares=[_guarded], client_max_size=BODY_BYTES)
    app[PARTS] = parts
    app.add_routes(
        [
            *(web.get(path, page) for path in _FILES),
            web.get("/enter/{code}", enter),
            web.post("/enter", enter_by_token),
            web.post("/jobs", submit),
            web.get("/jobs", gallery),
            web.get("/jobs/{id}", poll),
            web.delete("/jobs/{id}", delete),
            web.get("/jobs/{id}/events", events),
            web.get("/jobs/{id}/images/{n}", image),
            web.get("/jobs/{id}/partials/{n}", partial),
            web.get("/credits", credits_now),
            web.get("/webhook_secret", webhook_secret),
            web.post("/check", check),
        ]
    )
    return app


@web.middleware
async def _guarded(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    parts = request.app[PARTS]
    try:
        _check_text(request)
        if request.path in _FILES:
            guard.check_origin(request)
        elif not request.path.startswith("/enter"):
            parts.door.check(request)
        response = await handler(request)
    except Refused as refused:
        response = _error(refused.status, refused.code, str(refused))
    except KeyTakenError as taken:
        response = _error(409, "key_taken", str(taken))
    except NoCreditError as spent:
        response = _error(402, "no_credit", str(spent))
    except NoRoom as full:
        response = _error(507, "no_room", str(full))
    except BadInput as wrong:
        response = _error(400, "bad_input", str(wrong))
    except KeyError:
        response = _error(404, "unknown_job", "the id is unknown")
    except web.HTTPException as found:
        response = _error(found.status, "http", found.reason)
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response


def _check_text(request: web.Request) -> None:
    """Let in what is text: a head may hold any byte, and the store keeps text alone."""
    try:
        "".join((request.raw_path, *request.headers.values())).encode()
    except UnicodeEncodeError:
        raise BadInput("the request's head holds bytes that are not UTF-8; send text alone") from None


async def enter(request: web.Request) -> web.Response:
    """`GET /enter/{code}`: the link of the ready line; the token becomes a cookie that no script reads."""
    parts = request.app[PARTS]
    guard.check_host(request.headers.getall("Host", []))
    parts.door.enter(request.match_info["code"])
    return _let_in(web.Response(status=303, headers={"Location": "/"}), parts)


async def enter_by_token(request: web.Request) -> web.Response:
    """`POST /enter` with `{"token": …}`: the page's own form."""
    parts = request.app[PARTS]
    guard.check_origin(request)
    if media_type(request.headers) != "application/json":
        raise Refused(415, "content_type", "the body is no JSON; send Content-Type: application/json")
    given = read_fields(await request.read()).get("token")
    if not isinstance(given, str) or not same(given.strip(), parts.door.token):
        raise Refused(401, "no_token", "the token is wrong; it is in the file that the ready line names")
    return _let_in(web.Response(status=204), parts)


def _let_in(response: web.Response, parts: Parts) -> web.Response:
    response.set_cookie(parts.door.cookie, parts.door.token, httponly=True, samesite="Strict", path="/")
    return response


def _error(status: int, code: str, sentence: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return _json({"error": {"code": code, "message": sentence}}, status=status, headers=headers)


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json", headers=headers
    )


async def submit(request: web.Request) -> web.Response:
    """`POST /jobs`: 202 and the job; 200 where the same order came under the same key before."""
    parts = request.app[PARTS]
    if media_type(request.headers) != "application/json":
        raise Refused(415, "content_type", "the body is no JSON; send Content-Type: application/json")
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= _KEY_CHARS:
        raise BadInput(f"the idempotency key is longer than {_KEY_CHARS} characters, or empty")
    order = read_order(await request.read())
    price = order.price
    if price is None and parts.budget_nano is not None:
        raise BadInput("nothing published bounds the price of this order, so the budget keeps it back")
    if parts.closing.is_set():
        return _later("closing", "the service ends, and takes no new order")
    if parts.store.waiting() >= _MOST_WAITING:
        return _later("full", f"{_MOST_WAITING} jobs wait already; come again later")
    bound = 0 if price is None else price.nano_usd
    job, new = parts.store.accept(order, key, parts.now_s(), bound_nano=bound, budget_nano=parts.budget_nano)
    if new:
        changed(parts, job.id)
        parts.worker.look()
    headers = {"Location": f"/jobs/{job.id}", "Retry-After": str(POLL_AFTER_S)}
    return _json(shown(job, parts), status=202 if new else 200, headers=headers)


def _later(code: str, sentence: str) -> web.Response:
    return _json({"error": {"code": code, "message": sentence}}, status=503, headers={"Retry-After": "60"})


async def poll(request: web.Request) -> web.Response:
    """`GET /jobs/{id}`: the job as it is now; `Retry-After` says when to ask again."""
    parts = request.app[PARTS]
    job = parts.store.get(request.match_info["id"])
    return _json(shown(job, parts), headers={} if job.over else {"Retry-After": str(POLL_AFTER_S)})


async def gallery(request: web.Request) -> web.Response:
    """`GET /jobs`: the newest jobs."""
    parts = request.app[PARTS]
    return _json({"jobs": [shown(job, parts) for job in parts.store.newest(_GALLERY)]})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /jobs/{id}`: cancels what was not sent, forgets what is over; what is being paid is kept."""
    parts = request.app[PARTS]
    job = parts.store.get(request.match_info["id"])
    if job.over:
        parts.store.forget(job.id)
        return web.Response(status=204)
    if not parts.store.end(
        job.id,
        parts.now_s(),
        JobState.CANCELLED,
        "cancelled before it was sent",
        None,
        None,
        paid=False,
    ):
        raise Refused(
            409, "under_way", "the image is being made and paid already; it can be deleted when it is there"
        )
    changed(parts, job.id)
    return _json(shown(parts.store.get(job.id), parts))


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /jobs/{id}/events`: server-sent events until the job is over; `Last-Event-ID` takes it up again."""
    parts = request.app[PARTS]
    job = parts.store.get(request.match_info["id"])
    seen = parts.hub.seen(request.headers.get("Last-Event-ID", request.query.get("after", "")))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_HEADERS})
    await response.prepare(request)
    if seen == 0 and not parts.hub.after(job.id, 0):
        await response.write(
            _event(parts, 0, "state", shown(job, parts))
        )  # a restart has forgotten its events
    with suppress(ConnectionError):
        while True:
            for event in parts.hub.after(job.id, seen):
                seen = event.number
                await response.write(_event(parts, seen, event.kind, event.facts))
            job = parts.store.get(job.id)
            if job.over and not parts.hub.after(job.id, seen):
                await response.write(_event(parts, seen, "end", shown(job, parts)))
                break
            await _more(parts, job.id, response)
        await response.write_eof()
    return response


async def _more(parts: Parts, job_id: str, response: web.StreamResponse) -> None:
    """Wait for an event, with a comment in each long silence, so that no idle timer on the way fires."""
    try:
        async with asyncio.timeout(_BEAT_S):
            await parts.hub.more(job_id)
    except TimeoutError:
        await response.write(b": alive\n\n")


def _event(parts: Parts, number: int, kind: str, facts: dict[str, Any]) -> bytes:
    mark = parts.hub.mark(number).encode()
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (mark, kind.encode(), orjson.dumps(facts))


async def image(request: web.Request) -> web.Response:
    """`GET /jobs/{id}/images/{n}`: the file."""
    media, content = request.app[PARTS].store.image(
        request.match_info["id"], _number(request.match_info["n"])
    )
    return web.Response(body=content, content_type=media)


async def partial(request: web.Request) -> web.Response:
    """`GET /jobs/{id}/partials/{n}`: a partial image, while the job is under way."""
    media, content = request.app[PARTS].hub.partial_of(
        request.match_info["id"], _number(request.match_info["n"])
    )
    return web.Response(body=content, content_type=media)


async def credits_now(request: web.Request) -> web.Response:
    """`GET /credits`: what was spent, what may have been, what is held, what is left of the budget."""
    parts = request.app[PARTS]
    sums = parts.store.credits()
    left = None if parts.budget_nano is None else (parts.budget_nano - sums.gone) / 1e9
    return _json(
        {
            "spent_usd": sums.spent / 1e9,
            "unknown_usd": sums.unknown / 1e9,
            "held_usd": sums.held / 1e9,
            "budget_usd": None if parts.budget_nano is None else parts.budget_nano / 1e9,
            "left_usd": left,
        }
    )


async def webhook_secret(request: web.Request) -> web.Response:
    """`GET /webhook_secret`: what a receiver verifies callbacks with."""
    return _json({"secret": request.app[PARTS].store.secret})


async def check(request: web.Request) -> web.Response:
    """`POST /check`: what of a prompt a filter would probably stop, and how to reword it, before it costs."""
    order = read_order(await request.read())
    findings = check_prompt(str(order.wanted["prompt"]), read_rules())
    price = order.price
    return _json(
        {
            "findings": [
                {
                    "rule": found.rule.id,
                    "found": found.found,
                    "because": found.rule.because,
                    "instead": found.rule.instead,
                }
                for found in findings
            ],
            "most_usd": None if price is None else price.nano_usd / 1e9,
        }
    )


async def page(request: web.Request) -> web.Response:
    """`GET /`: the page and its files."""
    name, media = _FILES[request.path]
    return web.Response(body=(_PAGE / name).read_bytes(), content_type=media, charset="utf-8")


def changed(parts: Parts, job_id: str) -> None:
    """Tell everybody who looks on that a job has a new state."""
    parts.hub.tell(job_id, "state", shown(parts.store.get(job_id), parts))
    parts.letters.look()


def shown(job: Job, parts: Parts) -> dict[str, Any]:
    """A job as callers see it."""
    made = parts.store.images(job.id) if job.state is JobState.DELIVERED else 0
    told: dict[str, Any] = {
        "id": job.id,
        "status": str(job.state),
        "says": f"The image {_KIND[job.state]}.",
        "over": job.over,
        "created_s": job.created_s,
        "sent_s": job.sent_s,
        "ended_s": job.ended_s,
        "attempts": job.attempts,
        "prompt": job.wanted.get("prompt", ""),
        "model": job.wanted.get("model"),
        "images": [f"/jobs/{job.id}/images/{n}" for n in range(made)],
        "usage": job.usage,
        "cost_usd": job.cost_nano / 1e9,
        "most_usd": job.bound_nano / 1e9,
        "events": f"/jobs/{job.id}/events",
        "error": None if job.error is None else {"code": job.code, "message": job.error},
    }
    if job.id in parts.worker.unwritten and not job.over:
        told["says"] = f"The image waits for room: {parts.worker.unwritten[job.id]}."
    if job.webhook is not None:
        told["callback"] = parts.store.callback_of(job.id)
    return told


def _number(text: str) -> int:
    """A small whole number of an address.

    Raises:
        KeyError: it is not.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise KeyError(text)
    return int(text)
