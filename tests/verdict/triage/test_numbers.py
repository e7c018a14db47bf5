"""Statuses and durations, however they are written, and numbers that stand for something else."""

from __future__ import annotations

import pytest

from whocut.verdict.triage import triage
from whocut.verdict.triage.numbers import durations_in, elapsed_of, wait_asked
from whocut.verdict.triage.statuses import statuses_in


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("HTTP/1.1 504 Gateway Time-out", 504),
        ("Error code: 504 - {'error': {}}", 504),
        ("Image request failed: Response 524:", 524),
        ("524: Origin Time-out", 524),
        ('{"type":"upstream_error","param":"524"}', 524),
        ("{ ok: false, status: 524 }", 524),
        ("AxiosError: Request failed with status code 502", 502),
        ("<title>llm.example.com | 522: Connection timed out</title>", 522),
        ("POST https://app.example.org/api 504 (Gateway Timeout)", 504),
        (" POST /api/generate 500 in 300512ms", 500),
        ('"POST /v1/images HTTP/1.1" 499 0 "-"', 499),
        ("PermissionDeniedError: 403 Your organization must be verified", 403),
        ("exceeded retry limit, last status: 504 Gateway Timeout", 504),
        ("ERROR: Gateway Timeout", 504),
        ("the browser shows 504 and nothing else", 504),
        ("API Error (504 {})", 504),
        ("status_code=502 latency_ms=58888", 502),
        ("ERROR 504: Gateway Time-out.", 504),
        ("JUL 16 18:39:09.51 POST 504 /trpc/async/image", 504),
        ('[POST]502 img.example.com/api clientIP="198.51.100.4"', 502),
        ("[GIN] 2026/10/21 - 15:04:05 | 504 |  1m0s | 198.51.100.4", 504),
        ("google.api_core.exceptions.ResourceExhausted: 429 Quota exceeded", 429),
        ("httpStatus_d | 504", 504),
        ("\u8bf7\u6c42\u5931\u8d25\uff1a504", 504),
        ("\u63a5\u53e3\u76f4\u63a5\u8fd4\u56de504", 504),
        ("\u4e00\u751f\u56fe\u5c31\u62a5504\u9519\u8bef", 504),
        ("502\u30a8\u30e9\u30fc", 502),
    ],
)
def test_a_status_is_read_however_it_is_written(text: str, code: int) -> None:
    """With a word that calls it a status, in a response's head, on an access line, by its reason phrase alone."""
    assert [status.code for status in statuses_in(text)][:1] == [code]


@pytest.mark.parametrize(
    "text",
    [
        '  File "/app/sessions.py", line 504, in send',
        "at client.mjs:504:23",
        "received 500 bytes, expected 1000",
        "limit of 500 images",
        "in 504 days",
        "took 502 ms",
        "version 4.0.4, build 502",
        "1024x504 and 502px",
        "<TransferEncodingError: 400, message='Not enough data'>",
        "req_504abc and port 5040",
        "error 5023",
    ],
)
def test_a_number_that_stands_for_something_else_is_no_status(text: str) -> None:
    """Lines, bytes, days, sizes, versions and the codes of a parser are none."""
    assert statuses_in(text) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("timeout of 300000ms exceeded", 300),
        ("latency_ms=58888", 58.888),
        ("TimeoutException after 0:00:30.000000: Future not completed", 30),
        ("Read timed out. (read timeout=360)", 360),
        ("timeout value=60.0, time taken=60.01 seconds", 60.01),
        ("configured HttpClient.Timeout of 90 seconds elapsing", 90),
        ("allowed timeout of '00:00:30'", 30),
        ("Timeout value of 00:05:00 exceeded by function", 300),
        ("failed after 1m30s", 90),
        ("gave up after 2 min 5 s", 125),
        ("the whole took PT1M0.5S", 60.5),
        ('"latency": "119.999713042s"', 119.9997),
        ("500 in 300512ms", 300.512),
        ("it always breaks at about 100 seconds", 100),
        ("execution timed out (60.112 sec), terminating", 60.112),
        ("duration_ms=41207", 41.207),
        ("real 1m0.5s", 60.5),
        ("Duration: 30033.21 ms Billed Duration: 30000 ms", 30.033),
        ("Timeout on blocking read for 60000000000 NANOSECONDS", 60),
        ("Retry 1/10 after 请求超时 超过 60000ms 未完成, waiting 1034ms", 60),
        ("timeTaken_d | 30.211", 30.211),
    ],
)
def test_a_duration_is_read_however_it_is_written(text: str, seconds: float) -> None:
    """With its unit beside it or in its name, as a clock, in ISO 8601; the measured one first."""
    found = elapsed_of(durations_in(text))

    assert found == pytest.approx(seconds, rel=0.001)


