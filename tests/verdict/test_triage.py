"""The 30-second triage: every error of the Images API and every known page of a layer, recognised."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from whocut.chain.catalogue import catalogue
from whocut.chain.layers import Answer, Layer, Role
from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.cli import app
from whocut.errors import BadInput
from whocut.redact import KEPT_HEADERS, redact
from whocut.verdict.fingerprints import (
    Ended,
    Fingerprint,
    fingerprints,
    fingerprints_as_markdown,
)
from whocut.verdict.inference import Seen, infer
from whocut.verdict.triage import Cause, EndedBy, Retry, triage
from whocut.verdict.verdict import Grade

SAFETY = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us at "
    "help.openai.com and include the request ID b68e1d8f. safety_violations=[sexual]."
)
VERIFY = (
    "Your organization must be verified to use the model `gpt-image-1`. Please go to: "
    "https://platform.openai.com/settings/organization/general and click on Verify Organization."
)
IMAGE_LIMIT = (
    "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-abc on input-images per min: "
    "Limit 5, Used 5, Requested 1. Please try again in 12s."
)
TOKEN_LIMIT = (
    "Rate limit reached for gpt-5 in organization org-abc on tokens per min (TPM): Limit 30000, Used 29446, "
    "Requested 821. Please try again in 534ms. Visit https://platform.openai.com/account/rate-limits to learn more."
)
OLD_LIMIT = "You've exceeded the rate limit, please slow down and try again after 51.84 seconds."
DALLE_LIMIT = (
    "Rate limit exceeded for images per minute in organization org-abc Limit: 5/1min. Current: 6/1min"
)
NO_MONEY = "You exceeded your current quota, please check your plan and billing details."
SERVER_ERROR = (
    "An error occurred while processing your request. You can retry your request, or contact us through our help "
    "center at help.openai.com if the error persists."
)
USER = "image_generation_user_error"
BAD = "invalid_request_error"

# name, status, type, code, param, message, and what is expected: cause and one detail
API_ERRORS = (
    ("moderated", 400, USER, "moderation_blocked", None, SAFETY, Cause.MODERATION, {"stage": "unknown"}),
    (
        "moderated before 2026",
        400,
        None,
        None,
        None,
        (
            "Your request was rejected as a result of our safety system. Your request may contain content not "
            "allowed by our safety system."
        ),
        Cause.MODERATION,
        {"stage": "unknown"},
    ),
    (
        "filtered afterwards",
        400,
        USER,
        None,
        None,
        "Generated image was filtered",
        Cause.MODERATION,
        {"stage": "output"},
    ),
    (
        "response_format",
        400,
        BAD,
        "unknown_parameter",
        "response_format",
        "Unknown parameter: 'response_format'.",
        Cause.PARAMETER,
        {"field": "response_format"},
    ),
    (
        "messages",
        400,
        BAD,
        "unknown_parameter",
        "messages",
        "Unknown parameter: 'messages'.",
        Cause.PARAMETER,
        {"field": "messages"},
    ),
    (
        "moved parameter",
        400,
        None,
        None,
        None,
        "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'.",
        Cause.PARAMETER,
        {"field": "messages"},
    ),
    (
        "bad enum",
        400,
        BAD,
        "invalid_value",
        "quality",
        "Invalid value: 'standard'. Supported values are: 'low', 'medium', 'high', and 'auto'.",
        Cause.PARAMETER,
        {"field": "quality"},
    ),
    (
        "size",
        400,
        USER,
        "invalid_value",
        "size",
        "Invalid size '512x512'. Supported sizes are 1024x1024, 1024x1536, 1536x1024, and auto.",
        Cause.PARAMETER,
        {"field": "size"},
    ),
    (
        "sides",
        400,
        BAD,
        "invalid_value",
        None,
        "Width and height must both be divisible by 16.",
        Cause.PARAMETER,
        {"field": "size"},
    ),
    (
        "edge",
        400,
        BAD,
        "invalid_value",
        "tools[0].size",
        "The longest edge must be less than or equal to 3840",
        Cause.PARAMETER,
        {"field": "tools[0].size"},
    ),
    (
        "transparent",
        400,
        USER,
        "invalid_value",
        "background",
        "Transparent background is not supported for this model.",
        Cause.PARAMETER,
        {"field": "background"},
    ),
    (
        "input_fidelity",
        400,
        USER,
        "invalid_input_fidelity_model",
        "input_fidelity",
        "The model 'gpt-image-2' does not support the 'input_fidelity' parameter.",
        Cause.PARAMETER,
        {"field": "input_fidelity"},
    ),
    (
        "mimetype",
        400,
        BAD,
        "unsupported_file_mimetype",
        "image",
        "Invalid file 'image': unsupported mimetype ('application/octet-stream').",
        Cause.PARAMETER,
        {"field": "image"},
    ),
    (
        "image",
        400,
        USER,
        "invalid_image_file",
        None,
        "Invalid image file or mode for image 1, please check your image file.",
        Cause.PARAMETER,
        {"field": "image"},
    ),
    (
        "stream of several",
        400,
        BAD,
        None,
        None,
        "Streaming is only supported with n=1.",
        Cause.PARAMETER,
        {"field": "n"},
    ),
    (
        "no prompt",
        400,
        BAD,
        "missing_required_parameter",
        "prompt",
        "Missing required parameter: 'prompt'.",
        Cause.PARAMETER,
        {"field": "prompt"},
    ),
    (
        "retired model",
        400,
        USER,
        "invalid_value",
        "model",
        "The model 'dall-e-3' does not exist.",
        Cause.PARAMETER,
        {"field": "model"},
    ),
    (
        "no access",
        404,
        BAD,
        "model_not_found",
        None,
        "The model 'gpt-image-1' does not exist or you do not have access to it.",
        Cause.PARAMETER,
        {"field": "model"},
    ),
    (
        "key",
        401,
        BAD,
        "invalid_api_key",
        None,
        "Incorrect API key provided: sk-proj-1234****abcd. You can find your API key at …",
        Cause.PARAMETER,
        {"field": "Authorization"},
    ),
    ("not verified", 403, BAD, None, None, VERIFY, Cause.VERIFICATION, {}),
    (
        "images per minute",
        429,
        "input-images",
        "rate_limit_exceeded",
        None,
        IMAGE_LIMIT,
        Cause.RATE_LIMIT,
        {"retry_after_s": 12.0, "bucket": "input-images per min"},
    ),
    ("old image limit", 429, None, None, None, OLD_LIMIT, Cause.RATE_LIMIT, {"retry_after_s": 51.84}),
    (
        "DALL·E limit",
        429,
        None,
        None,
        None,
        DALLE_LIMIT,
        Cause.RATE_LIMIT,
        {"bucket": "images per minute"},
    ),
    (
        "tokens",
        429,
        "tokens",
        "rate_limit_exceeded",
        None,
        TOKEN_LIMIT,
        Cause.RATE_LIMIT,
        {"retry_after_s": 0.534, "bucket": "tokens per min"},
    ),
    (
        "ramp",
        429,
        "rate_limit_error",
        "slow_down",
        None,
        "Your request rate increased too quickly. Please reduce the request rate and gradually increase it again.",
        Cause.RATE_LIMIT,
        {},
    ),
    *(
        (code, 429, code, code, None, NO_MONEY, Cause.RATE_LIMIT, {"bucket": "money"})
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
        )
    ),
    ("server error", 500, "server_error", "server_error", None, SERVER_ERROR, Cause.UPSTREAM, {}),
    (
        "overloaded",
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        None,
        "The model is temporarily overloaded. Please retry your request after a brief delay.",
        Cause.UPSTREAM,
        {},
    ),
)
PRODUCTS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}


def written_as(form: str, status: int, error: dict[str, object]) -> str:
    """One API error in one of the forms in which people paste it."""
    body = {"error": error}
    name = PRODUCTS[status]
    forms = {
        "json": json.dumps(body, indent=2),
        "curl": "\n".join(
            [
                "> POST /v1/images/generations HTTP/2",
                "> authorization: Bearer sk-secret-secret-secret",
                f"< HTTP/2 {status}",
                "< content-type: application/json",
                "<",
                json.dumps(body, indent=2),
            ]
        ),
        "python 1.x": f"Traceback (most recent call last):\nopenai.{name}: Error code: {status} - {body!r}",
        "python 3.x": f"openai.{name}: Error code: {status} - {error['message']}",
        "node": (
            f"{name}: {status} {error['message']}\n    at APIError.generate (core/error.ts:66:14) {{\n"
            f"  status: {status},\n  code: {_js(error['code'])},\n  param: {_js(error['param'])},\n"
            f"  type: {_js(error['type'])}\n}}"
        ),
        "har": json.dumps(
            {
                "log": {
                    "entries": [
                        {
                            "time": 812.5,
                            "request": {"headers": [{"name": "Authorization", "value": "Bearer sk-secret"}]},
                            "response": {
                                "status": status,
                                "headers": [{"name": "Content-Type", "value": "application/json"}],
                                "content": {"text": json.dumps(body)},
                            },
                        }
                    ]
                }
            }
        ),
    }
    return forms[form]


def _js(value: object) -> str:
    return "null" if value is None else json.dumps(value).replace('"', "'")


@pytest.mark.parametrize("form", ["json", "curl", "python 1.x", "python 3.x", "node", "har"])
@pytest.mark.parametrize("row", API_ERRORS, ids=[row[0] for row in API_ERRORS])
def test_every_api_error_is_recognised_in_every_form(row: tuple[object, ...], form: str) -> None:
    """Cause and detail are the same whether it comes as JSON, a traceback, a HAR or `curl -v`."""
    _, status, kind, code, param, message, cause, detail = row
    error = {"message": message, "type": kind, "param": param, "code": code}
    assert isinstance(status, int)
    assert isinstance(detail, dict)

    found = triage(written_as(form, status, error))

    assert found.cause is cause
    if form == "python 3.x":  # the SDK drops type, code and param there
        detail = {key: value for key, value in detail.items() if key not in {"field", "bucket"}}
    assert {key: getattr(found, key) for key in detail} == detail
    assert found.do
    assert found.do_not
    assert found.grade is Grade.TESTIFIED
    assert "sk-" not in json.dumps(found.as_json())


@pytest.mark.parametrize("stage", ["input", "output"])
def test_moderation_stage_decides_what_to_change(stage: str) -> None:
    """The input stage asks for another prompt, the output stage for another scene."""
    error = {
        "message": SAFETY,
        "type": USER,
        "code": "moderation_blocked",
        "param": None,
        "moderation_details": {"moderation_stage": stage, "categories": ["sexual"]},
    }

    found = triage(json.dumps({"error": error}))

    assert found.stage == stage
    assert ("prompt" in found.do) is (stage == "input")
    assert "Do not retry" in found.do_not


def response_of(row: Fingerprint) -> str:
    """The response one fingerprint describes, as somebody would paste it."""
    status = row.status[0] if row.status else 504
    headers = [f"{name.replace('*', 'request-id')}: {begins or 'x'}" for name, begins in row.headers]
    body = row.whole if row.whole is not None else (row.body[0] if row.body else "")
    return "\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", body])


PAGES = [row for row in fingerprints() if row.status]


def preset_title(name: str) -> str | None:
    """The catalogue's title of a layer."""
    preset = catalogue().get(name)
    return preset.title if preset else None


