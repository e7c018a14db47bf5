"""The columns that products built on nginx write in their own default forms: Kong's and APISIX's.

Kong puts its request's id behind combined, and the same id behind its error lines. APISIX has a form of its own:
the host before the request, the duration, and what nginx knows of its upstream. Neither form tells its own 502 or
504 from one that it passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from whocut.trace.logs.fields import present, scaled
from whocut.trace.logs.records import EndedBy, Signal

# … "$http_user_agent" kong_request_id: "$kong_request_id" (kong/templates/nginx_kong.lua, since Kong 3.5)
_KONG: Final = re.compile(r'^ kong_request_id: "(?P<id>[^"]*)"$')
# $remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time
# "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time
# "$upstream_scheme://$upstream_host$upstream_uri" (apisix/cli/config.lua); behind it many put "$apisix_request_id"
# as its documentation has it. Each of the three upstream columns has one value a try, apart by ", " or " : ".
APISIX: Final = re.compile(
    r'^(?P<client>\S+) (?P<ident>-) \S+ \[(?P<time>[^\]]+)\] (?P<host>\S+) "(?P<request>(?:[^"\\]|\\.)*+)" '
    r"(?P<status>\d{3}) (?P<bytes>\d+|-) (?P<duration>\d+\.\d+)"
    r'(?P<agents>(?: "(?:[^"\\]|\\.)*+"){2}) (?P<more>(?:unix:)?[^\s",]+(?:(?:, | : )[^\s",]+)* '
    r"(?P<statuses>(?:\d{3}|-)(?:(?:, | : )(?:\d{3}|-))*) (?P<times>[\d.]+|-)(?:(?:, | : )(?:[\d.]+|-))* "
    r'"[^"\s]*://[^"]*"(?: "(?P<id>[0-9a-fA-F-]{16,64}|-)")?(?: +"[^"]*")*)$'
)
_ERROR_ID: Final = re.compile(r', request_id: "([0-9A-Za-z-]{1,64})"')

APISIX_5XX = Signal(
    "APISIX: 5xx, an upstream_status",
    EndedBy.UNSAID,
    says="APISIX' form does not tell its own 502 or 504 from one that it passed on",
)
APISIX_ALONE = Signal(
    "APISIX: 5xx, upstream_status -",
    EndedBy.UNSAID,
    says="nginx asked no upstream: APISIX answered so, or a plugin that asks by itself",
)
SIGNALS: Final = (APISIX_5XX, APISIX_ALONE)
SIGNS: Final = ('kong_request_id: "', "://")
_FAILED: Final = "5"


@dataclass(frozen=True, slots=True)
class Told:
    """What a product's own columns say. `unsaid` is what an answer of 500 or above means in its form."""

    product: str
    duration_s: float | None = None
    statuses: str | None = None
    request_id: str | None = None
    unsaid: Signal | None = None


def told_in(match: re.Match[str]) -> Told | None:
    """What the columns of Kong or APISIX in a line say; None in a line without them."""
    if match.re is APISIX:
        last = match["statuses"].split(" ")[-1]
        return Told(
            "apisix",
            scaled(match["duration"], 1.0),
            match["statuses"],
            present(match["id"]),
            (APISIX_ALONE if last == "-" else APISIX_5XX) if match["status"].startswith(_FAILED) else None,
        )
    if (kong := _KONG.match(match["more"])) is not None:
        return Told("kong", request_id=present(kong["id"]))
    return None


def id_in_error(text: str) -> str | None:
    """The request's id that Kong puts behind an error line."""
    found = _ERROR_ID.search(text)
    return found[1] if found else None
