"""Refusals in words of their own, codes of any maker, and what is no refusal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.verdict.triage import Cause, Retry, triage
from whocut.verdict.triage.forms import forms
from whocut.verdict.verdict import Grade


@given(data=st.data())
def test_a_sentence_with_a_word_of_each_list_is_told_and_graded_as_a_guess(data: st.DataObject) -> None:
    """In any order, in any of the forms; it names no layer, and is never testified."""
    form = data.draw(st.sampled_from([form for form in forms() if form.words]))
    words = [data.draw(st.sampled_from(list(one))) for one in form.words]
    sentence = " and ".join(word.replace("*", "x") for word in data.draw(st.permutations(words)))

    found = triage(f"Error: {sentence}")

    assert found.cause is not Cause.UNKNOWN
    assert (found.layer, found.directive, found.timer) == (None, None, None)
    assert found.retry is not Retry.SAFE or found.cause is Cause.CONNECTION


@pytest.mark.parametrize(
    ("text", "cause", "retry"),
    [
        (
            "Sorry, I can't create that image because it violates our content policies",
            "moderation",
            "useless",
        ),
        ("Image was filtered by our safety checker", "moderation", "useless"),
        ("You've reached your usage limit", "rate_limit", "after_wait"),
        ("Your plan does not include image generation credits", "rate_limit", "useless"),
        ("You didn't provide an API key.", "parameter", "useless"),
        ("prompt cannot be empty", "parameter", "useless"),
        ("The service is under heavy load", "upstream", "after_wait"),
        ("model inference failed", "upstream", "unknown"),
        ("Превышен лимит запросов", "rate_limit", "after_wait"),
        ("残高が不足しています", "rate_limit", "useless"),
        ("您的请求因违反内容政策被拒绝", "moderation", "useless"),
        ("Es konnte keine Verbindung zum Server hergestellt werden", "connection", "safe"),
        ("соединение было разорвано", "connection", "unknown"),
        ("이미지 생성 시간이 초과되었습니다", "timeout_chain", "pays_again"),
    ],
)
def test_a_program_says_it_in_its_own_words(text: str, cause: str, retry: str) -> None:
    """In English as in other languages."""
    found = triage(text)

    assert (found.cause, found.retry) == (cause, retry)
    assert found.grade in {Grade.UNATTRIBUTED, Grade.INFERRED}


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("INSUFFICIENT_CREDITS", Cause.RATE_LIMIT),
        ("NotEnoughBalance", Cause.RATE_LIMIT),
        ("RATE_LIMITED", Cause.RATE_LIMIT),
        ("CONTENT_POLICY", Cause.MODERATION),
        ("SafetyRejected", Cause.MODERATION),
        ("UNAUTHORIZED", Cause.PARAMETER),
        ("UNSUPPORTED_ASPECT_RATIO", Cause.PARAMETER),
        ("UPSTREAM_TIMEOUT", Cause.TIMEOUT_CHAIN),
        ("PROVIDER_ERROR", Cause.UPSTREAM),
        ("SUCCESS", Cause.UNKNOWN),
        ("PENDING", Cause.UNKNOWN),
    ],
)
def test_a_code_is_read_by_its_stems(code: str, cause: Cause) -> None:
    """Whoever made it up."""
    assert triage(json.dumps({"error": {"code": code, "message": "see the manual"}})).cause is cause


@pytest.mark.parametrize(
    "text",
    [
        'def check(image):\n    """The image must have mode 1."""',
        "    raise ValueError('prompt cannot be empty')",
        "tools: Required[Iterable[Dict[str, object]]]\nA list of tools that the model should be allowed to call.",
        "blocked by CORS policy",
        "the docker image does not exist in the registry",
        "case-sensitive image names are rejected by no means",
    ],
)
def test_code_and_other_matters_are_no_refusal(text: str) -> None:
    """A program's source, its documentation, and images of another kind."""
    assert triage(text).cause in {Cause.UNKNOWN, Cause.CONNECTION}
