"""Locust's connection between master and workers, sealed with the run's token.

Locust's own connection takes every worker that comes. ZeroMQ can seal it (CURVE): the master's key pair is made of
the token. Without the token a process does not know the key to speak to, and only the master can answer. A
stranger's bytes end in ZeroMQ's handshake; no message of it is unpacked. One message of a worker is bounded.

Without a token Locust's connection stays on the loopback, and is Locust's own.
"""

from __future__ import annotations

import sys
from typing import Any, Final, NoReturn

import gevent
import zmq
import zmq.green
from locust.exception import RPCError, RPCReceiveError
from locust.rpc import zmqrpc
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from whocut.errors import BadInput, CouldNotRun, PortTaken, WhocutError
from whocut.path.target import is_loopback
from whocut.token import FILE_VARIABLE, VARIABLE, key_of, take_token

MOST_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_PATIENCE_REAL_S: Final = 120.0  # for a master that is started after its workers
_REFUSED_TIMES: Final = 3  # a handshake may also fail because the master ends at that moment
_REFUSALS: Final = frozenset(
    {
        zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
        zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
        zmq.Event.HANDSHAKE_FAILED_AUTH,
    }
)


def _keys(token: str) -> tuple[bytes, bytes]:
    """The master's public and secret key."""
    secret = z85.encode(key_of(token, "master"))
    return zmq.curve_public(secret), secret


def _address(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


class _Socket(zmqrpc.BaseSocket):
    """What both ends have in common."""

    def __init__(self, kind: int, host: str) -> None:
        super().__init__(kind, ":" not in host)  # type: ignore[no-untyped-call]  # Locust's carries no types
        self.socket.maxmsgsize = MOST_MESSAGE_BYTES


class SealedServer(_Socket):
    """The master's end, in the place of Locust's own."""

    def __init__(self, host: str, port: int) -> None:
        token = _token_for(host)
        super().__init__(zmq.ROUTER, host)
        if token is not None:
            self.socket.curve_publickey, self.socket.curve_secretkey = _keys(token)
            self.socket.curve_server = True
        try:
            self.socket.bind(_address(host, port))
        except zmq.ZMQError as error:
            _end(
                PortTaken(host, port)
                if error.errno == zmq.EADDRINUSE
                else BadInput(f"{host} is no address of this machine. Name one of it.", field="listen")
            )
        self.port = port

    def recv_from_client(self) -> tuple[str, Any]:
        """The next message of a worker.

        Raises:
            RPCReceiveError: it cannot be unpacked; Locust says so and takes the next one.
        """
        try:
            heard: tuple[str, Any] = super().recv_from_client()  # type: ignore[no-untyped-call]  # as above
        except RPCError:
            raise
        except Exception as error:  # noqa: BLE001  # msgpack raises many kinds, and Locust would end the run
            raise RPCReceiveError(f"a message that cannot be unpacked: {type(error).__name__}") from None
        return heard


class SealedClient(_Socket):
    """A worker's end, in the place of Locust's own; sealed, it is made when the master has taken it, or never."""

    def __init__(self, host: str, port: int, identity: str) -> None:
        token = _token_for(host)
        super().__init__(zmq.DEALER, host)
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        if token is not None:
            self.socket.curve_serverkey, _ = _keys(token)
            self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        if token is None:
            self.socket.connect(_address(host, port))
            return
        watching = self.socket.get_monitor_socket()
        self.socket.connect(_address(host, port))
        try:
            _until_taken(watching, host, port)
        except WhocutError as error:
            _end(error)
        finally:
            self.socket.disable_monitor()


def _until_taken(watching: Any, host: str, port: int) -> None:
    """Until the master has taken this worker; where it is not there yet, that it is waited for is said once.

    Raises:
        CouldNotRun: it does not, or no master answers.
    """
    refused, told = 0, False
    try:
        with gevent.Timeout(_PATIENCE_REAL_S):
            while refused < _REFUSED_TIMES:
                event = parse_monitor_message(watching.recv_multipart())["event"]
                if event == zmq.Event.CONNECT_RETRIED and not told:
                    told = True
                    sys.stderr.write(
                        f"whocut: no master answers at {host} port {port} yet; it is waited for "
                        f"{_PATIENCE_REAL_S:g} s\n"
                    )
                if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                    return
                refused += event in _REFUSALS
    except gevent.Timeout:
        raise CouldNotRun(
            f"no master answers at {host} port {port}. Start it with: whocut run … --listen {host}:{port}"
        ) from None
    raise CouldNotRun(
        f"the master at {host} port {port} does not take this worker: the token is not that of its run. Give "
        f"the one of the master, in {VARIABLE} or in the file that {FILE_VARIABLE} names."
    )


def _token_for(host: str) -> str | None:
    """The token; None on the loopback, where none is needed."""
    try:
        token = take_token()
        if token is None and not is_loopback(host):
            raise BadInput(
                f"master and workers need a token on {host}, which is not the loopback. Give both the same one, in "
                f"{VARIABLE} or in the file that {FILE_VARIABLE} names."
            )
        if token is not None and not zmq.has("curve"):
            raise CouldNotRun("this ZeroMQ cannot seal a connection. Install pyzmq as a wheel.")
    except WhocutError as error:
        _end(error)
    return token


_REFUSALS_SAID: list[str] = []


def refused() -> bool:
    """Whether this process ends with a sentence of this file, which has been said."""
    return bool(_REFUSALS_SAID)


def _end(error: WhocutError) -> NoReturn:
    """Say it and end: Locust would log it, and try again."""
    said = error.at_flag if isinstance(error, BadInput) else str(error)
    _REFUSALS_SAID.append(said)
    sys.stderr.write(f"whocut: {said}\n")
    raise SystemExit(error.exit_code)


def install() -> None:
    """Put both into the place of Locust's own, for this process."""
    zmqrpc.Server = SealedServer  # type: ignore[assignment, misc]
    zmqrpc.Client = SealedClient  # type: ignore[assignment, misc]