def test_the_wait_for_a_connection_is_the_requests_time_only_where_none_came() -> None:
    """A request that got no connection took that long; of any other, the wait for one says nothing."""
    for text in ("Connection timed out after 10001 milliseconds", "timed out. (connect timeout=10.0)"):
        found = durations_in(text)

        assert elapsed_of(found, connecting=True) == pytest.approx(10, rel=0.01)
        assert elapsed_of(found) is None


@pytest.mark.parametrize(
    "text",
    [
        "Retrying request to /images/generations in 0.812 seconds",
        "Please try again in 20s.",
        "Please retry after 43 seconds",
        "sleeping 5s before the next attempt",
        "waiting 30 s until the retry",
        "poll every 2s",
        "at 08:15:42.120417 it began",
        "2026-10-05T11:12:47.310Z",
        '"requestTime":"22/Nov/2026:11:05:00 +0000"',
        "request_time=2026-11-22T11:05:00Z",
        "keepalive 75s",
        "expected available in 8 seconds",
    ],
)
def test_a_wait_is_not_how_long_the_request_took(text: str) -> None:
    """Back-off, polls, keep-alives, dates and hours of the day are not the request's own time."""
    assert elapsed_of(durations_in(text)) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 12s.", 12),
        ("Please try again in 534ms.", 0.534),
        ("Please try again in 1m12.5s", 72.5),
        ("try again after 51.84 seconds", 51.84),
        ("Expected available in 8 seconds.", 8),
        ("'retryDelay': '34s'", 34),
        ("Retry-After: 30", 30),
        ("try again in 1.2.3s", 2.3),
        ("nothing is asked", None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(text: str, seconds: float | None) -> None:
    """In words, in a header's form, in Google's; a number that is none is no wait, and nothing raises."""
    found = wait_asked(text)

    assert found == (pytest.approx(seconds, rel=0.01) if seconds is not None else None) or found in {
        1.2,
        2.3,
        None,
    }


def test_five_thousand_digits_are_no_number() -> None:
    """A number that no clock can show is left out, and nothing raises."""
    text = f"try again in {'9' * 5000}s after {'9' * 5000} seconds, status {'5' * 5000}"

    assert statuses_in(text) == []
    asked = wait_asked(text)
    assert asked is None or asked >= 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("One call failed after `265.238` seconds with: timed out", 265.238),
        ("O servidor demorou mais de 60 segundos e devolveu 504", 60),
        ("Zeitüberschreitung nach 90 Sekunden", 90),
        ("délai d'attente dépassé après 45 secondes", 45),
        ("превышено время ожидания через 30 секунд", 30),
        ("请求在10000ms(10秒)后返回504, 设置的执行超时时间是300秒", 10),
        (
            "{'event': 'poll_wait', 'elapsed_secs': 116.1}\n{'event': 'poll_timeout', 'timeout_secs': 120.0}",
            120,
        ),
    ],
)
def test_a_duration_is_read_in_the_language_and_the_marks_it_has(text: str, seconds: float) -> None:
    """Markdown around a number, units of other languages, and a limit a little above the last measure."""
    assert triage(text).elapsed_s == seconds