@pytest.mark.parametrize("row", PAGES, ids=[f"{row.layer}-{index}" for index, row in enumerate(PAGES)])
def test_every_fingerprint_is_recognised(row: Fingerprint) -> None:
    """Each row's own response names its layer, timer and phase, and who ended the request."""
    # Words that any server may answer are a layer's only after its own time.
    alone = row.elapsed_s[0] if not row.headers and not row.body else None
    found = triage(response_of(row), elapsed_s=alone)

    assert found.layer == (row.layer if row.layer in catalogue() else None)
    assert found.product in {preset_title(row.layer), row.title}
    assert (found.timer, found.phase) == (row.timer, row.phase)
    behind = row.ended is Ended.UPSTREAM and row.phase is not Phase.CONNECT
    connecting = row.phase is Phase.CONNECT
    # A page that says that the upstream was not reached, or lost its connection, tells of the connection.
    causes = (
        {Cause.CONNECTION}
        if connecting
        else {Cause.UPSTREAM, Cause.CONNECTION}
        if behind
        else {Cause.TIMEOUT_CHAIN}
    )
    assert found.cause in causes
    assert found.grade is Grade.INFERRED


CAPTURED = sorted((Path(__file__).parents[1] / "data" / "pages").glob("*.txt"))


@pytest.mark.parametrize("path", CAPTURED, ids=[path.stem for path in CAPTURED])
def test_every_captured_page_is_recognised(path: Path) -> None:
    """Pages of real gateways name them; a timeout is theirs, anything else is whatever is behind them."""
    gateway, _, what = path.stem.partition("-")

    found = triage(path.read_text(), elapsed_s=60.0 if what == "timeout" else 0.3)

    assert found.product is not None
    assert found.product.lower().startswith(gateway)
    connecting = (gateway, what) == ("haproxy", "refused")  # the page of its connect timeout
    if what == "timeout":
        assert (found.cause, found.ended_by) == (Cause.TIMEOUT_CHAIN, EndedBy.LAYER)
    else:
        assert found.cause in {Cause.UPSTREAM, Cause.CONNECTION}
        assert found.ended_by is (EndedBy.LAYER if connecting else EndedBy.UPSTREAM)
    assert found.grade is Grade.INFERRED


