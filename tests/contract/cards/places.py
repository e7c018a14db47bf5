"""Where the clients are installed: an environment for each set of packages, under build/cards, made once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from tests.contract.cards.known import NODE, PYTHON, Known

ROOT: Final = Path(__file__).parents[3]
KEPT: Final = ROOT / "build" / "cards"
CLIENTS: Final = Path(__file__).parent / "clients"


def command(known: Known) -> str:
    """The command that runs it as it comes, after installing what is missing.

    Raises:
        FileNotFoundError: this machine has no npm or curl.
        CalledProcessError: it could not be installed.
    """
    script = CLIENTS / known.script
    if not known.place:
        return f"sh {script}"
    place = _made(known.place)
    if known.place in PYTHON:
        return f"{place / 'bin' / 'python'} {script}"
    for one in CLIENTS.glob("*.mjs"):  # Node looks for packages beside the script
        shutil.copy(one, place / one.name)
    return f"node {place / script.name}"


def version(known: Known) -> str:
    """The version of its package, as installed."""
    if known.makes is not None:
        return metadata.version(known.package)
    if not known.place:
        said = subprocess.run([known.package, "--version"], check=True, capture_output=True, text=True).stdout
        return said.split()[1]
    place = _made(known.place)
    if known.place in PYTHON:
        code = f"import importlib.metadata as m; print(m.version({known.package!r}))"
        python = str(place / "bin" / "python")
        return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    told = json.loads((place / "node_modules" / known.package / "package.json").read_text())
    return str(told["version"])


def _made(name: str) -> Path:
    place = KEPT / name
    if (place / "ok").exists():
        return place
    if name in PYTHON:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--quiet"]
        subprocess.run([*pip, *PYTHON[name]], check=True)
    else:
        if shutil.which("npm") is None:
            raise FileNotFoundError("npm is not here")
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "init", "-y"], cwd=place, check=True, capture_output=True)
        subprocess.run(["npm", "install", "--silent", *NODE[name]], cwd=place, check=True)
    (place / "ok").touch()
    return place
