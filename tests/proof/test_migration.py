"""Leaving ingress-nginx with ten routes: who dies in the translation, and the policy under which nobody does."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.proof.migration import INGRESS, TRANSLATED, WAYS
from whocut.chain.timers import TimerKind
from whocut.cli import app
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.config.writing import gateway_time
from whocut.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

STREAM = ("--mode", "stream-0", "--heartbeat", "5s", "--n", "1")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both files, as a user has them."""
    shutil.copy(INGRESS, tmp_path)
    shutil.copy(TRANSLATED, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    """A command's exit code and its standard output."""
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def compared(lasts_s: float, *against: str) -> tuple[int, dict[str, Any]]:
    """Streams of this length, before and after."""
    after = [part for file in against for part in ("--against", f"./{file}")]
    code, said = run(
        "check", "./ingress.yaml", *after, *STREAM, "--profile", f"constant:{lasts_s:g}s", "--json"
    )
    return code, json.loads(said)


@pytest.mark.parametrize("lasts_s", [230, 700])
def test_exactly_the_streams_die_that_are_longer_than_the_translation_allows(
    here: Path, lasts_s: float
) -> None:
    """By host and path, with the layer, the directive, its limit and its line; the others live as before."""
    code, said = compared(lasts_s, "translated.yaml")

    assert code == 1
    assert {case["before"]["delivered"] for case in said["cases"]} == {1.0}
    died = {route: one for one in said["died"] for route in one["routes"]}
    hit = {way.name: way for way in WAYS if way.total_s < lasts_s}
    assert set(died) == set(hit)
    lines = (here / "translated.yaml").read_text().splitlines()
    for name, one in died.items():
        assert (one["layer"], one["directive"]) == ("envoy-gateway", "HTTPRoute timeouts.request")
        assert (one["mode"], one["share"], one["limit_s"]) == ("stream-0", 1.0, hit[name].total_s)
        assert (here / one["file"]).name == "translated.yaml"
        written = lines[one["line"] - 1].strip()
        assert one["is_default"] == (hit[name].total_s == 15)
        assert written.startswith("- path:" if one["is_default"] else "request: ")


@pytest.mark.parametrize("target", ["envoy-gateway", "gateway-api"])
def test_under_the_policy_that_is_printed_nobody_dies(here: Path, target: str) -> None:
    """What is printed is applied on top of the translation; every stream lives that lived before."""
    code, policy = run("read", "./ingress.yaml", "--to", target, "--for", "./translated.yaml")
    assert code == 0
    (here / "policy.yaml").write_text(policy)

    code, said = compared(700, "translated.yaml", "policy.yaml")

    assert (code, said["died"]) == (0, [])
    assert sorted(route for case in said["cases"] for route in case["routes"]) == sorted(
        way.name for way in WAYS
    )


def test_the_policy_keeps_each_route_s_own_limit_between_two_bytes(here: Path) -> None:
    """A silence that ended a request before ends it after; a limit on the whole is nowhere."""
    _, policy = run("read", "./ingress.yaml", "--to", "envoy-gateway", "--for", "./translated.yaml")
    (here / "policy.yaml").write_text(policy)

    for way in WAYS:
        found = read_files(["./translated.yaml", "./policy.yaml"], Asked(host=way.host, path=way.path))
        (layer,) = found.layers
        assert (layer.limit_s(TimerKind.IDLE), layer.limit_s(TimerKind.TOTAL)) == (way.silence_s, None), (
            way.name
        )


def test_a_policy_that_is_there_is_changed_and_none_is_put_beside_it(here: Path) -> None:
    """Of two policies on one target Envoy Gateway refuses the younger; the translation has three for bodies."""
    _, policy = run("read", "./ingress.yaml", "--to", "envoy-gateway", "--for", "./translated.yaml")

    objects = list(yaml.safe_load_all(policy))
    targets = [
        (target["name"], target.get("sectionName"))
        for one in objects
        if one["kind"] == "BackendTrafficPolicy"
        for target in one["spec"]["targetRefs"]
    ]
    assert len(targets) == len(set(targets))
    assert sum("requestBuffer" in one["spec"] for one in objects) == 3
    before = {
        (one["kind"], one["metadata"]["name"])
        for one in yaml.safe_load_all((here / "translated.yaml").read_text())
    }
    assert {name for kind, name in before if kind == "BackendTrafficPolicy"} < {
        one["metadata"]["name"] for one in objects
    }


def test_what_a_route_alone_cannot_say_is_said_to_be_lost() -> None:
    """With the routes that it is lost for."""
    _, said = run("read", "./ingress.yaml", "--to", "gateway-api", "--for", "./translated.yaml", "--json")

    lost = json.loads(said)["lost"]
    assert any(
        one.startswith("img.example.com/v1/previews: ") and "the 20s of silence is lost" in one
        for one in lost
    )


def test_rules_without_names_get_one_where_their_limits_differ(here: Path) -> None:
    """A policy finds a rule by its name alone; the standard emitter of ingress2gateway writes none."""
    objects = list(yaml.safe_load_all((here / "translated.yaml").read_text()))
    for one in objects:
        for rule in one["spec"].get("rules", ()):
            rule.pop("name", None)
    bare = [one for one in objects if one["kind"] == "HTTPRoute"]
    (here / "translated.yaml").write_text(yaml.safe_dump_all(bare, sort_keys=False))

    _, policy = run("read", "./ingress.yaml", "--to", "envoy-gateway", "--for", "./translated.yaml")
    (here / "policy.yaml").write_text(policy)

    found = read_files(
        ["./translated.yaml", "./policy.yaml"], Asked(host="img.example.com", path="/v1/previews")
    )
    assert found.layers[0].limit_s(TimerKind.IDLE) == 20
    code, said = compared(700, "translated.yaml", "policy.yaml")
    assert (code, said["died"]) == (0, [])


def test_without_the_routes_the_command_says_how_to_name_them() -> None:
    """An Ingress of ten routes has no one policy; the next command is ready to paste."""
    done = CliRunner().invoke(app, ["read", "./ingress.yaml", "--to", "envoy-gateway"])

    assert done.exit_code == 1
    assert "read ./ingress.yaml --to envoy-gateway --for ROUTES.yaml" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--for", "./translated.yaml"], "it needs --to, with gateway-api or envoy-gateway"),
        (["--to", "nginx", "--for", "./translated.yaml"], "'nginx' is no kind of route"),
        (["--to", "envoy-gateway", "--for", "./gone.yaml"], "there is no such file"),
        (["--to", "envoy-gateway", "--for", "./ingress.yaml"], "no rule of the routes takes img.example.com"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(arguments: list[str], says: str) -> None:
    """Before anything is printed."""
    with pytest.raises(BadInput, match=says):
        run("read", "./ingress.yaml", *arguments)


@pytest.mark.parametrize(
    ("limit_s", "written"),
    [(None, "0s"), (12, "12s"), (2.5, "2s500ms"), (0.25, "250ms"), (36_000, "36000s"), (2_592_000, "720h")],
)
def test_a_time_is_written_as_gateway_api_takes_it(limit_s: float | None, written: str) -> None:
    """Whole numbers of at most five digits; a fraction or six digits is refused by the cluster."""
    assert gateway_time(limit_s) == written
