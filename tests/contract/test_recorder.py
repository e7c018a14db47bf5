"""What a card tells is what a recorder without any code of ours has seen, and what the client's own clock says."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import planted
from tests.contract.recorder import Recorder
from whocut.contract.checks import BY_ID
from whocut.contract.client import command_client
from whocut.contract.play import Means, try_out
from whocut.stage.pace import library
from whocut.stage.stage import Stage

if TYPE_CHECKING:
    from whocut.contract.trial import Trial

pytestmark = pytest.mark.sockets
SCRIPT = Path(planted.__file__)
# What a request needs on its way through two processes of a busy machine.
ON_ITS_WAY_S = 0.5
CHECKS = (
    "unknown-504",
    "unknown-reset",
    "unknown-closed",
    "never-401",
    "rate-seconds",
    "overload-polite",
    "rate-121",
)


def played(check: str, fault: str, **means: Any) -> Trial:
    """One check, played on the planted client as a program."""
    target = command_client(f"{sys.executable} -I {SCRIPT} {fault}")
    return try_out(target, BY_ID[check], BY_ID[check].scene(), Means(**means))


@pytest.mark.parametrize("check", CHECKS[:-1])
@pytest.mark.parametrize("fault", ["planted", "none"])
def test_counts_and_waits_are_those_of_the_recorder(
    check: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real waits: as many attempts, and each came as long after the former one's end."""
    made: list[Recorder] = []

    def address(stage: Stage) -> str:
        if not made:
            made.append(Recorder(stage.tap.port))
        return made[0].address

    monkeypatch.setattr(Stage, "base_url", property(address))

    trial = played(check, check if fault == "planted" else fault)

    (recorder,) = made
    recorder.close()
    assert len(trial.attempts) == len(recorder.posts)
    assert trial.waits_s == pytest.approx(recorder.waits_s, abs=ON_ITS_WAY_S)


@pytest.mark.skipif(library() is None, reason="no waits can be shortened on this machine")
@pytest.mark.parametrize("check", CHECKS)
def test_shortened_waits_are_those_of_the_client_s_own_clock(
    check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client writes down when it asked and when that had ended, by its own clock, which passed quickly."""
    diary = tmp_path / "diary"
    monkeypatch.setenv("PLANTED_DIARY", str(diary))
    monkeypatch.setenv("PLANTED_PAUSE_S", "60")

    trial = played(check, "none" if check == "rate-121" else check, library=library())

    lines = [tuple(map(float, line.split())) for line in diary.read_text().splitlines()]
    waits_s = [new[0] - old[1] for old, new in pairwise(lines)]
    assert len(lines) == len(trial.attempts)
    assert trial.waits_s == pytest.approx(waits_s, abs=ON_ITS_WAY_S)
    assert sum(waits_s) > 50 or check in {"rate-seconds", "overload-polite"}
