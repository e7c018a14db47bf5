"""`whocut presets`: a catalogue a person can read, at any width, and a machine too."""

from __future__ import annotations

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from whocut.chain.catalogue import catalogue
from whocut.chain.preset_file import GROUPS
from whocut.cli import app


def presets(*arguments: str, columns: int = 100) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, ["presets", *arguments], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_fits_the_terminal(columns: int) -> None:
    """No line is longer than the terminal is wide, and every group and layer is there."""
    text = presets(columns=columns)

    assert max(len(line) for line in text.splitlines()) <= columns
    assert all(title in text for title in GROUPS.values())
    assert "first byte and idle 60 s?" in text  # fly: known from memory alone
    assert "[free, pro, business, enterprise]" in " ".join(text.split())


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_layer_is_explained(name: str) -> None:
    """With its source and its date, within 80 columns."""
    text = presets(name, columns=80)

    assert "(read" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_an_explanation_says_what_to_write() -> None:
    """Directive, configuration line, what it answers, what it logs."""
    text = presets("nginx")

    assert "proxy_read_timeout 60s;" in text
    assert "504 Gateway Time-out" in text
    assert "upstream timed out (110: Connection timed out)" in text


def test_what_can_stand_in_person_says_so() -> None:
    """In the list, in the explanation and for machines; what cannot does not."""
    assert (
        "As the real product, by `gateway: NAME` in a chain file: apache, caddy, envoy, haproxy" in presets()
    )
    assert "`gateway: nginx` in a chain file" in presets("nginx")
    assert "real product" not in presets("cloudflare")
    assert [json.loads(presets(name, "--json"))["gateway"] for name in ("haproxy", "cloudflare")] == [
        True,
        False,
    ]


def test_what_is_unverified_says_so() -> None:
    """A memory is marked in the list, in the explanation and for machines."""
    said = json.loads(presets("fly", "--json"))

    assert "unverified" in presets("fly")
    assert said["timers"]["idle"]["verified"] is False
    assert said["doubts"]


def test_all_of_it_for_machines() -> None:
    """Every name, the plans among them."""
    said = json.loads(presets("--json"))["presets"]

    assert set(said) == set(catalogue())
    assert said["vercel-pro"]["timers"]["total"]["most_s"] == 1800


def test_the_schema_is_printed() -> None:
    """For the editor's settings."""
    jsonschema.Draft202012Validator.check_schema(json.loads(presets("--schema")))
