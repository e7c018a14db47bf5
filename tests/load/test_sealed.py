"""Locust's sealed connection, met by peers that are no workers: in a process of its own, for Locust patches it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from whocut.path.ports import held_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sockets

PROGRAM = """
import sys
from locust.exception import RPCReceiveError
from locust.rpc import Message
import gevent, msgpack, zmq, zmq.green
from whocut.load import sealed

port = int(sys.argv[1])
server = sealed.SealedServer("127.0.0.1", port)
public, _ = sealed._keys("a-token-of-this-test-alone")

def peer(key):
    socket = zmq.green.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, b"peer")
    socket.linger = 0
    if key is not None:
        socket.curve_serverkey = key
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    socket.connect(f"tcp://127.0.0.1:{port}")
    return socket

def heard(within_s=20.0):
    with gevent.Timeout(within_s, False):
        try:
            return server.recv_from_client()[1].type
        except RPCReceiveError as error:
            return str(error)
    return "nothing"

for key in (None, sealed._keys("another-token-of-the-test")[0]):
    stranger = peer(key)
    stranger.send(Message("client_ready", "2", "peer").serialize())
    print(heard(1.0))
    stranger.close()
worker = peer(public)
for junk in (msgpack.dumps({(1, 2): 3})[:-2], msgpack.dumps([1]), b"", msgpack.dumps(7), b"\\x81\\x90\\x01"):
    worker.send(junk)
    print(heard())
worker.send(Message("client_ready", "2", "peer").serialize())
print(heard())
worker.send(b"x" * (sealed.MOST_MESSAGE_BYTES + 1))
print(heard(2.0))
again = sealed.SealedClient("127.0.0.1", port, "again")
again.send(Message("client_ready", "2", "again"))
print(heard())
"""


def run(program: str, folder: Path, port: int, token: str = "a-token-of-this-test-alone") -> list[str]:
    """What it prints."""
    file = folder / "program.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, str(file), str(port)],
        env={"WHOCUT_TOKEN": token, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_only_messages_of_who_has_the_token_are_read_and_none_ends_the_master(tmp_path: Path) -> None:
    """Strangers are not heard; what cannot be unpacked is one error; one too large is not taken."""
    with held_port() as port:
        said = run(PROGRAM, tmp_path, port)

    assert said[:2] == ["nothing", "nothing"]
    assert all("cannot be unpacked" in words or "corrupted" in words for words in said[2:7]), said
    assert said[7:] == ["client_ready", "nothing", "client_ready"]


ALONE = """
import sys
from whocut.load import sealed

sealed._PATIENCE_REAL_S = 5.0
sys.stderr = sys.stdout
try:
    sealed.SealedClient("127.0.0.1", int(sys.argv[1]), "alone")
except SystemExit as ended:
    print(ended.code)
"""


def test_worker_says_that_it_waits_and_then_that_no_master_answers(tmp_path: Path) -> None:
    """Two minutes without a word would look like a fault; the second sentence says how a master is started."""
    with held_port() as port:
        said = run(ALONE, tmp_path, port)

    assert said[0] == f"whocut: no master answers at 127.0.0.1 port {port} yet; it is waited for 5 s"
    assert said[1].endswith(f"Start it with: whocut run … --listen 127.0.0.1:{port}")
    assert said[2:] == ["3"]
