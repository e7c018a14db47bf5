"""Each ordinary test suite in an environment of its own: `make plugin-matrix`; words of names run only those.

Environments are kept under build/matrix: one with whocut and pytest alone, and on it one for each set of packages.
The README's test is run in every one of them. A case that has not ended after `MOST_REAL_S` hangs; none may take
longer than `MOST_CPU_S` of the processor, so that a busy machine is no reason.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.plugin.suites import CASES, README, Case, complaint

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "build" / "matrix"
MOST_REAL_S: Final = 300.0
MOST_CPU_S: Final = 25.0  # ten of a usual machine's


def python_for(case: Case) -> Path:
    """The Python of an environment with whocut and what the case needs."""
    base = _made("alone", ["-e", str(ROOT), "pytest"])
    packages = sorted(case.packages.values())
    return _made("-".join(packages), packages, below=base) if packages else base


def _made(name: str, packages: list[str], below: Path | None = None) -> Path:
    """An environment with these packages; what lies `below` is found too, after them."""
    place = KEPT / name
    python = place / "bin" / "python"
    if not (place / "ok").exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        subprocess.run([*pip, *packages], check=True)
        if below is not None:
            own, lower = _site(place), _site(below.parents[1])
            (own / "below.pth").write_text(f"import site; site.addsitedir({str(lower)!r})\n")
        (place / "ok").touch()
    return python


def _site(place: Path) -> Path:
    return next((place / "lib").glob("python3*")) / "site-packages"


def run_case(case: Case, python: Path) -> tuple[str | None, float]:
    """Run a suite as a project does; what is not as it should be, and the processor's seconds that it took."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    before_s = _cpu_s()
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
            return f"it had not ended after {MOST_REAL_S:g} s", 0.0
    took_s = _cpu_s() - before_s
    if took_s > MOST_CPU_S:
        return f"it took {took_s:.1f} s of the processor", took_s
    return complaint(case, ran.returncode, ran.stdout + ran.stderr), took_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cases() -> dict[str, Case]:
    """Every suite, and the README's test beside each set of packages."""
    found = dict(CASES)
    beside = {tuple(sorted(case.packages.items())) for case in CASES.values() if case.text != README}
    for packages in sorted(beside):
        if packages:
            name = f"the README's test beside {', '.join(package for _, package in packages)}"
            found[name] = Case(text=README, packages=dict(packages))
    return found


def main() -> int:
    """Run them all, or those whose name holds a word of the command line; 1 if one is not as it should be."""
    wrong = 0
    for name, case in cases().items():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        found, took_s = run_case(case, python_for(case))
        wrong += found is not None
        mark = "as it should be" if found is None else "WRONG"
        print(f"{mark}  {took_s:4.1f} s  {name} {found or ''}", flush=True)  # noqa: T201
    print(f"{wrong} of the suites are not as they should be" if wrong else "all as they should be")  # noqa: T201
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
