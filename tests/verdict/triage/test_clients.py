"""What clients raise, captured by running them: each ending of each client is read for what it was.

``tools/capture_clients/capture.py`` writes the texts: a client, an ending, and the version beside them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from whocut.verdict.triage import Cause, EndedBy, Retry, Triage, triage

CLIENTS = Path(__file__).parents[2] / "data" / "clients"
CAPTURED = sorted(CLIENTS.glob("*/*.txt"))

# Clients whose own timer runs while they connect, and fires there without saying so.
ONE_TIMER_FOR_ALL: Final = frozenset(
    {
        "abort-controller",
        "abort-signal",
        "ai-sdk",
        "asyncio",
        "axios",
        "bun",
        "deno",
        "got",
        "grpc",
        "ky",
        "node-fetch",
        "node-http",
        "openai-node",
        "superagent",
        "xai-sdk",
    }
)
# Clients that say the same of several endings, or are not told what it was: nothing is claimed there.
SAYS_LITTLE: Final = frozenset(
    {
        ("php-streams", "hang"),
        ("php-streams", "hang-in-body"),
        ("php-streams", "close"),
        ("php-streams", "reset"),
        ("php-streams", "cut-in-body"),
        ("php-streams", "reset-in-body"),
        ("axios", "hang-in-body"),
        ("asyncio", "refused"),
    }
)
LAYERS: Final = {
    "aiohttp": "aiohttp",
    "anthropic-python": "anthropic-python",
    "axios": "axios",
    "fal-client": "fal-client",
    "fetch": "undici",
    "go-client": "go-http",
    "go-context": "go-http",
    "go-header": "go-http",
    "google-genai": "google-genai",
    "httpx": "httpx",
    "httpx2": "httpx",
    "okhttp-call": "okhttp",
    "okhttp-read": "okhttp",
    "openai-node": "openai-node",
    "openai-python-1": "openai-python",
    "openai-python-3": "openai-python",
    "openrouter": "openrouter",
    "replicate": "replicate",
    "requests": "requests",
    "reqwest": "reqwest",
    "reqwest-debug": "reqwest",
    "ruby": "ruby",
}
KNOBS: Final = {
    "aiohttp": "ClientTimeout.total",
    "aws-sdk-js": "requestTimeout",
    "curl": "--max-time",
    "fal-client": "default_timeout",
    "faraday": "timeout",
    "fetch": "headersTimeout",
    "go-client": "http.Client.Timeout",
    "go-context": "context.WithTimeout",
    "go-header": "Transport.ResponseHeaderTimeout",
    "got": "timeout.request",
    "guzzle": "timeout",
    "java-http": "HttpRequest.Builder.timeout",
    "java-urlconnection": "setReadTimeout",
    "okhttp-call": "callTimeout",
    "okhttp-read": "readTimeout",
    "openrouter": "timeout_ms",
    "php-curl": "CURLOPT_TIMEOUT",
    "reqwest": "ClientBuilder::timeout",
    "reqwest-debug": "ClientBuilder::timeout",
    "ruby": "read_timeout",
    "superagent": "timeout.response",
    "wget": "--read-timeout",
}


def read(path: Path) -> Triage:
    """The answer to one captured text."""
    return triage(path.read_text(encoding="utf-8"))


def captured(*endings: str) -> list[Path]:
    """The texts of these endings, without those of clients that say little there."""
    return [
        path for path in CAPTURED if path.stem in endings and (path.parent.name, path.stem) not in SAYS_LITTLE
    ]


def named(path: Path) -> str:
    """A captured text in the list of tests."""
    return f"{path.parent.name}: {path.stem}"


def test_every_client_says_its_version() -> None:
    """Each folder tells which version of the client spoke."""
    silent = [
        folder.name
        for folder in CLIENTS.iterdir()
        if not re.search(r"\d", (folder / "VERSION").read_text(encoding="utf-8"))
    ]

    assert silent == []
    assert len(list(CLIENTS.iterdir())) >= 44


@pytest.mark.parametrize("path", captured("hang", "hang-in-body"), ids=named)
def test_its_own_timer_is_the_clients(path: Path) -> None:
    """A client that gave up by its own timer is the one that ended it, and a retry pays again."""
    found = read(path)

    if path.parent.name in {"grpc", "xai-sdk"}:  # the server speaks no HTTP/2, and the call ends at once
        assert found.cause is Cause.CONNECTION
        return
    assert (found.cause, found.ended_by, found.retry) == (
        Cause.TIMEOUT_CHAIN,
        EndedBy.CLIENT,
        Retry.PAYS_AGAIN,
    )
    if path.stem == "hang":
        assert found.layer == LAYERS.get(path.parent.name)
        assert found.directive == KNOBS.get(path.parent.name, found.directive)


@pytest.mark.parametrize("path", captured("close", "reset", "cut-in-body", "reset-in-body"), ids=named)
def test_what_the_other_side_ended_is_no_timer_of_the_client(path: Path) -> None:
    """Nobody is named, no knob is offered, and a retry is not called safe."""
    found = read(path)

    if path.parent.name in {"grpc", "xai-sdk"}:
        assert found.layer is None
        return
    assert found.cause in {Cause.CONNECTION, Cause.TIMEOUT_CHAIN}
    assert (found.layer, found.directive, found.timer) == (None, None, None)
    assert found.ended_by in {EndedBy.UPSTREAM, EndedBy.UNKNOWN}
    assert found.retry in {Retry.UNKNOWN, Retry.PAYS_AGAIN}


@pytest.mark.parametrize("path", captured("refused", "no-name"), ids=named)
def test_no_connection_is_no_timeout(path: Path) -> None:
    """Refused, or no such name: nothing was sent, no timer fired, no layer is to blame."""
    found = read(path)

    assert (found.cause, found.phase, found.timer, found.layer) == (Cause.CONNECTION, "connect", None, None)
    assert found.retry in {Retry.SAFE, Retry.USELESS}


@pytest.mark.parametrize("path", captured("untrusted"), ids=named)
def test_a_certificate_that_is_not_trusted_is_no_timeout(path: Path) -> None:
    """Nothing was sent, no timer fired, and the same call ends the same way."""
    found = read(path)

    assert (found.cause, found.phase, found.timer, found.layer) == (Cause.CONNECTION, "connect", None, None)
    assert found.retry is Retry.USELESS


@pytest.mark.parametrize("path", captured("canceled"), ids=named)
def test_a_call_that_its_program_cancels_is_blamed_on_no_layer(path: Path) -> None:
    """The request was sent and the side that called ended it: a retry pays again."""
    found = read(path)

    assert found.cause in {Cause.TIMEOUT_CHAIN, Cause.CALLER_LEFT}
    assert (found.layer, found.directive, found.ended_by) == (None, None, EndedBy.CLIENT)
    assert found.retry is Retry.PAYS_AGAIN


@pytest.mark.parametrize("path", captured("no-connection"), ids=named)
def test_a_connection_that_never_came_is_the_connect_timer(path: Path) -> None:
    """Where a client has a timer for connecting it says so, and a retry is safe; else its one timer fired."""
    found = read(path)

    if path.parent.name in ONE_TIMER_FOR_ALL:
        assert (found.cause, found.ended_by) == (Cause.TIMEOUT_CHAIN, EndedBy.CLIENT)
        return
    assert (found.cause, found.timer, found.phase) == (Cause.CONNECTION, "connect", "connect")
    assert found.retry is Retry.SAFE


@pytest.mark.parametrize("path", captured("504"), ids=named)
def test_an_answer_means_that_no_timer_of_the_client_fired(path: Path) -> None:
    """However a client reports a 504, a layer gave it."""
    found = read(path)

    if path.parent.name in {"grpc", "xai-sdk"}:
        assert found.cause is Cause.CONNECTION
        return
    assert (found.cause, found.status, found.ended_by) == (Cause.TIMEOUT_CHAIN, 504, EndedBy.LAYER)
    assert found.layer in {None, "nginx"}


@pytest.mark.parametrize(
    "path", [path for path in CAPTURED if (path.parent.name, path.stem) in SAYS_LITTLE], ids=named
)
def test_where_a_client_says_little_nothing_is_claimed(path: Path) -> None:
    """No layer, no knob, and no side but where the words are of one."""
    found = read(path)

    assert (found.layer, found.directive) == (None, None)
    assert found.ended_by is EndedBy.UNKNOWN
