"""Messages in a program's own general words: what they tell, and what a setting or a manual is not."""

from __future__ import annotations

import pytest

from whocut.verdict.triage import Cause, EndedBy, Retry, triage

TOLD = (
    "PollingTimeout: job 7 was not ready!",
    "GenerationTimedOut error",
    "生成任务失败 超时",
    "画像の生成に失敗しました タイムアウト",
    "Error: RENDER_TIMEOUT",
    "job expired (timeout)",
    "x-error: upstream-timeout",
)
SET = (
    "proxy_read_timeout 60s;",
    "timeout: 300\nretries: 2",
    "Set the timeout to 300 if it fails",
    "failed requests are counted; request_timeout=30",
)


@pytest.mark.parametrize("text", TOLD)
def test_a_timeout_beside_a_failure_is_told_without_a_side(text: str) -> None:
    """A few lines that tell of a timeout and of a failure: a timer fired, and nothing says whose."""
    found = triage(text)

    assert (found.cause, found.ended_by) == (Cause.TIMEOUT_CHAIN, EndedBy.UNKNOWN)
    assert (found.layer, found.timer, found.retry) == (None, None, Retry.PAYS_AGAIN)


@pytest.mark.parametrize("text", SET)
def test_a_setting_is_no_timeout_that_fired(text: str) -> None:
    """A timeout that is set to a number has not fired."""
    assert triage(text).cause is Cause.UNKNOWN


def test_a_long_text_needs_more_than_a_timeout_and_a_failure() -> None:
    """In prose of many lines the two words stand beside each other by chance."""
    prose = "\n".join(f"Point {number} of the notes." for number in range(8))

    assert triage(f"{prose}\nA build that failed may be a timeout of the machine.").cause is Cause.UNKNOWN