def test_a_page_for_two_endings_says_so_where_no_time_is_known() -> None:
    """Apache writes one page for its timeout and for a dead upstream: without a time, both are named."""
    found = triage((Path(__file__).parents[1] / "data" / "pages" / "apache-timeout.txt").read_text())

    assert (found.layer, found.alternatives) == ("apache", ("whatever is behind Apache httpd",))


def test_a_relayed_page_accuses_the_hop_that_wrote_it() -> None:
    """The page of nginx under Cloudflare's headers is a timeout of nginx: the innermost signature is read."""
    text = (
        "HTTP/2 504\nserver: cloudflare\ncf-ray: 8f\n\n<html>\r\n<head><title>504 Gateway Time-out</title>"
        "</head>\r\n<body>\r\n<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>"
    )

    found = triage(text)

    assert found.layer == "nginx"
    assert any("relayed by Cloudflare" in reason for reason in found.why)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_elapsed_time_is_also_divided_by_the_layers_own_tries(times: int) -> None:
    """CloudFront waits three times for a GET: 90 s is still its 30 s."""
    seen = Seen(status=504, headers={"server": "CloudFront"}, elapsed_s=30.0 * times + 0.4)

    inference = infer(seen)

    assert inference is not None
    assert inference.layer == "cloudfront"
    assert inference.limit_s == 30


