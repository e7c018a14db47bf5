"""The live judge, a process of its own: ``python -m whocut.run.live RUN`` follows a run and keeps ``live.json``.

The hops run in the harness's loop and the users in Locust's; judging beside either would stall what is measured.
So this process is niced, reads files only, and writes one, whole, about once a second. It ends with its parent, or
when asked to; then it takes in what is left and says that the run has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.load import Load
from whocut.chain.plain import topology_from_plain
from whocut.clock import Clock
from whocut.clock.clock import wall_s
from whocut.errors import WhocutError
from whocut.trace import otlp
from whocut.trace.follow import Follower
from whocut.trace.rundir import ATTEMPTS, LEDGER, LIVE, SPANS, RunDir, attempt_from_row, write_json
from whocut.verdict.as_it_goes import AsItGoes
from whocut.waterfall.rows import waterfall
from whocut.waterfall.terminal import as_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.trace.records import Span

_EVERY_REAL_S: Final = 1.0
_NICE: Final = 10
# A judge that starts late or falls behind takes a long file in pieces of this size.
_AT_MOST_BYTES: Final = 4_000_000
_COLUMNS: Final = 110


class LiveRun:
    """A run directory that is being written, and its state so far."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._judge = AsItGoes(
            topology_from_plain(run.manifest["topology"]), has_ledger=not run.manifest.get("to")
        )
        self._attempts = Follower(run.path / ATTEMPTS)
        self._spans = Follower(run.path / SPANS)
        self._ledger = Follower(run.path / LEDGER)
        self._clock = Clock.of_run(run.manifest)

    def look(self) -> bool:
        """Take in what is new, or a piece of it; whether there was anything."""
        # An attempt is written down before its layers' spans, so it is read after them: none comes unclaimed.
        ledger = list(self._ledger.rows(_AT_MOST_BYTES))
        spans = list(self._new_spans())
        attempts = [attempt_from_row(row) for row in self._attempts.rows(_AT_MOST_BYTES)]
        self._judge.take(attempts, spans, ledger, wall_s())
        return bool(ledger or spans or attempts)

    @property
    def behind(self) -> bool:
        """Whether one look is not enough for all that is new."""
        files = (self._attempts, self._spans, self._ledger)
        return any(file.behind_bytes > _AT_MOST_BYTES for file in files)

    def _new_spans(self) -> Iterator[Span]:
        for line in self._spans.lines(_AT_MOST_BYTES):
            spans = list(otlp.decode_line(line, self._run.epoch_unix_s))
            otlp.onto_one_clock(spans, self._run.scale)
            yield from spans

    def finish(self) -> None:
        """Take in all that is left: nothing more will be written."""
        while self.look():
            pass
        self._judge.finish()

    def write(self, *, ended: bool) -> None:
        """Write its state, whole or not at all."""
        manifest = self._run.manifest
        write_json(
            self._run.path / LIVE,
            {
                "run": manifest.get("run"),
                "scenario": manifest["scenario"],
                "chain": manifest["chain"],
                "clock": manifest["clock"]["written"],
                "ended": ended,
                "model_s": round(self._clock.now_s(), 1),
                "asked": Load.from_plain(manifest["load"]).asked if "load" in manifest else None,
                **self._judge.figures(),
                "last": self._last(),
            },
        )

    def _last(self) -> dict[str, Any] | None:
        """The request judged last, as the terminal draws it: lines of runs of text, each with its style's name."""
        seen = self._judge.last
        if seen is None:
            return None
        request = seen.attribution.verdicts[0].request
        fall = waterfall(request, seen.attribution, seen.attempts.values())
        return {
            "request": fall.request,
            "mode": fall.mode,
            "outcome": fall.outcome,
            "phrases": fall.phrases,
            "drawing": as_pieces(fall, _COLUMNS),
        }


def main(arguments: list[str]) -> int:
    """Follow one run until its end, or this process's."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_until_the_parent_goes, args=(over,), daemon=True).start()
    os.nice(_NICE)
    try:
        live = LiveRun(RunDir.open(Path(arguments[0])))
    except WhocutError as error:
        sys.stderr.write(f"whocut: {error}\n")
        return error.exit_code
    while not over.wait(0.0 if live.behind else _EVERY_REAL_S):
        live.look()
        live.write(ended=False)
    live.finish()
    live.write(ended=True)
    return 0


def _until_the_parent_goes(over: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    over.set()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
