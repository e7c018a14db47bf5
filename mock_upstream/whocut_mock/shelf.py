"""Where finished pictures lie to be downloaded: by a link, for as long as it is kept.

The picture itself is not kept: it follows from its order and its name, and is printed at each download. A link
needs no key, like a vendor's signed link.
"""

from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from aiohttp import web

from whocut_mock import film, pictures
from whocut_mock.errors import ApiError
from whocut_mock.images import Press
from whocut_mock.jobs import Job
from whocut_mock.parameters import Order

PATH = "/content/{name}"
MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "svg": "image/svg+xml",
}
_LINKS_MOST = 20_000


class Link(NamedTuple):
    """What a link leads to; who takes the picture of a job has fetched it."""

    order: Order
    picture: str  # the picture's own name
    expires_s: float
    job: Job | None


@dataclass
class Shelf:
    """The links of a mock; of many the oldest go."""

    seed: int
    _links: dict[str, Link] = field(default_factory=dict)

    def put(self, order: Order, picture: str, expires_s: float, job: Job | None = None) -> str:
        """The name of a link to this picture; the same one each time."""
        digest = blake2b(f"{self.seed}/{picture}".encode(), digest_size=12).hexdigest()
        name = f"{digest}.{'mp4' if order.video else order.output_format}"
        self._links[name] = Link(order, picture, expires_s, job)
        if len(self._links) > _LINKS_MOST:
            del self._links[next(iter(self._links))]
        return name

    def find(self, name: str, now_s: float) -> Link:
        """What this link leads to.

        Raises:
            ApiError: there is no such link, or none any more.
        """
        link = self._links.get(name)
        if link is None or now_s >= link.expires_s:
            raise ApiError(404, "The link has expired or never was. Ask for the picture again.", code="gone")
        return link

    def clear(self) -> None:
        """Nothing is to be found any more."""
        self._links.clear()


def media_type(order: Order) -> str:
    """What a picture of this order is."""
    return "video/mp4" if order.video else MEDIA_TYPES[order.output_format]


def printed(order: Order, picture: str, press: Press) -> bytes:
    """The file of this picture, or the film of it."""
    content = b64decode(b"".join(pictures.plate_for(order, press).print(picture)))
    return film.of_picture(content, order.size) if order.video else content


def url_of(request: web.Request, name: str) -> str:
    """The link as the caller can follow it: by the way it came."""
    return url_at(request.host, name)


def url_at(host: str, name: str) -> str:
    """The link for who came to this host."""
    return f"http://{host}{PATH.format(name=name)}"
