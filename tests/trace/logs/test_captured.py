"""Lines of real gateways (`tools/capture_logs.py`): the path of each request is the truth about what happened.

Those of ALB, API Gateway, Cloudflare, CloudFront, Heroku, Google Cloud, Varnish and Vercel were written from their
documentation.
Those of gunicorn are of 27.0.1 with its sync worker and a timeout of two seconds, those in combined of gthread,
less the lines of source in tracebacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whocut.trace.logs.formats import find_format
from whocut.trace.logs.reading import Read, read_file, read_line, told_together
from whocut.trace.logs.records import EndedBy

if TYPE_CHECKING:
    from whocut.trace.logs.records import Account

LINES = Path(__file__).parent.parent.parent / "data" / "logs"


def accounts_of(name: str, *files: str) -> dict[str, Account]:
    """One account a path, error lines laid over access lines."""
    read = Read()
    for file in files:
        read_file(LINES / file, find_format(name), name, read)
    assert read.named == []
    return {account.path or "": account for account in told_together(read.accounts)}


WAIT, BODY = "layer wait first_byte", "layer stream idle"
COMMON = {"/ok": "none - -"}
# format, files, and for each path: ended by, phase, timer
TRUTH = (
    (
        "nginx",
        ("nginx.log", "nginx-error.log"),
        {
            "/timeout": WAIT,
            "/cut": BODY,
            "/left-waiting": "client wait -",
            "/left-streaming": "client stream -",
            "/reset": "upstream wait -",
            "/reset-body": "upstream stream -",
            "/closed": "upstream wait -",
            "/relayed-504": "upstream wait -",
            "/refused": "upstream connect -",
        },
    ),
    (
        "nginx",
        ("nginx.log",),
        {
            "/timeout": WAIT,
            "/cut": "none - -",  # the lie: 200, completion OK
            "/left-waiting": "client wait -",
            "/left-streaming": "client stream -",
            "/reset": "upstream wait -",
            "/relayed-504": "upstream wait -",
        },
    ),
    (
        "nginx",
        ("nginx-combined.log",),
        {
            "/timeout": "unsaid - -",
            "/relayed-504": "unsaid - -",
            "/reset": "unsaid - -",
            "/left-waiting": "client wait -",
            "/cut": "none - -",
        },
    ),
    (
        "nginx",
        ("nginx-combined.log", "nginx-error.log"),
        {
            "/timeout": WAIT,
            "/cut": BODY,
            "/reset": "upstream wait -",
            "/left-streaming": "client stream -",
            "/relayed-504": "unsaid - -",
        },
    ),
    (
        "nginx",
        ("nginx-loki.log",),  # as logcli and Grafana hand lines out
        {
            "/loki/ok": "none - -",
            "/loki/refused": "upstream connect -",
            "/loki/timeout": WAIT,
            "/loki/left": "client wait -",
        },
    ),
    (
        "haproxy",
        ("haproxy.log",),
        {
            "/timeout": WAIT,
            "/cut": BODY,
            "/left-waiting": WAIT,  # the lie of 2.6: its caller had left
            "/left-streaming": BODY,
            "/reset": "upstream wait -",
            "/reset-body": "upstream stream -",
            "/closed": "upstream wait -",
            "/relayed-504": "upstream wait -",
            "/refused": "upstream connect -",
        },
    ),
    *(
        (
            "envoy",
            (file,),
            {
                "/timeout": "layer wait total",
                "/cut": "layer stream total",
                "/left-waiting": "client wait -",
                "/left-streaming": "client stream -",
                "/reset": "upstream wait -",
                "/reset-body": "upstream stream -",
                "/closed": "upstream wait -",
                "/relayed-504": relayed,
                "/refused": "upstream connect -",
            },
        )
        for file, relayed in (("envoy.log", "upstream wait -"), ("envoy-default.log", "unsaid - -"))
    ),
    (
        "caddy",
        ("caddy.log",),
        {
            "/timeout": WAIT,
            "/cut": BODY,
            "/left-waiting": "client wait -",
            "/left-streaming": "client stream -",
            "/reset": "upstream wait -",
            "/reset-body": "upstream stream -",
            "/closed": "upstream wait -",
            "/relayed-504": "upstream wait -",
            "/refused": "upstream connect -",
            "/h2-reset-body": "upstream stream -",
            "/h2-goaway-body": "upstream stream -",
            "/unexpected-eof": "upstream stream -",
            "/left-writing": "client stream -",
            "/slow-writing": "unsaid stream -",
            "/h2-reset": "upstream wait -",
            "/odd": "upstream wait -",  # as its access line says: 502, and no body
            "/odd-body": "unsaid stream -",  # it ended early, in words that are not known
        },
    ),
    (
        "traefik",
        ("traefik.log",),
        {
            "/timeout": WAIT,
            "/cut": "unsaid stream -",  # no timer of Traefik's: the upstream closed, and it does not say
            "/left-waiting": "client wait -",
            "/left-streaming": "unsaid stream -",
            "/reset": "upstream wait -",
            "/reset-body": "unsaid stream -",
            "/closed": "upstream wait -",
            "/relayed-504": "upstream wait -",
            "/refused": "upstream wait -",
        },
    ),
    (
        "traefik",
        ("traefik-clf.log",),
        {"/timeout": WAIT, "/left-waiting": "client wait -", "/relayed-504": "upstream wait -"},
    ),
    (
        "apache",
        ("apache.log", "apache-error.log"),
        {
            "/timeout": WAIT,
            "/cut": BODY,
            "/left-waiting": WAIT,  # the lie: it does not notice
            "/left-streaming": BODY,
            "/reset": "upstream wait -",
            "/reset-body": "upstream stream -",
            "/closed": "upstream wait -",
            "/relayed-504": "unsaid - -",
            "/refused": "upstream connect -",
        },
    ),
    (
        "apache",
        (
            "apache-combined.log",
            "apache-error.log",
        ),  # joined by the client, the instant, the status and the path
        {
            "/timeout": WAIT,
            "/cut": "none - -",  # two of its caller's fit
            "/left-waiting": WAIT,
            "/reset": "upstream wait -",
            "/reset-body": "upstream stream -",
            "/closed": "upstream wait -",
            "/relayed-504": "unsaid - -",
            "/refused": "unsaid - -",
        },
    ),
    (
        "apache",
        ("apache-late.log",),
        {
            "/late?n=1": WAIT,
            "/other": "unsaid - -",
            "/late-body": BODY,
            "/either": "unsaid - -",  # two fit, and neither is taken for it
        },
    ),
    (
        "apache",
        ("apache-vhost.log",),
        {
            "/unsaid": "unsaid - -",
            "/boom": "none - -",
            "/common": "unsaid - -",
            '/quoted?a=\\"b\\"': "none - -",
        },
    ),
    (
        "gunicorn",
        ("gunicorn.log", "gunicorn-error.log"),
        {
            "/timeout": "layer - total",
            "/cut": "layer - total",
            "/boom": "none - -",  # a failure of the app, and no cut
            "/relayed-504": "upstream wait -",
            "/left-streaming": "none - -",  # the lie: it does not say that its caller left
        },
    ),
    (
        "gunicorn",
        ("gunicorn.log",),
        {"/timeout": "unsaid - -", "/boom": "unsaid - -", "/cut": "none - -"},
    ),
    (
        "gunicorn",
        ("gunicorn-combined.log",),
        {"/boom": "unsaid - -", "/relayed-504": "upstream wait -"},
    ),
    (
        "uvicorn",
        ("uvicorn.log",),
        {
            "/relayed-504": "upstream wait -",
            "/boom": "none - -",  # a failure of the app, and no cut
            "/cut": "none - -",  # the lie: the app ended it in mid-response
            "/left-streaming": "none - -",
        },
    ),
    (
        "alb",
        ("alb.log",),
        {
            "/timeout": WAIT,
            "/connect": "layer connect connect",
            "/left-waiting": "client wait -",
            "/closed": "upstream wait -",
            "/relayed-504": "upstream wait -",
            "/short": "upstream stream -",
        },
    ),
    (
        "cloudflare",
        ("cloudflare.log",),
        {
            "/timeout": WAIT,
            "/connect": "layer connect connect",
            "/left-waiting": "client - -",
            "/closed": "upstream wait -",
            "/refused": "upstream connect -",
            "/relayed-504": "upstream wait -",
            "/odd": "unsaid - -",
        },
    ),
    (
        "heroku",
        ("heroku.log",),
        {
            "/timeout": WAIT,
            "/cut": BODY,
            "/closed": "upstream wait -",
            "/closed-body": "upstream stream -",
            "/connect": "layer connect connect",
            "/left-waiting": "client wait -",
            "/idle-caller": BODY,
            "/relayed-504": "upstream wait -",
            "/odd": "unsaid - -",
        },
    ),
    (
        "aws-apigw",
        ("aws-apigw.log",),
        {
            "/ok": "none - -",
            "/timeout": "layer wait total",
            "/closed": "upstream wait -",
            "/relayed-504": "upstream wait -",
            "/unsaid": "unsaid - -",  # what the console offers has no reason
            "/throttled": "none - -",
            "/words/timeout": "layer wait total",  # the keys are the user's own: their letters count
            "/words/closed": "upstream wait -",
            "/words/relayed-504": "upstream wait -",
            "/words/nested": "layer wait total",
        },
    ),
    (
        "aws-apigw",
        ("aws-apigw-clf.log",),
        {"/unsaid": "unsaid - -", "/throttled": "none - -", "/http-api": "unsaid - -"},
    ),
    (
        "gcp-alb",
        ("gcp-alb.log",),
        {
            "/timeout": "layer wait total",
            "/cut": "layer stream total",
            "/left-waiting": "client wait -",
            "/left-streaming": "client stream -",
            "/closed": "upstream wait -",
            "/closed-body": "upstream stream -",
            "/connect": "layer connect -",
            "/no-backend": "layer connect -",
            "/relayed-504": "upstream wait -",
            "/odd": "unsaid - -",
            "/regional": "layer wait total",
        },
    ),
    (
        "cloudfront",
        ("cloudfront.log",),
        {
            "/timeout": WAIT,
            "/within-30": "layer - -",  # connecting, or reading: both take 30 s at most by default
            "/cut": BODY,
            "/left-waiting": "client wait -",
            "/left-streaming": "client stream -",
            "/left-comm": "client stream -",
            "/connect": "layer connect -",
            "/dns": "layer connect -",
            "/closed": "upstream wait -",
            "/closed-body": "upstream stream -",
            "/relayed-504": "unsaid - -",  # the origin's or an answer of the cache: the line does not say
            "/refused-400": "none - -",
            "/json-timeout": WAIT,
        },
    ),
    (
        "gcp-cloud-run",
        ("gcp-cloud-run.log",),
        {
            "/timeout": "layer wait total",
            "/cut": "layer stream total",
            "/left-waiting": "client - -",
            "/no-instance": "layer connect -",
            "/closed": "upstream wait -",
            "/relayed-504": "unsaid - -",  # its own or the container's: the entry does not say
            "/told-apart": "layer wait total",  # in the log of requests and in varlog/system
        },
    ),
    (
        "varnish",
        ("varnish-default.log",),
        {
            "/unsaid": "unsaid - -",  # its own failed fetch, or handed on
            "/relayed-504": "upstream wait -",
            "/boom": "none - -",
            "/missing": "none - -",
            "/": "none - -",
        },
    ),
    (
        "vercel",
        ("vercel.log",),
        {
            "/timeout": "layer wait total",
            "/cut": "layer stream total",
            "/crashed": "upstream wait -",
            "/relayed-504": "unsaid - -",  # its own or the function's: the entry does not say
            "/reported": "none - -",
            "/reported-timeout": "layer wait total",  # in one entry, with all that the function printed
            "/edge": "layer wait first_byte",
            "/refused": "none - -",
        },
    ),
)
CELLS = [
    pytest.param(name, files, path, meaning, id=f"{'+'.join(files)}{path}")
    for name, files, truth in TRUTH
    for path, meaning in {**COMMON, **truth}.items()
]


@pytest.mark.parametrize(("name", "files", "path", "meaning"), CELLS)
def test_a_line_says_who_ended_it(name: str, files: tuple[str, ...], path: str, meaning: str) -> None:
    """Ended by, phase and timer are those the line testifies to, its known lies included."""
    account = accounts_of(name, *files)[path]

    said = f"{account.ended_by} {account.phase or '-'} {account.timer or '-'}"

    assert said == meaning
    assert bool(account.timer) <= bool(account.directive)


def test_a_connection_in_tcplog_ends_as_its_state_says() -> None:
    """Its states are those of httplog; it has no status, and without a byte there was no answer yet."""
    read = Read()

    read_file(LINES / "haproxy-tcp.log", find_format("haproxy"), "haproxy", read)

    assert [f"{one.ended_by} {one.phase or '-'} {one.timer or '-'}" for one in read.accounts] == [
        "none - -",
        BODY,
        WAIT,
        "client stream -",
        "layer connect connect",
        "upstream connect -",
        "upstream stream -",
        "layer connect connect",
    ]
    assert {one.status for one in read.accounts} == {None}
    assert read.accounts[1].duration_s == pytest.approx(60.312)
    assert (read.unreadable, read.passed) == (0, 0)


def test_a_connection_that_never_sent_a_request_is_none() -> None:
    """Apache logs a 408 for a connection on which nothing came; it would count as a delivery."""
    read = Read()

    read_file(LINES / "apache-vhost.log", find_format("apache"), "apache", read)

    assert (len(read.accounts), read.passed, read.unreadable) == (5, 2, 0)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("nginx", "nginx.log"),
        ("haproxy", "haproxy.log"),
        ("envoy", "envoy.log"),
        ("caddy", "caddy.log"),
        ("traefik", "traefik.log"),
        ("apache", "apache.log"),
        ("cloudflare", "cloudflare.log"),
    ],
)
def test_the_recommended_format_joins_on_the_trace(name: str, file: str) -> None:
    """Trace id, request id or ray, status, instant and duration are read from every line."""
    account = accounts_of(name, file)["/timeout"]

    assert account.trace_id is not None
    assert account.parent_id is not None
    assert int(account.trace_id, 16) == int(account.parent_id, 16)
    assert account.request_id
    assert account.status in {502, 504, 524}
    assert account.end_s is not None
    assert 1_795_000_000 < account.end_s < 1_796_000_000


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("nginx", ("nginx.log",)),
        ("haproxy", ("haproxy.log",)),
        ("envoy", ("envoy.log",)),
        ("envoy", ("envoy-default.log",)),
        ("traefik", ("traefik.log",)),
        ("traefik", ("traefik-clf.log",)),
        ("apache", ("apache.log",)),
    ],
)
def test_the_duration_of_a_timeout_is_its_limit(name: str, files: tuple[str, ...]) -> None:
    """One second was set, and one second is what the line says."""
    account = accounts_of(name, *files)["/timeout"]

    assert account.duration_s == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("name", "files", "path"),
    [
        ("nginx", ("nginx.log",), "/cut"),
        ("haproxy", ("haproxy.log",), "/left-waiting"),
        ("apache", ("apache.log",), "/cut"),
    ],
)
def test_a_known_lie_carries_its_caveat(name: str, files: tuple[str, ...], path: str) -> None:
    """Where a line is known to be wrong at times, the account says how."""
    account = accounts_of(name, *files)[path]

    assert account.caveat


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("alb", "alb.log"),
        ("aws-apigw", "aws-apigw.log"),
        ("caddy", "caddy.log"),
        ("cloudflare", "cloudflare.log"),
        ("envoy", "envoy.log"),
        ("gcp-alb", "gcp-alb.log"),
        ("haproxy", "haproxy.log"),
        ("heroku", "heroku.log"),
        ("nginx", "nginx.log"),
        ("traefik", "traefik.log"),
        ("uvicorn", "uvicorn.log"),
    ],
)
def test_an_answer_of_500_that_was_handed_on_is_a_failure_and_no_cut(name: str, file: str) -> None:
    """An app's exception is no timer of its; a 504 that was handed on says that one fired behind it."""
    lines = (LINES / file).read_text(encoding="utf-8").splitlines()
    log = find_format(name)
    line = next(line for line in lines if "/relayed-504" in line and read_line(line.encode(), log))

    gave_up, failed = (
        read_line(line.replace("504", status).encode(), find_format(name)) for status in ("504", "500")
    )

    assert gave_up is not None
    assert failed is not None
    assert gave_up.ended_by in {EndedBy.UPSTREAM, EndedBy.NONE}
    assert (failed.status, failed.ended_by, failed.phase) == (500, EndedBy.NONE, None)
