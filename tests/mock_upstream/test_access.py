"""The organisation wall: a key's states, and how it moves through them on the clock."""

from typing import Any

import pytest

from tests.mock_upstream.stage import MINIMAL, Stage, on_stage
from whocut_mock import Settings
from whocut_mock.access import state_at, verified_anew
from whocut_mock.settings import Key

HOUR_S, DAY_S = 3_600.0, 86_400.0


def settings(**key: Any) -> Settings:
    """Settings that know one key."""
    return Settings.model_validate({"latency": {"constant_s": 1.0}, "keys": {"sk-one": key}})


def test_propagating_opens_after_hours() -> None:
    """Access that propagates is refused at first and granted after six to twenty-four hours."""

    async def play(stage: Stage) -> None:
        clock = stage.running.upstream.clock
        early = await stage.post(MINIMAL, Authorization="Bearer sk-one")
        await clock.sleep_s(6 * HOUR_S - 100)
        still = await stage.post(MINIMAL, Authorization="Bearer sk-one")
        await clock.sleep_s(18 * HOUR_S + 200)
        late = await stage.post(MINIMAL, Authorization="Bearer sk-one")

        assert [early.status, still.status, late.status] == [403, 403, 200]
        assert early.error["message"].startswith(
            "Your organization must be verified to use the model `gpt-image-2`."
        )
        assert (early.error["type"], early.error["code"]) == ("invalid_request_error", None)

    on_stage(play, settings(state="propagating"))


@pytest.mark.parametrize(
    ("state", "now_s", "becomes"),
    [
        ("verified", 0, "verified"),
        ("unverified", 1e9, "unverified"),
        ("country", 1e9, "country"),
        ("session_expired", 1e9, "session_expired"),
        ("locked", 89 * DAY_S, "locked"),
        ("locked", 91 * DAY_S, "unverified"),
        ("propagating", 5 * HOUR_S, "propagating"),
        ("propagating", 25 * HOUR_S, "verified"),
    ],
)
def test_state_on_the_clock(state: str, now_s: float, becomes: str) -> None:
    """Some states end by themselves, the others stay."""
    key = Key.model_validate({"state": state})

    assert state_at("sk-one", key, 7, now_s) == becomes


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        ("unverified", "propagating"),
        ("session_expired", "propagating"),
        ("country", "country"),
        ("locked", "locked"),
    ],
)
def test_another_attempt_at_verification(state: str, becomes: str) -> None:
    """Trying again helps who never tried and whose session expired; it helps nobody else."""
    key = verified_anew("sk-one", Key.model_validate({"state": state}), 7, 50.0)

    assert state_at("sk-one", key, 7, 51.0) == becomes


def test_verification_by_control() -> None:
    """The control endpoint begins another attempt for a key."""

    async def play(stage: Stage) -> None:
        before = await stage.door("POST", "verify", {"key": "sk-one"})
        await stage.running.upstream.clock.sleep_s(DAY_S)

        assert before.json == {"state": "propagating"}
        assert (await stage.post(MINIMAL, Authorization="Bearer sk-one")).status == 200

    on_stage(play, settings(state="session_expired"))


def test_revoked_and_without_access() -> None:
    """A revoked key is a 401, a project without the model a 403 of its own."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, Authorization="Bearer sk-one")
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert "sk-one" not in answer.error["message"]

    async def play_without(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, Authorization="Bearer sk-one")
        assert (answer.status, answer.error["code"]) == (403, "model_not_found")

    on_stage(play, settings(state="revoked"))
    on_stage(play_without, settings(state="no_model_access"))


def test_no_money() -> None:
    """An account whose budget is spent gets a 429 without Retry-After."""

    async def play(stage: Stage) -> None:
        first = await stage.post(MINIMAL, Authorization="Bearer sk-one")
        second = await stage.post(MINIMAL, Authorization="Bearer sk-one")

        assert [first.status, second.status] == [200, 429]
        assert (second.error["type"], second.error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert "retry-after" not in second.headers

    on_stage(play, settings(budget_usd=0.01))
