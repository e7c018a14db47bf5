"""What is written of several machines, and what is refused before anything is started."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import whocut
from whocut.errors import BadInput, PortTaken
from whocut.path.address import address_of, parse_listen, parse_master
from whocut.run.several import Listening, one_quota, refuse_counted_by_one

if TYPE_CHECKING:
    from pathlib import Path

REDIS = "redis://10.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("10.0.0.1", "10.0.0.1", 5557),
        ("10.0.0.1:7000", "10.0.0.1", 7000),
        ("[fd00::1]:7000", "fd00::1", 7000),
        ("[fd00::1]", "fd00::1", 5557),
        ("fd00::1", "fd00::1", 5557),
    ],
)
def test_address_is_read_with_or_without_its_port(written: str, host: str, port: int) -> None:
    """For the master and for its workers alike; what is said is read again."""
    assert parse_listen(written) == parse_master(written) == (host, port)
    assert parse_listen(address_of(host, port)) == (host, port)


@pytest.mark.parametrize(
    "written", ["", "host", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:0", "10.0.0.1:70000", "1.2.3"]
)
def test_what_is_no_address_is_refused_with_the_flag(written: str) -> None:
    """A name is no address to listen on; a worker may dial one."""
    with pytest.raises(BadInput) as refused:
        parse_listen(written)

    assert refused.value.at_flag.startswith("--listen: ")
    assert parse_master("master.example:7000") == ("master.example", 7000)


@pytest.mark.parametrize("written", ["-o", "a b", "x;y", "https://10.0.0.1", "", "ä"])
def test_what_is_no_name_of_a_master_is_refused(written: str) -> None:
    """It becomes a word of a command line."""
    with pytest.raises(BadInput, match=r"Write (one like|a number)"):
        parse_master(written)


def test_taken_port_and_strange_address_are_refused_before_the_start() -> None:
    """With their exit codes."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken):
            Listening.told(f"127.0.0.1:{port}", 2, None)
    with pytest.raises(BadInput, match="is no address of this machine"):
        Listening.told("192.0.2.1", 2, None)


def test_token_is_made_where_none_is_given_and_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the worker's command; one that was given is not said at all."""
    monkeypatch.delenv("WHOCUT_TOKEN", raising=False)
    made = Listening.told("127.0.0.1:17399", 2, None)
    made.tell()
    file = tmp_path / "token"
    file.write_text("a-token-of-the-user-s-own-file")
    Listening.told("127.0.0.1:17399", 2, file).tell()

    first, second = capsys.readouterr().err.splitlines()

    assert f"WHOCUT_TOKEN={made.token} whocut worker --master 127.0.0.1:17399" in first
    assert second.endswith("on other machines: whocut worker --master 127.0.0.1:17399")
    assert made.token not in repr(made)


@pytest.mark.parametrize(
    ("quota", "redis", "local", "says"),
    [
        ({"tier": "2"}, None, True, r"would have a quota of its own \(quota\.tier\)"),
        ({}, REDIS, False, "Add --local-chain"),
        ({}, "redis://:s3cret@10.0.0.1/0", True, r"Write \$NAME"),
        ({}, "redis://me:s3cret@10.0.0.1/0", True, r"Write \$NAME"),
    ],
)
def test_quota_that_would_not_be_one_is_refused(
    quota: dict[str, Any], redis: str | None, says: str, *, local: bool
) -> None:
    """And a password does not get into the manifest."""
    with pytest.raises(BadInput, match=says) as refused:
        one_quota({"quota": quota}, redis, local_chain=local)

    assert "s3cret" not in str(refused.value)


def test_quota_in_a_redis_has_a_place_of_this_run_and_the_run_s_time() -> None:
    """What else the scenario says of the mock stays; without --local-chain nothing changes."""
    upstream = {"latency": {"constant_s": 5}, "quota": {"tier": "2"}}

    one, other = (one_quota(upstream, "redis://:$WORD@10.0.0.1/0", local_chain=True) for _ in range(2))

    assert one["latency"] == {"constant_s": 5}
    assert (
        one["quota"].items()
        >= {"tier": "2", "redis": "redis://:$WORD@10.0.0.1/0", "redis_time": "run"}.items()
    )
    assert one["quota"]["redis_prefix"] != other["quota"]["redis_prefix"]
    assert one_quota(upstream, None, local_chain=False) == upstream
    assert one_quota({}, None, local_chain=True) == {}


@pytest.mark.parametrize("name", ["concurrency", "overloaded_at"])
def test_quota_on_what_is_under_way_is_no_sum_of_several_mocks(name: str) -> None:
    """Nor one that a mode of the scenario brings."""
    for upstream, upstream_in in (({"quota": {name: 3}}, {}), ({}, {"plain": {"quota": {name: 3}}})):
        with pytest.raises(BadInput, match=f"quota.{name} counts what is under way in one mock"):
            refuse_counted_by_one(upstream, upstream_in)


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--listen", "127.0.0.1", "--processes", "2"), "with --listen all load is made by workers"),
        (("--listen", "127.0.0.1", "--to", "http://127.0.0.1:9/v1"), "takes workers from others"),
        (("--workers", "2"), "Give --listen ADDRESS as well"),
        (("--local-chain",), "Give --listen ADDRESS as well"),
        (("--quota-in", REDIS), "Add --local-chain"),
        (("--listen", "everywhere"), "'everywhere' is no address"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """In one sentence, and no run directory is made."""
    done = whocut("run", *words, "--out", "run", cwd=tmp_path, check=2)

    (sentence,) = done.stderr.splitlines()
    assert says in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.sockets
def test_scenario_with_a_quota_of_one_mock_is_refused_with_own_chains(tmp_path: Path) -> None:
    """`rate_limits` counts what is under way."""
    done = whocut("run", "rate_limits", "--listen", "127.0.0.1", "--local-chain", cwd=tmp_path, check=2)

    assert "quota.concurrency counts what is under way in one mock" in done.stderr
