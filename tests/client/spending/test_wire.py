"""The guard on the wire: the real SDK, in virtual time, before a scripted upstream."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import openai
import pytest

from tests.servers import Step, chunk, head, scripted, whole
from whocut.chain.catalogue import preset
from whocut.client.asking import Asking, asking_for
from whocut.client.openai_client import async_openai_client
from whocut.client.spending import Guard, Limits, SpendAccount
from whocut.client.spending.bound import Price
from whocut.client.spending.guard import Withheld
from whocut.client.spending.tally import Why
from whocut.client.watch import Sinks
from whocut.clock import VirtualLoop, run_virtual
from whocut.errors import BadInput, CouldNotRun
from whocut.trace.records import Attempt, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

BOUND_NANO = 211_065_000  # 7,024 output tokens, and a prompt of five bytes with the room around it
USAGE = b'"usage": {"input_tokens": 10, "output_tokens": 7024, "input_tokens_details": {"text_tokens": 10}}'
COST_NANO = 7024 * 30_000 + 10 * 5_000
IMAGE = b'{"created": 1, "data": [{"b64_json": "aGVsbG8="}], ' + USAGE + b"}"
LARGE = b"A" * 300_000
COMPLETED = b'event: image_generation.completed\ndata: {"b64_json": "' + LARGE + b'", ' + USAGE + b"}\n\n"


def asked(
    path: Path,
    script: Callable[[], Iterable[Step]],
    *,
    budget_nano: int,
    stream: bool = False,
    timeout_s: float | None = None,
) -> tuple[list[Attempt], Asking, BaseException | None, int]:
    """One request with the SDK's default retries, guarded; what the account holds afterwards."""
    SpendAccount.create(path, {})
    guard = Guard(SpendAccount(path), Limits(budget_nano_usd=budget_nano))
    lines: list[Attempt] = []
    asking = Asking(request="request-1")
    raised: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with scripted(script) as server:
            client = async_openai_client(
                base_url=server.base_url,
                api_key="sk-test",
                clock=loop.clock(),
                layer=preset("openai-python"),
                sinks=Sinks(lines.append, lambda _: None),
                guard=guard,
            )
            async with client:
                with asking_for(asking):
                    try:
                        answer = await client.images.generate(
                            model="gpt-image-2",
                            prompt="a cat",
                            size="1024x1024",
                            quality="high",
                            stream=stream,
                            timeout=timeout_s or openai.NOT_GIVEN,
                        )
                        if isinstance(answer, openai.AsyncStream):
                            async for _ in answer:
                                pass
                    except Exception as error:  # noqa: BLE001  # whatever the SDK makes of it is looked at
                        raised.append(error)

    run_virtual(main())
    with guard.account.locked() as tally:
        held = tally.total_nano_usd
    return lines, asking, raised[0] if raised else None, held


def attempts_of(lines: list[Attempt]) -> list[Attempt]:
    """Each attempt once."""
    return list({line.span_id: line for line in lines}.values())


@pytest.mark.parametrize("stream", [False, True])
def test_a_whole_answer_is_charged_by_its_usage(tmp_path: Path, stream: object) -> None:
    """Also where it stands behind a large image, at the end of one line of a stream."""
    events = [head(kind="text/event-stream"), chunk(COMPLETED), chunk(b"")]

    lines, _, error, held = asked(
        tmp_path / "a.jsonl",
        lambda: events if stream else [whole(IMAGE)],
        budget_nano=BOUND_NANO,
        stream=bool(stream),
    )

    assert error is None
    assert held == COST_NANO
    assert attempts_of(lines)[0].charged_usd == COST_NANO / 1e9


def test_a_retry_that_cannot_be_paid_for_is_not_sent_and_not_retried(tmp_path: Path) -> None:
    """The first attempt times out and keeps its reservation; the SDK's retry meets the guard, and that is all."""
    lines, asking, error, held = asked(
        tmp_path / "a.jsonl", lambda: [1e5], budget_nano=BOUND_NANO, timeout_s=30
    )

    assert isinstance(error, Withheld)
    assert asking.kept_back is error
    (attempt,) = attempts_of(lines)
    assert (attempt.outcome, attempt.timer) == (Outcome.TIMEOUT, "first_byte")
    assert held == BOUND_NANO


def test_a_request_that_was_never_affordable_leaves_no_attempt(tmp_path: Path) -> None:
    """Nothing on the wire, nothing in the account, and the error is no error of the API or the network."""
    lines, asking, error, held = asked(
        tmp_path / "a.jsonl", lambda: [whole(IMAGE)], budget_nano=BOUND_NANO - 1
    )

    assert isinstance(error, Withheld)
    assert not isinstance(error, openai.OpenAIError | TimeoutError | BadInput)
    assert (lines, asking.attempts, held) == ([], [], 0)


def test_three_attempts_with_unknown_outcomes_are_charged_three_times(tmp_path: Path) -> None:
    """A gateway's 504, three times over: each may have been billed."""
    lines, _, error, held = asked(
        tmp_path / "a.jsonl",
        lambda: [whole(b"<html>504</html>", "504 Gateway Time-out", "text/html")],
        budget_nano=10 * BOUND_NANO,
    )

    assert isinstance(error, openai.InternalServerError)
    assert len(attempts_of(lines)) == 3
    assert held == 3 * BOUND_NANO


@pytest.mark.parametrize("tokens", [b"1000000000000000", b"1" + b"0" * 30])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_beyond_all_measure_is_delivered_and_stops_everything(
    tmp_path: Path, tokens: bytes, stream: object
) -> None:
    """The image came and is on record as such; nothing is sent after it."""
    path = tmp_path / "a.jsonl"
    events = [head(kind="text/event-stream"), chunk(COMPLETED.replace(b"7024", tokens)), chunk(b"")]

    lines, _, error, _ = asked(
        path,
        lambda: events if stream else [whole(IMAGE.replace(b"7024", tokens))],
        budget_nano=100 * BOUND_NANO,
        stream=bool(stream),
    )

    assert error is None
    assert [attempt.outcome for attempt in attempts_of(lines)] == [Outcome.DELIVERED]
    with pytest.raises(Withheld) as refused:
        Guard(SpendAccount(path), Limits(budget_nano_usd=10**18)).admit(Price(nano_usd=1))
    assert refused.value.why is Why.UNDERPRICED


def test_an_account_that_cannot_be_written_loses_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when an answer is to be settled: its record says delivered, its reservation stays."""
    add = SpendAccount.add

    def full(account: SpendAccount, row: Mapping[str, object], *, durable: bool) -> None:
        if "settled" in row:
            raise CouldNotRun("the disk is full")
        add(account, row, durable=durable)

    monkeypatch.setattr(SpendAccount, "add", full)

    lines, _, _, held = asked(tmp_path / "a.jsonl", lambda: [whole(IMAGE)], budget_nano=BOUND_NANO)

    assert [attempt.outcome for attempt in attempts_of(lines)] == [Outcome.DELIVERED]
    assert len(lines) == 2  # when it started, and when it had ended
    assert held == BOUND_NANO


def test_zeros_in_place_of_a_usage_give_nothing_back(tmp_path: Path) -> None:
    """A gateway that fills in the usage it did not get cannot open the budget."""
    lies = IMAGE.replace(b"7024", b"0").replace(b'"input_tokens": 10', b'"input_tokens": 0')

    _, _, error, held = asked(tmp_path / "a.jsonl", lambda: [whole(lies)], budget_nano=BOUND_NANO)

    assert error is None
    assert held == BOUND_NANO