def test_a_limit_that_several_layers_share_names_none_of_them() -> None:
    """60 s without a page is nginx, Kong, an ALB …: all are named, none is accused."""
    found = triage("504 after 60.3 s")

    assert found.layer is None
    assert found.grade is Grade.UNATTRIBUTED
    assert {"NGINX", "AWS Application Load Balancer"} <= set(found.alternatives)


def test_a_chain_turns_an_elapsed_time_into_a_layer() -> None:
    """Where one layer of the chain has a limit of 60 s, 60 s is that layer's."""
    sixty = Timer(kind=TimerKind.FIRST_BYTE, limit_s=60, directive="read_timeout")
    chain = (
        Layer(name="client", title="a client", role=Role.CLIENT),
        Layer(name="edge", title="the edge"),
        Layer(name="gate", title="the gate", timers={TimerKind.FIRST_BYTE: sixty}),
    )

    found = triage("504 after 60.3 s", chain=chain)

    assert (found.layer, found.directive, found.grade) == ("gate", "read_timeout", Grade.INFERRED)


CLIENT_ENDINGS = (
    ("openai.APITimeoutError: Request timed out.", "openai-python", TimerKind.FIRST_BYTE),
    ("httpx.ReadTimeout: timed out", "httpx", TimerKind.FIRST_BYTE),
    ("httpx.ConnectTimeout: timed out", "httpx", TimerKind.CONNECT),
    ("httpx.WriteTimeout: timed out", "httpx", TimerKind.IDLE),
    (
        "requests.exceptions.ReadTimeout: HTTPSConnectionPool(port=443): Read timed out. (read timeout=1.0)",
        "requests",
        TimerKind.FIRST_BYTE,
    ),
    ("TimeoutError: The operation was aborted due to timeout", None, TimerKind.TOTAL),
    (
        "TypeError: fetch failed\n  [cause]: code: 'UND_ERR_HEADERS_TIMEOUT'",
        "undici",
        TimerKind.FIRST_BYTE,
    ),
    (
        "TypeError: terminated\n  [cause]: BodyTimeoutError code: 'UND_ERR_BODY_TIMEOUT'",
        "undici",
        TimerKind.IDLE,
    ),
    ("AxiosError: timeout of 60000ms exceeded", "axios", TimerKind.TOTAL),
    (
        "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        "go-http",
        TimerKind.TOTAL,
    ),
    ("curl: (28) Operation timed out after 60001 milliseconds with 0 bytes received", None, TimerKind.TOTAL),
)


