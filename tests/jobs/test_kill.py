"""Kill -9 at random instants, with real processes: no job is lost, none is paid twice, all accounts agree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.kills.jobs.__main__ import play
from tests.kills.jobs.books import Books, Told
from whocut.clock import run_real
from whocut.jobs.records import JobState

if TYPE_CHECKING:
    from pathlib import Path

JOBS, KILLS, SEED = (
    int(os.environ.get(f"WHOCUT_KILL_{name}", usual))
    for name, usual in (("JOBS", "30"), ("KILLS", "4"), ("SEED", "11"))
)


@pytest.mark.long
@pytest.mark.sockets
@pytest.mark.timeout(1_800)  # each restart waits for a process, and each refused callback for its next turn
def test_no_job_is_lost_and_none_is_paid_twice_over_kills_at_random_instants(tmp_path: Path) -> None:
    """Service, mock, receiver, and all at once are killed; `make job-kills` does it with a thousand jobs."""
    books = run_real(play(tmp_path, jobs=JOBS, kills=KILLS, seed=SEED))

    assert list(books.findings()) == [], books.report()
    assert books.kills.total() == KILLS
    assert any(job.state is JobState.UNKNOWN for job in books.jobs), "no kill met a job under way"
    assert any(job.state is JobState.DELIVERED for job in books.jobs)


def row(order: str, **changes: Any) -> dict[str, Any]:
    """A generation as the ledger has it: delivered, and billed."""
    told: dict[str, Any] = {
        "generation": f"gen-{order}",
        "prompt_sha256": order,
        "state": "settled",
        "delivered": True,
        "caller_gone_s": None,
        "billed_usd": 0.01,
    }
    return told | changes


def found(**changes: Any) -> str:
    """The findings in the books of one job that was lost with its service, without callbacks; changed."""
    told = Told("job-1", "a", JobState.UNKNOWN, 1, "accepted")
    books = Books(
        promised={"a": "job-1"},
        jobs=[told],
        rows=[row("a", delivered=False, caller_gone_s=5.0)],
        cut_short=frozenset(),
        callbacks=[],
        secret="whsec_AAAA",
        spent_usd=1.0,
    )
    for name, value in changes.items():
        setattr(books, name, value)
    return "; ".join(one for one in books.findings() if "bodies came" not in one)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({}, ""),
        ({"jobs": []}, "the accepted job job-1 is lost"),
        ({"rows": [row("a"), row("a", generation="gen-b")]}, "an order was generated 2 times"),
        ({"rows": [row("a", state="running")]}, "gen-a is delivered and running"),
        ({"rows": [row("a", delivered=False)]}, "gen-a is nothing"),
        ({"rows": [row("a", delivered=False, state="running")]}, "gen-a runs for ever"),
        ({"spent_usd": 0.0}, "$0.0100 were billed, and the service counts $0.0000"),
        (
            {"jobs": [Told("job-1", "a", JobState.DELIVERED, 1, "accepted")]},
            "job-1 has its image, and the ledger says that its caller had gone",
        ),
        (
            {"jobs": [Told("job-1", "a", JobState.FAILED, 1, "accepted")]},
            "job-1 is failed, and nothing refused",
        ),
    ],
)
def test_what_a_kill_could_have_broken_is_found(changes: dict[str, Any], finding: str) -> None:
    """Each way in which the accounts can contradict each other has a sentence."""
    said = found(**changes)

    assert (finding in said) if finding else said == ""


def test_a_callback_with_a_wrong_signature_is_found() -> None:
    """And one that belongs to no job."""
    headers = {"webhook-id": "msg_other", "webhook-timestamp": "1795305600", "webhook-signature": "v1,AAAA"}

    said = found(callbacks=[headers | {"body": "{}"}])

    assert "the signature of msg_other is wrong" in said
    assert "1 callbacks belong to no job" in said
