"""Each ordinary test suite in an environment of its own: `make plugin-matrix`.

Environments are kept under build/matrix, one a set of packages. A case that takes longer than `MOST_REAL_S` hangs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.plugin.suites import CASES, Case, complaint

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "build" / "matrix"
MOST_REAL_S: Final = 60.0


def python_for(case: Case) -> Path:
    """The Python of an environment with whocut and what the case needs."""
    place = KEPT / ("-".join(sorted(case.packages.values())) or "alone")
    python = place / "bin" / "python"
    if not (place / "ok").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        needed = ["-e", str(ROOT), "pytest", *case.packages.values()]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *needed], check=True)
        (place / "ok").touch()
    return python


def run_case(case: Case, python: Path) -> str | None:
    """Run a suite as a project does; what is not as it should be."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_suite.py").write_text(case.whole)
        try:
            ran = subprocess.run(
                [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *case.options],
                cwd=folder,
                env=kept,
                capture_output=True,
                text=True,
                timeout=MOST_REAL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it had not ended after {MOST_REAL_S:g} s"
    return complaint(case, ran.returncode, ran.stdout)


def main() -> int:
    """Run them all, or those whose name holds a word of the command line; 1 if one is not as it should be."""
    wrong = 0
    for name, case in CASES.items():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        found = run_case(case, python_for(case))
        wrong += found is not None
        print("as it should be" if found is None else "WRONG", name, found or "", flush=True)  # noqa: T201
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
