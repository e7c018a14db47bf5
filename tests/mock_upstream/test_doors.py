"""Who gets in: by which Host, to the mock's own doors with which token, and how much of what they bring."""

import asyncio
import gc
import json
from pathlib import Path
from typing import Any

import pytest

from tests.mock_upstream.stage import KEY, MINIMAL, Stage, on_stage
from tests.mock_upstream.test_process import refused
from whocut_mock import Settings
from whocut_mock.form import Part
from whocut_mock.settings import shown, without_password

HUNDRED_S = Settings.model_validate({"latency": {"constant_s": 100.0}})
DOORS = [
    ("GET", "ledger"),
    ("GET", "health"),
    ("GET", "openapi.json"),
    ("GET", "behaviour"),
    ("PUT", "behaviour"),
    ("POST", "reset"),
    ("POST", "verify"),
]


@pytest.mark.parametrize(("method", "door"), DOORS)
def test_no_door_is_on_the_api_s_socket(method: str, door: str) -> None:
    """Through the API's port, and so through every layer before it, no door is to be found."""

    async def play(stage: Stage) -> None:
        control = stage.running.control
        assert control is not None
        headers = {"x-mock-token": control.token, "Authorization": f"Bearer {KEY}"}
        async with stage.session.request(method, stage.url(f"/_mock/{door}"), headers=headers) as answer:
            assert answer.status == 404

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(("method", "door"), DOORS)
@pytest.mark.parametrize("token", ["", "wrong"])
def test_door_without_its_token(method: str, door: str, token: str) -> None:
    """Who has no token changes nothing and learns nothing; a page cannot send the header unasked."""

    async def play(stage: Stage) -> None:
        waiting = asyncio.create_task(stage.post(MINIMAL))
        await asyncio.sleep(10)

        answer = await stage.door(method, door, {}, x_mock_token=token)

        assert (answer.status, answer.error["code"]) == (403, "wrong_token")
        assert stage.running.upstream.workshop.running == 1
        assert (await waiting).status == 200

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("127.1.2.3", True),
        ("[::1]:8000", True),
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("my.own.name:8000", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1@evil.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_host(*, host: str, let_in: bool) -> None:
    """Both sockets answer to this machine's names; a foreign name that points here is not one of them."""
    settings = Settings.model_validate({**HUNDRED_S.model_dump(), "hosts": ["my.own.name"]})

    async def play(stage: Stage) -> None:
        api = await stage.get("/v1/models", Host=host, Authorization=f"Bearer {KEY}")
        door = await stage.door("POST", "reset", Host=host)

        assert (api.status, door.status) == ((200, 200) if let_in else (421, 421))
        if not let_in:
            assert api.error["code"] == door.error["code"] == "unknown_host"

    on_stage(play, settings)


def test_second_host_header_is_looked_at_as_well() -> None:
    """Two readers could take two of them in two ways."""

    async def play(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.running.port)
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")

        status = (await reader.readline()).split(b" ")[1]

        assert status in (b"400", b"421")
        writer.close()

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"quota": {"redis": "redis://127.0.0.1:1"}}, "quota.redis"),
        ({"quota": {"redis_prefix": "other:"}}, "quota.redis_prefix"),
        ({"moderation": {"rules": "/etc/hostname"}}, "moderation.rules"),
        ({"latency": {"rows": [{"csv": "/etc/hostname"}]}}, "latency.rows.csv"),
        ({"hosts": ["evil.example"]}, "hosts"),
        ({"limits": {"json_bytes": 10**12}}, "limits"),
    ],
)
def test_files_and_addresses_are_settings_of_the_start(changes: dict[str, Any], name: str) -> None:
    """No request can make the mock read a file, dial an address or drop its guard."""

    async def play(stage: Stage) -> None:
        answer = await stage.door("PUT", "behaviour", changes)

        assert (answer.status, answer.error["code"], answer.error["param"]) == (409, "set_at_the_start", name)
        assert stage.running.upstream.settings == HUNDRED_S

    on_stage(play, HUNDRED_S)


