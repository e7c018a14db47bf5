"""The token between processes: where it comes from, and that its proof gives nothing away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.errors import BadInput
from whocut.token import (
    FILE_VARIABLE,
    VARIABLE,
    checked,
    hello,
    is_nonce,
    key_of,
    new_nonce,
    new_token,
    nonce_of_hello,
    proof,
    proven,
    told_token,
)

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "0123456789abcdef0123456789abcdef"


def test_it_comes_from_the_environment_or_a_file_and_the_file_goes_first(tmp_path: Path) -> None:
    """A flag's file, then the variable's file, then the variable; nothing is no token."""
    named, flagged = tmp_path / "named", tmp_path / "flagged"
    named.write_text("of-the-variable-s-file\n")
    flagged.write_text("of-the-flag-s-file-0001\n")
    everything = {VARIABLE: TOKEN, FILE_VARIABLE: str(named)}

    assert told_token(everything, flagged) == "of-the-flag-s-file-0001"
    assert told_token(everything) == "of-the-variable-s-file"
    assert told_token({VARIABLE: TOKEN, FILE_VARIABLE: ""}) == TOKEN
    assert told_token({VARIABLE: ""}) is None


@pytest.mark.parametrize(
    "wrong", ["short", "x" * 513, "twenty characters ü and more", "with\nnewline" + TOKEN]
)
def test_one_that_is_none_is_refused_without_being_repeated(wrong: str) -> None:
    """The sentence may end in a log."""
    with pytest.raises(BadInput, match="is not 20 to 512 printable characters") as refused:
        checked(wrong, VARIABLE)

    assert wrong not in str(refused.value)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(BadInput, match=r"nowhere: No such file or directory\. Name another"):
        told_token({}, tmp_path / "nowhere")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe" * 20)
    with pytest.raises(BadInput, match="is no text"):
        told_token({}, tmp_path / "bytes")


def test_proof_holds_for_its_nonces_and_key_alone() -> None:
    """What was overheard of one handshake opens no other one, nor does the key of another purpose."""
    key, caller, door = key_of(TOKEN, "chain"), new_nonce(), new_nonce()
    said = proof(key, caller, door)

    assert proven(key, caller, door, said)
    assert not proven(key, caller, new_nonce(), said)
    assert not proven(key, new_nonce(), door, said)
    assert not proven(key_of(TOKEN, "master"), caller, door, said)
    assert not proven(key_of(new_token(), "chain"), caller, door, said)
    assert not proven(key, caller, door, b"")


def test_nothing_that_is_said_holds_the_token() -> None:
    """Neither as it is nor as a key."""
    key, caller, door = key_of(TOKEN, "chain"), new_nonce(), new_nonce()

    said = hello(caller) + door + proof(key, caller, door)

    assert TOKEN.encode() not in said
    assert key.hex().encode() not in said


@pytest.mark.parametrize(
    "line", [b"", b"GET / HTTP/1.1\r", b"WHOCUT/1 ", b"WHOCUT/1 " + b"g" * 32, b"WHOCUT/1 " + b"a" * 33]
)
def test_line_of_a_stranger_has_no_nonce(line: bytes) -> None:
    """Only ours has."""
    assert nonce_of_hello(line) is None
    assert nonce_of_hello(hello(b"a" * 32)[:-1]) == b"a" * 32
    assert not is_nonce(line)
