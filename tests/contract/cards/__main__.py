"""The score cards of known clients, made anew: `make score-cards` writes docs/score-cards.md.

Each client is installed into an environment of its own under build/cards. What cannot be installed or run is left
out with a sentence. The Python SDK of this environment is tried in virtual time with every check; programs of their
own are tried scaled, with the checks that any program can be put to.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.contract.cards.clients import callables
from whocut.client import async_reference
from whocut.contract.client import client_of, command_client
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.contract.card import Card, Result

ROOT: Final = Path(__file__).parents[3]
CLIENTS: Final = Path(__file__).parent / "clients"
KEPT: Final = ROOT / "build" / "cards"
PAGE: Final = ROOT / "docs" / "score-cards.md"
_WATCH_REAL_S: Final = 25.0


@dataclass(frozen=True, slots=True)
class Python:
    """A script in a virtual environment with these packages; the first one's version is told."""

    packages: tuple[str, ...]
    script: str
    arguments: str = ""

    def command(self) -> tuple[str, str]:
        """The command and the version, after installing what is missing."""
        place = KEPT / "-".join(
            name.replace("<", "").replace(">=", "").replace(",", "-") for name in self.packages
        )
        python = place / "bin" / "python"
        if not (place / "ok").exists():
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *self.packages], check=True)
            (place / "ok").touch()
        name = self.packages[0].partition("<")[0].partition(">")[0]
        code = f"import importlib.metadata as m; print(m.version('{name}'))"
        version = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout
        return f"{python} {CLIENTS / self.script} {self.arguments}", version.strip()


@dataclass(frozen=True, slots=True)
class Node:
    """A script for Node with the openai package."""

    package: str
    arguments: str = ""

    def command(self) -> tuple[str, str]:
        """The command and the version, after installing what is missing."""
        if shutil.which("npm") is None:
            raise FileNotFoundError("npm is not here")
        place = KEPT / self.package.replace("@", "-")
        if not (place / "ok").exists():
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "init", "-y"], cwd=place, check=True, capture_output=True)
            subprocess.run(["npm", "install", "--silent", self.package], cwd=place, check=True)
            (place / "ok").touch()
        shutil.copy(CLIENTS / "sdk.mjs", place / "sdk.mjs")  # Node looks for packages beside the script
        installed = json.loads((place / "node_modules" / "openai" / "package.json").read_text())
        return f"node {place / 'sdk.mjs'} {self.arguments}", installed["version"]


@dataclass(frozen=True, slots=True)
class Curl:
    """The curl of this machine."""

    def command(self) -> tuple[str, str]:
        """The command and the version."""
        said = subprocess.run(["curl", "--version"], check=True, capture_output=True, text=True).stdout
        return f"sh {CLIENTS / 'curl.sh'}", said.split()[1]


@dataclass(frozen=True, slots=True)
class Known:
    """A client with a card: its name, and how it is made or run."""

    name: str
    runs: Python | Node | Curl | None = None
    makes: Callable[..., object] | None = None


KNOWN: Final = (
    Known("whocut's reference client", makes=async_reference),
    Known("openai-python 3.x", makes=callables.sdk),
    Known("openai-python 3.x, max_retries=0", makes=callables.sdk_without_retries),
    Known("openai-python 2.x", Python(("openai>=2,<3",), "sdk.py")),
    Known("openai-python 2.x, max_retries=0", Python(("openai>=2,<3",), "sdk.py", "0")),
    Known("openai-python 1.x", Python(("openai<2",), "sdk.py")),
    Known("openai-python 1.x, max_retries=0", Python(("openai<2",), "sdk.py", "0")),
    Known("openai-node 7.x", Node("openai@7")),
    Known("openai-node 7.x, maxRetries: 0", Node("openai@7", "0")),
    Known("curl --retry 3", Curl()),
    Known("tenacity around the SDK", Python(("tenacity", "openai"), "tenacity_sdk.py")),
    Known("stamina around the SDK", Python(("stamina", "openai"), "stamina_sdk.py")),
    Known(
        "LangChain's DallEAPIWrapper",
        Python(("langchain-community", "langchain-openai"), "langchain_image.py"),
    ),
    Known("LiteLLM", Python(("litellm",), "litellm_image.py")),
)


def main() -> None:
    """Make every card, then the page."""
    cards: list[Card] = []
    left_out: list[str] = []
    for known in KNOWN:
        try:
            card = _card(known)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            left_out.append(f"{known.name}: {error}")
            print(f"left out: {left_out[-1]}", file=sys.stderr)  # noqa: T201  # progress, for whoever waits
            continue
        print(card.line, file=sys.stderr)  # noqa: T201  # as above
        cards.append(card)
    PAGE.write_text(page(cards, left_out))


def _card(known: Known) -> Card:
    if known.makes is not None:
        version = metadata.version("openai")
        return hold(client_of(known.makes, f"{known.name} (openai {version})"))
    assert known.runs is not None
    command, version = known.runs.command()
    target = command_client(command)
    named = type(target)(f"{known.name} ({version})", command=target.command)
    return hold(named, watch_real_s=_WATCH_REAL_S)


def page(cards: list[Card], left_out: list[str]) -> str:
    """All cards as one page: what the defaults do on a 504 first."""
    lines = [
        "# Score cards",
        "",
        "What known clients do with an image request that goes wrong, as `whocut policy` saw it. Made by",
        "`make score-cards`; versions stand beside the names. *Kept*, *broken* (obligatory), *missing* (advice).",
        "A check that a program cannot be put to from outside is *not tried*.",
        "",
        "## What the defaults do on a 504",
        "",
        defaults(cards),
        "",
        "## In one line each",
        "",
        *(f"- {card.line}" for card in cards),
        *(f"- left out: {sentence}" for sentence in left_out),
        "",
        *(card.markdown() for card in cards),
    ]
    return "\n".join(lines)


def defaults(cards: list[Card]) -> str:
    """The short table: attempts and price of one image behind a gateway that cuts, and three other bad days."""
    rows = [
        "| client | a gateway's 504 | the connection is reset | no money left | Retry-After: 121 |",
        "|---|---|---|---|---|",
    ]
    for card in cards:
        found = {result.id: result for result in card.results}
        asked = [_asked(found[name]) for name in ("unknown-504", "unknown-reset", "never-quota")]
        waits = _kept_or_why(found["rate-121"])
        rows.append(f"| {card.target} | {' | '.join(asked)} | {waits} |")
    return "\n".join(rows)


def _asked(result: Result) -> str:
    if result.ruling is not Ruling.BROKEN:
        return "asks once" if result.ruling is Ruling.KEPT else f"not tried: {result.why}"
    attempts = sum(line.startswith("attempt ") for line in result.evidence)
    least = "at least " if result.at_least is not None else ""
    price = f", {least}${0.210735 * attempts:.2f}" if result.id.startswith("unknown") else ""
    return f"**asks {least}{attempts} times{price}**"


def _kept_or_why(result: Result) -> str:
    return f"**{result.why}**" if result.ruling is Ruling.BROKEN else result.why


if __name__ == "__main__":
    main()
