"""The soak's own eyes see what they are for; and some seconds of it, on a scaled clock, find nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.processes import wait_until
from tests.soak.__main__ import main
from tests.soak.sampling import Held, family_of, held_by
from tests.soak.spending import Rounds
from tests.soak.watched import MOST_FILES_PER_H, MOST_MIB_PER_H, Files, Samples
from whocut.client.spending import SpendAccount

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.sockets
def test_some_seconds_of_a_soak_find_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real processes, a guarded account beside them, and requests of every kind until the time is over."""
    asked = [
        "--hours",
        "0.1",
        "--in-flight",
        "12",
        "--clock",
        "scaled:40",
        "--every-s",
        "1",
        "--step-usd",
        "3",
    ]

    code = main([*asked, "--out", str(tmp_path / "soak")])

    said = capsys.readouterr().out
    assert code == 0, said
    assert "in flight 12" in said
    assert "verdicts held against the ledger" in said


def _sampled(mib_per_h: float, files_per_h: float, *, lasts_s: int = 7200) -> Samples:
    samples = Samples(root=0)
    for at_s in range(0, lasts_s, 60):
        files = round(100 + files_per_h * at_s / 3600)
        samples.of["load"].append((at_s, Held(100 + mib_per_h * at_s / 3600, files, 1.0)))
    return samples


@pytest.mark.parametrize(
    ("mib_per_h", "files_per_h", "found"),
    [
        (MOST_MIB_PER_H - 1, MOST_FILES_PER_H - 10, []),
        (MOST_MIB_PER_H + 1, 0.0, ["load grows by 17.0 MiB an hour; at most 16 is allowed"]),
        (0.0, MOST_FILES_PER_H + 10, ["load opens 110 more files an hour; at most 100 is allowed"]),
    ],
    ids=["steady", "memory", "files"],
)
def test_a_process_that_grows_is_found(mib_per_h: float, files_per_h: float, found: list[str]) -> None:
    """By the slope of the second half of its samples."""
    assert list(_sampled(mib_per_h, files_per_h).findings()) == found


def test_a_process_that_has_only_begun_is_not_judged() -> None:
    """Pools of connections fill, and memory is taken for the first time."""
    assert list(_sampled(1000, 1000, lasts_s=1800).findings()) == []


def test_a_line_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    """Also the part of a line at a file's end, once nothing more is written."""
    (tmp_path / "spans.jsonl").write_bytes(b'{"resourceSpans":[]}\n{"resou\n{"re')
    files = Files(tmp_path)

    files.read()

    assert [one.partition(": ")[0] for one in files.unreadable] == ["spans.jsonl:2"]
    assert list(files.unfinished) == ["spans.jsonl: it ends in a part of a line"]


def test_a_budget_that_is_passed_is_found(tmp_path: Path) -> None:
    """By the account, and by what the endpoint says that it has billed."""
    SpendAccount.create(tmp_path / "account.jsonl", {})
    account = SpendAccount(tmp_path / "account.jsonl")
    with account.locked():
        account.add({"reserved": "a", "nano_usd": 2_000_000_000, "run": "x"}, durable=False)
    account.close()
    (tmp_path / "ledger.jsonl").write_bytes(orjson.dumps({"generation": "g", "billed_usd": 3.0}) + b"\n")
    rounds = Rounds(tmp_path, [sys.executable, "-c", ""], step_usd=1.0, budget_usd=1.0)

    rounds.stop()

    assert rounds.findings[-3:] == [
        "the account holds $2.0000, and the budget is $1.0000",
        "the endpoint has billed $3.0000, and the budget is $1.0000",
        "the endpoint has billed $3.0000, and the account knows $2.0000",
    ]


def test_a_process_and_its_children_are_seen() -> None:
    """With their memory, their files and their commands."""
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        # A child bears its parent's command, then an empty one, until it has become a program of its own.
        wait_until(lambda: [*family_of(parent.pid)][-1][1].endswith("-c input() "))
        family = list(family_of(parent.pid))
        held = held_by(family[0][0])
        parent.communicate(b"\n")

    assert [command.split()[-1] for _, command in family[1:]] == ["input()"]
    assert held is not None
    assert held.rss_mib > 1
    assert held.files >= 3
    assert held_by(parent.pid) is None
    assert os.getpid() not in {pid for pid, _ in family}
