"""`GET /content/{name}`: a finished picture, for who follows its link in time."""

from aiohttp import web

from whocut_mock import shelf
from whocut_mock.jobs import Job
from whocut_mock.reply import Reply
from whocut_mock.speech import Dialect
from whocut_mock.upstream import UPSTREAM
from whocut_mock.visits import RESULT, Visit, visited


async def download(request: web.Request) -> web.StreamResponse:
    """One picture; of a job it is the delivery."""
    upstream = request.app[UPSTREAM]
    link = upstream.shelf.find(request.match_info["name"], upstream.clock.now_s())
    content = shelf.printed(link.order, link.picture, upstream.press)
    kind = shelf.media_type(link.order)
    if link.job is None:
        return web.Response(body=content, content_type=kind)

    async def said(reply: Reply, _: Job, visit: Visit) -> web.StreamResponse:
        visit.carries_picture = True
        return await reply.whole([content], content_type=kind)

    return await visited(request, link.job, said, RESULT)


DELIVERY = Dialect(
    "content", (("GET", shelf.PATH, download),), cors=True
)  # a vendor's store of files, not its API
