"""The application: which path leads where, and the one place where a refusal becomes an answer."""

import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from whocut_mock import answers, errors, guard
from whocut_mock.answers import Facts
from whocut_mock.batches import Batches
from whocut_mock.batches_api import BATCHES
from whocut_mock.caller import read_caller
from whocut_mock.clock import ModelClock
from whocut_mock.dialects import OPENAI, known, spoken
from whocut_mock.downloads import DELIVERY
from whocut_mock.errors import ApiError
from whocut_mock.images import Press
from whocut_mock.ledger import Ledger
from whocut_mock.settings import Settings
from whocut_mock.speech import DIALECT, Dialect
from whocut_mock.upstream import CALLER, UPSTREAM, Upstream, request_id_of

log = logging.getLogger(__name__)

_SPOKEN = web.AppKey("spoken", dict[str, Dialect])  # by the first step of their paths
_PREFLIGHT_S = "86400"


def create_app(
    settings: Settings, *, clock: ModelClock | None = None, ledger: Ledger | None = None, worker: int = 0
) -> web.Application:
    """The mock as an application.

    Its runner must be made with `handler_cancellation=True`, as `serve()` does.

    Raises:
        ValueError: the settings name a dialect that there is not, or a file that cannot be read.
    """
    app = web.Application(middlewares=[_envelope])
    app[UPSTREAM] = Upstream(
        settings=settings,
        clock=clock or ModelClock(),
        ledger=ledger or Ledger(),
        press=Press(settings.seed),
        worker=worker,
    )
    app[BATCHES] = Batches()
    app[UPSTREAM].closers.append(app[BATCHES].close)
    dialects = [*spoken(settings.dialects), DELIVERY]
    app[_SPOKEN] = {dialect.step or dialect.name: dialect for dialect in dialects}
    for dialect in dialects:
        for method, path, handler in dialect.routes:
            app.router.add_route(method, path, handler)
        for path in {path for _, path, _ in dialect.routes} if dialect.cors else ():
            app.router.add_route("OPTIONS", path, _preflight)
    app.on_shutdown.append(_stop)
    return app


@web.middleware
async def _envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal in its dialect's envelope, and every answer with the headers of its API."""
    upstream, dialect = request.app[UPSTREAM], _dialect(request)
    request[DIALECT] = dialect
    begun_s = upstream.clock.now_s()
    try:
        guard.check_host(request, upstream.settings.hosts)
        request[CALLER] = read_caller(request.headers, dialect.key(request.headers))
        response = await handler(request)
    except ApiError as error:
        refusal = error
    except web.HTTPMethodNotAllowed:
        refusal = errors.wrong_method(request.method, request.path)
    except web.HTTPException:
        refusal = errors.no_such_url(request.method, request.path)
    except Exception:
        log.exception("a request to %s met an error of the mock itself", request.path)
        refusal = errors.server_error(request_id_of(request, upstream))
    else:
        if not response.prepared and "Date" not in response.headers:
            response.headers.update(_headers(request, dialect, upstream, begun_s))
        return response
    return dialect.refusal(refusal, _headers(request, dialect, upstream, begun_s))


def _dialect(request: web.Request) -> Dialect:
    """By the first step of the path; whatever no other dialect owns is OpenAI's."""
    return request.app[_SPOKEN].get(request.path.split("/", 2)[1]) or known()[OPENAI]


def _headers(request: web.Request, dialect: Dialect, upstream: Upstream, begun_s: float) -> Mapping[str, str]:
    now_s = upstream.clock.now_s()
    facts = Facts(
        request_id_of(request, upstream),
        upstream.settings.organization,
        now_s - begun_s,
        upstream.clock.epoch_unix_s + now_s,
    )
    headers = dialect.headers(facts)
    return headers | answers.CORS if dialect.cors and "Origin" in request.headers else headers


async def _preflight(request: web.Request) -> web.Response:
    """What a browser asks before it sends a key from a page of another origin."""
    wanted = request.headers.get("Access-Control-Request-Headers", "authorization, content-type")
    headers = {
        "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": wanted[:1_000],
        "Access-Control-Max-Age": _PREFLIGHT_S,
    }
    return web.Response(headers=headers)


async def _stop(app: web.Application) -> None:
    await app[UPSTREAM].close()
