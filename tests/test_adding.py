"""The page that says how to add something names files that are there, and finds them as the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from whocut.chain.catalogue import catalogue
from whocut.chain.chainfile import shipped_chains
from whocut.chain.shipped import CHAINS
from whocut.cli.app import COMMANDS
from whocut.config.formats import formats as config_formats
from whocut.contract.checks import CHECKS, JOBS
from whocut.export.formats import FORMATS as EXPORTS
from whocut.path.gateways import GATEWAYS
from whocut.registry import found_in
from whocut.run.scenario import shipped_scenarios
from whocut.trace.fetching.fetch import backends
from whocut.trace.logs.formats import formats
from whocut.verdict.attribute import RULES
from whocut_mock.dialects import known as dialects
from whocut_mock.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| a ") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
}


def files(pattern: str) -> list[Path]:
    """The files that a path on the page stands for."""
    return sorted(ROOT.glob(re.sub(r"<\w+>", "*", pattern)))


def stems(pattern: str) -> set[str]:
    """Their names."""
    return {path.stem for path in files(pattern)}


def holding(pattern: str, name: str) -> set[str]:
    """The names of those that define `name`."""
    return {
        path.stem
        for path in files(pattern)
        if re.search(rf"^{name}(?!\w)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./<>*-]+/[\w./<>*-]+\.\w+)`", PAGE))))
def test_every_file_that_the_page_names_is_there(path: str) -> None:
    """A renamed room fails here, before a newcomer looks for it."""
    assert files(path), path


# For each row: what the code knows, and what the tree holds.
FOUND: dict[str, Callable[[], tuple[Iterable[str], Iterable[str]]]] = {
    "a preset": lambda: (
        {name for name, entry in catalogue().items() if name not in _plans()},
        _keys("harness/whocut/chain/presets/*.yaml"),
    ),
    "a gateway driver": lambda: (
        GATEWAYS,
        {name.replace("_", "-") for name in holding("harness/whocut/path/gateways/<preset>.py", "GATEWAY")},
    ),
    "a log format": lambda: (
        formats(),
        {name.replace("_", "-") for name in holding("harness/whocut/trace/logs/<product>.py", "FORMAT")},
    ),
    "a backend of traces": lambda: (
        backends(),
        holding("harness/whocut/trace/backends/<product>.py", "BACKEND"),
    ),
    "a format of users' files": lambda: (
        config_formats(),
        holding("harness/whocut/config/readers/<product>.py", r"\w+: Final = register"),
    ),
    "a dialect of the mock": lambda: (
        dialects(),
        stems("mock_upstream/whocut_mock/dialects/<vendor>.py") - {"__init__"},
    ),
    "a form of export": lambda: (
        EXPORTS,
        re.findall(
            r'^    "(\w+)": Form\(', (ROOT / "harness/whocut/export/formats.py").read_text(), re.MULTILINE
        ),
    ),
    "a mock fault": lambda: (FAULTS, _fault_names()),
    "a scenario": lambda: (shipped_scenarios(), holding("scenarios/<name>.py", "SCENARIO")),
    "a chain": lambda: (shipped_chains(CHAINS), stems("scenarios/chains/<name>.yaml")),
    "a verdict rule": lambda: (
        [rule.name for rule in RULES],
        re.findall(r"^\| \d+ \| ([\w' -]+) \|", (ROOT / "docs/attribution.md").read_text(), re.MULTILINE),
    ),
    "a contract check": lambda: (
        found_in("whocut.contract.checks", "FAMILY"),
        stems("harness/whocut/contract/checks/<family>.py") - {"__init__"},
    ),
    "a command": lambda: (
        COMMANDS,
        {path.stem for path in files("harness/whocut/cli/<command>.py") if _has_command(path)},
    ),
}


def test_each_row_of_the_page_is_held() -> None:
    """A row that is added to the page is added here."""
    assert set(FOUND) == set(ROWS)


@pytest.mark.parametrize("row", sorted(FOUND))
def test_what_the_tree_holds_is_what_the_code_knows(row: str) -> None:
    """Neither is there a file that is not found, nor a name without its file."""
    known, there = FOUND[row]()

    assert set(known) == set(there)


def test_every_check_is_of_a_family() -> None:
    """The table of checks is made of the families, and of nothing else."""
    families = found_in("whocut.contract.checks", "FAMILY").values()

    assert {check.id for check in (*CHECKS, *JOBS)} == {
        check.id for family in families for check in family.checks
    }
    assert len({family.place for family in families}) == len(families)


def _plans() -> set[str]:
    return {f"{name}-{plan}" for name, entry in catalogue().items() for plan in entry.variants}


def _keys(pattern: str) -> set[str]:
    return {
        key
        for path in files(pattern)
        for key in re.findall(r"^([\w.-]+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def _fault_names() -> set[str]:
    text = (ROOT / "mock_upstream/whocut_mock/faults.py").read_text(encoding="utf-8")
    return set(re.findall(r'^    name = "(\w+)"', text, re.MULTILINE))


def _has_command(path: Path) -> bool:
    return re.search(rf"^def {path.stem}\(", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