@pytest.mark.parametrize(("text", "layer", "timer"), CLIENT_ENDINGS)
def test_the_clients_own_timer_is_the_clients_own_word(
    text: str, layer: str | None, timer: TimerKind
) -> None:
    """An exception of the client's timer accuses the client, whatever stands on the way."""
    found = triage(text)

    assert found.cause is (Cause.CONNECTION if timer is TimerKind.CONNECT else Cause.TIMEOUT_CHAIN)
    assert (found.layer, found.timer, found.ended_by) == (layer, timer, EndedBy.CLIENT)
    assert found.directive
    assert found.grade is Grade.TESTIFIED


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer sk-proj-abcdefgh12345678",
        '{"name": "authorization", "value": "Bearer abcdef123456"}',
        "Cookie: session=abcdef123456; other=1",
        "set-cookie: __cf_bm=abcdef123456",
        "api_key='abcdef123456'",
        "https://x/?api-key=abcdef123456&y=1",
        "Incorrect API key provided: sk-abcdef123456",
        "x-api-key: abcdef123456",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    """No key, token or cookie survives, wherever it stands."""
    clean = redact(text)

    assert "abcdef" not in clean
    assert "[redacted]" in clean


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda data: data.decode("latin-1"))))
def test_no_text_makes_it_raise(text: str) -> None:
    """Whatever is pasted, there is an answer."""
    found = triage(text)

    assert found.do


@pytest.mark.parametrize(
    "text",
    [
        '{"log": {"entries": [{"response": null}, 7]}}',
        '{"log": {"entries": {}}}',
        "[1, 2]",
        '{"error": "no"}',
        "HTTP/1.1 504",
        "{" * 5000,
        "[" * 5000,
        '{"log": {"entries": [{"time": "x", "response": {"status": "504", "headers": [1], "content": 1}}]}}',
    ],
)
def test_broken_input_is_read_as_far_as_it_goes(text: str) -> None:
    """A HAR or a JSON body of an odd shape is no reason to fail."""
    found = triage(text)

    assert found.cause in set(Cause)


def test_the_failed_entry_of_a_har_is_the_one_that_is_read() -> None:
    """Among the requests of a page, the one that failed counts, with the time it took."""
    entries = [
        {"time": 12, "response": {"status": 200, "headers": [], "content": {"text": "{}"}}},
        {
            "time": 60_123,
            "response": {
                "status": 504,
                "headers": [{"name": "Server", "value": "awselb/2.0"}],
                "content": {"text": "<center><h1>504 Gateway Time-out</h1></center>"},
            },
        },
        {"time": 3, "response": {"status": 200, "headers": [], "content": {}}},
    ]

    found = triage(json.dumps({"log": {"entries": entries}}))

    assert (found.layer, found.elapsed_s) == ("aws-alb", 60.123)


def test_a_plain_status_with_headers_is_enough() -> None:
    """``504`` and a header line name the layer."""
    found = triage("504\nserver: nginx/1.22.1\n")

    assert (found.layer, found.grade) == ("nginx", Grade.INFERRED)


def test_every_header_a_page_is_known_by_may_be_kept() -> None:
    """What fingerprints look at is what an attempt records, cookies and prefixes apart."""
    looked_at = {name for row in fingerprints() for name, _ in row.headers if not name.endswith("*")}

    assert looked_at - KEPT_HEADERS == {"set-cookie"}
    assert not KEPT_HEADERS & {"authorization", "cookie", "set-cookie"}


def test_the_documentation_has_every_page() -> None:
    """The printed table has a row a fingerprint, and says which are unverified."""
    table = fingerprints_as_markdown()

    assert len(table.splitlines()) == len(fingerprints()) + 2
    assert "**unverified**" in table


# --- the command ------------------------------------------------------------------------------------------


