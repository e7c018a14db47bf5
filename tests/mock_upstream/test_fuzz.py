"""Bad input never yields a 500 or a traceback: schemathesis by the document, hypothesis on the wire."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.mock_upstream.test_process import process
from whocut_mock.openapi import document

pytestmark = pytest.mark.sockets

GENTLY = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
IMPATIENT_S = 0.1  # for bytes after which the server rightly waits for more
schema = schemathesis.openapi.from_dict(document())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A mock that takes no time, and that has met no error of its own at the end."""
    with process("--clock", "scaled:100000") as (started, ready):
        yield ready["port"]
        started.terminate()
        _, words = started.communicate(timeout=60)
    assert "Traceback" not in words
    assert "error of" not in words
    assert started.returncode == 0


@pytest.mark.filterwarnings("ignore")  # what a library says about its own dependencies is not ours to mend
@schema.parametrize()
@GENTLY
def test_the_documented_api(case: schemathesis.Case[Any], port: int) -> None:
    """Whatever the document allows or forbids is answered as the document says."""
    response = case.call(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer k"}, timeout=30
    )

    case.validate_response(response, checks=CHECKS)


def exchange(port: int, sent: bytes, patience_s: float = 60) -> bytes:
    """Everything that comes back for these bytes, until the end or until patience does."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as sock:
        try:
            sock.sendall(sent)
            while chunk := sock.recv(2**20):
                got += chunk
        except (ConnectionError, TimeoutError):
            pass
    return got


def request(body: bytes, path: bytes = b"generations", headers: bytes = b"") -> bytes:
    """A request whose connection closes behind it."""
    return (
        b"POST /v1/images/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\nConnection: close\r\n%b"
        b"Content-Length: %d\r\n\r\n%b" % (path, headers, len(body), body)
    )


def check(answer: bytes) -> None:
    """No answer at all, or one that is no 500."""
    status = answer.partition(b"\r\n")[0]
    assert not answer or status.startswith(b"HTTP/1.")
    assert b" 500" not in status
    assert b"Traceback" not in answer


@GENTLY
@given(st.binary(max_size=400))
def test_any_bytes(port: int, sent: bytes) -> None:
    """Bytes that are no HTTP."""
    check(exchange(port, sent + b"\r\n\r\n", IMPATIENT_S))


@GENTLY
@given(st.binary(max_size=400))
def test_any_body(port: int, body: bytes) -> None:
    """Bodies that are no JSON, and invalid UTF-8 inside ones that are."""
    check(exchange(port, request(body)))
    check(exchange(port, request(b'{"prompt": "' + body + b'"}')))


@GENTLY
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_form(port: int, content: bytes, name: bytes) -> None:
    """Forms with any content and any names, whole and broken off."""
    kind = b"Content-Type: multipart/form-data; boundary=x\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="' + name + b'"; filename="a"\r\n\r\n' + content
    for body in (part, part + b"\r\n--x--\r\n", content, b"--x" + content + b"\r\n--x--"):
        check(exchange(port, request(body, b"edits", kind)))


@GENTLY
@given(
    st.sampled_from(
        [b"Authorization", b"Content-Type", b"Content-Length", b"traceparent", b"x-stainless-retry-count",
         b"x-mock-fault", b"Transfer-Encoding", b"Content-Encoding", b"Expect", b"Host"]
    ),
    st.binary(max_size=60).filter(lambda value: b"\r" not in value and b"\n" not in value),
)  # fmt: skip
def test_any_header(port: int, name: bytes, value: bytes) -> None:
    """Absurd values of the headers that are read."""
    sent = request(b'{"prompt": "cat"}', headers=name + b": " + value + b"\r\n")
    check(exchange(port, sent, IMPATIENT_S))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"x: y\r\n" * 2_000 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", b"431"),
        (request(b"{}" * 3, headers=b"Content-Encoding: gzip\r\n"), b"400"),
        (request(b'{"prompt": ' + b"[" * 100_000), b"400"),
        (request(b'{"prompt": "cat", "n": 1' + b"0" * 5_000 + b"}"), b"400"),
        (request(b'{"prompt": "cat", "n": -0}'), b"400"),
        (request(b'{"prompt": "\\ud800"}'), b"400"),
        (request(b'{"prompt": "cat", "user": NaN}'), b"400"),
    ],
)
def test_known_nasties(port: int, sent: bytes, status: bytes) -> None:
    """Each is refused with its status."""
    assert exchange(port, sent).split(b" ")[1] == status


def test_hundred_megabytes(port: int) -> None:
    """A hundred megabytes are read and refused by their length, as prompt and as file."""
    big = exchange(port, request(b'{"prompt": "' + b"x" * 100_000_000 + b'"}'))
    assert b"string_above_max_length" in big

    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n'
    head += b"Content-Type: image/png\r\n\r\n"
    fields = b'\r\n--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\ncat\r\n--x--\r\n'
    kind = b"Content-Type: multipart/form-data; boundary=x\r\n"
    form = exchange(port, request(head + b"x" * 100_000_000 + fields, b"edits", kind))
    assert b"file_above_max_size" in form

    announced = b"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
    refused = exchange(port, announced + b"Content-Length: 9000000000\r\n\r\n")
    assert refused.split(b" ")[1] == b"413"
