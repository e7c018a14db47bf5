"""The load process of `whocut run`: Locust, with our hooks in it whatever the scenario imports.

A file that cannot be imported, or is no scenario, is refused with its place; Locust alone would end with a
traceback, or send its load nowhere.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from locust.main import main

from whocut.load import sealed
from whocut.load.locust_hooks import HOOKS, RUN_VARIABLE
from whocut.redact import protect_environment
from whocut.trace.rundir import GENERATOR, write_json


def _refuse(sentence: str) -> None:
    if RUN_VARIABLE not in os.environ:  # a worker on another machine
        sys.stderr.write(f"whocut: {sentence}\n")
        return
    write_json(Path(os.environ[RUN_VARIABLE]) / GENERATOR, {"refused": sentence})


def run() -> None:
    """Run Locust; a mistake before any session was opened goes into the run directory in one sentence."""
    protect_environment(os.environ)
    scenario = sys.argv[sys.argv.index("--locustfile") + 1]
    try:
        main()  # type: ignore[no-untyped-call]  # Locust's carries no types
    except SystemExit as error:
        if error.code and not HOOKS.began and not sealed.refused():
            _refuse(f"{scenario}: Locust found no scenario in it; it needs a class made from ImageUser")
        raise
    except Exception as error:
        file = str(Path(scenario).resolve())
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        place = f"{scenario}:{frames[-1].lineno}" if frames else scenario
        _refuse(f"{place}: it cannot be imported: {type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    run()
