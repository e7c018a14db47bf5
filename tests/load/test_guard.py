"""Who may ask Locust's page for what: the matrix of hosts, origins and requests."""

from __future__ import annotations

import pytest

from whocut.load.tab.guard import refusal

HERE = "127.0.0.1:8089"


@pytest.mark.parametrize("host", [HERE, "localhost:8089", "[::1]:8089", "127.0.0.1", "127.8.8.8:1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_page_itself_is_served(host: str, method: str) -> None:
    """A loopback address under any of its names, by a browser on this machine."""
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}

    assert refusal(method, "/swarm", headers, "127.0.0.1") is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_program_without_a_browsers_headers_is_served(method: str) -> None:
    """Curl on this machine sends no Origin."""
    assert refusal(method, "/swarm", {"Host": HERE}, "127.0.0.1") is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8089", "10.1.2.3:8089", "127.0.0.1.evil.example", "", "a b", "[::1", "0"],
)
@pytest.mark.parametrize("path", ["/", "/swarm", "/whocut/state.json"])
def test_another_host_is_refused_even_a_read(host: str, path: str) -> None:
    """A name that was rebound to the loopback reads nothing."""
    refused = refusal("GET", path, {"Host": host}, "127.0.0.1")

    assert refused is not None
    assert refused.startswith("the Host of this request is not this page's")


def test_the_address_that_the_page_was_told_to_listen_on_is_its_own() -> None:
    """`--web-host 192.0.2.7` opens the page to that name."""
    assert refusal("GET", "/", {"Host": "192.0.2.7:8089"}, "192.0.2.7") is None


@pytest.mark.parametrize(("method", "path"), [("POST", "/swarm"), ("GET", "/stop"), ("GET", "/stats/reset")])
@pytest.mark.parametrize(
    "more",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_what_acts_is_refused_to_another_site(method: str, path: str, more: dict[str, str]) -> None:
    """A form post needs no preflight, so the server must ask."""
    assert refusal(method, path, {"Host": HERE, **more}, "127.0.0.1") is not None
