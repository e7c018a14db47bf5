"""Records of logs that were pasted behind other words, or laid out over several lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from whocut.verdict.triage import Cause, triage

if TYPE_CHECKING:
    from whocut.verdict.triage import Triage

CADDY: Final[dict[str, Any]] = {
    "level": "error",
    "ts": 1789373401.82,
    "logger": "http.log.error",
    "msg": "net/http: timeout awaiting response headers",
    "request": {"method": "POST", "host": "img.example.com", "uri": "/v1/images/generations"},
    "duration": 60.004,
    "status": 504,
}


def _in_short(found: Triage) -> tuple[object, ...]:
    return (found.cause, found.layer, found.timer, found.phase, found.status, found.elapsed_s, found.retry)


@pytest.mark.parametrize("before", ["2024-10-04 15:42:56 ", "caddy says ", "[web] -> ", "Anna 09:12 "])
def test_a_record_behind_other_words_is_read_as_the_line_alone(before: str) -> None:
    """A collector of one's own puts anything in front."""
    line = json.dumps(CADDY)

    assert _in_short(triage(before + line)) == _in_short(triage(line))


def test_a_record_that_is_laid_out_is_read_as_the_line() -> None:
    """An editor has put each field on a line of its own, and the user a remark around it."""
    laid_out = json.dumps(CADDY, indent=2)

    assert _in_short(triage(f"What does this mean?\n{laid_out}\nThanks!")) == _in_short(
        triage(json.dumps(CADDY))
    )


def test_a_server_that_got_an_end_from_behind_names_no_layer() -> None:
    """A 502 that a proxy answers because what is behind it closed is not the proxy's doing."""
    found = triage(json.dumps(CADDY | {"msg": "EOF", "status": 502}))

    assert (found.cause, found.layer, found.ended_by) == (Cause.CONNECTION, None, "upstream")


def test_a_page_that_was_escaped_as_a_whole_is_the_page() -> None:
    """A tracker or a log has written the page's marks as entities."""
    head = "<html>\n<head><title>504 Gateway Time-out</title></head>\n<body>"
    page = f"{head}\n<hr><center>nginx</center>\n</body>\n</html>"
    escaped = page.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert _in_short(triage(escaped)) == _in_short(triage(page))
    assert triage(escaped).layer == "nginx"