def test_command_answers_in_json() -> None:
    """The fields of the contract are there, and those that do not apply are left out."""
    done = CliRunner().invoke(
        app, ["triage", "--json"], input=json.dumps({"error": {"message": SAFETY, "type": USER}})
    )

    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert {"cause", "layer", "directive", "grade", "stage", "do", "do_not"} <= set(found)
    assert "retry_after_s" not in found


def test_command_exits_1_when_nothing_is_recognised() -> None:
    """Unknown is a finding, with what would be needed to say more."""
    done = CliRunner().invoke(app, ["triage"], input="it does not work")

    assert done.exit_code == 1
    assert "Paste what decides it" in done.stdout


def test_command_refuses_an_empty_paste() -> None:
    """Nothing pasted is bad input."""
    done = CliRunner().invoke(app, ["triage"], input="  \n")

    assert isinstance(done.exception, BadInput)


def test_command_reads_a_file(tmp_path: Path) -> None:
    """A path is read; a missing one is bad input."""
    path = tmp_path / "error.txt"
    path.write_bytes(b"openai.APITimeoutError: Request timed out.\r\n\xff")

    done = CliRunner().invoke(app, ["triage", str(path)])
    missing = CliRunner().invoke(app, ["triage", str(tmp_path / "none")])

    assert done.exit_code == 0
    assert re.search(r"layer: +OpenAI Python SDK \(timeout", done.stdout)
    assert isinstance(missing.exception, BadInput)


def test_elapsed_may_be_said_apart() -> None:
    """--after stands for a time the text does not tell; that it is a layer's default names no layer."""
    done = CliRunner().invoke(app, ["triage", "--json", "--after", "29.1"], input="HTTP/1.1 504 x\n\n")

    found = json.loads(done.stdout)
    assert (found["layer"], found["elapsed_s"], found["status"]) == (None, 29.1, 504)
    assert found["alternatives"] == ["AWS API Gateway REST"]


def test_a_chain_names_no_layer_that_cannot_give_this_status() -> None:
    """Ten seconds are Vercel's limit in this chain; a 502 is not what its timer answers."""
    ten = Timer(kind=TimerKind.TOTAL, limit_s=10, directive="maxDuration")
    answers = {"expiry": Answer(status=504, reason="Gateway Timeout")}
    chain = (
        Layer(name="client", title="a client", role=Role.CLIENT),
        Layer(name="fn", title="the function", timers={TimerKind.TOTAL: ten}, answers=answers),
    )

    assert triage("504 after 10.1 s", chain=chain).layer == "fn"
    assert triage("502 after 10.1 s", chain=chain).layer is None


def test_several_requests_of_one_paste_are_each_answered() -> None:
    """Three lines of a router's log are three requests: one first, the others beside it."""
    line = (
        '2026-10-05T11:17:09+00:00 heroku[router]: at=error code=H12 desc="Request timeout" method=POST path="/a" '
        "host=h request_id={} fwd=x dyno=web.2 connect=0ms service=30001ms status=503 bytes=0 protocol=https"
    )

    found = triage("\n".join(line.format(number) for number in range(3)))

    assert (found.layer, [other.layer for other in found.others]) == ("heroku", ["heroku", "heroku"])
    assert len(found.as_json()["others"]) == 2


def test_command_masks_a_text() -> None:
    """--redacted prints the text without what identifies, and judges nothing."""
    done = CliRunner().invoke(app, ["triage", "--redacted"], input="POST https://img.acme.io/v1: 504\n")

    assert done.exit_code == 0
    assert "host-1.example" in done.stdout
    assert "cause" not in done.stdout


def test_command_at_a_terminal_says_what_to_paste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without input and at a terminal, the user is told what to paste, and how to end."""
    monkeypatch.setattr("whocut.cli.triage.at_a_terminal", lambda: True)

    done = CliRunner().invoke(app, ["triage"], input="openai.APITimeoutError: Request timed out.")

    assert "Ctrl-D" in done.stderr
    assert "Ctrl-D" not in done.stdout


def test_no_retry_is_called_safe_where_a_generation_was_started() -> None:
    """An own timer while waiting pays again; a refused connection does not."""
    assert triage("openai.APITimeoutError: Request timed out.").retry is Retry.PAYS_AGAIN
    assert triage("curl: (7) Failed to connect to h port 1: Connection refused").retry is Retry.SAFE
