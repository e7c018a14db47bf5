"""Limits that were read, written for another product: what lived before lives there, or the loss is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from whocut.chain.timers import TimerKind
from whocut.cli import app
from whocut.config.sources import read_files
from whocut.config.writing import TARGETS, written
from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: images
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "12"
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
spec:
  ingressClassName: nginx
  rules:
    - host: img.example.com
      http:
        paths:
          - path: /v1/images
            pathType: Prefix
            backend: {service: {name: images, port: {number: 80}}}
"""
ROUTE = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: images}
spec:
  hostnames: [img.example.com]
  rules:
    - matches: [{path: {type: PathPrefix, value: /v1/images}}]
      backendRefs: [{name: images, port: 80}]
"""
# Where what is written belongs, and how the whole is called.
AROUND: dict[str, tuple[str, Callable[[str], str]]] = {
    "gateway-api": (
        "route.yaml",
        lambda text: ROUTE + "".join(f"      {line}\n" for line in text.splitlines()),
    ),
    "envoy-gateway": ("all.yaml", lambda text: f"{ROUTE}---\n{text}"),
    "nginx": (
        "nginx.conf",
        lambda text: f"http {{ server {{ location / {{\nproxy_pass http://images;\n{text}}} }} }}\n",
    ),
    "haproxy": (
        "haproxy.cfg",
        lambda text: (
            f"frontend f\n    bind :80\n    default_backend b\nbackend b\n{text}    server s 10.0.0.1:80\n"
        ),
    ),
}


@pytest.fixture(autouse=True)
def _ingress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ingress.yaml").write_text(INGRESS)
    monkeypatch.chdir(tmp_path)


def put(target: str, folder: Path) -> str:
    """The Ingress written for a target, in a file of the target's."""
    text = written(read_files(["./ingress.yaml"]).layers, target).text
    name, around = AROUND[target]
    (folder / name).write_text(around(text))
    return f"./{name}"


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_what_is_written_is_read_back(target: str, tmp_path: Path) -> None:
    """The silence of the Ingress, where the target has such a limit; a total nowhere, for it had none."""
    file = put(target, tmp_path)

    (layer,) = read_files([file]).layers

    assert layer.limit_s(TimerKind.TOTAL) is None
    silence_s = layer.limit_s(TimerKind.IDLE)
    assert silence_s == (None if target == "gateway-api" else 12)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_what_lived_before_lives_there(target: str, tmp_path: Path) -> None:
    """A stream of 230 s with heartbeats goes through both, request by request."""
    file = put(target, tmp_path)
    asked = "--mode stream-0 --heartbeat 10s --profile constant:230s --n 2 --host img.example.com --path /v1/images"
    done = CliRunner().invoke(app, ["check", "./ingress.yaml", "--against", file, *asked.split(), "--json"])

    said = json.loads(done.stdout)

    assert (done.exit_code, said["died"]) == (0, [])
    assert [case["before"]["delivered"] for case in said["cases"]] == [1.0]


def test_what_a_target_cannot_say_is_said_to_be_lost() -> None:
    """A Gateway API route has no limit between two bytes; nginx has none on the whole."""
    layers = read_files(["./ingress.yaml"]).layers

    assert any(
        "no limit between two bytes: the 12s of silence is lost" in one
        for one in written(layers, "gateway-api").lost
    )
    assert written(layers, "envoy-gateway").lost == ()


def test_the_command_prints_it(tmp_path: Path) -> None:
    """The text alone on the standard output, so that it can go into a file."""
    done = CliRunner().invoke(app, ["read", "./ingress.yaml", "--to", "envoy-gateway"])

    assert done.exit_code == 0
    assert done.stdout.startswith("apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\n")
    assert "      streamIdleTimeout: 12s\n" in done.stdout


def test_a_target_that_there_is_not_is_named() -> None:
    """With the nearest."""
    done = CliRunner().invoke(app, ["read", "./ingress.yaml", "--to", "envoy-gatway"])

    assert isinstance(done.exception, BadInput)
    assert "there is no target 'envoy-gatway' (did you mean 'envoy-gateway'?)" in str(done.exception)
