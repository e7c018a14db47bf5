"""Whose a failure was, by kind: what a text excuses, quotes, guesses at or only sets is not what happened."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest

from whocut.verdict.triage import Cause, EndedBy, Retry, triage
from whocut.verdict.verdict import Grade

_GO_WORDS: Final = (
    "context deadline exceeded",
    "EOF",
    "net/http: timeout awaiting response headers",
    "read tcp 10.0.0.2:51234->10.0.0.3:8000: read: connection reset by peer",
    "unexpected EOF",
)
_REFUSALS: Final = (
    ("Your request was rejected by the safety system.", Cause.MODERATION),
    ("Unknown parameter: 'response_format'.", Cause.PARAMETER),
    ("Incorrect API key provided", Cause.PARAMETER),
)


@pytest.mark.parametrize(("said", "cause"), _REFUSALS)
@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_that_a_gateway_quotes_is_no_failure_of_its_provider(
    said: str, cause: Cause, status: int
) -> None:
    """`Provider returned error` says nothing of why: what it quotes does."""
    raw = '{\\"error\\":{\\"message\\":\\"' + said + '\\",\\"type\\":\\"invalid_request_error\\"}}'
    text = '{"error":{"message":"Provider returned error","code":%d,"metadata":{"raw":"%s","provider_name":"One"}}}'

    assert triage(text % (status, raw)).cause is cause


@pytest.mark.parametrize(("words", "status"), list(product(_GO_WORDS, (502, 504))))
def test_a_proxys_own_go_words_are_not_its_callers(words: str, status: int) -> None:
    """Caddy and Traefik are written in Go: their log speaks of the connection behind them."""
    caddy = (
        '{"level":"error","logger":"http.log.error","msg":"%s","request":{"method":"POST","uri":"/v1/images"},'
        '"duration":60.01,"status":%d,"err_trace":"reverseproxy.statusError (reverseproxy.go:1269)"}'
    )
    found = triage(caddy % (words, status))

    assert found.ended_by is not EndedBy.CLIENT
    assert found.layer != "go-http"


@pytest.mark.parametrize(
    ("kind", "words"),
    list(
        product(
            ("Liveness", "Readiness", "Startup"),
            (
                "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                "dial tcp 10.0.0.4:8080: connect: connection refused",
                "HTTP probe failed with statuscode: 503",
            ),
        )
    ),
)
def test_a_probe_is_no_client(kind: str, words: str) -> None:
    """A probe that fails tells of the app, not of a client's timer."""
    found = triage(
        f'Warning  Unhealthy  kubelet  {kind} probe failed: Get "http://10.0.0.4:8080/health": {words}'
    )

    assert found.ended_by is not EndedBy.CLIENT
    assert found.timer is None
    assert found.layer is None


@pytest.mark.parametrize(
    ("layer", "took_s"), list(product(("nginx", "Heroku", "the proxy", "the gateway"), (30, 60)))
)
def test_a_cut_that_is_told_outranks_the_words_of_an_api(layer: str, took_s: int) -> None:
    """Who says that a layer cut it means that layer, whatever the answer's words are."""
    found = triage(f"504 Deadline Exceeded: {layer} cuts the request after {took_s} seconds")

    assert (found.cause, found.ended_by) == (Cause.TIMEOUT_CHAIN, EndedBy.LAYER)


@pytest.mark.parametrize(
    "text",
    [
        "Request timeout (ms): 60000",
        "Timeout (seconds): 120",
        "timeout [s] = 300",
        "Max retries: 3\nTimeout (s): 600",
    ],
)
def test_the_label_of_a_setting_is_no_timer_that_fired(text: str) -> None:
    """A setting's name with its unit tells of no request."""
    assert triage(text).cause is Cause.UNKNOWN


@pytest.mark.parametrize(
    "excuse",
    [
        "nginx has a larger timeout",
        "nginx timeouts were already raised to 900s",
        "raising it in nginx has no effect",
        "nginx 设置了更大的超时",
    ],
)
def test_a_layer_that_is_excused_is_not_named(excuse: str) -> None:
    """A layer whose timers were raised in vain is not the one."""
    assert triage(f"504 Gateway Timeout\n{excuse}").layer is None


@pytest.mark.parametrize(
    "guess",
    [
        "也可能是账号被限流",
        "可能是触发限流",
        "it may be that the rate limit reached its end",
        "your account might be hit by too many requests",
    ],
)
def test_a_guess_is_no_refusal(guess: str) -> None:
    """What a message only holds possible did not happen."""
    assert triage(f"生图超时, 已等待 300 秒。{guess}").cause is Cause.TIMEOUT_CHAIN


@pytest.mark.parametrize(
    "text",
    [
        "org.apache.catalina.connector.ClientAbortException: java.io.IOException: Broken pipe",
        "org.apache.catalina.connector.ClientAbortException: java.io.IOException: Connection reset by peer",
        "Error: aborted\n    at abortIncoming (node:_http_server:781:17) {\n  code: 'ECONNRESET'\n}",
        "BadRequestError: request aborted\n    at abortIncoming (_http_server) {\n  type: 'request.aborted'\n}",
        "org.eclipse.jetty.io.EofException: Broken pipe",
    ],
)
def test_a_server_whose_caller_left_blames_nothing_behind_it(text: str) -> None:
    """A server's words of its caller's socket are not of the connection behind it."""
    found = triage(text)

    assert (found.cause, found.ended_by) == (Cause.CALLER_LEFT, EndedBy.CLIENT)
    assert (found.layer, found.directive, found.timer) == (None, None, None)


@pytest.mark.parametrize("took_s", [20, 100, 200, 225, 230, 234, 240])
def test_a_503_is_a_timers_only_at_the_limit_of_the_layer_that_is_named(took_s: int) -> None:
    """Azure's front ends cut at 230 s: a 503 after another time is not that."""
    found = triage(f"AzureFunction failing with 503 Service Unavailable after {took_s} seconds.")
    at_limit = abs(took_s - 230) <= 0.02 * 230

    assert (found.cause is Cause.TIMEOUT_CHAIN) == at_limit
    assert found.grade in {Grade.INFERRED, Grade.UNATTRIBUTED}


@pytest.mark.parametrize(
    ("status", "is_image"), [(401, False), (402, False), (429, False), (404, True), (403, True)]
)
def test_money_that_is_missing_is_no_image_that_is(status: int, *, is_image: bool) -> None:
    """A status of the account's is not of the image's host."""
    assert (triage(f"Error: Failed to fetch image: {status}").cause is Cause.PARAMETER) == (
        is_image or status == 401
    )


@pytest.mark.parametrize("host", ["10.0.0.9:8000", "10.1.2.3:443"])
def test_a_call_beside_the_way_is_safe_only_where_nothing_was_sent_on(host: str) -> None:
    """Envoy's filter failed: with an upstream host on the line, the request may have reached it."""
    line = (
        '[2026-01-02T03:04:05.678Z] "POST /v1/images/generations HTTP/1.1" 504 - '
        'ext_proc_error_gRPC_error_4 - "-" 120 24 60001 - "-" "curl" "id" "api.example.com" "%s"'
    )

    assert triage(line % host).retry is not Retry.SAFE
