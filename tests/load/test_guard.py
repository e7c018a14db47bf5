"""Who may ask Locust's page for what: the matrix of hosts, origins and requests."""

from __future__ import annotations

import pytest

from tests.load.test_tab import TOKEN, FakeWebUI, client_of
from whocut.errors import BadInput
from whocut.load.tab.guard import TOKEN_VARIABLE, guard, refusal

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


def guarded(base_path: str = "", *, login: bool = False) -> FakeWebUI:
    """A page behind the guard."""
    web_ui = FakeWebUI(locked=login)
    web_ui.app.add_url_rule("/swarm", "swarm", lambda: "started", methods=["POST"])
    guard(web_ui, base_path, "127.0.0.1")
    return web_ui


def link_of(said: str) -> str:
    """The path of the last link that the terminal was shown."""
    return said.rstrip().rpartition("http://127.0.0.1:8089")[2]


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong-and-long-enough-to-be-one", "Bearer ", "Basic YTpi", TOKEN, "\xff"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/swarm"), ("GET", "/stats/requests"), ("GET", "/nowhere")]
)
def test_another_account_of_this_machine_reads_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, authorization: str | None
) -> None:
    """It sends whatever Host and Origin it likes, and has no token; the answer does not tell it."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    headers = {"Authorization": authorization} if authorization is not None else {}

    answer = guarded().app.test_client().open(path, method=method, headers=headers)

    assert answer.status_code == 401
    assert "Open the link that the terminal shows" in answer.text
    assert TOKEN not in answer.text


def test_a_program_that_has_set_the_token_starts_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curl with the same variable."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)

    assert client_of(guarded()).post("/swarm").text == "started"


@pytest.mark.parametrize("base_path", ["", "/load"])
def test_a_browser_comes_in_by_the_link_of_the_terminal(
    capsys: pytest.CaptureFixture[str], base_path: str
) -> None:
    """The link gives a cookie that no script reads, and works once; the terminal shows the next one."""
    client = guarded(base_path).app.test_client()
    link = link_of(capsys.readouterr().err)

    came = client.get(link)
    again = client.get(link)

    assert (came.status_code, came.headers["Location"]) == (303, "/")
    assert "HttpOnly" in came.headers["Set-Cookie"]
    assert "SameSite=Strict" in came.headers["Set-Cookie"]
    assert client.post("/swarm").text == "started"
    assert again.status_code == 401
    assert link.startswith(f"{base_path}/whocut/enter/")
    assert link_of(capsys.readouterr().err) not in {"", link}


def test_two_starts_have_two_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What one browser holds of an earlier start opens nothing."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    first, second = guarded().app.test_client(), guarded().app.test_client()
    links = [line for line in capsys.readouterr().err.splitlines() if "/enter/" in line]
    cookie = first.get(link_of(links[0])).headers["Set-Cookie"].partition(";")[0]

    assert first.get("/").status_code == 200
    assert second.get("/", headers={"Cookie": cookie}).status_code == 401


def test_locusts_own_login_stands_in_for_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    """`--web-login`: the user has a guard already, and no second one asks."""
    answer = guarded(login=True).app.test_client().get("/")

    assert answer.status_code == 200
    assert capsys.readouterr().err == ""


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has the variable and the length, and not the value."""
    monkeypatch.setenv(TOKEN_VARIABLE, "hunter2")

    with pytest.raises(
        BadInput, match=r"^the token in WHOCUT_PAGE_TOKEN has 7 characters\. Give it at least 20"
    ):
        guarded()
