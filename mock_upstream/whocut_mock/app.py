"""The application: which path leads where, and the one place where a refusal becomes an answer."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from whocut_mock import answers, errors, guard, listing, responses_api, service
from whocut_mock.clock import ModelClock
from whocut_mock.errors import ApiError
from whocut_mock.images import Press
from whocut_mock.ledger import Ledger
from whocut_mock.settings import Settings
from whocut_mock.upstream import REQUEST_ID, UPSTREAM, Upstream

log = logging.getLogger(__name__)

ROUTES = (
    ("POST", "/v1/images/generations", service.generations),
    ("POST", "/v1/images/edits", service.edits),
    ("POST", "/v1/images/variations", service.variations),
    ("POST", "/v1/responses", responses_api.responses),
    ("POST", "/v1/chat/completions", listing.chat),
    ("GET", "/v1/models", listing.list_models),
    ("GET", "/v1/models/{name:.+}", listing.get_model),
)


def create_app(
    settings: Settings, *, clock: ModelClock | None = None, ledger: Ledger | None = None, worker: int = 0
) -> web.Application:
    """The mock as an application.

    Its runner must be made with `handler_cancellation=True`, as `serve()` does.
    """
    app = web.Application(middlewares=[_envelope])
    app[UPSTREAM] = Upstream(
        settings=settings,
        clock=clock or ModelClock(),
        ledger=ledger or Ledger(),
        press=Press(settings.seed),
        worker=worker,
    )
    for method, path, handler in ROUTES:
        app.router.add_route(method, path, handler)
    app.on_shutdown.append(_stop)
    return app


@web.middleware
async def _envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal in the API's envelope, and every answer with its headers."""
    upstream = request.app[UPSTREAM]
    begun_s = upstream.clock.now_s()
    try:
        guard.check_host(request, upstream.settings.hosts)
        response = await handler(request)
    except ApiError as error:
        refusal = error
    except web.HTTPMethodNotAllowed:
        refusal = errors.wrong_method(request.method, request.path)
    except web.HTTPException:
        refusal = errors.no_such_url(request.method, request.path)
    except Exception:
        log.exception("a request to %s met an error of the mock itself", request.path)
        refusal = errors.server_error(_request_id(request, upstream))
    else:
        if not response.prepared and "x-request-id" not in response.headers:
            response.headers.update(_headers(request, upstream, begun_s))
        return response
    return answers.refusal(refusal, _headers(request, upstream, begun_s))


def _headers(request: web.Request, upstream: Upstream, begun_s: float) -> dict[str, str]:
    now_s = upstream.clock.now_s()
    return answers.standard_headers(
        _request_id(request, upstream),
        organization=upstream.settings.organization,
        processing_s=now_s - begun_s,
        unix_s=upstream.clock.epoch_unix_s + now_s,
    )


def _request_id(request: web.Request, upstream: Upstream) -> str:
    """The id of this request; one whose body was never read gets it from its path."""
    if REQUEST_ID not in request:
        name = f"{request.method} {request.raw_path}".encode("utf-8", "surrogateescape")
        request[REQUEST_ID] = f"req_{upstream.sightings.dice(name, 1).hex('request', 32)}"
    return request[REQUEST_ID]


async def _stop(app: web.Application) -> None:
    app[UPSTREAM].workshop.stop_all()
    await app[UPSTREAM].gate.store.close()
