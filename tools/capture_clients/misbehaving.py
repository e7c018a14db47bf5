# ruff: noqa: S603, S607  # openssl writes the certificate that is not trusted
"""A server on loopback that ends each request in the way that its path names, for clients to be captured against.

Usage: python misbehaving.py PORT-FILE
The paths are those of `ENDINGS`. It serves until it is ended, one thread a connection, and logs nothing.
"""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

ENDINGS = ("hang", "hang-in-body", "close", "reset", "cut-in-body", "reset-in-body", "504")
PAGE = (
    b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n<center><h1>504 Gateway Time-out</h1>"
    b"</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b'10\r\n{"created": 1789\r\n'
_LONGEST_S = 20.0  # that a request is held


def main() -> None:
    """Serve; four ports stand in the file: this one, one that refuses, one that takes no connection, one of TLS."""
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    closed = socket.create_server(("127.0.0.1", 0))
    refused = closed.getsockname()[1]
    closed.close()
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    filling = [socket.socket() for _ in range(4)]
    for one in filling:
        one.setblocking(False)  # noqa: FBT003  # the socket's own signature
        one.connect_ex(full.getsockname())
    untrusted = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(
        target=_serve_untrusted, args=(untrusted, _own_certificate(Path(sys.argv[1]).parent)), daemon=True
    ).start()
    ports = (server.getsockname()[1], refused, full.getsockname()[1], untrusted.getsockname()[1])
    Path(sys.argv[1]).write_text(" ".join(map(str, ports)) + "\n", encoding="utf-8")
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _own_certificate(folder: Path) -> ssl.SSLContext:
    """TLS by a certificate that no client trusts: its own issuer, made for this run."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _serve_untrusted(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        connection, _ = server.accept()
        connection.settimeout(_LONGEST_S)
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()


def _serve(connection: socket.socket) -> None:
    connection.settimeout(_LONGEST_S)
    try:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        path = data.split(b" ", 2)[1].decode("latin-1").strip("/").split("?")[0].split("/")[0]
        _end(connection, path)
    except OSError:
        pass
    finally:
        connection.close()


def _end(connection: socket.socket, ending: str) -> None:
    if ending == "504":
        connection.sendall(
            b"HTTP/1.1 504 Gateway Time-out\r\nServer: nginx\r\nContent-Type: text/html\r\n"
            + f"Content-Length: {len(PAGE)}\r\nConnection: close\r\n\r\n".encode()
            + PAGE
        )
        return
    if "in-body" in ending:
        connection.sendall(HEAD + PIECE)
    if ending.startswith("hang"):
        while connection.recv(65536):
            pass  # until the client goes, or the longest time has passed
    elif ending.startswith("reset"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


if __name__ == "__main__":
    main()