def test_behaviour_goes_back_as_it_was_shown(tmp_path: Path) -> None:
    """Whoever reads the whole behaviour, changes a figure and sends all of it changes that figure alone."""
    table = tmp_path / "timings.csv"
    table.write_text("7\n")
    settings = Settings.model_validate(
        {"latency": {"rows": [{"csv": str(table)}]}, "quota": {"redis_prefix": "mine:"}}
    )

    async def play(stage: Stage) -> None:
        behaviour = (await stage.door("GET", "behaviour")).json
        behaviour["seed"] = 5

        assert (await stage.door("PUT", "behaviour", behaviour)).status == 200
        assert stage.running.upstream.settings == settings.model_copy(update={"seed": 5})

    on_stage(play, settings)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://user:s3cret@127.0.0.1:6379/0", "redis://***@127.0.0.1:6379/0"),
        ("redis://:s3cret@[::1]:6379/0", "redis://***@[::1]:6379/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
    ],
)
def test_password_of_a_redis_is_not_told(url: str, told: str) -> None:
    """Neither the behaviour nor a message has it."""
    assert without_password(url) == told
    assert shown(Settings.model_validate({"quota": {"redis": url}}))["quota"]["redis"] == told


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        ({"redis": "redis://127.0.0.1", "redis_prefix": ""}, "quota.redis_prefix"),
        ({"redis": "http://127.0.0.1:1"}, "begins with redis://"),
    ],
)
def test_quota_that_would_own_a_foreign_redis(quota: dict[str, str], said: str, tmp_path: Path) -> None:
    """An empty prefix, whose reset would delete every key, is refused at the start."""
    file = tmp_path / "mock.yaml"
    file.write_text(json.dumps({"quota": quota}))

    code, words = refused("--config", str(file))

    assert code == 2
    assert said in words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a: &a [x]\n" + "".join(f"{n}: &{n} [{'*a, ' * 9}]\n" for n in "bcdefg"), "aliases are not taken"),
        ("a: &a\n  b: *a\n", "line 2: aliases are not taken"),
        ("[" * 100_000, "nested deeper than 32 levels"),
        ("a: " + "{b: " * 3_000, "nested deeper than 32 levels"),
        ("x: " + "y" * 600_000, "longer than 500000 bytes"),
        ("a: !!python/object/apply:os.system [ls]", "this is not YAML"),
    ],
)
@pytest.mark.parametrize("where", ["config", "rules"])
def test_hostile_yaml_is_one_sentence(written: str, said: str, where: str, tmp_path: Path) -> None:
    """A few bytes of aliases, or depth without end, are refused before anything is built from them."""
    file = tmp_path / "hostile.yaml"
    file.write_text(written)
    config = file
    if where == "rules":
        config = tmp_path / "mock.yaml"
        config.write_text(json.dumps({"moderation": {"rules": str(file)}}))

    code, words = refused("--config", str(config))

    assert code == 2
    assert said in words


def form_of(size_bytes: int) -> bytes:
    """An edit's form with a file of this size, which is no picture."""
    head = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\ncat\r\n'
    head += b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return head + b"x" * size_bytes + b"\r\n--x--\r\n"


def test_body_is_let_go_when_it_is_judged() -> None:
    """Megabytes of an edit are not kept for the minutes that its work takes."""

    async def play(stage: Stage) -> None:
        waiting = asyncio.create_task(
            stage.post(form_of(1_000_000), "/v1/images/edits", Content_Type="multipart/form-data; boundary=x")
        )
        await asyncio.sleep(10)

        gc.collect()
        kept = [one for one in gc.get_objects() if isinstance(one, Part) and len(one.content) == 1_000_000]
        held_bytes = stage.running.upstream.held.now_bytes
        assert stage.running.upstream.workshop.running == 1
        assert (kept, held_bytes) == ([], 0)
        assert (await waiting).status == 200

    on_stage(play, HUNDRED_S.model_copy(update={"lenient": True}))


@pytest.mark.parametrize("body", [json.dumps(MINIMAL).encode(), b"[", b'{"prompt": 7}'])
def test_every_body_is_given_back(body: bytes) -> None:
    """Judged, refused or unreadable: nothing of it is counted afterwards."""

    async def play(stage: Stage) -> None:
        for path in ("/v1/images/generations", "/v1/responses", "/v1/chat/completions"):
            await stage.post(body, path)

        assert stage.running.upstream.held.now_bytes == 0

    on_stage(play, HUNDRED_S)


def test_all_bodies_together_have_a_bound() -> None:
    """A body that finds no room is told to come again, and what is under way is not touched."""
    settings = Settings.model_validate({**HUNDRED_S.model_dump(), "limits": {"held_bytes": 1_000}})

    async def play(stage: Stage) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", stage.running.port)
        head = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 990\r\n\r\n"
        writer.write(head + b"x" * 970)
        await asyncio.sleep(1)

        full = await stage.post(MINIMAL)
        writer.close()
        await asyncio.sleep(1)
        free = await stage.post(MINIMAL)

        assert (full.status, full.error["code"], full.headers["retry-after"]) == (503, "too_many_bytes", "1")
        assert free.status == 200

    on_stage(play, settings)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/images/gene",
        b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
    ],
)
def test_who_never_asks_to_the_end_is_given_up(sent: bytes) -> None:
    """A connection without a request, with half a head or with half a body ends after the silence allowed."""
    settings = Settings.model_validate({"limits": {"keepalive_s": 60.0}})

    async def play(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.running.port)
        writer.write(sent)
        begun_s = stage.now_s()

        answer = await reader.read()

        assert stage.now_s() - begun_s == pytest.approx(60, abs=3)
        assert (b" 408 " in answer) == (b"{" in sent)
        writer.close()

    on_stage(play, settings)


@pytest.mark.parametrize("path", ["/v1/images/generations", "/v1/responses"])
def test_depth_is_refused_as_no_json(path: str) -> None:
    """What can be read and not written again is no error of the mock's own."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(b'{"prompt": ' + b"[" * 400 + b"]" * 400 + b"}", path)

        assert (answer.status, "could not parse the JSON body" in answer.error["message"]) == (400, True)

    on_stage(play, HUNDRED_S)
