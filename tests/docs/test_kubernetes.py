"""The manifests for Locust's operator: each names only fields of its definition, and what it starts is ours."""

from __future__ import annotations

import argparse
import ast
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from whocut.chain.chainfile import shipped_chains
from whocut.errors import BadInput
from whocut.load.options import add_options, as_arguments
from whocut.token import checked

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "kubernetes"
KNOWN: Final = yaml.safe_load((ROOT / "tests" / "data" / "kubernetes-locusttest.yaml").read_text())
MANIFESTS: Final = sorted(FOLDER.glob("*.yaml"))


def strange(written: Any, known: Any, place: str) -> list[str]:
    """What is written and not known, each with its place."""
    if isinstance(known, str):
        kinds: dict[str, Any] = {"string": str, "integer": int, "quantity": (int, str)}
        return [] if isinstance(written, kinds[known]) else [f"{place} is no {known}: {written!r}"]
    if isinstance(known, list):
        if not isinstance(written, list):
            return [f"{place} is no list"]
        return [one for at, item in enumerate(written) for one in strange(item, known[0], f"{place}[{at}]")]
    if not isinstance(written, dict):
        return [f"{place} holds no names"]
    if "any" in known:
        return [one for name in written for one in strange(written[name], known["any"], f"{place}.{name}")]
    found = [f"{place}.{name} is unknown" for name in written if name not in known]
    if "or" in known and len(written.keys() & set(known["or"])) != 1:
        found.append(f"{place} needs one of {known['or']}")
    return found + [
        one
        for name, inner in written.items()
        if name in known
        for one in strange(inner, known[name], f"{place}.{name}")
    ]


def args_of(manifest: dict[str, Any]) -> list[str]:
    """The words as the operator splits them."""
    return shlex.split(manifest["spec"]["args"])


def test_there_are_manifests() -> None:
    """Or the other tests would hold nothing."""
    assert [file.name for file in MANIFESTS] == ["locusttest-own-chains.yaml", "locusttest.yaml"]


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifest_names_only_fields_of_the_operator_s_definition(file: Path) -> None:
    """With values of their types."""
    manifest = yaml.safe_load(file.read_text())

    assert manifest.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert (manifest["apiVersion"], manifest["kind"]) == (KNOWN["group"], KNOWN["kind"])
    assert set(KNOWN["required"]) <= manifest["spec"].keys()
    assert strange(manifest["spec"], KNOWN["spec"], "spec") == []


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"workers": "2"}, "spec.workers is no integer: '2'"),
        ({"replicas": 2}, "spec.replicas is unknown"),
        ({"env": [{"name": "A", "valueFrom": {}}]}, "spec.env[0].valueFrom is unknown"),
        ({"locustfile": {"content": "x", "configMap": {"name": "y"}}}, "spec.locustfile needs one of"),
        ({"env": {}}, "spec.env is no list"),
    ],
)
def test_wrong_field_is_found(spec: dict[str, Any], says: str) -> None:
    """The check can fail."""
    (found,) = strange(spec, KNOWN["spec"], "spec")

    assert found.startswith(says)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_args_are_those_of_a_run_on_several_machines(file: Path) -> None:
    """The door is at a port of the operator's service; the token of the file is one that is not taken."""
    manifest = yaml.safe_load(file.read_text())
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--host")
    parser.add_argument("--users")
    add_options(parser, None)

    parsed, rest = parser.parse_known_args(args_of(manifest))

    assert (parsed.master_bind_host, parsed.master_bind_port) == ("0.0.0.0", KNOWN["ports"][0])
    assert int(parsed.whocut_port) == KNOWN["ports"][1]
    assert rest[rest.index("--expect-workers") + 1] == str(manifest["spec"]["workers"])
    assert {"--listen", "--port", "--out"} <= set(as_arguments(parsed))
    (token,) = [one["value"] for one in manifest["spec"]["env"] if one["name"] == "WHOCUT_TOKEN"]
    with pytest.raises(BadInput):
        checked(token, "the manifest")


def test_scenario_in_the_manifest_names_a_shipped_chain() -> None:
    """It is one file, and needs nothing beside it."""
    manifest = yaml.safe_load((FOLDER / "locusttest.yaml").read_text())
    (told,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(manifest["spec"]["locustfile"]["content"]).body
        if isinstance(node, ast.Assign)
    ]

    assert told["chain"] in shipped_chains()
