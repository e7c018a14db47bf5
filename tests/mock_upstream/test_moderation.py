"""The two filters: when each speaks, what it says, what it costs."""

from pathlib import Path
from typing import Any

import pytest

from tests.mock_upstream.stage import Stage, on_stage
from whocut_mock import Settings
from whocut_mock.moderation import SHIPPED_RULES, judge, read_rules
from whocut_mock.parameters import Reading, read_order

MILD_BUT_BLOCKED = {"prompt": "mickey mouse on a bike"}
OUTPUT: dict[str, Any] = {
    "category": "sharks",
    "stage": "output",
    "words": ["shark"],
    "reported": ["violence"],
}


def settings(tmp_path: Path, *rules: dict[str, Any], **moderation: Any) -> Settings:
    """Settings whose rules are these and no others."""
    file = tmp_path / "rules.yaml"
    file.write_text(repr(list(rules)))
    return Settings.model_validate(
        {"latency": {"constant_s": 100.0}, "moderation": {"rules": str(file), **moderation}}
    )


def test_input_stage_is_fast(tmp_path: Path) -> None:
    """The input filter answers before any work, and nothing is billed."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()

        answer = await stage.post({"prompt": "a Shark, swimming"})

        assert 0.5 <= stage.now_s() - begun_s <= 2
        assert answer.status == 400
        assert (answer.error["type"], answer.error["code"]) == (
            "image_generation_user_error",
            "moderation_blocked",
        )
        assert answer.error["moderation_details"] == {"moderation_stage": "input", "categories": ["violence"]}
        assert f"request ID {answer.headers['x-request-id']}" in answer.error["message"]
        assert answer.error["message"].endswith("safety_violations=[violence].")
        [row] = stage.ledger.rows()
        assert (row.state, row.moderation, row.billed) == ("refused", "input", False)

    on_stage(play, settings(tmp_path, {**OUTPUT, "stage": "input"}))


@pytest.mark.parametrize("billed", [True, False])
def test_output_stage_takes_the_whole_time(tmp_path: Path, *, billed: bool) -> None:
    """The output filter answers after the whole generation, billed or not as the settings say."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()

        answer = await stage.post({"prompt": "a shark"})

        assert stage.now_s() - begun_s == pytest.approx(100, abs=0.001)
        assert answer.error["moderation_details"]["moderation_stage"] == "output"
        [row] = stage.ledger.rows()
        assert (row.state, row.moderation, row.status) == ("settled", "output", 400)
        assert (row.billed, row.delivered) == (billed, False)
        assert row.error_code == "moderation_blocked"

    on_stage(play, settings(tmp_path, OUTPUT, bill_output_blocks=billed))


@pytest.mark.parametrize("partial_images", [0, 2])
def test_output_stage_inside_a_stream(tmp_path: Path, partial_images: int) -> None:
    """In a stream the block is an error event in a 200, after the partial images or as the first event."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({"prompt": "a shark", "stream": True, "partial_images": partial_images})

        assert answer.status == 200
        *partials, (last, data) = answer.events
        assert len(partials) == partial_images
        assert last == data["type"] == "error"
        assert data["error"]["code"] == "moderation_blocked"
        assert stage.ledger.rows()[0].delivered is False

    on_stage(play, settings(tmp_path, OUTPUT))


def test_same_prompt_same_fate() -> None:
    """A prompt is blocked always or never; another seed may decide otherwise."""
    rules = read_rules(None)
    prompts = [f"surgery in room {number}" for number in range(200)]

    def fates(seed: int, **fields: Any) -> list[bool]:
        orders = [read_order({"prompt": prompt, **fields}, Reading()) for prompt in prompts]
        return [judge(order, rules, seed) is not None for order in orders]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
    assert 0.7 < sum(fates(1)) / 200 < 0.9
    assert sum(fates(1, moderation="low")) < sum(fates(1))


def test_shipped_rules_hold_the_five_categories() -> None:
    """The article's five categories are output rules of the shipped file; a harmless prompt meets none."""
    output = [rule.category for rule in read_rules(None) if rule.stage == "output"]
    harmless = read_order({"prompt": "ramen shop at 2am, wet pavement, neon reflections"}, Reading())

    assert len(output) == 5
    assert judge(harmless, read_rules(None), 0) is None
    assert SHIPPED_RULES.exists()


def test_bad_rule_file(tmp_path: Path) -> None:
    """A mistake in the rules is one sentence with the file's name."""
    file = tmp_path / "rules.yaml"
    file.write_text("- {category: x, stage: later, words: [a]}")

    with pytest.raises(ValueError, match=r"rules\.yaml: rule 0\.stage"):
        read_rules(str(file))
