"""The guard: the token's file, the link that works once, the Host, the Origin, the cookie's name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.jobs.place import ORDER, Place, on_place
from whocut.errors import CouldNotRun
from whocut.jobs import guard

if TYPE_CHECKING:
    from pathlib import Path


def test_token_is_in_a_file_for_its_owner_and_stays_the_same(tmp_path: Path) -> None:
    """Made once, with mode 0600; the next start reads it."""
    store = tmp_path / "jobs.db"
    token = guard.token_of(store)
    assert guard.token_of(store) == token
    assert guard.token_file(store).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["jobs.db.token"]


def test_empty_token_file_of_a_killed_start_is_filled(tmp_path: Path) -> None:
    """It held nothing, so nothing is lost."""
    file = guard.token_file(tmp_path / "jobs.db")
    file.touch()
    token = guard.token_of(tmp_path / "jobs.db")
    assert len(token) >= 20
    assert file.read_text().strip() == token


def test_token_file_is_whole_or_absent_at_any_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill before the last step leaves no file of that name; looked at from the step itself."""
    file = guard.token_file(tmp_path / "jobs.db")
    seen: list[bool] = []
    fsync = os.fsync

    def look(fd: int) -> None:
        seen.append(file.exists())
        fsync(fd)

    monkeypatch.setattr("whocut.jobs.guard.os.fsync", look)
    guard.token_of(tmp_path / "jobs.db")
    assert seen == [False]


@pytest.mark.parametrize("held", ["short", "x"])
def test_file_that_holds_something_else_is_refused_and_kept(tmp_path: Path, held: str) -> None:
    """It is not ours to overwrite."""
    file = guard.token_file(tmp_path / "jobs.db")
    file.write_text(held)
    with pytest.raises(CouldNotRun, match=r"jobs\.db\.token"):
        guard.token_of(tmp_path / "jobs.db")
    assert file.read_text() == held


def test_link_in_the_place_of_the_token_file_is_not_followed(tmp_path: Path) -> None:
    """Another file's words do not become a token."""
    other = tmp_path / "other"
    other.write_text("a text of more than twenty characters")
    guard.token_file(tmp_path / "jobs.db").symlink_to(other)
    with pytest.raises(CouldNotRun, match=r"jobs\.db\.token"):
        guard.token_of(tmp_path / "jobs.db")


def test_two_services_have_cookies_of_two_names() -> None:
    """Cookies of one address are shared by its ports."""
    assert guard.Door("a" * 24).cookie != guard.Door("b" * 24).cookie


def test_link_of_the_ready_line_lets_one_browser_in_once(tmp_path: Path) -> None:
    """It gives a cookie that no script reads; a second use is refused, and the token never stands in an address."""

    async def play(place: Place) -> None:
        token = place.service.door.token
        assert token not in place.entry
        async with place.session.get(place.entry, allow_redirects=False) as answer:
            cookie = answer.cookies[place.service.door.cookie]
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            assert (cookie.value, cookie["httponly"], cookie["samesite"]) == (token, True, "Strict")
        async with place.session.get(place.entry, allow_redirects=False) as answer:
            assert answer.status == 401
            assert token not in await answer.text()
        held = {"Cookie": f"{cookie.key}={cookie.value}"}
        async with place.session.get(f"{place.base_url}/jobs", headers=held) as answer:
            assert answer.status == 200

    on_place(play, tmp_path / "jobs.db")


def test_page_takes_the_token_itself_and_refuses_another(tmp_path: Path) -> None:
    """The page's form, where the link was used."""

    async def play(place: Place) -> None:
        url, door = f"{place.base_url}/enter", place.service.door
        async with place.session.post(url, json={"token": door.token}) as answer:
            assert (answer.status, answer.cookies[door.cookie].value) == (204, door.token)
        async with place.session.post(url, json={"token": "x" * 32}) as answer:
            assert (answer.status, len(answer.cookies)) == (401, 0)

    on_place(play, tmp_path / "jobs.db")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong-and-long-enough-to-be-one"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_request_without_the_token_or_from_elsewhere_orders_nothing(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """A wrong Host or Origin is refused even with the token."""

    async def play(place: Place) -> None:
        good = place.headers() if status != 401 else {}
        async with place.session.post(f"{place.base_url}/jobs", json=ORDER, headers=good | headers) as answer:
            assert answer.status == status
        assert place.service.store.newest(9) == []

    on_place(play, tmp_path / "jobs.db")


def test_page_and_its_files_need_no_token_and_nothing_from_outside(tmp_path: Path) -> None:
    """The favicon too; each forbids foreign scripts and frames."""

    async def play(place: Place) -> None:
        for path in ("/", "/page.js", "/page.css", "/favicon.ico"):
            async with place.session.get(place.base_url + path) as answer:
                assert answer.status == 200
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "https://" not in await answer.text()

    on_place(play, tmp_path / "jobs.db")


def test_foreign_page_does_not_read_the_page(tmp_path: Path) -> None:
    """Another name for this machine is refused there too."""

    async def play(place: Place) -> None:
        async with place.session.get(place.base_url, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421

    on_place(play, tmp_path / "jobs.db")
