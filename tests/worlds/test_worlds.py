"""Random worlds against the attributing code: the quick look; `make worlds` takes the long one."""

from __future__ import annotations

from tests.worlds.jobs.judge import look_at_jobs
from tests.worlds.judge import look_at_worlds
from tests.worlds.strangers import Look, look_at_strangers, look_at_world
from whocut.verdict.verdict import Grade


def test_no_verdict_called_proven_is_wrong_and_all_are_attributed_where_all_layers_report() -> None:
    """1,000 requests through random chains: no wrong `proven`, at least 99.9 % attributed, honest grades."""
    seen = look_at_worlds(requests=1000, seed=20261122)

    assert seen.wrong_proven == []
    assert seen.wrong == []
    assert seen.disagreements == []
    assert seen.attributed_share >= 0.999
    assert (
        seen.proven_share["all spans"]
        > seen.proven_share["half of them"]
        > seen.proven_share["a few of them"]
    )


def test_no_stranger_between_two_taps_makes_a_wrong_proof() -> None:
    """Gateways that nobody knows, taps on skewed clocks, some of them missing: no `proven` is wrong."""
    seen = look_at_strangers(requests=300, seed=20261126)

    assert seen.wrong_proven == 0, seen.told
    assert not any(wrong[Grade.TESTIFIED] for wrong in seen.wrong.values()), seen.told
    assert seen.named_share >= 0.999
    proven = {way: counts[Grade.PROVEN] for way, counts in seen.grades.items()}
    assert proven["all"] > proven["some taps"] > 0
    assert proven["no ledger"] > proven["some taps, no ledger"] > 0


def test_one_request_alone_makes_no_wrong_proof() -> None:
    """Nothing else tells where the taps are: their order was guessed here, a layer ticked, another was late."""
    found = {
        101: (122, 429, 576, 609, 1442, 1832, 2452, 5395, 6379, 6545, 8430),
        303: (388,),
        404: (4285,),
        909: (429, 19309, 25373, 31173),
        912: (11401,),
        1001: (13822, 26785),
    }
    seen = Look()
    for seed, numbers in found.items():
        for number in numbers:
            look_at_world(seen, seed=seed, number=number, each=1)

    assert seen.wrong_proven == 0, seen.told


def test_no_verdict_on_a_job_called_proven_is_wrong_and_each_lost_result_is_named() -> None:
    """400 jobs through random chains: submits, polls, cancels and callbacks, late, broken or refused."""
    seen = look_at_jobs(jobs=400, seed=20261127)

    assert seen.wrong_proven == []
    assert seen.wrong == []
    assert seen.disagreements == []
    assert seen.attributed_share >= 0.999
    assert seen.named_share >= 0.999
    assert {
        "client by poll",
        "client by cancel",
        "receiver by callback",
        "upstream by cancel",
        "upstream by expiry",
    } <= set(seen.ways)
