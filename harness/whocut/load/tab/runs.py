"""The runs of one Locust process, as its page tells of them: one after the other, none forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from whocut.trace.rundir import LIVE, REPORT

if TYPE_CHECKING:
    from pathlib import Path


class State(StrEnum):
    """How far a run is."""

    STARTING = "starting"
    UNDER_LOAD = "under load"
    DRAINING = "draining what is in flight"
    JUDGING = "to be judged when the last generation has ended"
    ENDED = "ended"
    REFUSED = "refused"


@dataclass(slots=True)
class ShownRun:
    """One start of the test; `sentence` is what the harness complained of, empty where it did not."""

    number: int
    state: State = State.STARTING
    run_dir: Path | None = None
    exit_code: int | None = None
    sentence: str = ""

    def refuse(self, sentence: str) -> None:
        """It never began."""
        self.state, self.sentence = State.REFUSED, sentence

    def end(self, exit_code: int, sentence: str) -> None:
        """It has been judged, or could not be."""
        self.state, self.exit_code, self.sentence = State.ENDED, exit_code, sentence

    @property
    def report(self) -> Path | None:
        """Its page, once that is written."""
        if self.state is not State.ENDED or self.run_dir is None:
            return None
        path = self.run_dir / REPORT
        return path if path.is_file() else None

    def live(self) -> dict[str, Any] | None:
        """What the live judge has written; None where it has not, or cannot be read."""
        if self.run_dir is None:
            return None
        try:
            found = orjson.loads((self.run_dir / LIVE).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return found if isinstance(found, dict) else None

    def to_plain(self) -> dict[str, Any]:
        """For the page."""
        return {
            "number": self.number,
            "state": self.state,
            "run_dir": str(self.run_dir) if self.run_dir else None,
            "gone": self.run_dir is not None and not self.run_dir.is_dir(),
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "report": self.report is not None,
        }


@dataclass(slots=True)
class ShownRuns:
    """All of them, the last one last."""

    all: list[ShownRun] = field(default_factory=list)

    def begin(self) -> ShownRun:
        """The test has been started again."""
        self.all.append(ShownRun(len(self.all) + 1))
        return self.all[-1]

    def find(self, number: int) -> ShownRun | None:
        """The run of this number; they count from 1."""
        return self.all[number - 1] if 1 <= number <= len(self.all) else None

    def to_plain(self) -> dict[str, Any]:
        """For the page: every run, and how far the last one is."""
        return {
            "runs": [run.to_plain() for run in self.all],
            "live": self.all[-1].live() if self.all else None,
        }
